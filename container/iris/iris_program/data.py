"""Reads labelled CSV without a header: class (0 setosa, 1 versicolor, 2 virginica), then four features."""

from __future__ import annotations

import csv
import hashlib
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from . import CLASSES, FEATURES
from .contract import ProgramError

# Enough to see what is wrong with a file, and within SageMaker's 1,024 characters of reason.
PROBLEMS_SHOWN = 8


@dataclass(frozen=True)
class Table:
    """Rows of one channel. features: (rows, 4) in cm; labels: (rows,); digests: file -> SHA-256."""

    features: NDArray[np.float64]
    labels: NDArray[np.int64]
    digests: dict[str, str]

    def __len__(self) -> int:
        return len(self.labels)


def files_in(folder: Path) -> list[Path]:
    """The data files below a folder, sorted; hidden ones and markers such as _SUCCESS are left out."""
    return sorted(
        path
        for path in folder.rglob("*")
        if path.is_file() and not any(part.startswith((".", "_")) for part in path.relative_to(folder).parts)
    )


def read(folder: Path, name: str) -> Table:
    """All rows below a folder. Raises ProgramError naming file, line and column of what is wrong."""
    paths = files_in(folder) if folder.is_dir() else []
    if not paths:
        raise ProgramError(f"channel {name!r} holds no data file ({folder})")
    labels: list[int] = []
    features: list[list[float]] = []
    digests: dict[str, str] = {}
    problems: list[str] = []
    for path in paths:
        where = f"{name}/{path.relative_to(folder)}"
        content = path.read_bytes()
        digests[where] = hashlib.sha256(content).hexdigest()
        try:
            text = content.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            problems.append(f"{where}: not UTF-8 text ({error.reason} at byte {error.start})")
            continue
        for number, cells in enumerate(csv.reader(text.splitlines()), start=1):
            if not any(cell.strip() for cell in cells):
                continue
            try:
                label, row = parse_row(cells)
            except ValueError as error:
                problems.append(f"{where} line {number}: {error}")
            else:
                labels.append(label)
                features.append(row)
    if problems:
        more = len(problems) - PROBLEMS_SHOWN
        raise ProgramError("\n".join(problems[:PROBLEMS_SHOWN] + ([f"and {more} more"] if more > 0 else [])))
    if not labels:
        raise ProgramError(f"channel {name!r} holds no rows ({len(paths)} empty files)")
    return Table(np.array(features, dtype=np.float64), np.array(labels, dtype=np.int64), digests)


def parse_row(cells: list[str]) -> tuple[int, list[float]]:
    """One labelled row. Raises ValueError naming the column."""
    if len(cells) != 1 + len(FEATURES):
        raise ValueError(f"{len(cells)} columns, {1 + len(FEATURES)} expected (class, {', '.join(FEATURES)})")
    try:
        label = float(cells[0])
    except ValueError:
        raise ValueError(f"class {cells[0]!r} is not a number; the file must have no header") from None
    if label not in range(len(CLASSES)):
        raise ValueError(f"class {cells[0]} is not one of 0 to {len(CLASSES) - 1} ({', '.join(CLASSES)})")
    values = []
    for feature, cell in zip(FEATURES, cells[1:], strict=True):
        try:
            value = float(cell)
        except ValueError:
            raise ValueError(f"{feature} {cell!r} is not a number") from None
        if not math.isfinite(value):
            raise ValueError(f"{feature} {cell} is not finite")
        values.append(value)
    return int(label), values


def class_counts(table: Table) -> dict[str, int]:
    """Rows of each class, by its name."""
    counts = np.bincount(table.labels, minlength=len(CLASSES))
    return {name: int(counts[index]) for index, name in enumerate(CLASSES)}
