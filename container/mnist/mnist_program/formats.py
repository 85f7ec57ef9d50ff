"""Requests into raw pixels and probabilities into responses: CSV, JSON, JSON Lines, PNG. Pure.

Pixels are whole numbers from 0 to 255 in every format. What is no such number is refused, so pixels that the
caller has scaled already do not come through as a nearly white image.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import orjson
from serving import RequestError, accepted, as_text, media_type, unread

from . import CLASSES, LEVELS, PIXELS, SIDE
from .pixels import Raw

CSV, JSON, JSON_LINES, PNG = "text/csv", "application/json", "application/jsonlines", "image/png"

Probabilities = Sequence[Sequence[float]]
_WANTED = f"{PIXELS} whole numbers from 0 to {LEVELS - 1}"


def read(body: str | bytes, content_type: str) -> Raw:
    """Raw pixels, shape (rows, 784). Raises RequestError 415 for the type, 400 for the body."""
    kind = media_type(content_type)
    if kind == PNG:
        from .images import read_png  # the decoder; inference.py has it loaded before the first request

        return read_png(body.encode("latin-1") if isinstance(body, str) else body)
    reader = _READERS.get(kind)
    if reader is None:
        raise unread(content_type, (*_READERS, PNG))
    return reader(as_text(body))


@lru_cache(maxsize=64)
def choose_writer(accept: str) -> tuple[str, Callable[[Probabilities], bytes]]:
    """The response's type and its writer for an Accept header, by quality. JSON by default.

    Raises RequestError 406 when none of the accepted types can be written.
    """
    kind = accepted(accept, tuple(_WRITERS))
    return kind, _WRITERS[kind]


def read_csv(text: str) -> Raw:
    """One image a line, no header and no label."""
    lines = text.strip().splitlines()
    try:
        # The usual body as one JSON list: many times faster than cell by cell.
        rows = orjson.loads(f"[[{'],['.join(lines)}]]")
    except orjson.JSONDecodeError:
        rows = [_cells(line, number) for number, line in enumerate(lines, 1) if line.strip()]
    return _images([row for row in rows if row], text)


def _cells(line: str, number: int) -> list[float]:
    try:
        return [float(cell) for cell in line.split(",")]
    except ValueError:
        raise RequestError(400, f"row {number}: {_WANTED} are expected; there is something else") from None


def read_json(text: str) -> Raw:
    """`{"instances": [image, ...]}`, `[image, ...]` or one image; `_image` says what one may look like."""
    value = _parse(text, "the body")
    if isinstance(value, dict) and "instances" in value:
        value = value["instances"]
    elif isinstance(value, dict):
        value = [value]
    if not isinstance(value, list):
        raise RequestError(400, 'a list of images or {"instances": [image, ...]} is expected')
    if _is_square(value) or (value and not isinstance(value[0], (list, dict))):
        value = [value]
    return _images([_image(item, number) for number, item in enumerate(value, 1)], text)


def read_json_lines(text: str) -> Raw:
    """One image a line."""
    lines = [(number, line) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    return _images([_image(_parse(line, f"row {number}"), number) for number, line in lines], text)


def _parse(text: str, where: str) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise RequestError(400, f"{where} is not JSON: {error}") from None


def _image(item: Any, number: int) -> list[Any]:
    """784 numbers, 28 lists of 28, or `{"features": ...}` with either."""
    if isinstance(item, dict):
        if set(item) != {"features"}:
            raise RequestError(
                400, f'row {number}: {{"features": [...]}} is expected, not keys {sorted(item)}'
            )
        item = item["features"]
    if not isinstance(item, list):
        raise RequestError(400, f"row {number}: a list of {_WANTED} is expected")
    return [value for row in item for value in row] if _is_square(item) else item


def _is_square(value: list[Any]) -> bool:
    """Whether it is one image row by row: 28 lists of 28 that are no lists again."""
    return len(value) == SIDE and all(
        isinstance(row, list) and len(row) == SIDE and not isinstance(row[0], list) for row in value
    )


def _images(rows: list[list[Any]], text: str) -> Raw:
    """The rows as an array; `text` is what they were read from."""
    if not rows:
        raise RequestError(400, "the body holds no images")
    for number, row in enumerate(rows, 1):
        if len(row) != PIXELS:
            raise RequestError(400, f"row {number}: {len(row)} numbers, {PIXELS} pixels are expected")
    try:
        if "true" in text or "false" in text:
            raise TypeError("which bytes() would take for 1 and 0")
        # Otherwise it takes whole numbers from 0 to 255 and nothing else, at the speed of C.
        content = b"".join(map(bytes, rows))
    except (TypeError, ValueError):
        content = b"".join(bytes(_whole(row, number)) for number, row in enumerate(rows, 1))
    return np.frombuffer(content, dtype=np.uint8).reshape(-1, PIXELS)


def _whole(row: list[Any], number: int) -> list[int]:
    """The slow way: numbers such as 12.0 are taken, and what is wrong is named."""
    found = []
    for column, value in enumerate(row, 1):
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not is_number or value != value or not 0 <= value < LEVELS or value != int(value):
            raise RequestError(
                400,
                f"row {number}, column {column}: {json.dumps(value)[:40]} is no pixel; expected {_WANTED}",
            )
        found.append(int(value))
    return found


def _prediction(probabilities: Sequence[float]) -> dict[str, Any]:
    """The likeliest class, its index, and the probability of each class."""
    index = probabilities.index(max(probabilities))
    return {
        "label": CLASSES[index],
        "class_index": index,
        "probabilities": dict(zip(CLASSES, probabilities, strict=True)),
    }


def write_json(predictions: Probabilities) -> bytes:
    """`{"predictions": [{"label", "class_index", "probabilities"}, ...]}`."""
    return orjson.dumps({"predictions": [_prediction(item) for item in predictions]})


def write_json_lines(predictions: Probabilities) -> bytes:
    """One prediction object a line."""
    return b"".join(orjson.dumps(_prediction(item), option=orjson.OPT_APPEND_NEWLINE) for item in predictions)


def write_csv(predictions: Probabilities) -> bytes:
    """One line a row: the digit, then the probabilities of 0 to 9."""
    lines = (
        f"{CLASSES[item.index(max(item))]},{orjson.dumps(item)[1:-1].decode()}\n" for item in predictions
    )
    return "".join(lines).encode()


_READERS: dict[str, Callable[[str], Raw]] = {
    CSV: read_csv,
    JSON: read_json,
    JSON_LINES: read_json_lines,
    "application/x-jsonlines": read_json_lines,
}
# The first that matches a wildcard is used.
_WRITERS: dict[str, Callable[[Probabilities], bytes]] = {
    JSON: write_json,
    CSV: write_csv,
    JSON_LINES: write_json_lines,
}
