"""The rooms and who may import whom: docs/explanation/architecture.md, as a test."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "pipeline"

# room -> rooms of ours it may import, besides itself and pipeline.errors
ALLOWED = {
    "settings": set(),
    "definitions": {"steps"},
    "steps": set(),
    "render": {"settings", "image"},
    "image": {"settings", "aws"},
    "aws": set(),
    "check": {"settings", "render"},
    "conformance": {"settings", "image"},
    "graph": set(),
    "cost": set(),
    "plan": {"settings", "render", "image", "aws", "graph", "cost"},
    "apply": {"settings", "render", "image", "aws", "plan"},
    "execution": {"settings", "render", "aws", "plan", "apply", "graph"},
    "ci": {"settings", "render", "image", "plan"},
    "promote": {"settings", "render", "image", "aws", "plan", "apply", "execution"},
    "lineage": {"settings", "image", "aws", "plan", "execution", "promote"},
    "local": {"image"},
    "lambdas": set(),
}
SDKS = {"stepfunctions", "sagemaker"}


def imports(path: Path) -> set[str]:
    """Absolute names of all modules a file imports, at any depth."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            parent = (
                ".".join(path.relative_to(ROOT).with_suffix("").parts[: -node.level]) if node.level else ""
            )
            base = ".".join(part for part in (parent, node.module or "") if part)
            found.add(base)
            found |= {f"{base}.{alias.name}" for alias in node.names}
    return found


def modules(room: str) -> list[Path]:
    return sorted((PACKAGE / room).rglob("*.py"))


def room_of(name: str) -> str | None:
    """The room of ours a module name lies in: the folder after `pipeline.`."""
    match = re.match(r"pipeline\.([a-z_]+)", name)
    return match[1] if match and (PACKAGE / match[1]).is_dir() else None


@pytest.mark.parametrize("room", sorted(ALLOWED))
def test_a_room_imports_only_what_stands_upstream_of_it(room: str) -> None:
    files = modules(room)
    assert files, f"the room {room} is empty"
    for path in files:
        rooms = {room_of(name) for name in imports(path)} - {None, room}
        assert rooms <= ALLOWED[room], f"{path.relative_to(ROOT)} imports {sorted(rooms - ALLOWED[room])}"


def test_only_the_steps_room_and_definitions_import_the_sdks() -> None:
    for path in PACKAGE.rglob("*.py"):
        room = path.relative_to(PACKAGE).parts[0]
        if room not in ("steps", "definitions"):
            assert not {name.split(".")[0] for name in imports(path)} & SDKS, path


def test_only_one_function_makes_clients() -> None:
    """boto3 is imported in pipeline/aws, in the Lambdas (which run on AWS) and inside the local target.

    The steps room hands the SDK the offline session that it cannot do without; it makes no client.
    """
    for path in PACKAGE.rglob("*.py"):
        room = path.relative_to(PACKAGE).parts[0]
        if room not in ("aws", "lambdas", "local", "steps"):
            assert "boto3" not in imports(path), path
    assert not re.search(r"\.client\(", "".join(p.read_text() for p in modules("steps")))
    makers = [
        p
        for p in modules("aws")
        if re.search(r"boto3\.(session\.)?(client|Session)\(|\.client\(", p.read_text())
    ]
    assert len(makers) == 1, makers


def test_only_the_command_line_imports_the_local_target() -> None:
    importers = {
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*.py")
        if path.relative_to(PACKAGE).parts[0] != "local"
        and any(n.startswith("pipeline.local") for n in imports(path))
    }
    assert importers == {
        "cli/_ephemeral.py",
        "cli/_fault.py",
        "cli/_processes.py",
        "cli/_remote.py",
        "cli/_target.py",
        "cli/local.py",
    }


def test_nothing_above_the_api_asks_which_target_it_is() -> None:
    asks = re.compile(r"""(==|!=|\bin\b|\bis\b)\s*\(?["']local["']|["']local["']\s*(==|!=)""")
    for path in PACKAGE.rglob("*.py"):
        if path.relative_to(PACKAGE).parts[0] not in ("local", "cli"):
            assert not asks.search(path.read_text()), f"{path.relative_to(ROOT)} asks for its target"


def test_lambdas_are_self_contained() -> None:
    """A handler's folder is its whole deployment package: standard library, boto3 and its own files."""
    import sys

    for folder in sorted((PACKAGE / "lambdas").iterdir()):
        own = f"pipeline.lambdas.{folder.name}."
        for path in folder.glob("*.py"):
            tops = {name.split(".")[0] for name in imports(path) if not f"{name}.".startswith(own)}
            # dateutil comes with botocore, so it is in Lambda's runtime as boto3 is.
            foreign = tops - set(sys.stdlib_module_names) - {"boto3", "botocore", "dateutil", ""}
            assert not foreign, f"{path.relative_to(ROOT)} imports {sorted(foreign)}"


def test_modules_stay_small() -> None:
    for path in [*PACKAGE.rglob("*.py"), *(ROOT / "container").rglob("*.py")]:
        lines = len(path.read_text().splitlines())
        assert lines <= 400, f"{path.relative_to(ROOT)} has {lines} lines: look for its second idea"


def test_every_module_says_why_it_exists() -> None:
    for path in [
        *PACKAGE.rglob("*.py"),
        *(ROOT / "container").rglob("*.py"),
        *(ROOT / "scripts").glob("*.py"),
    ]:
        if path.name == "__init__.py" and not path.read_text().strip():
            continue
        assert ast.get_docstring(ast.parse(path.read_text())), f"{path.relative_to(ROOT)} has no docstring"
