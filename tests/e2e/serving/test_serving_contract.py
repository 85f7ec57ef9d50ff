"""The container contract, clause by clause: paths, types, limits, attributes, errors."""

from __future__ import annotations

import io
import json
import subprocess
import textwrap

import numpy as np
import psutil
import pytest

from tests.e2e.serving.conftest import Server, Start

SUMS = textwrap.dedent("""
    import os, sys
    import numpy as np

    def model_fn(model_dir):
        return {"factor": 2.0, "threads": os.environ["OMP_NUM_THREADS"]}

    def predict_fn(data, model):
        rows = data.to_numpy() if hasattr(data, "to_numpy") else np.atleast_2d(data)
        if rows.size and float(rows.flat[0]) == -1:
            raise RuntimeError("inner detail")
        if rows.size and float(rows.flat[0]) == -2:
            sys.exit(3)
        return rows.sum(axis=1) * model["factor"]
""")
CONTEXT = textwrap.dedent("""
    from sagemaker_inference import content_types, errors

    def model_fn(model_dir, context):
        return model_dir

    def transform_fn(model, body, content_type, accept, context):
        if body == "teapot":
            raise errors.BaseInferenceToolkitError(418, "no coffee", "teapot")
        seen = context.get_request_header(0, "X-Amzn-SageMaker-Custom-Attributes")
        context.set_response_header(0, "X-Amzn-SageMaker-Custom-Attributes", f"seen={seen}")
        return f"{type(body).__name__} {content_type} {accept}", content_types.CSV
""")


@pytest.fixture(scope="module")
def sums(start_module: Start) -> Server:
    return start_module(SUMS, MAX_REQUEST_BYTES="100000").ready()


def npy(rows: list[list[float]]) -> bytes:
    stream = io.BytesIO()
    np.save(stream, np.array(rows))
    return stream.getvalue()


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("text/csv", b"1,2,3\n4,5,6\n"),
        ("text/csv; charset=utf-8", b"1.0,2,3\r\n4,5,6.0"),
        ("application/json", b"[[1,2,3],[4,5,6]]"),
        (
            "application/jsonlines",
            b'{"features": [1,2,3]}\n\n{"features": [4,5,6]}\n',
        ),
        ("application/x-npy", npy([[1, 2, 3], [4, 5, 6]])),
    ],
)
@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("", b"[12.0, 30.0]"),
        ("text/csv", b"12.0\n30.0\n"),
        ("text/html;q=0.9, application/jsonlines", b"12.0\n30.0\n"),
        ("*/*", b"[12.0, 30.0]"),
    ],
)
def test_each_type_comes_in_and_each_goes_out(
    sums: Server, content_type: str, body: bytes, accept: str, expected: bytes
) -> None:
    status, headers, answer = sums.invoke(body, content_type, accept)
    assert (status, answer) == (200, expected), answer
    asked = accept if accept not in ("", "*/*") else "application/json"
    assert headers["content-type"] in asked


def test_npy_goes_out_and_parquet_comes_in(sums: Server) -> None:
    _, _, answer = sums.invoke(b"1,2,3\n4,5,6", accept="application/x-npy")
    assert np.load(io.BytesIO(answer)).tolist() == [12.0, 30.0]
    made = (
        "import io, pandas, sys; out = io.BytesIO();"
        "pandas.DataFrame({'a': [1.0, 4.0], 'b': [5.0, 11.0]}).to_parquet(out);"
        "sys.stdout.buffer.write(out.getvalue())"
    )
    python = psutil.Process(sums.process.pid).environ()["PATH"].split(":")[0] + "/python"
    body = subprocess.run([python, "-c", made], capture_output=True, check=True).stdout
    assert sums.invoke(body, "application/x-parquet")[2] == b"[12.0, 30.0]"
    assert sums.invoke(b"PAR1 not so", "application/x-parquet")[0] == 400


@pytest.mark.parametrize(
    ("body", "content_type", "accept", "status", "text"),
    [
        (b"x", "image/png", "", 415, "image/png"),
        (b"1,2", "text/csv", "image/png", 406, "Accept"),
        (b"{", "application/json", "", 400, "not application/json"),
        (b"", "text/csv", "", 400, "no rows"),
        (b"\xff\xfe", "text/csv", "", 400, "UTF-8"),
        (b"\x80\x04not numpy", "application/x-npy", "", 400, "application/x-npy"),
        (b"-1,0", "text/csv", "", 500, "the reason is in the log"),
        (b"-2,0", "text/csv", "", 500, "the reason is in the log"),
        (b"1" * 100_001, "text/csv", "", 413, "100000 bytes"),
    ],
)
def test_what_is_wrong_is_told(
    sums: Server, body: bytes, content_type: str, accept: str, status: int, text: str
) -> None:
    found, headers, answer = sums.invoke(body, content_type, accept)
    assert (found, headers["content-type"]) == (status, "application/json")
    assert text in json.loads(answer)["error"]
    assert b"inner detail" not in answer
    assert sums.ping() == 200


def test_pickles_are_not_opened(sums: Server) -> None:
    stream = io.BytesIO()
    np.save(stream, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    assert sums.invoke(stream.getvalue(), "application/x-npy")[0] == 400


def test_the_log_has_the_reason_and_each_request_as_json(sums: Server) -> None:
    sums.invoke(b"-1,0", **{"X-Amzn-SageMaker-Inference-Id": "abc"})
    event = sums.wait(
        lambda: [e for e in sums.events("request") if e.get("inference_id") == "abc"], "the access log"
    )[0]
    assert (event["status"], event["path"], event["bytes_in"]) == (500, "/invocations", 4)
    assert any("inner detail" in event["error"] for event in sums.events("error"))
    assert not [e for e in sums.events("request") if e["path"] == "/ping"], "a good health check is no news"


def test_a_body_of_the_limit_is_taken_and_chunks_are_counted(sums: Server) -> None:
    row = b"1," * 49_999 + b"1"
    assert len(row) == 99_999
    assert sums.invoke(row + b"\n")[2] == b"[100000.0]"
    parts = [row[:1000], row[1000:]]
    assert sums.request("POST", "/invocations", iter(parts), {"Content-Type": "text/csv"})[2] == b"[100000.0]"
    status, _, _ = sums.request("POST", "/invocations", iter([row, row]), {"Content-Type": "text/csv"})
    assert status == 413


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 404),
        ("GET", "/invocations", 405),
        ("POST", "/ping", 405),
        ("HEAD", "/ping", 200),
        ("GET", "/ping?now=1", 200),
        ("DELETE", "/execution-parameters", 405),
    ],
)
def test_paths_and_methods(sums: Server, method: str, path: str, status: int) -> None:
    found, headers, body = sums.request(method, path)
    assert found == status
    assert ("allow" in headers) == (status == 405)
    assert method != "HEAD" or (body == b"" and headers["content-length"] != "0")


def test_metrics_count_what_was_answered(start: Start) -> None:
    server = start(SUMS).ready()
    for body in (b"1,2", b"x,y", b"-1,0"):
        server.invoke(body)
    server.invoke(b"", "text/csv")
    text = server.request("GET", "/metrics")[2].decode()
    assert 'serving_invocations_total{status="4xx"} 1' in text
    assert "serving_invocation_seconds_count 4" in text
    assert "serving_workers_ready 1" in text
    assert text.splitlines()[-1].startswith("serving_invocation_seconds_count")


def test_execution_parameters_follow_batch_transform(start: Start) -> None:
    server = start(
        SUMS, SAGEMAKER_BATCH="true", SAGEMAKER_MAX_PAYLOAD_IN_MB="40", SAGEMAKER_MODEL_SERVER_WORKERS="4"
    ).ready()
    status, headers, body = server.request("GET", "/execution-parameters")
    assert (status, headers["content-type"]) == (200, "application/json")
    # 100 MB at most, together.
    expected = {"MaxConcurrentTransforms": 2, "BatchStrategy": "MULTI_RECORD", "MaxPayloadInMB": 40}
    assert json.loads(body) == expected
    assert server.invoke(b"0," * 4_000_000 + b"1")[0] == 200


def test_custom_attributes_and_the_toolkits_names(start: Start) -> None:
    server = start(CONTEXT, SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT="text/csv").ready()
    attributes = {"X-Amzn-SageMaker-Custom-Attributes": "trace=1\u00e9"}
    status, headers, body = server.invoke(b"a", "text/csv", **attributes)
    assert (status, body) == (200, b"str text/csv text/csv")
    assert headers["x-amzn-sagemaker-custom-attributes"] == "seen=trace=1\u00e9"
    assert server.invoke(b"a", "application/x-thing", "b/c")[2] == b"bytes application/x-thing b/c"
    status, _, body = server.invoke(b"teapot")
    assert (status, json.loads(body)) == (418, {"error": "no coffee"})


def test_one_port_is_bound_whatever_range_is_granted(start: Start) -> None:
    server = start(SUMS, SAGEMAKER_SAFE_PORT_RANGE="20000-20010").ready()
    tree = [psutil.Process(server.process.pid), *server.workers()]
    listening = {c.laddr.port for p in tree for c in p.net_connections() if c.status == psutil.CONN_LISTEN}
    assert listening == {server.port}


@pytest.mark.parametrize(
    ("variables", "text"),
    [
        ({"SAGEMAKER_SAFE_PORT_RANGE": "9-x"}, "SAGEMAKER_SAFE_PORT_RANGE='9-x'"),
        ({"MAX_REQUEST_BYTES": "lots", "SERVING_ACCESS_LOG": "up"}, "MAX_REQUEST_BYTES='lots'"),
    ],
)
def test_wrong_settings_end_it_with_the_reason(start: Start, variables: dict[str, str], text: str) -> None:
    server = start(SUMS, **variables)
    assert server.process.wait(10) == 1
    (event,) = server.events("failed")
    assert len(event["reason"].splitlines()) == len(variables)
    assert text in event["reason"]
