"""Requests into rows and predictions into responses, without a model."""

from __future__ import annotations

import json

import pytest
from iris_program import formats
from serving import RequestError, as_text

ROW = [5.1, 3.5, 1.4, 0.2]
PROBABILITIES = [0.1, 0.2, 0.7]


@pytest.mark.parametrize(
    ("content_type", "body", "rows"),
    [
        ("text/csv", "5.1,3.5,1.4,0.2", [ROW]),
        ("Text/CSV; charset=utf-8", "\ufeff5.1, 3.5,1.4 ,0.2\r\n\r\n5.1,3.5,1.4,0.2\r\n", [ROW, ROW]),
        ("application/json", '{"instances": [[5.1,3.5,1.4,0.2]]}', [ROW]),
        ("application/json", '{"instances": [{"features": [5.1,3.5,1.4,0.2]}]}', [ROW]),
        ("application/json", "[[5.1,3.5,1.4,0.2],[5.1,3.5,1.4,0.2]]", [ROW, ROW]),
        ("application/json", "[5.1,3.5,1.4,0.2]", [ROW]),
        ("application/json", '{"features": [5.1,3.5,1.4,0.2]}', [ROW]),
        ("application/jsonlines", '[5.1,3.5,1.4,0.2]\n\n{"features": [5.1,3.5,1.4,0.2]}\n', [ROW, ROW]),
        ("application/x-jsonlines", "[5.1,3.5,1.4,0.2]", [ROW]),
    ],
)
def test_rows_are_read(content_type: str, body: str, rows: list[list[float]]) -> None:
    found = formats.choose_reader(content_type)(as_text(body.encode()))
    assert list(found) == [cell for row in rows for cell in row]


@pytest.mark.parametrize(
    ("content_type", "body", "text"),
    [
        ("text/csv", "", "the body holds no rows"),
        ("text/csv", "sepal,a,b,c", "row 1, column 1 (sepal_length_cm): 'sepal' is not a number"),
        ("text/csv", "1,2,3,4\n1,2,x,4", "row 2, column 3 (petal_length_cm): 'x' is not a number"),
        ("text/csv", "1,2,3", "row 1: 3 columns, 4 expected"),
        ("text/csv", "0,1,2,3,4", "row 1: 5 columns, 4 expected"),
        ("text/csv", "1,2,3,nan", "row 1, column 4 (petal_width_cm): the value is not finite"),
        ("text/csv", "1,,3,4", "row 1, column 2 (sepal_width_cm): '' is not a number"),
        ("application/json", "{", "the body is not JSON"),
        ("application/json", "[" * 100_000, "the body is not JSON"),
        ("application/json", "[]", "the body holds no rows"),
        ("application/json", "3", "a list of rows is expected, not a number"),
        ("application/json", '{"instances": "x"}', "a list of rows is expected, not a string"),
        ("application/json", '{"inputs": [[1,2,3,4]]}', "not keys ['inputs']"),
        ("application/json", "[[1,2,3,4],5]", "row 2: a list of 4 numbers is expected, not a number"),
        ("application/json", '[[1,2,"3",4]]', 'row 1, column 3 (petal_length_cm): "3" is not a number'),
        ("application/json", "[[1,true,3,4]]", "row 1, column 2 (sepal_width_cm): true is not a number"),
        ("application/json", "[[1,NaN,3,4]]", "row 1, column 2 (sepal_width_cm): the value is not finite"),
        ("application/json", f"[[1,2,3,1{'0' * 400}]]", "column 4 (petal_width_cm): the value is not finite"),
        ("application/jsonlines", "[1,2,3,4]\nnope", "row 2 is not JSON"),
        ("application/jsonlines", "[1,2,3,4]\n\n[1]", "row 3: 1 columns, 4 expected"),
    ],
)
def test_a_bad_request_names_row_and_column(content_type: str, body: str, text: str) -> None:
    with pytest.raises(RequestError) as caught:
        formats.choose_reader(content_type)(body)
    assert caught.value.status == 400
    assert text in str(caught.value)


def test_text_that_is_not_utf8_is_a_bad_request() -> None:
    with pytest.raises(RequestError, match="not UTF-8"):
        as_text(b"5.1,\xff")


@pytest.mark.parametrize("content_type", ["", "application/x-parquet", "text/plain", "text/*"])
def test_other_content_types_are_unsupported(content_type: str) -> None:
    with pytest.raises(RequestError, match="text/csv") as caught:
        formats.choose_reader(content_type)
    assert caught.value.status == 415


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        ("", "application/json"),
        ("*/*", "application/json"),
        ("text/csv", "text/csv"),
        ("TEXT/CSV; charset=utf-8", "text/csv"),
        ("text/*", "text/csv"),
        ("application/jsonlines", "application/jsonlines"),
        ("text/html, text/csv;q=0.5", "text/csv"),
        ("text/csv;q=0.1, application/jsonlines;q=0.9", "application/jsonlines"),
        ("text/csv, application/json", "text/csv"),
        ("application/json;q=0, */*", "text/csv"),
        ("text/csv;q=often", "text/csv"),
    ],
)
def test_the_response_is_what_was_accepted(accept: str, chosen: str) -> None:
    assert formats.choose_writer(accept)[0] == chosen


@pytest.mark.parametrize("accept", ["text/html", "application/xml, image/*", "*/*;q=0", "text/csv;q=0"])
def test_what_cannot_be_written_is_not_acceptable(accept: str) -> None:
    with pytest.raises(RequestError, match="Accept") as caught:
        formats.choose_writer(accept)
    assert caught.value.status == 406


def test_predictions_are_written_in_each_format() -> None:
    expected = {
        "label": "virginica",
        "class_index": 2,
        "probabilities": {"setosa": 0.1, "versicolor": 0.2, "virginica": 0.7},
    }
    both = [PROBABILITIES, PROBABILITIES]
    assert json.loads(formats.write_json(both)) == {"predictions": [expected, expected]}
    assert [json.loads(line) for line in formats.write_json_lines(both).splitlines()] == [expected, expected]
    assert formats.write_csv(both) == b"virginica,0.1,0.2,0.7\n" * 2


def test_the_quick_ways_read_what_the_thorough_ones_read() -> None:
    assert formats.quick_row("5.1,3.5,1.4,0.2\r\n") == ROW
    for unusual in (
        "5.1,3.5,1.4",
        "5.1,3.5,1.4,x",
        "1,2,3,nan",
        "1e308,1e308,1,1",
        b"5.1,3.5,1.4,0.2",
        "1," * 200,
    ):
        assert formats.quick_row(unusual) is None, unusual
    assert list(formats.quick_rows("5.1,3.5,1.4,0.2\n5.1,3.5,1.4,0.2") or ()) == ROW * 2
    for unusual in ("", "1,2,3\n1,2,3,4,5", "1,2,3,4\n\n1,2,3,4", "1,2,3,inf", "1,2,3,x"):
        assert formats.quick_rows(unusual) is None, unusual
    # Each finite, their sum is not: still read.
    assert list(formats.read_csv("1e308,1e308,1,1")) == [1e308, 1e308, 1, 1]
