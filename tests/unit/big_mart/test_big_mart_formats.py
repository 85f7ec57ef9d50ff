"""Requests of raw rows, and answers."""

from __future__ import annotations

import json

import pytest
from big_mart_program import formats
from big_mart_program.encoder import Encoder
from serving import RequestError

ENCODER = Encoder(
    label="sales",
    columns=("id", "price", "kind"),
    medians={"price": 3.0},
    zero_is_missing=(),
    levels={"kind": ("a", "b")},
    spellings={},
    group="kind",
    group_means={"a": 1.0},
    mean=1.0,
)
ROW = ["x", "1.5", "a"]


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ("x,1.5,a", "text/csv"),
        ("x,1.5,a\r\n", "text/csv; charset=utf-8"),
        ('"x","1.5","a"\n', "text/csv"),
        ('{"instances": [{"id": "x", "price": 1.5, "kind": "a"}]}', "application/json"),
        ('{"price": 1.5, "id": "x", "kind": "a"}', "application/json"),
        ('["x", 1.5, "a"]', "application/json"),
        ('[["x", "1.5", "a"]]', "application/json"),
        ('{"id": "x", "price": 1.5, "kind": "a"}\n\n', "application/jsonlines"),
    ],
)
def test_one_row_in_every_form(body: str, kind: str) -> None:
    assert formats.read(body, kind, ENCODER) == [ROW]
    assert formats.read(body.encode(), kind, ENCODER) == [ROW]


def test_what_is_missing_may_be_left_out() -> None:
    assert formats.read('{"kind": null}', "application/json", ENCODER) == [["", "", ""]]
    assert formats.read("x,,a\ny,2,", "text/csv", ENCODER) == [["x", "", "a"], ["y", "2", ""]]


@pytest.mark.parametrize(
    ("body", "kind", "status", "says"),
    [
        ("x,1.5", "text/csv", 400, "row 1: 2 columns, 3 expected (id, price, kind)"),
        ("id,price,kind\nx,1,a", "text/csv", 400, "row 1 is a header"),
        ("", "text/csv", 400, "the body holds no rows"),
        ('"x', "text/csv", 400, "the body is not CSV"),
        ("{", "application/json", 400, "the body is not JSON"),
        ("3", "application/json", 400, "or a row is expected"),
        ('{"prize": 1}', "application/json", 400, "row 1: prize is no column; there are id, price, kind"),
        ('{"price": [1]}', "application/json", 400, "row 1: [1] is neither a number nor a text"),
        ('{"price": true}', "application/json", 400, "neither a number nor a text"),
        ("[1, 2]\n", "application/jsonlines", 400, "row 1: 2 columns"),
        ("x,1,a", "image/png", 415, "'image/png' is not read"),
        ("x,1,a", "", 415, "no Content-Type"),
    ],
)
def test_other_bodies_are_refused_with_what_is_expected(body: str, kind: str, status: int, says: str) -> None:
    with pytest.raises(RequestError) as refused:
        formats.read(body, kind, ENCODER)
    assert refused.value.status == status and says in str(refused.value)


def test_answers_in_every_form() -> None:
    values, unknown = [1.5, 2.0], [{}, {"kind": "z"}]
    told = [{"score": 1.5}, {"score": 2.0, "unknown": {"kind": "z"}}]
    assert formats.write(values, unknown, "text/csv") == b"1.5\n2.0\n"
    assert json.loads(formats.write(values, unknown, "application/json")) == {"predictions": told}
    lines = formats.write(values, unknown, "application/jsonlines").splitlines()
    assert [json.loads(line) for line in lines] == told
    assert formats.choose_type("*/*") == "application/json"
    with pytest.raises(RequestError):
        formats.choose_type("image/png")
