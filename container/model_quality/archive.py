"""The model's files as a processing job gets them: a model.tar.gz, unpacked with care."""

from __future__ import annotations

import tarfile
from pathlib import Path


class ArchiveError(Exception):
    """The archive cannot be unpacked; the text says why."""


def unpack(folder: Path, scratch: Path) -> Path:
    """Folder of the model's files: the folder itself, or `scratch` with its model.tar.gz unpacked.

    Raises ArchiveError.
    """
    archive = folder / "model.tar.gz"
    if not archive.is_file():
        return folder
    try:
        with tarfile.open(archive, "r:gz") as tar:
            _extract(tar, scratch)
    except (tarfile.TarError, OSError, EOFError) as error:
        raise ArchiveError(f"{archive} cannot be unpacked: {type(error).__name__}: {error}") from error
    return scratch


def _extract(tar: tarfile.TarFile, into: Path) -> None:
    """Unpack files and folders; refuse what would leave the folder, links out of it, devices and the like."""
    if hasattr(tarfile, "data_filter"):
        tar.extractall(into, filter="data")
        return
    # Python before 3.11.4 (Debian 12 has 3.11.2) knows no filters: plain files and folders alone.
    for member in tar:
        if not (member.isreg() or member.isdir()):
            raise tarfile.TarError(f"{member.name!r} is neither a file nor a folder")
        member.name = member.name.lstrip("/")
        if not (into / member.name).resolve().is_relative_to(into.resolve()):
            raise tarfile.TarError(f"{member.name!r} would be outside the destination")
        tar.extract(member, into, set_attrs=False)
