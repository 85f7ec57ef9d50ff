"""The model and the features it was trained on, in one model.tar.gz: the same bytes for the same content.

In:  /opt/ml/processing/model/model.tar.gz, and features.json in another folder beside it
Out: /opt/ml/processing/bundle/model.tar.gz
"""

from __future__ import annotations

import gzip
import io
import tarfile
import tempfile
from pathlib import Path

from model_quality import archive
from script_mode import Folders, ProgramError, StopFlag, run_program, write_atomically

from . import model
from .encoder import FILE
from .errors import BadModel
from .model import Model


def main() -> int:
    """Run as SageMaker Processing runs it; return the exit code."""
    folders = Folders.from_environment()
    stop = StopFlag()
    stop.install()
    return run_program(lambda: bundle(folders.processing, stop), folders.message)


def bundle(home: Path, stop: StopFlag) -> None:
    """Write the artifact. Raises ProgramError when model and features are not of the same training."""
    with tempfile.TemporaryDirectory() as scratch:
        try:
            files = contents(archive.unpack(home / "model", Path(scratch)))
        except archive.ArchiveError as error:
            raise ProgramError(str(error)) from error
    files[FILE] = fitted(home)
    made = checked(files)
    stop.check()
    write_atomically(home / "bundle" / "model.tar.gz", packed(files))
    rounds, count = made.booster.num_boosted_rounds(), len(made.encoder.names)
    print(f"{rounds} rounds with {count} features, in one artifact: {', '.join(sorted(files))}", flush=True)


def contents(folder: Path) -> dict[str, bytes]:
    """All files of a folder by their paths in it."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def fitted(home: Path) -> bytes:
    """The one features.json among the inputs. Raises ProgramError."""
    found = [path / FILE for path in sorted(home.iterdir()) if path.name not in ("model", "bundle")]
    found = [path for path in found if path.is_file()]
    if len(found) != 1:
        raise ProgramError(f"one {FILE} is expected among the inputs; there are {len(found)}")
    return found[0].read_bytes()


def checked(files: dict[str, bytes]) -> Model:
    """The model as serving will load it. Raises ProgramError."""
    with tempfile.TemporaryDirectory() as scratch:
        for name, content in files.items():
            write_atomically(Path(scratch) / name, content)
        try:
            return model.load(Path(scratch))
        except BadModel as error:
            raise ProgramError(str(error)) from error


def packed(files: dict[str, bytes]) -> bytes:
    """A tar.gz without times and owners."""
    buffer = io.BytesIO()
    with (
        gzip.GzipFile(fileobj=buffer, mode="wb", mtime=0, compresslevel=6) as zipped,
        tarfile.open(fileobj=zipped, mode="w", format=tarfile.PAX_FORMAT) as tar,
    ):
        for name, content in sorted(files.items()):
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(content), 0o644
            tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()
