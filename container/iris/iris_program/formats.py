"""Requests into rows and predictions into responses, for CSV, JSON and JSON Lines. Pure; no numpy.

Rows are the four features in the order of FEATURES, without a class.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from . import CLASSES, FEATURES

CSV, JSON, JSON_LINES = "text/csv", "application/json", "application/jsonlines"

Row = list[float]
Probabilities = Sequence[float]


class RequestError(Exception):
    """The request cannot be answered: an HTTP status and a text for the caller."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


def media_type(header: str) -> str:
    """`text/csv` of `Text/CSV; charset=utf-8`."""
    return header.partition(";")[0].strip().lower()


def choose_reader(content_type: str) -> Callable[[str], list[Row]]:
    """The parser for a Content-Type. Raises RequestError 415."""
    reader = _READERS.get(media_type(content_type))
    if reader is None:
        given = f"Content-Type {content_type!r} is not read" if content_type else "no Content-Type was given"
        raise RequestError(415, f"{given}; {', '.join(_READERS)} are")
    return reader


def choose_writer(accept: str) -> tuple[str, Callable[[Iterable[Probabilities]], str]]:
    """The response's type and its writer for an Accept header, by quality. JSON by default.

    Raises RequestError 406 when none of the accepted types can be written.
    """
    best: tuple[float, int, str] | None = None
    wanted = [part for part in accept.split(",") if part.strip()] or ["*/*"]
    refused = {media_type(part) for part in wanted if _quality(part) == 0}
    for position, part in enumerate(wanted):
        quality = _quality(part)
        for name in _WRITERS:
            if quality > 0 and name not in refused and _matches(media_type(part), name):
                if best is None or (quality, -position) > best[:2]:
                    best = (quality, -position, name)
                break
    if best is None:
        raise RequestError(406, f"Accept {accept!r} cannot be met; {', '.join(_WRITERS)} can")
    return best[2], _WRITERS[best[2]]


def _quality(part: str) -> float:
    """The q of one range of an Accept header; 1 when absent or not a number."""
    for parameter in part.split(";")[1:]:
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "q":
            try:
                return float(value)
            except ValueError:
                return 1.0
    return 1.0


def _matches(wanted: str, name: str) -> bool:
    return wanted in ("*/*", "*", name, f"{name.partition('/')[0]}/*")


def decode(body: bytes) -> str:
    """The body as text. Raises RequestError 400 when it is not UTF-8."""
    try:
        return body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise RequestError(400, f"the body is not UTF-8 text (byte {error.start})") from None


def read_csv(text: str) -> list[Row]:
    """One row a line, no header."""
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


def read_json(text: str) -> list[Row]:
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


def read_json_lines(text: str) -> list[Row]:
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


def _some(rows: list[Row]) -> list[Row]:
    if not rows:
        raise RequestError(400, "the body holds no rows")
    return rows


def _column(column: int) -> str:
    return f"column {column} ({FEATURES[column - 1]})" if column <= len(FEATURES) else f"column {column}"


def _kind(value: Any) -> str:
    names = {dict: "an object", list: "a list", str: "a string", bool: "a boolean", type(None): "null"}
    return names.get(type(value), "a number")


def prediction(probabilities: Probabilities) -> dict[str, Any]:
    """The likeliest class, its index, and the probability of each class."""
    index = max(range(len(CLASSES)), key=probabilities.__getitem__)
    return {
        "label": CLASSES[index],
        "class_index": index,
        "probabilities": {name: float(value) for name, value in zip(CLASSES, probabilities, strict=True)},
    }


def write_json(predictions: Iterable[Probabilities]) -> str:
    """`{"predictions": [{"label", "class_index", "probabilities"}, ...]}`."""
    return json.dumps({"predictions": [prediction(item) for item in predictions]})


def write_json_lines(predictions: Iterable[Probabilities]) -> str:
    """One prediction object a line."""
    return "".join(json.dumps(prediction(item)) + "\n" for item in predictions)


def write_csv(predictions: Iterable[Probabilities]) -> str:
    """One line a row: the class's name, then the probabilities in the order of CLASSES."""
    lines = []
    for item in predictions:
        lines.append(f"{prediction(item)['label']},{','.join(repr(float(value)) for value in item)}\n")
    return "".join(lines)


_READERS: dict[str, Callable[[str], list[Row]]] = {
    CSV: read_csv,
    JSON: read_json,
    JSON_LINES: read_json_lines,
    "application/x-jsonlines": read_json_lines,
}
# The first that matches a wildcard is used.
_WRITERS: dict[str, Callable[[Iterable[Probabilities]], str]] = {
    JSON: write_json,
    CSV: write_csv,
    JSON_LINES: write_json_lines,
}
