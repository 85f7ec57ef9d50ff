"""Deployment packages of the Lambdas, the same to the byte wherever and whenever they are made."""

from __future__ import annotations

import io
import warnings
import zipfile
from pathlib import Path

from pipeline.errors import DefinitionError
from pipeline.render.model import LambdaPackage

EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest a zip can say
FILE_MODE = 0o100644
MADE_ON_UNIX = 3
# A package within the package: a function's modules import each other relatively, here and there alike.
CODE_FOLDER = "function"
LEFT_OUT_DIRECTORIES = {"__pycache__", ".pytest_cache", ".mypy_cache", ".ruff_cache"}


def package(root: Path, folder: str) -> LambdaPackage:
    """The zip of `pipeline/lambdas/<folder>/`, as package `function`: files sorted, one timestamp, one mode.

    No compression, because zlib's output differs between its versions; the code is a few kilobytes.
    """
    base = root / "pipeline" / "lambdas" / folder
    files = sources(base)
    if not any(file.name == "handler.py" for file in files):
        raise DefinitionError(
            f"the state machine invokes {folder!r}, which has no handler.py",
            where=f"pipeline/lambdas/{folder}",
            hint="write handler.py with def handler(event, context)",
        )
    for file in files:
        compiles(file, root)
    return LambdaPackage(folder, zipped(base, files, CODE_FOLDER))


def zipped(base: Path, files: list[Path], folder: str) -> bytes:
    """A zip of files below `base`, as they lie there, in a folder."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for file in files:
            info = zipfile.ZipInfo(f"{folder}/{file.relative_to(base).as_posix()}", EPOCH)
            info.external_attr = FILE_MODE << 16
            info.create_system = MADE_ON_UNIX
            archive.writestr(info, file.read_bytes())
    return buffer.getvalue()


def compiles(file: Path, root: Path) -> None:
    """Refuse code that could not even be imported where it runs, before anything is deployed."""
    if file.suffix != ".py":
        return
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            compile(file.read_bytes(), str(file), "exec", dont_inherit=True)
    except (SyntaxError, ValueError) as error:
        line = getattr(error, "lineno", None)
        place = file.relative_to(root).as_posix()
        raise DefinitionError(
            f"{type(error).__name__}: {getattr(error, 'msg', error)}",
            where=f"{place}:{line}" if line else place,
        ) from None


def sources(base: Path) -> list[Path]:
    """The files of a folder that are code, sorted by their path within it."""
    found = [
        path
        for path in base.rglob("*")
        if path.is_file()
        and path.suffix != ".pyc"
        and not LEFT_OUT_DIRECTORIES & set(path.relative_to(base).parts)
        and not path.name.startswith(".")
    ]
    return sorted(found, key=lambda path: path.relative_to(base).as_posix())
