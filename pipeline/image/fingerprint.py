"""A folder's content as one hash, so that the same source is the same image.

The hash covers sorted relative paths, the executable bit, and the bytes (for a symbolic link: where it
points). Times, owners and the folder's own name do not count; nor do what Python and editors leave behind.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

IGNORED_FOLDERS = frozenset({"__pycache__", ".pytest_cache", ".mypy_cache", ".ruff_cache", ".git", ".venv"})
IGNORED_SUFFIXES = (".pyc", ".pyo")
IGNORED_NAMES = frozenset({".DS_Store"})


def tree_files(folder: Path) -> list[Path]:
    """Files and symbolic links of `folder` that count as source, as sorted relative POSIX paths."""
    return sorted(_walk(folder), key=lambda path: path.as_posix())


def tree_hash(folder: Path) -> str:
    """64 hex digits (SHA-256) over the content of `folder`.

    Raises:
        FileNotFoundError: there is no such folder.
    """
    if not folder.is_dir():
        raise FileNotFoundError(folder)
    total = hashlib.sha256()
    for relative in tree_files(folder):
        path = folder / relative
        if path.is_symlink():
            kind, content = "l", path.readlink().as_posix().encode()
        else:
            kind, content = ("x" if path.stat().st_mode & 0o100 else "f"), path.read_bytes()
        # Each field has a fixed length or an end mark, so that no two trees share an encoding.
        total.update(f"{kind} {relative.as_posix()}\0".encode())
        total.update(hashlib.sha256(content).digest())
    return total.hexdigest()


def source_tag(folder: Path) -> str:
    """The image tag of a container folder: `src-` and the first 16 digits of its hash."""
    return f"src-{tree_hash(folder)[:16]}"


def _walk(folder: Path) -> Iterator[Path]:
    for current, folders, files in os.walk(folder):
        here = Path(current)
        for name in list(folders):
            if name in IGNORED_FOLDERS:
                folders.remove(name)
            elif (here / name).is_symlink():
                yield (here / name).relative_to(folder)
        for name in files:
            if name not in IGNORED_NAMES and not name.endswith(IGNORED_SUFFIXES):
                yield (here / name).relative_to(folder)
