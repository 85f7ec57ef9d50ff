"""Folders before and after a program ran: what is in them, model.tar.gz made of one, unpacked again."""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import tarfile
from collections.abc import Mapping
from pathlib import Path

from pipeline.conformance.subject import Channel

# Not text in any encoding that begins like text, no JSON, no image, no archive.
GARBAGE = b"\xff\xfe\x00\xd8 conformance test: this is not data \x00\xff\xfe\x80" * 4


def contents(folder: Path) -> dict[str, str]:
    """Relative path of everything but folders -> a digest of its content (of where it points, for a link)."""
    found = {}
    for current, _, names in os.walk(folder):
        for name in names:
            path = Path(current, name)
            kind = path.lstat().st_mode
            if stat.S_ISLNK(kind):
                digest = f"link to {path.readlink()}"
            elif stat.S_ISREG(kind):
                digest = hashlib.sha256(path.read_bytes()).hexdigest()
            else:
                digest = stat.filemode(kind)
            found[path.relative_to(folder).as_posix()] = digest
    return found


def differences(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    """Paths that were made, changed or removed."""
    return sorted(path for path in {*before, *after} if before.get(path) != after.get(path))


def lay_channels(channels: Mapping[str, Channel], data: Path, *, broken: bool) -> None:
    """Copy each channel below `data`, or files of the same names that hold garbage."""
    for name, channel in channels.items():
        for source in sorted(path for path in channel.folder.rglob("*") if path.is_file()):
            target = data / name / source.relative_to(channel.folder)
            target.parent.mkdir(parents=True, exist_ok=True)
            if broken:
                target.write_bytes(GARBAGE)
            else:
                shutil.copyfile(source, target)


def unpackable(model: Path) -> list[str]:
    """Entries of a model folder that do not come out of model.tar.gz as they went in."""
    bad = []
    for path in sorted(model.rglob("*")):
        name = path.relative_to(model).as_posix()
        kind = path.lstat().st_mode
        if stat.S_ISLNK(kind):
            # A link is kept as a link: where it leads must be in the archive as well.
            target = Path(os.path.normpath(path.parent / path.readlink()))
            if path.readlink().is_absolute() or not target.is_relative_to(model) or not target.exists():
                bad.append(f"{name} (a link to {path.readlink()})")
        elif not (stat.S_ISREG(kind) or stat.S_ISDIR(kind)):
            bad.append(f"{name} (neither a file nor a folder)")
    return bad


def through_archive(model: Path, archive: Path, to: Path) -> None:
    """Pack `model` as SageMaker does after training and unpack it as it does before serving."""
    with tarfile.open(archive, "w:gz") as packed:
        for entry in sorted(model.iterdir()):
            packed.add(entry, arcname=entry.name)
    to.mkdir(parents=True)
    with tarfile.open(archive, "r:gz") as packed:
        packed.extractall(to, filter="data")


def listed(names: list[str], limit: int = 4) -> str:
    """`a, b and 3 more`."""
    shown = ", ".join(names[:limit])
    return shown + (f" and {len(names) - limit} more" if len(names) > limit else "")
