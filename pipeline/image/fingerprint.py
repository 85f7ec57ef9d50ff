"""An image's source as one hash, so that the same source is the same image.

The hash covers sorted relative paths, the executable bit, and the bytes (for a symbolic link: where it
points). Times, owners and the folder's own name do not count; nor do what Python and editors leave behind.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from pipeline.image.context import context_files

_TAG = re.compile(r"^(src-[0-9a-f]{16})(?:-[0-9a-f]{8})?$")


def tree_files(folder: Path) -> list[Path]:
    """Files and symbolic links of the image's source, as sorted relative POSIX paths in the image."""
    return [Path(path) for path in context_files(folder)]


def tree_hash(folder: Path) -> str:
    """64 hex digits (SHA-256) over the image's source: `folder` and the shared folders it uses.

    Raises:
        FileNotFoundError: there is no such folder.
        SettingsError: its container.toml is not valid.
    """
    total = hashlib.sha256()
    for relative, path in context_files(folder).items():
        if path.is_symlink():
            kind, content = "l", path.readlink().as_posix().encode()
        else:
            kind, content = ("x" if path.stat().st_mode & 0o100 else "f"), path.read_bytes()
        # Each field has a fixed length or an end mark, so that no two trees share an encoding.
        total.update(f"{kind} {relative}\0".encode())
        total.update(hashlib.sha256(content).digest())
    return total.hexdigest()


def source_tag(folder: Path) -> str:
    """The image tag of a container folder: `src-` and the first 16 digits of its hash."""
    return f"src-{tree_hash(folder)[:16]}"


def source_part(tag: str) -> str:
    """The part of an image's tag that stands for its source alone; empty for a tag of another kind.

    A tag may go on with what else the image was built from: `src-<16 hex>-<8 hex>` (pipeline.image.address).
    """
    found = _TAG.match(tag)
    return found.group(1) if found else ""
