"""Reads raw rows: CSV with a header, checked cell by cell where it matters."""

from __future__ import annotations

import csv
import hashlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from script_mode import ProgramError

from .columns import MISSING

# Enough to see what is wrong with a file, and within SageMaker's 1,024 characters of reason.
PROBLEMS_SHOWN = 6

Row = list[str]


@dataclass(frozen=True)
class Table:
    """Rows of one channel. labels: (rows,) finite; rows: texts by `columns`, without the label."""

    columns: tuple[str, ...]
    rows: list[Row]
    labels: list[float]
    digests: dict[str, str]

    def column(self, name: str) -> list[str]:
        """All values of one column."""
        at = self.columns.index(name)
        return [row[at] for row in self.rows]


def read(folder: Path, name: str, label: str, wanted: Sequence[str]) -> Table:
    """All files of a channel. Raises ProgramError with the files and lines that are wrong, several at once.

    Args:
        label: column of the label, which every row must have.
        wanted: columns that must be there; whatever there is besides is kept.
    """
    columns: tuple[str, ...] = ()
    rows: list[Row] = []
    labels: list[float] = []
    digests: dict[str, str] = {}
    problems: list[str] = []
    for path in files_in(folder, name):
        where = f"{name}/{path.name}"
        content = path.read_bytes()
        digests[where] = hashlib.sha256(content).hexdigest()
        lines = _lines(content, where)
        header = next(lines, (0, []))[1]
        if missing := [column for column in wanted if column not in header]:
            problems.append(
                f"{where} has no column {', '.join(missing)}; it has {', '.join(header) or 'none'}"
            )
            continue
        if len(set(header)) < len(header):
            problems.append(f"{where} names a column twice: {', '.join(header)}")
            continue
        own = tuple(column for column in header if column != label)
        columns = columns or own
        if own != columns:
            problems.append(f"{where} has other columns than the files before it: {', '.join(header)}")
            continue
        at = header.index(label)
        for number, cells in lines:
            why, value = _label(cells, at, len(header), label)
            if why:
                problems.append(f"{where}, line {number}: {why}")
                continue
            labels.append(value)
            rows.append([cell.strip() for column, cell in enumerate(cells) if column != at])
    if problems:
        more = len(problems) - PROBLEMS_SHOWN
        raise ProgramError("\n".join(problems[:PROBLEMS_SHOWN] + [f"and {more} more"] * (more > 0)))
    if not rows:
        raise ProgramError(f"channel {name!r} holds no rows")
    return Table(columns, rows, labels, digests)


def files_in(folder: Path, name: str) -> list[Path]:
    """The data files below a folder, sorted; hidden ones and markers such as _SUCCESS are left out."""
    found = [
        path
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not any(part.startswith((".", "_")) for part in path.relative_to(folder).parts)
    ]
    if not found:
        raise ProgramError(f"channel {name!r} holds no data file ({folder})")
    return found


def number(text: str) -> float | None:
    """A cell as a number; None where it is missing. Raises ValueError for anything else."""
    if text in MISSING:
        return None
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text!r} is not finite")
    return value


def _lines(content: bytes, where: str) -> Iterator[tuple[int, Row]]:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ProgramError(f"{where} is not UTF-8 text (byte {error.start})") from None
    if text and not text.endswith("\n"):
        raise ProgramError(f"{where} ends in the midst of a line: it is not whole")
    reader = csv.reader(text.splitlines(), strict=True)
    try:
        for cells in reader:
            if cells:
                yield reader.line_num, cells
    except csv.Error as error:
        raise ProgramError(f"{where}, line {reader.line_num}: {error}") from None


def _label(cells: Row, at: int, columns: int, label: str) -> tuple[str, float]:
    if len(cells) != columns:
        return f"{len(cells)} cells, {columns} are expected", 0.0
    try:
        value = number(cells[at].strip())
    except ValueError:
        value = None
    return ("", value) if value is not None else (f"{label} is {cells[at]!r}, which is no number", 0.0)
