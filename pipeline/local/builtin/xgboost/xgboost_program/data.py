"""Rows out of CSV (label first, no header) and LIBSVM, with file, line and column of what is no number."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix

from .contract import UserError

CSV, LIBSVM = "csv", "libsvm"
_KINDS = {
    "text/csv": CSV,
    "csv": CSV,
    "text/libsvm": LIBSVM,
    "text/x-libsvm": LIBSVM,
    "libsvm": LIBSVM,
}


@dataclass(frozen=True)
class Rows:
    """Features (dense with nan for what is missing, or sparse), and what stands beside them."""

    features: Any
    labels: Any = None
    weights: Any = None
    queries: Any = None

    @property
    def width(self) -> int:
        return int(self.features.shape[1])

    def __len__(self) -> int:
        return int(self.features.shape[0])


@dataclass(frozen=True)
class Shape:
    """What rows have beside their number: hosts that have none of a channel's files have to know it, too."""

    width: int
    is_sparse: bool
    is_weighted: bool
    is_grouped: bool


def shape(rows: Rows) -> Shape:
    """Of rows that are there."""
    is_sparse = not isinstance(rows.features, np.ndarray)
    return Shape(rows.width, is_sparse, rows.weights is not None, rows.queries is not None)


def none_of(like: Shape) -> Rows:
    """No rows, in the shape of those that others have."""
    size, none = (0, like.width), np.zeros(0, np.float32)
    features = csr_matrix(size, dtype=np.float32) if like.is_sparse else np.zeros(size, np.float32)
    weights = none if like.is_weighted else None
    return Rows(features, none, weights, np.zeros(0, np.int64) if like.is_grouped else None)


def kind(content_type: str | None) -> str:
    """`csv` or `libsvm`; LIBSVM where nothing is said, as in AWS's image. Raises UserError."""
    if not content_type:
        return LIBSVM
    plain, *parameters = [part.strip() for part in content_type.lower().split(";")]
    if plain not in _KINDS:
        raise UserError(
            f"{content_type} is not read by the local target's XGBoost; it reads {', '.join(_KINDS)} (AWS's "
            "image reads Parquet and RecordIO-protobuf, too)"
        )
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "label_size" and value.strip() != "1":
            raise UserError(f"{content_type}: label_size must be 1")
    return _KINDS[plain]


def files(folder: Path) -> list[Path]:
    """The data files of a channel, in order; hidden ones and those that start with _ are none."""
    return [
        path
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.startswith((".", "_")) and path.stat().st_size
    ]


def read_channel(folder: Path, name: str, how: str, weighted: bool) -> Rows:
    """All rows of a channel. Raises UserError: nothing there, or not as it has to be."""
    found = files(folder)
    if not found:
        raise UserError(f"channel {name!r} holds no data")
    parts = []
    for path in found:
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            raise UserError(f"{name}/{path.name} is no text") from None
        where = f"{name}/{path.name}"
        if how == CSV:
            parts.append(csv(text, where, labelled=True, weighted=weighted))
        else:
            parts.append(libsvm(text, where, labelled=True))
    return _joined(parts, name)


def _joined(parts: list[Rows], name: str) -> Rows:
    if len(parts) == 1:
        return parts[0]
    widths = {part.width for part in parts}
    if len(widths) > 1 and isinstance(parts[0].features, np.ndarray):
        raise UserError(f"channel {name!r}: its files have {sorted(widths)} feature columns")
    if isinstance(parts[0].features, np.ndarray):
        features: Any = np.concatenate([part.features for part in parts])
    else:
        from scipy.sparse import vstack

        features = vstack([widened(part, max(widths)).features for part in parts], format="csr")
    columns = []
    for column in ("labels", "weights", "queries"):
        given = [getattr(part, column) for part in parts]
        columns.append(None if any(each is None for each in given) else np.concatenate(given))
    return Rows(features, *columns)


def widened(rows: Rows, width: int) -> Rows:
    """Sparse rows with as many columns as others have: LIBSVM does not write what is missing at the end."""
    if isinstance(rows.features, np.ndarray) or rows.width >= width:
        return rows
    sparse = rows.features
    features = csr_matrix((sparse.data, sparse.indices, sparse.indptr), shape=(len(rows), width))
    return Rows(features, rows.labels, rows.weights, rows.queries)


def csv(text: str, where: str, *, labelled: bool, weighted: bool = False) -> Rows:
    """Rows of numbers; an empty field is a missing value. Raises UserError with line and column."""
    lines = [(number, line) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    if not lines:
        raise UserError(f"{where}: no rows")
    first = lines[0][1]
    delimiter = next((each for each in (",", "\t", ";", " ") if each in first), ",")
    try:
        table = np.loadtxt(
            [line for _, line in lines], delimiter=delimiter, dtype=np.float32, ndmin=2, comments=None
        )
    except ValueError:
        table = _with_gaps(lines, delimiter, where, labelled)
    if not labelled:
        return Rows(table)
    lead = 2 if weighted else 1
    if table.shape[1] <= lead:
        raise UserError(
            f"{where}: {table.shape[1]} columns; the label{' and the weight' if weighted else ''} and one "
            "feature at least are needed"
        )
    labels = table[:, 0]
    if not np.isfinite(labels).all():
        number = lines[int(np.flatnonzero(~np.isfinite(labels))[0])][0]
        raise UserError(f"{where}, line {number}: the label, which stands first, is missing")
    weights = table[:, 1] if weighted else None
    if weights is not None and not (np.isfinite(weights) & (weights >= 0)).all():
        raise UserError(
            f"{where}: csv_weights = 1, and the second column is not a weight (0 or more) in every row"
        )
    return Rows(table[:, lead:], labels, weights)


def _with_gaps(lines: list[tuple[int, str]], delimiter: str, where: str, labelled: bool) -> Any:
    """As np.loadtxt, with missing values; it is what says where something is no number."""
    rows: list[list[float]] = []
    for number, line in lines:
        fields = line.split(delimiter)
        if rows and len(fields) != len(rows[0]):
            raise UserError(
                f"{where}, line {number}: {len(fields)} columns, and {len(rows[0])} in the first row"
            )
        values = [_float(field) for field in fields]
        bad = [index for index, value in enumerate(values) if value is None]
        if bad and not rows and len(bad) == len(fields):
            raise UserError(
                f"{where}: the first line is a header ({line[:60]}); XGBoost's CSV has none: the label "
                "first, then the features, all of them numbers"
            )
        if bad:
            shown = fields[bad[0]].strip()[:40]
            what = "the label" if labelled and bad[0] == 0 else f"column {bad[0] + 1}"
            raise UserError(f"{where}, line {number}: {what} is {shown!r}, which is no number")
        rows.append([math.nan if value is None else value for value in values])
    return np.array(rows, dtype=np.float32)


def _float(field: str) -> float | None:
    stripped = field.strip()
    if not stripped:
        return math.nan
    try:
        return float(stripped)
    except ValueError:
        return None


def libsvm(text: str, where: str, *, labelled: bool) -> Rows:
    """`label[:weight] [qid:n] index:value ...`; an index is a column as it stands. Raises UserError."""
    labels: list[float] = []
    weights: list[float] = []
    queries: list[int] = []
    values: list[float] = []
    indices: list[int] = []
    starts = [0]
    for number, line in enumerate(text.splitlines(), 1):
        words = line.partition("#")[0].split()
        if not words:
            continue
        try:
            if labelled or ":" not in words[0]:
                label, _, weight = words.pop(0).partition(":")
                labels.append(float(label))
                if weight:
                    weights.append(float(weight))
            for index, value in _pairs(words):
                if index == "qid":
                    queries.append(int(value))
                    continue
                indices.append(_index(index))
                values.append(float(value))
        except ValueError as error:
            raise UserError(f"{where}, line {number}: no LIBSVM (label index:value ...): {error}") from None
        starts.append(len(values))
    if len(starts) == 1:
        raise UserError(f"{where}: no rows")
    for what, given in (("a weight", weights), ("a qid", queries)):
        if given and len(given) != len(starts) - 1:
            raise UserError(f"{where}: {len(given)} of {len(starts) - 1} rows have {what}; all or none may")
    width = max(indices, default=0) + 1
    features = csr_matrix(
        (np.array(values, np.float32), np.array(indices, np.int32), np.array(starts)),
        shape=(len(starts) - 1, width),
    )
    return Rows(
        features,
        np.array(labels, np.float32) if labelled else None,
        np.array(weights, np.float32) if weights else None,
        np.array(queries) if queries else None,
    )


def _pairs(words: list[str]) -> Iterator[tuple[str, str]]:
    for word in words:
        index, colon, value = word.partition(":")
        if not colon:
            raise ValueError(f"{word[:40]!r} has no colon")
        yield index, value


def _index(text: str) -> int:
    index = int(text)
    if not 0 <= index < 2**31:
        raise ValueError(f"the index {text} is out of range")
    return index
