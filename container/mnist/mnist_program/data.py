"""Reads what the transform wrote: Parquet of `label` and `pixels`, a few rows at a time.

label: a whole number, the digit; pixels: a list of 784 float32, normalised. The scale by which they were
normalised stands in the file's own schema, as metadata of the column `pixels` that Spark writes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from script_mode import ProgramError

from . import CLASSES, PIXELS, pixels

SPARK_SCHEMA = b"org.apache.spark.sql.parquet.row.metadata"
ROWS_AT_A_TIME = 1024
# Enough to see what is wrong, and within SageMaker's 1,024 characters of reason.
PROBLEMS_SHOWN = 5

Batch = tuple[NDArray[np.float32], NDArray[np.int64]]


@dataclass(frozen=True)
class Channel:
    """One channel's files. rows: of all; counts: rows of each class; digests: file -> SHA-256."""

    name: str
    files: tuple[Path, ...]
    rows: int
    counts: tuple[int, ...]
    scale: float
    digests: dict[str, str]

    def batches(self, files: Sequence[Path] = ()) -> Iterator[Batch]:
        """Pixels (n, 784) as the model sees them and labels (n,), n up to 1,024, of these files or all.

        Raises ProgramError for an image that is none, or that another scale was used for.
        """
        for path in files or self.files:
            for part in pq.ParquetFile(path).iter_batches(ROWS_AT_A_TIME, columns=["label", "pixels"]):
                yield _checked(part, self.scale, f"{self.name}/{path.name}")

    @property
    def content(self) -> list[str]:
        """The files' digests, in their order."""
        return list(self.digests.values())

    def class_counts(self) -> dict[str, int]:
        """Rows of each class, by its name."""
        return dict(zip(CLASSES, self.counts, strict=True))


def files_in(folder: Path) -> list[Path]:
    """The data files below a folder, sorted; hidden ones and markers such as _SUCCESS are left out."""
    return sorted(
        path
        for path in folder.rglob("*")
        if path.is_file() and not any(part.startswith((".", "_")) for part in path.relative_to(folder).parts)
    )


def open_channel(folder: Path, name: str) -> Channel:
    """What a channel holds, by its files' ends and labels; no image is read yet.

    Raises ProgramError naming each file that is wrong, and when there is no row.
    """
    paths = files_in(folder) if folder.is_dir() else []
    if not paths:
        raise ProgramError(f"channel {name!r} holds no data file ({folder})")
    counts = np.zeros(len(CLASSES), dtype=np.int64)
    scales: dict[float, str] = {}
    digests: dict[str, str] = {}
    problems = []
    for path in paths:
        where = f"{name}/{path.relative_to(folder).as_posix()}"
        try:
            scale, found = _opened(path)
        except (pa.ArrowException, OSError, ValueError) as error:
            problems.append(f"{where}: {str(error).splitlines()[0]}")
            continue
        scales.setdefault(scale, where)
        counts += found
        digests[where] = _digest(path)
    if len(scales) > 1:
        told = ", ".join(f"{scale:g} ({where})" for scale, where in scales.items())
        problems.append(f"channel {name!r} was normalised by several scales: {told}")
    if problems:
        more = len(problems) - PROBLEMS_SHOWN
        raise ProgramError("\n".join(problems[:PROBLEMS_SHOWN] + ([f"and {more} more"] if more > 0 else [])))
    if not counts.sum():
        raise ProgramError(f"channel {name!r} holds no rows ({len(paths)} empty files)")
    (scale,) = scales
    return Channel(name, tuple(paths), int(counts.sum()), tuple(counts.tolist()), scale, digests)


def _opened(path: Path) -> tuple[float, NDArray[np.int64]]:
    """Scale and rows of each class of one file. Raises ValueError for another schema or labels."""
    file = pq.ParquetFile(path)
    schema = file.schema_arrow
    kinds = {field.name: field.type for field in schema}
    if "label" not in kinds or not pa.types.is_integer(kinds["label"]):
        raise ValueError(f"there is no column label of whole numbers, but {_listed(kinds)}")
    pixels_kind = kinds.get("pixels")
    if pixels_kind is None or not pa.types.is_list(pixels_kind) or pixels_kind.value_type != pa.float32():
        raise ValueError(f"there is no column pixels, a list of float32, but {_listed(kinds)}")
    counts = np.zeros(len(CLASSES), dtype=np.int64)
    for part in file.iter_batches(65536, columns=["label"]):
        column = part.column(0)
        labels = column.to_numpy(zero_copy_only=False)
        if column.null_count or (labels < 0).any() or (labels >= len(CLASSES)).any():
            raise ValueError(f"labels are digits from 0 to {len(CLASSES) - 1}, and there is another")
        counts += np.bincount(labels.astype(np.int64), minlength=len(CLASSES))
    return scale_of(schema.metadata or {}), counts


def scale_of(metadata: dict[bytes, bytes]) -> float:
    """The scale in a Parquet file's own metadata. Raises ValueError when none is recorded."""
    try:
        fields = json.loads(metadata[SPARK_SCHEMA])["fields"]
        scale = float(next(field for field in fields if field["name"] == "pixels")["metadata"]["scale"])
        pixels.table(scale)
    except (KeyError, StopIteration, TypeError, ValueError) as error:
        why = "no scale is recorded for the column pixels; was this made by the transform?"
        raise ValueError(why) from error
    return scale


def _checked(part: pa.RecordBatch, scale: float, where: str) -> Batch:
    column = part.column("pixels")
    lengths = column.value_lengths()
    values = column.flatten()
    if column.null_count or values.null_count or len(values) != len(part) * PIXELS:
        raise ProgramError(f"{where}: an image has other than {PIXELS} pixels, or an empty one")
    if len(part) and not (lengths.to_numpy(zero_copy_only=False) == PIXELS).all():
        raise ProgramError(f"{where}: an image has other than {PIXELS} pixels")
    images = values.to_numpy(zero_copy_only=False).reshape(-1, PIXELS)
    try:
        pixels.raw(images, scale)
    except ValueError as error:
        raise ProgramError(f"{where}: {error}") from None
    return images, part.column("label").to_numpy(zero_copy_only=False).astype(np.int64)


def _digest(path: Path) -> str:
    known = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            known.update(block)
    return known.hexdigest()


def _listed(kinds: dict[str, Any]) -> str:
    return ", ".join(f"{name} {kind}" for name, kind in list(kinds.items())[:4]) or "no column at all"
