"""Requests into raw rows and predictions into responses, for CSV, JSON and JSON Lines. Pure; no numpy.

A row has the columns of the training data, in their order and without the label; as an object it may leave
out what is not learnt from, and what is missing.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import orjson
from serving import RequestError, accepted, as_text, media_type, unread

from .encoder import Encoder

CSV, JSON, JSON_LINES = "text/csv", "application/json", "application/jsonlines"
# The first that matches a wildcard is used.
_OFFERED = (JSON, CSV, JSON_LINES)
_READ = (CSV, JSON, JSON_LINES, "application/x-jsonlines")

Row = list[str]


@lru_cache(maxsize=64)
def choose_type(accept: str) -> str:
    """The response's type for an Accept header, by quality; JSON by default. Raises RequestError 406."""
    return accepted(accept, _OFFERED)


def read(body: str | bytes, content_type: str, encoder: Encoder) -> list[Row]:
    """The rows of a request, each in the order of the encoder's columns. Raises RequestError 400 or 415."""
    kind = media_type(content_type)
    if kind not in _READ:
        raise unread(content_type, _READ)
    text = as_text(body)
    if kind == CSV:
        rows = _csv(text, encoder)
    elif kind == JSON:
        rows = _json(text, encoder)
    else:
        rows = _lines(text, encoder)
    if not rows:
        raise RequestError(400, "the body holds no rows")
    return rows


def _csv(text: str, encoder: Encoder) -> list[Row]:
    """One row a line, no header."""
    try:
        found = [
            [cell.strip() for cell in cells] for cells in csv.reader(text.splitlines(), strict=True) if cells
        ]
    except csv.Error as error:
        raise RequestError(400, f"the body is not CSV: {error}") from None
    for number, cells in enumerate(found, 1):
        _counted(cells, number, encoder)
    return found


def _counted(cells: Row, number: int, encoder: Encoder) -> None:
    columns = encoder.columns
    if len(cells) != len(columns):
        raise RequestError(
            400, f"row {number}: {len(cells)} columns, {len(columns)} expected ({', '.join(columns)})"
        )
    if tuple(cells) == columns:
        raise RequestError(400, f"row {number} is a header: rows are expected, without one")


def _json(text: str, encoder: Encoder) -> list[Row]:
    """`{"instances": [row, ...]}`, `[row, ...]` or one row; a row is an object or a list."""
    value = _parse(text, "the body")
    if isinstance(value, dict) and "instances" in value:
        value = value["instances"]
    elif isinstance(value, dict):
        value = [value]
    if not isinstance(value, list):
        raise RequestError(400, '{"instances": [row, ...]} or a row is expected')
    if value and not any(isinstance(item, dict | list) for item in value):
        value = [value]
    return [_row(item, number, encoder) for number, item in enumerate(value, 1)]


def _lines(text: str, encoder: Encoder) -> list[Row]:
    """One row a line."""
    lines = [(number, line) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    return [_row(_parse(line, f"row {number}"), number, encoder) for number, line in lines]


def _parse(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise RequestError(400, f"{where} is not JSON: {error}") from None


def _row(item: Any, number: int, encoder: Encoder) -> Row:
    if isinstance(item, list):
        cells = [_cell(value, number) for value in item]
        _counted(cells, number, encoder)
        return cells
    if not isinstance(item, dict):
        raise RequestError(400, f"row {number}: an object or a list is expected")
    if odd := [name for name in item if name not in encoder.columns]:
        raise RequestError(
            400, f"row {number}: {', '.join(odd)} is no column; there are {', '.join(encoder.columns)}"
        )
    return [_cell(item.get(name), number) for name in encoder.columns]


def _cell(value: Any, number: int) -> str:
    if value is None:
        return ""
    if isinstance(value, bool | dict | list):
        raise RequestError(400, f"row {number}: {json.dumps(value)[:80]} is neither a number nor a text")
    return str(value).strip()


def write(predictions: Sequence[float], unknown: Sequence[dict[str, str]], kind: str) -> bytes:
    """The response's body.

    Args:
        unknown: of each row, the categories with a value that no training row had: JSON tells of them.
    """
    if kind == CSV:
        return b"".join(orjson.dumps(value, option=orjson.OPT_APPEND_NEWLINE) for value in predictions)
    told: list[dict[str, Any]] = [
        {"score": value, "unknown": odd} if odd else {"score": value}
        for value, odd in zip(predictions, unknown, strict=True)
    ]
    if kind == JSON_LINES:
        return b"".join(orjson.dumps(each, option=orjson.OPT_APPEND_NEWLINE) for each in told)
    return orjson.dumps({"predictions": told})
