"""Requests into raw pixels and probabilities into responses, without a model."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from mnist_program import formats
from serving import RequestError

IMAGE = [(7 * i) % 256 for i in range(784)]
SQUARE = [IMAGE[28 * row : 28 * row + 28] for row in range(28)]
LINE = ",".join(map(str, IMAGE))


def text(value: Any) -> str:
    return json.dumps(value)


@pytest.mark.parametrize(
    ("content_type", "body", "count"),
    [
        ("text/csv", LINE, 1),
        ("Text/CSV; charset=utf-8", f"\ufeff{LINE}\r\n\r\n{LINE}\n", 2),
        ("text/csv", ",".join(f" {value}.0" for value in IMAGE), 1),
        ("application/json", text({"instances": [IMAGE, SQUARE, {"features": IMAGE}]}), 3),
        ("application/json", text([IMAGE, IMAGE]), 2),
        ("application/json", text(IMAGE), 1),
        ("application/json", text(SQUARE), 1),
        ("application/json", text([SQUARE] * 28), 28),
        ("application/json", text({"features": SQUARE}), 1),
        ("application/json", text([float(value) for value in IMAGE]), 1),
        ("application/jsonlines", f"{text(IMAGE)}\n\n{text({'features': SQUARE})}\n", 2),
        ("application/x-jsonlines", text(IMAGE), 1),
    ],
)
def test_pixels_are_read(content_type: str, body: str, count: int) -> None:
    for given in (body, body.encode()):
        found = formats.read(given, content_type)
        assert found.dtype == np.uint8
        assert found.tolist() == [IMAGE] * count


def changed(value: Any) -> list[Any]:
    return [*IMAGE[:100], value, *IMAGE[101:]]


@pytest.mark.parametrize(
    ("content_type", "body", "status", "told"),
    [
        ("text/csv", "", 400, "no images"),
        ("text/csv", f"{LINE}\n1,2,3", 400, "row 2: 3 numbers, 784 pixels are expected"),
        ("text/csv", f"3,{LINE}", 400, "row 1: 785 numbers"),  # with its label
        ("text/csv", LINE.replace(",14,", ",ink,"), 400, "row 1: 784 whole numbers from 0 to 255"),
        ("text/csv", LINE.replace(",14,", ",,"), 400, "row 1"),
        ("text/csv", LINE.replace(",14,", ",null,"), 400, "row 1, column 3: null is no pixel"),
        ("text/csv", ",".join(f"{value / 255:.4f}" for value in IMAGE), 400, "is no pixel"),
        ("application/json", text(changed(256)), 400, "row 1, column 101: 256 is no pixel"),
        ("application/json", text(changed(-1)), 400, "row 1, column 101: -1 is no pixel"),
        ("application/json", text(changed(0.5)), 400, "row 1, column 101: 0.5 is no pixel"),
        ("application/json", text(changed("7")), 400, 'column 101: "7" is no pixel'),
        ("application/json", text(changed(True)), 400, "column 101: true is no pixel"),
        ("text/csv", LINE.replace(",14,", ",false,"), 400, "column 3: false is no pixel"),
        ("application/json", text(changed([1])), 400, r"column 101: \[1\] is no pixel"),
        ("application/json", text({"pixels": IMAGE}), 400, "keys"),
        ("application/json", text("seven"), 400, "a list of images"),
        ("application/json", text([]), 400, "no images"),
        ("application/json", text([IMAGE, 7]), 400, "row 2: a list"),
        ("application/json", "{", 400, "not JSON"),
        ("application/jsonlines", f"{text(IMAGE)}\n[1", 400, "row 2 is not JSON"),
        ("image/gif", "x", 415, "image/gif"),
        ("", "x", 415, "no Content-Type"),
    ],
)
def test_what_is_no_image_is_refused_and_named(content_type: str, body: str, status: int, told: str) -> None:
    with pytest.raises(RequestError, match=told) as refused:
        formats.read(body, content_type)
    assert refused.value.status == status


def test_bytes_that_are_no_text_are_refused() -> None:
    with pytest.raises(RequestError, match="byte 1"):
        formats.read(b"1\xff", "application/json")


def test_a_prediction_is_written_in_each_form() -> None:
    probabilities = [0.05, 0.05, 0.5, 0.1, 0.05, 0.05, 0.05, 0.05, 0.05, 0.05]
    kind, writer = formats.choose_writer("*/*")
    answer = json.loads(writer([probabilities]))["predictions"]
    assert (kind, len(answer)) == ("application/json", 1)
    assert (answer[0]["label"], answer[0]["class_index"]) == ("2", 2)
    assert list(answer[0]["probabilities"].values()) == probabilities
    kind, writer = formats.choose_writer("text/csv;q=0.9, application/json;q=0.1")
    assert (kind, writer([probabilities, probabilities]).decode().splitlines()) == (
        "text/csv",
        [",".join(["2", *map(str, probabilities)])] * 2,
    )
    kind, writer = formats.choose_writer("application/jsonlines")
    assert [json.loads(line)["label"] for line in writer([probabilities] * 3).splitlines()] == ["2"] * 3
    with pytest.raises(RequestError) as refused:
        formats.choose_writer("image/png")
    assert refused.value.status == 406
