"""A new pipeline from one that runs: its definition, container and Glue scripts copied under a new name.

What is copied is the user's from then on. Nothing points back: paths, the program's package and the place of
the data carry the new name, so that both pipelines live in one account without meeting.
"""

from __future__ import annotations

import re
import shutil
import tempfile
import tomllib
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import SettingsError

DEFINITIONS = Path("pipeline") / "definitions"
# As settings ask for it (pipeline/settings/model.py: Name).
_NAME = re.compile(r"[a-z][a-z0-9_-]{1,30}")
SHORTEST, LONGEST = 2, 31
NAMES = (
    f"{SHORTEST} to {LONGEST} lower case letters, digits, hyphens and underscores, the first of them a letter"
)
_LEFT_OUT = shutil.ignore_patterns("__pycache__", "*.pyc", ".pipeline", "wheelhouse")


@dataclass(frozen=True)
class Made:
    """What was made: `folders` relative to the repository, the settings file first to be edited."""

    name: str
    source: str
    folders: tuple[Path, ...]

    @property
    def settings(self) -> Path:
        return DEFINITIONS / self.name / "settings.toml"


def make(root: Path, name: str, source: str) -> Made:
    """Copy the pipeline `source` to `name`; all of it or nothing.

    Raises:
        SettingsError: the name is none, or taken; there is no such source.
    """
    if not _NAME.fullmatch(name):
        raise SettingsError(
            f"{name!r} is no name of a pipeline: {_wrong(name)}", hint=f"{NAMES}, such as churn"
        )
    settings = root / DEFINITIONS / source / "settings.toml"
    if not settings.is_file():
        known = sorted(path.parent.name for path in (root / DEFINITIONS).glob("*/settings.toml"))
        raise SettingsError(
            f"there is no pipeline {source!r} to start from", hint=f"one of {', '.join(known)}"
        )
    copies = dict(_copies(settings, name, source))
    for target in copies.values():
        # Of two names that differ in this alone AWS makes one.
        twins = {target.parent / target.name.replace(*pair) for pair in (("-", "_"), ("_", "-"))}
        if any((root / each).exists() for each in {target, *twins}):
            raise SettingsError("is there already", where=str(target), hint="choose another name")
    old = tomllib.loads(settings.read_text(encoding="utf-8"))["container"]
    with ExitStack() as stack:
        for folder, target in copies.items():
            place = root / target
            beside = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=place.parent, prefix=".new-")))
            shutil.copytree(root / folder, beside / "made", ignore=_LEFT_OUT)
            _rename(beside / "made", source, old, name)
            if target == DEFINITIONS / name:
                _own_data(beside / "made" / "settings.toml", name)
        moved: list[Path] = []
        try:
            for target in copies.values():
                place = root / target
                (found,) = place.parent.glob(".new-*/made")
                found.rename(place)
                moved.append(place)
        except BaseException:
            for place in moved:
                shutil.rmtree(place, ignore_errors=True)
            raise
    return Made(name, source, tuple(copies.values()))


def _wrong(name: str) -> str:
    """What is wrong with a name that is none."""
    if len(name) < SHORTEST:
        return f"too short, by {SHORTEST - len(name)}"
    if len(name) > LONGEST:
        return f"{len(name)} characters, {len(name) - LONGEST} too many"
    if not re.match(r"[a-z]", name):
        return f"it begins with {name[0]!r}"
    others = sorted(set(re.sub(r"[a-z0-9_-]", "", name)))
    return f"it has {', '.join(map(repr, others))}"


def _copies(settings: Path, name: str, source: str) -> Iterator[tuple[Path, Path]]:
    """Folder of the source -> folder of the new one, relative to the repository."""
    data = tomllib.loads(settings.read_text(encoding="utf-8"))
    yield DEFINITIONS / source, DEFINITIONS / name
    yield Path("container") / data["container"], Path("container") / _module(name)
    # Those of the repository's common library stay where they are.
    scripts = {
        Path(transform["script"]).parts[0]
        for transform in data.get("transforms", {}).values()
        if "script" in transform
    }
    for folder in sorted(scripts - {"common"}):
        yield Path("glue_scripts") / folder, Path("glue_scripts") / _module(name)


def _module(name: str) -> str:
    """The name as folders of Python code have it."""
    return name.replace("-", "_")


def _hyphens(name: str) -> str:
    """The name as AWS has it, and a system's users."""
    return name.replace("_", "-")


def _user(name: str) -> str:
    """So much of it that useradd takes it with `-serve` behind: 32 characters."""
    return _hyphens(name)[: 32 - len("-serve")].rstrip("-")


def _rename(folder: Path, source: str, container: str, name: str) -> None:
    """Paths and names that would still be the source's: in texts, and of the program's package."""
    module = _module(name)
    old, whole = re.escape(source), rf"(?:{re.escape(source)}|{re.escape(container)})"
    changes = [
        (rf"\b{re.escape(container)}_program\b", f"{module}_program"),
        (rf"\b{_hyphens(container)}-serve\b", f"{_user(name)}-serve"),
        # Where a text can mean only the pipeline, also one that is called as its data are (iris, mnist).
        (rf"\b(pipeline [a-z]+) {old}(?![\w/-])", rf"\1 {name}"),
        (rf"(s3://<bucket>/){old}/", rf"\1{name}/"),
        (rf'^(# |""")(the )?{old}: ', rf"\1{name}: "),
        (rf"(<title>){whole}\b", rf"\1{name}"),
        (rf"\b((?:[Ii]mage|[Mm]odel) of )(?:the )?{whole}\b(?![\w-])", rf"\1{name}"),
        (rf"\bdefinitions/{re.escape(source)}\b", f"definitions/{name}"),
        (rf"\bcontainer/{re.escape(container)}\b", f"container/{module}"),
        (rf"\bglue_scripts/{re.escape(container)}\b", f"glue_scripts/{module}"),
        (rf'^(container\s*=\s*)"{re.escape(container)}"', rf'\1"{module}"'),
        (rf'^(script\s*=\s*)"{re.escape(container)}/', rf'\1"{module}/'),
    ]
    if "_" in source:
        # No word of any language, so it is the pipeline, but as a module of somebody's package.
        changes.append((rf"(?<![\w.-]){old}(?![\w-]|\.\w)", name))
    for path in sorted(folder.rglob("*")):
        if not path.is_file():
            continue
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        changed = text
        for pattern, new in changes:
            changed = re.sub(pattern, new, changed, flags=re.MULTILINE)
        if changed != text:
            path.write_text(changed, encoding="utf-8")
    for package in list(folder.glob(f"{container}_program")):
        package.rename(folder / f"{module}_program")


def _own_data(settings: Path, name: str) -> None:
    """Keys below a prefix of the pipeline's own: the sample of the source may lie in the same bucket."""
    text = settings.read_text(encoding="utf-8")
    own = f'prefix = "{name}/"\n'
    head, table, rest = text.partition("\n[data]\n")
    if not table:
        # Only its sub-tables are written; a table may be opened before them.
        head, table, rest = text.partition("\n[data.")
        settings.write_text(f"{head}\n[data]\n{own}{table}{rest}", encoding="utf-8")
        return
    # The table ends where the next one begins.
    body, next_table, after = rest.partition("\n[")
    body = "".join(line for line in body.splitlines(keepends=True) if not re.match(r"prefix\s*=", line))
    settings.write_text(f"{head}{table}{own}{body}{next_table}{after}", encoding="utf-8")
