"""What an image is made of: the files of its container folder and of the shared ones that it uses.

A container folder may hold a `container.toml`:

    uses = ["serving"]      # folders beside this one, laid into the image at /opt/program/<name>
    instances = "many"      # `train` runs on several instances as one training; without it: on one

The image's tag, the build context and the local target's snapshot are all made from `context_files`, so
that a change to a shared folder is another image of everybody who uses it, and of nobody else.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from os import walk
from pathlib import Path

from pipeline.errors import SettingsError

DECLARATION = "container.toml"
ONE, MANY = "one", "many"
# What builds the image in CodeBuild; a folder that has one is an image only once that has run.
BUILDSPEC = "buildspec.yml"
IGNORED_FOLDERS = frozenset({"__pycache__", ".pytest_cache", ".mypy_cache", ".ruff_cache", ".git", ".venv"})
IGNORED_SUFFIXES = (".pyc", ".pyo")
IGNORED_NAMES = frozenset({".DS_Store"})
_NAME = re.compile(r"[a-z][a-z0-9_]*")


def context_files(folder: Path) -> dict[str, Path]:
    """Every file and symbolic link of the image's source: path in the image's program folder -> where it is.

    Sorted by that path (POSIX, relative). A used folder that lies inside `folder` already, as in a copy made
    from this very listing, is taken from there; so a copy has the same content as what it was copied from.

    Raises:
        FileNotFoundError: there is no such folder.
        SettingsError: container.toml is not valid, or names a folder that does not exist.
    """
    if not folder.is_dir():
        raise FileNotFoundError(folder)
    found = {path.as_posix(): folder / path for path in _walk(folder)}
    for name in uses(folder):
        if any(path.startswith(f"{name}/") for path in found):
            continue
        shared = folder.resolve().parent / name
        if not shared.is_dir():
            raise SettingsError(
                f"uses {name!r}, and there is no such folder",
                where=str(folder / DECLARATION),
                hint=f"make {shared}, or take the name out",
            )
        found.update({f"{name}/{path.as_posix()}": shared / path for path in _walk(shared)})
    return dict(sorted(found.items()))


def uses(folder: Path) -> tuple[str, ...]:
    """Names of the shared folders that container.toml declares; none without that file.

    Raises:
        SettingsError: it is not valid.
    """
    path = folder / DECLARATION
    try:
        declared = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return ()
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"is not TOML: {error}", where=str(path)) from None
    names = declared.pop("uses", [])
    instances = declared.pop("instances", ONE)
    if declared:
        what = f"unknown key {sorted(declared)[0]!r}; `uses` and `instances` are known"
        raise SettingsError(what, where=str(path))
    if instances not in (ONE, MANY):
        what = f'instances = {instances!r}: "{ONE}" or "{MANY}" is expected'
        raise SettingsError(what, where=str(path), hint=f'"{MANY}" if `train` runs on several at once')
    if not isinstance(names, list) or not all(isinstance(n, str) and _NAME.fullmatch(n) for n in names):
        raise SettingsError(
            f"uses = {names!r}: a list of folder names is expected",
            where=str(path),
            hint='such as  uses = ["serving"]',
        )
    return tuple(dict.fromkeys(names))


def _walk(folder: Path) -> Iterator[Path]:
    """Relative paths of what counts as source: not what Python and editors leave behind."""
    for current, folders, files in walk(folder):
        here = Path(current)
        for name in list(folders):
            if name in IGNORED_FOLDERS:
                folders.remove(name)
            elif (here / name).is_symlink():
                yield (here / name).relative_to(folder)
        for name in files:
            if name not in IGNORED_NAMES and not name.endswith(IGNORED_SUFFIXES):
                yield (here / name).relative_to(folder)
