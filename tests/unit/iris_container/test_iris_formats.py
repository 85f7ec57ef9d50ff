"""Requests into rows, predictions into responses, and the server's answers, without a model."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from iris_program import formats, serving
from iris_program.formats import RequestError
from iris_program.serving import App

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
    assert formats.choose_reader(content_type)(formats.decode(body.encode())) == rows


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
        formats.decode(b"5.1,\xff")


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
    assert formats.write_csv(both) == "virginica,0.1,0.2,0.7\n" * 2


# --- the application, spoken to as a server would


def call(
    app: App, method: str, path: str, parts: tuple[bytes, ...] = (b"",), **headers: str
) -> tuple[int, dict[str, str], bytes]:
    """One request in ASGI's terms: status, headers and body of the answer."""
    waiting = [
        {"type": "http.request", "body": part, "more_body": position < len(parts) - 1}
        for position, part in enumerate(parts)
    ]
    sent: list[Any] = []

    async def receive() -> Any:
        return waiting.pop(0) if waiting else {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "headers": [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()],
    }
    asyncio.run(app(scope, receive, send))
    start, body = sent
    return start["status"], {k.decode(): v.decode() for k, v in start["headers"]}, body["body"]


@pytest.fixture
def app() -> App:
    made = App(max_request_bytes=100)
    made.predict = lambda rows: [PROBABILITIES for _ in rows]
    return made


def test_nothing_answers_well_before_the_model_is_loaded() -> None:
    app = App(max_request_bytes=100)
    assert call(app, "GET", "/ping")[0] == 503
    assert call(app, "POST", "/invocations", (b"1,2,3,4",), content_type="text/csv")[0] == 503


def test_ping_and_an_invocation(app: App, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(app, "GET", "/ping")[0] == 200
    assert capsys.readouterr().out == ""
    status, headers, body = call(
        app, "POST", "/invocations", (b"1,2,3", b",4\n1,2,3,4"), content_type="text/csv", accept="text/csv"
    )
    assert (status, headers["content-type"]) == (200, "text/csv")
    assert body == b"virginica,0.1,0.2,0.7\n" * 2
    assert headers["content-length"] == str(len(body))
    logged = json.loads(capsys.readouterr().out)
    assert (logged["status"], logged["rows"], logged["path"]) == (200, 2, "/invocations")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/", 404), ("GET", "/invocations", 405), ("POST", "/ping", 405), ("HEAD", "/ping", 200)],
)
def test_other_paths_and_methods(app: App, method: str, path: str, status: int) -> None:
    found, headers, body = call(app, method, path)
    assert found == status
    assert ("allow" in headers) == (status == 405)
    assert (body == b"") == (method == "HEAD")


def test_a_body_over_the_limit_is_refused_declared_or_not(app: App) -> None:
    declared = call(app, "POST", "/invocations", (b"",), content_type="text/csv", content_length="101")
    streamed = call(app, "POST", "/invocations", (b"1" * 60, b"1" * 60), content_type="text/csv")
    assert declared[0] == streamed[0] == 413
    assert call(app, "POST", "/invocations", (b"1,2,3,4".ljust(100),), content_type="text/csv")[0] == 200


def test_a_batch_leaves_the_event_loop_and_comes_back(app: App) -> None:
    app.max_request_bytes = 10**6
    body = b"1,2,3,4\n" * 1000
    status, _, answer = call(app, "POST", "/invocations", (body,), content_type="text/csv")
    assert status == 200
    assert len(json.loads(answer)["predictions"]) == 1000


def test_an_error_of_ours_is_a_500_without_its_text(app: App, capsys: pytest.CaptureFixture[str]) -> None:
    def broken(_rows: Any) -> Any:
        raise RuntimeError("inner detail")

    app.predict = broken
    status, _, body = call(app, "POST", "/invocations", (b"1,2,3,4",), content_type="text/csv")
    assert status == 500
    assert b"inner detail" not in body
    assert "inner detail" in capsys.readouterr().out


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has rights to give up")
@pytest.mark.parametrize(("user", "is_root"), [("nobody", False), ("no-such-user", True)])
def test_root_gives_its_rights_up_where_the_image_has_a_user_for_it(user: str, is_root: bool) -> None:
    container = Path(serving.__file__).parents[1]
    code = (
        f"import os, sys; sys.path.insert(0, {str(container)!r})\n"
        f"from iris_program.serving import drop_privileges; drop_privileges({user!r})\n"
        "print(os.getuid(), os.geteuid(), os.getgroups())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30
    )
    assert done.stdout.startswith("0 0") is is_root
