"""Requests into rows and predictions into responses, for CSV, JSON and JSON Lines. Pure; no numpy.

Rows are the four features in the order of FEATURES, without a class; many rows are one flat array of float64.
"""

from __future__ import annotations

import json
import math
from array import array
from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import chain
from typing import Any

import orjson
from serving import RequestError, accepted, media_type, unread

from . import CLASSES, FEATURES

CSV, JSON, JSON_LINES = "text/csv", "application/json", "application/jsonlines"

Row = list[float]
Rows = array  # of float64: all rows' features, one row after the other
Probabilities = Sequence[float]


def choose_reader(content_type: str) -> Callable[[str], Rows]:
    """The parser for a Content-Type. Raises RequestError 415."""
    reader = _READERS.get(media_type(content_type))
    if reader is None:
        raise unread(content_type, _READERS)
    return reader


@lru_cache(maxsize=64)
def choose_writer(accept: str) -> tuple[str, Callable[[Sequence[Probabilities]], bytes]]:
    """The response's type and its writer for an Accept header, by quality. JSON by default.

    Raises RequestError 406 when none of the accepted types can be written.
    """
    kind = accepted(accept, tuple(_WRITERS))
    return kind, _WRITERS[kind]


def quick_row(body: str | bytes) -> Row | None:
    """The one row of the usual request; None when it is anything else, right or wrong."""
    if isinstance(body, bytes) or len(body) > 256:
        return None
    cells = body.split(",")
    if len(cells) != len(FEATURES):
        return None
    try:
        row = [float(cell) for cell in cells]
    except ValueError:
        return None
    return row if math.isfinite(sum(row)) else None


def quick_rows(text: str) -> Rows | None:
    """All rows of CSV as most clients write it; None when anything is unusual, right or wrong."""
    lines = text.strip().splitlines()
    if {line.count(",") for line in lines} != {len(FEATURES) - 1}:
        return None
    try:
        values = array("d", map(float, ",".join(lines).split(",")))
    except ValueError:
        return None
    return values if math.isfinite(sum(values)) else None


def read_csv(text: str) -> Rows:
    """One row a line, no header."""
    quick = quick_rows(text)
    if quick is not None:
        return quick
    rows = []
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip():
            rows.append(_row([_cell(cell, number, at) for at, cell in enumerate(line.split(","), 1)], number))
    return _some(rows)


def _cell(cell: str, row: int, column: int) -> float:
    try:
        return float(cell)
    except ValueError:
        raise RequestError(400, f"row {row}, {_column(column)}: {cell.strip()!r} is not a number") from None


def read_json(text: str) -> Rows:
    """`{"instances": [[...], ...]}`, `[[...], ...]` or one row `[...]`; a row may be `{"features": ...}`."""
    value = _parse(text, "the body")
    if isinstance(value, dict) and "instances" in value:
        value = value["instances"]
    elif isinstance(value, dict):
        value = [value]
    if not isinstance(value, list):
        raise RequestError(
            400, f'{{"instances": [[...], ...]}} or a list of rows is expected, not {_kind(value)}'
        )
    if value and not any(isinstance(item, (list, dict)) for item in value):
        value = [value]
    return _some([_json_row(item, number) for number, item in enumerate(value, 1)])


def read_json_lines(text: str) -> Rows:
    """One row a line: `[...]` or `{"features": [...]}`."""
    lines = [(number, line) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    return _some([_json_row(_parse(line, f"row {number}"), number) for number, line in lines])


def _parse(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise RequestError(400, f"{where} is not JSON: {error}") from None


def _json_row(item: Any, number: int) -> Row:
    if isinstance(item, dict):
        if set(item) != {"features"}:
            raise RequestError(
                400, f'row {number}: {{"features": [...]}} is expected, not keys {sorted(item)}'
            )
        item = item["features"]
    if not isinstance(item, list):
        raise RequestError(
            400, f"row {number}: a list of {len(FEATURES)} numbers is expected, not {_kind(item)}"
        )
    for column, value in enumerate(item, 1):
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise RequestError(400, f"row {number}, {_column(column)}: {json.dumps(value)} is not a number")
    return _row(item, number)


def _row(values: list[Any], number: int) -> Row:
    if len(values) != len(FEATURES):
        raise RequestError(
            400, f"row {number}: {len(values)} columns, {len(FEATURES)} expected ({', '.join(FEATURES)})"
        )
    row = []
    for column, value in enumerate(values, 1):
        try:
            number_value = float(value)
        except OverflowError:
            number_value = math.inf
        if not math.isfinite(number_value):
            raise RequestError(400, f"row {number}, {_column(column)}: the value is not finite")
        row.append(number_value)
    return row


def _some(rows: list[Row]) -> Rows:
    if not rows:
        raise RequestError(400, "the body holds no rows")
    return array("d", chain.from_iterable(rows))


def _column(column: int) -> str:
    return f"column {column} ({FEATURES[column - 1]})" if column <= len(FEATURES) else f"column {column}"


def _kind(value: Any) -> str:
    names = {dict: "an object", list: "a list", str: "a string", bool: "a boolean", type(None): "null"}
    return names.get(type(value), "a number")


def _prediction(probabilities: Probabilities) -> dict[str, Any]:
    """The likeliest class, its index, and the probability of each class."""
    index = probabilities.index(max(probabilities))
    return {
        "label": CLASSES[index],
        "class_index": index,
        "probabilities": dict(zip(CLASSES, probabilities, strict=True)),
    }


def write_json(predictions: Sequence[Probabilities]) -> bytes:
    """`{"predictions": [{"label", "class_index", "probabilities"}, ...]}`."""
    return orjson.dumps({"predictions": [_prediction(item) for item in predictions]})


def write_json_lines(predictions: Sequence[Probabilities]) -> bytes:
    """One prediction object a line."""
    return b"".join(orjson.dumps(_prediction(item), option=orjson.OPT_APPEND_NEWLINE) for item in predictions)


def write_csv(predictions: Sequence[Probabilities]) -> bytes:
    """One line a row: the class's name, then the probabilities in the order of CLASSES."""
    # Numbers through orjson, all at once: Python's own take longer than the model does for many rows.
    numbers = orjson.dumps(predictions)[2:-2].decode().split("],[")
    return "".join(
        f"{CLASSES[item.index(max(item))]},{text}\n" for item, text in zip(predictions, numbers, strict=True)
    ).encode()


_READERS: dict[str, Callable[[str], Rows]] = {
    CSV: read_csv,
    JSON: read_json,
    JSON_LINES: read_json_lines,
    "application/x-jsonlines": read_json_lines,
}
# The first that matches a wildcard is used.
_WRITERS: dict[str, Callable[[Sequence[Probabilities]], bytes]] = {
    JSON: write_json,
    CSV: write_csv,
    JSON_LINES: write_json_lines,
}
