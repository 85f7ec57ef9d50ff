"""The build context as a tar: the same content, the same bytes, so that the engine's layer cache holds."""

from __future__ import annotations

import tarfile
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import IO

from docker.utils.build import PatternMatcher

from pipeline.image.context import context_files

DOCKERFILE = "Dockerfile"
WHEELHOUSE = "wheelhouse"


def build_context(folder: Path, wheels: Iterable[Path] = ()) -> IO[bytes]:
    """The image's source and its wheels (under `wheelhouse/`) as a tar file, open at its beginning.

    What `.dockerignore` names is left out, but for the Dockerfile, which the engine needs.
    """
    files = context_files(folder)
    ignored = PatternMatcher(_patterns(folder))
    stream = tempfile.TemporaryFile()  # noqa: SIM115 - it is the caller's
    # Wheels are compressed already, and the engine is near: no compression.
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, path in files.items():
            # It takes text, whatever its stub says.
            if name == DOCKERFILE or not ignored.matches(name):  # type: ignore[arg-type]
                _add(tar, name, path)
        for wheel in wheels:
            _add(tar, f"{WHEELHOUSE}/{wheel.name}", wheel)
    stream.seek(0)
    return stream


def _patterns(folder: Path) -> list[str]:
    file = folder / ".dockerignore"
    if not file.is_file():
        return []
    lines = (line.strip() for line in file.read_text(encoding="utf-8").splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def _add(tar: tarfile.TarFile, name: str, path: Path) -> None:
    entry = tarfile.TarInfo(name)
    if path.is_symlink():
        entry.type, entry.linkname = tarfile.SYMTYPE, path.readlink().as_posix()
        tar.addfile(entry)
        return
    # Of the mode only what counts in the address: a umask must not make another image.
    entry.mode = 0o755 if path.stat().st_mode & 0o100 else 0o644
    entry.size = path.stat().st_size
    with path.open("rb") as stream:
        tar.addfile(entry, stream)
