"""The outcome of each held-out row, which an evaluation may write beside its report. Pure.

The report says where and of what they are:

    "held_out": {"rows": 60, "sha256": "<of the rows, in their order>",
                 "examples": "examples.csv", "examples_sha256": "<of that file>"}

examples.csv has one column a metric, named as the metric, and one line a row, in the rows' order; a metric's
value is the mean of its column. Two evaluations with the same `sha256` read the same rows in the same order,
so line n of the one belongs to line n of the other.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

# About a million rows of three columns.
LARGEST_EXAMPLES_BYTES = 32_000_000
# A file beside the report, not somewhere else.
_FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
# Values are written with nine digits or more.
_TOLERANCE = 1e-6


@dataclass(frozen=True)
class HeldOut:
    """What a report says of its rows. `file` is empty if it has no outcomes of single rows."""

    rows: int
    sha256: str
    file: str = ""
    file_sha256: str = ""


def held_out(report: Mapping[str, Any]) -> HeldOut | None:
    """What the report says of its rows; None if it says nothing that could be relied on."""
    said = report.get("held_out")
    if not isinstance(said, dict):
        return None
    rows, sha256 = said.get("rows"), said.get("sha256")
    if isinstance(rows, bool) or not isinstance(rows, int) or rows < 1:
        return None
    if not isinstance(sha256, str) or not _SHA256.fullmatch(sha256):
        return None
    file, of_file = said.get("examples"), said.get("examples_sha256")
    if isinstance(file, str) and _FILE_NAME.fullmatch(file) and isinstance(of_file, str):
        return HeldOut(rows, sha256, file, of_file)
    return HeldOut(rows, sha256)


def parse(text: bytes, about: HeldOut, wanted: Iterable[str]) -> dict[str, list[float]]:
    """Column of each wanted metric that the file has.

    Raises:
        ValueError: it is not the file that the report tells of, or not numbers; the text says what is wrong.
    """
    name = about.file
    if len(text) > LARGEST_EXAMPLES_BYTES:
        raise ValueError(f"{name} is larger than {LARGEST_EXAMPLES_BYTES:,} bytes")
    if hashlib.sha256(text).hexdigest() != about.file_sha256:
        raise ValueError(f"{name} is not the file that the report was written with: its SHA-256 differs")
    try:
        header, *lines = text.decode("ascii").splitlines()
    except (UnicodeDecodeError, ValueError) as error:
        raise ValueError(f"{name} is not a table: {error}") from error
    names = [column.strip() for column in header.split(",")]
    if len(set(names)) != len(names):
        raise ValueError(f"{name} names a column twice")
    if len(lines) != about.rows:
        raise ValueError(f"{name} has {len(lines)} lines for {about.rows} rows")
    places = {column: names.index(column) for column in wanted if column in names}
    columns: dict[str, list[float]] = {column: [] for column in places}
    for number, line in enumerate(lines, start=1):
        cells = line.split(",")
        if len(cells) != len(names):
            raise ValueError(f"{name} row {number} has {len(cells)} values for {len(names)} columns")
        for column, place in places.items():
            value = _number(cells[place])
            if value is None:
                raise ValueError(f"{name} row {number}: {column} is {cells[place][:40]!r}, not a number")
            columns[column].append(value)
    return columns


def contradiction(name: str, value: float, column: list[float]) -> str:
    """Why a report's value and the outcomes of its rows cannot both be right, or ""."""
    mean = math.fsum(column) / len(column)
    if abs(mean - value) <= _TOLERANCE * max(1.0, abs(value)):
        return ""
    return f"the report says {name} {value:.6g}, its {len(column)} rows say {mean:.6g}"


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
