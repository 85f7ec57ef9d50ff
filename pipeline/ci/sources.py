"""Which modules of ours a deployed pipeline is made by: found by following imports, not kept in a list.

What is planned is made by the rooms `plan` imports, by the building blocks that definitions are made of,
and by the handlers that are uploaded. The rest (the command line, the local target, the checks) decides how
somebody works with the repository, not what is deployed.
"""

from __future__ import annotations

import ast
from pathlib import Path

PACKAGE = "pipeline"
# The plan is the deployed state as data, so what computes it is what decides it. The steps run in a process
# of their own and the handlers on AWS: no import leads there.
ROOTS = (f"{PACKAGE}/plan", f"{PACKAGE}/steps", f"{PACKAGE}/lambdas")


def deployed(root: Path) -> frozenset[str]:
    """Files of the package that decide what is deployed, relative to `root`; definitions are not in it."""
    found: set[Path] = set()
    todo = [file for start in ROOTS for file in sorted((root / start).rglob("*.py"))]
    while todo:
        file = todo.pop()
        if file in found:
            continue
        found.add(file)
        todo += [other for other in _imported(root, file) if other not in found]
    return frozenset(file.relative_to(root).as_posix() for file in found)


def belongs(path: str, files: frozenset[str]) -> bool:
    """Whether a changed path is one of `files`, or data in a folder of theirs (it may be gone by now)."""
    if path in files:
        return True
    folder = path.rpartition("/")[0]
    in_one = any(file.rpartition("/")[0] == folder for file in files)
    # A module beside them that nobody imports decides nothing; one that was deleted may have.
    return in_one and folder != PACKAGE and not path.endswith(".py")


def _imported(root: Path, file: Path) -> list[Path]:
    """Modules of ours that `file` imports, at any depth of its code."""
    found: list[Path] = []
    package = file.relative_to(root).with_suffix("").parts
    for node in ast.walk(ast.parse(file.read_bytes())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            start = ".".join(package[: -node.level]) if node.level else ""
            base = ".".join(part for part in (start, node.module or "") if part)
            names = [base, *(f"{base}.{alias.name}" for alias in node.names)]
        else:
            continue
        for name in names:
            if name == PACKAGE or name.startswith(f"{PACKAGE}."):
                found += _files(root, name)
    return found


def _files(root: Path, name: str) -> list[Path]:
    """The module's file and those of the packages it lies in; nothing for a name that is no module."""
    parts = name.split(".")
    paths = [root.joinpath(*parts[:depth], "__init__.py") for depth in range(1, len(parts) + 1)]
    return [path for path in [root.joinpath(*parts).with_suffix(".py"), *paths] if path.is_file()]
