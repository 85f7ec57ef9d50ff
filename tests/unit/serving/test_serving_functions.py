"""Bodies into arrays and back, the script's functions, the board: all that needs no event loop."""

from __future__ import annotations

import io
import json
import os
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from serving import RequestError, choose, compat, content
from serving.board import CONNECTIONS, READY, STATE, Board
from serving.errors import LoadError
from serving.plugin import Plugin, load


def toolkit_csv(text: str) -> Any:
    """What the SageMaker inference toolkit's decoder gives."""
    return np.genfromtxt(io.StringIO(text), dtype=None, delimiter=",", encoding="utf-8")


@pytest.mark.parametrize(
    "text",
    ["1,2,3", "1.5,2.5\n3.5,4.5\n", "1,2\n3,4", "7", "1\n2\n3", "1e3,2e-3", "nan,1.5", "-1,-2\n\n-3,-4"],
)
def test_csv_is_read_as_the_toolkit_reads_it(text: str) -> None:
    ours, theirs = content.decode(text, "text/csv"), toolkit_csv(text)
    assert ours.shape == theirs.shape and ours.dtype.kind == theirs.dtype.kind
    assert np.array_equal(ours, theirs, equal_nan=ours.dtype.kind == "f")


def test_mixed_columns_are_one_array_and_text_is_the_toolkits() -> None:
    assert content.decode("1,2.5\n3,4.5", "text/csv").tolist() == [[1, 2.5], [3, 4.5]]
    assert content.decode("a,b", "text/csv").tolist() == toolkit_csv("a,b").tolist() == ["a", "b"]
    assert np.isnan(content.decode("1.5,\n2.5,1.5", "text/csv")[0][1])
    with pytest.raises(RequestError) as told:
        content.decode("1,2\n3", "text/csv")
    assert told.value.status == 400


@pytest.mark.parametrize(
    "prediction",
    [
        np.array([1.5, 2.0]),
        np.array([[1, 2], [3, 4]]),
        np.array([1.1], dtype="f4"),
        np.array(["a"]),
        [1.0, 2.5],
    ],
)
def test_csv_is_written_as_the_toolkit_writes_it(prediction: Any) -> None:
    stream = io.StringIO()
    np.savetxt(stream, prediction, delimiter=",", fmt="%s")
    assert content.encode(prediction, "text/csv") == (stream.getvalue(), "text/csv")


def test_json_takes_what_scripts_give() -> None:
    mixed = {"label": "a", "score": np.float32(0.5), "all": np.array([1, 2])}
    assert json.loads(content.encode(mixed, "*/*")[0]) == {"label": "a", "score": 0.5, "all": [1, 2]}
    assert content.encode(np.array([[1, 2]]), "application/jsonlines")[0] == "[1, 2]\n"
    with pytest.raises(TypeError):
        content.encode({1, 2}, "application/json")


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        ("", "a/b"),
        ("c/*", "c/d"),
        ("c/d;q=0.2, a/b;q=0.1", "c/d"),
        ("a/b;q=0, */*", "c/d"),
        ("x/y", None),
        ("*/*;q=0", None),
        (";;q=,", None),
    ],
)
def test_the_best_of_the_offered_is_chosen(accept: str, chosen: str | None) -> None:
    assert choose(accept, ("a/b", "c/d")) == chosen


def plugin(**functions: Any) -> Plugin:
    functions.setdefault("model_fn", lambda _folder: 10)
    return Plugin(SimpleNamespace(**functions), Path("/opt/ml/model"), "application/json")


def test_functions_get_what_the_toolkit_gives_them() -> None:
    seen: list[Any] = []

    def input_fn(body: Any, content_type: Any) -> Any:
        seen.append((body, content_type))
        return body

    def output_fn(prediction: Any, accept: Any, context: Any) -> Any:
        context.custom_attributes = f"was {context.custom_attributes}"
        context.set_response_status(201)
        return f"{prediction} {accept}"

    made = plugin(input_fn=input_fn, predict_fn=lambda data, model: len(data) * model, output_fn=output_fn)
    attributes = {b"x-amzn-sagemaker-custom-attributes": b"a"}
    found = made.answer(b"\xc3\xa4b", "text/csv", "x/y, */*", attributes)
    assert (found.body, found.content_type, found.status) == (b"20 x/y, */*", "x/y", 201)
    assert found.headers == {"X-Amzn-SageMaker-Custom-Attributes": "was a"}
    assert made.answer(b"abc", None, "*/*", {}).body == b"30 application/json"
    made.answer(b"abc", "image/png", None, {})
    assert seen == [("\u00e4b", "text/csv"), (b"abc", None), (b"abc", "image/png")]


@pytest.mark.parametrize(
    ("functions", "text"),
    [
        ({}, "neither predict_fn nor transform_fn"),
        ({"predict_fn": lambda d, _m: d, "model_fn": None}, "no model_fn"),
        ({"predict_fn": lambda d: d}, "1 arguments; 2 are given"),
        ({"transform_fn": lambda a, _b, _c, _d: a, "output_fn": lambda p, _a: p}, "together"),
    ],
)
def test_a_script_that_cannot_be_used_is_told_before_the_model_is_loaded(
    functions: dict[str, Any], text: str
) -> None:
    with pytest.raises(LoadError, match=text):
        plugin(**functions)


def test_warm_up_comes_after_the_model() -> None:
    calls: list[Any] = []
    plugin(
        pre_model_fn=calls.append,
        model_warmup_fn=lambda _folder, model: calls.append(model),
        predict_fn=lambda data, _model: data,
    )
    assert calls == ["/opt/ml/model", 10]


def test_what_is_neither_text_nor_bytes_is_an_error_of_the_script() -> None:
    made = plugin(transform_fn=lambda _model, _body, _kind, _accept: ({"a": 1}, "text/csv"))
    with pytest.raises(TypeError, match="dict"):
        made.answer(b"", None, None, {})


def test_a_script_is_found_in_the_model_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])
    for folder, name in ((tmp_path / "program", "image"), (tmp_path / "model" / "code", "model")):
        folder.mkdir(parents=True)
        text = "from sagemaker_inference import errors\nmodel_fn = str\ndef predict_fn(d, m): return '%s'\n"
        (folder / "entry_for_test.py").write_text(text % name)
    made = load("entry_for_test.py", tmp_path / "model", tmp_path / "program", "application/json")
    assert made.answer(b"1", "text/csv", None, {}).body == b'"model"'
    with pytest.raises(LoadError, match=r"no absent\.py"):
        load("absent.py", tmp_path / "model", tmp_path / "program", "application/json")


def test_the_toolkits_errors_have_its_shape() -> None:
    error = compat.GenericInferenceToolkitError(429)
    assert (error.status_code, error.message, error.phrase) == (429, "Invalid Request", "Invalid Request")
    assert compat.UnsupportedFormatError("a/b").status == 415


def test_the_board_is_shared_with_forked_workers_and_adds_up() -> None:
    board = Board(2)
    assert not board.healthy
    pid = os.fork()
    if pid == 0:
        board.slots[1].view[STATE] = READY
        board.slots[1].view[CONNECTIONS] = 3
        board.slots[1].count(200, 0.003, 10, 20)
        os._exit(0)
    os.waitpid(pid, 0)
    assert not board.healthy
    board.slots[0].view[STATE] = READY
    board.slots[0].count(404, 99.0, 1, 2)
    assert board.healthy
    text = board.metrics()
    assert "serving_connections 3\n" in text
    assert 'serving_invocation_seconds_bucket{le="0.0025"} 0\n' in text
    assert 'serving_invocation_seconds_bucket{le="0.005"} 1\n' in text
    assert 'serving_invocation_seconds_bucket{le="+Inf"} 2\n' in text
    assert "serving_received_bytes_total 11\n" in text
