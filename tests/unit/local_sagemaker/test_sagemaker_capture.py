"""What is captured of a request: the sample, the lines, and what waits."""

from __future__ import annotations

import base64
import json
import re
from typing import Any

import pytest

from pipeline.local.sagemaker import capture
from pipeline.local.sagemaker.store import Scope

SCOPE = Scope("111122223333", "eu-west-1")
TYPES = {"CsvContentTypes": ["text/csv"], "JsonContentTypes": ["application/json"]}


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """No thread, and the endpoint's log as a list."""
    said: list[str] = []
    monkeypatch.setattr(capture, "_wake", lambda sink: None)  # noqa: ARG005
    monkeypatch.setattr(capture.telemetry, "endpoint_log", lambda *_: said.append)
    return said


def sink(percent: int = 100, *modes: str, header: dict[str, Any] | None = None, **more: Any) -> capture.Sink:
    config = {
        "EnableCapture": True,
        "InitialSamplingPercentage": percent,
        "DestinationS3Uri": "s3://bucket/here",
        "CaptureOptions": [{"CaptureMode": mode} for mode in modes or ("Input", "Output")],
        "CaptureContentTypeHeader": TYPES if header is None else header,
        **more,
    }
    spec = {"Variants": [{"VariantName": "AllTraffic", "Model": {"RoleArn": "r"}}], "Capture": config}
    return capture.of(SCOPE, "iris", spec)["AllTraffic"]


def line(made: capture.Sink, headers: dict[str, str], body: bytes, kind: str, answer: bytes) -> Any:
    made.take(headers, body, kind, answer)
    return json.loads(json.dumps(made.record(made.events[-1])))


def test_a_line_has_the_members_that_sagemaker_writes() -> None:
    headers = {
        "content-type": "text/csv",
        "x-amzn-sagemaker-custom-attributes": "shop=1",
        "x-amzn-sagemaker-inference-id": "abc",
        "authorization": "not to be kept",
    }
    found = line(sink(), headers, b"5.1,3.5\n", "application/json; charset=utf-8", b'{"class": 1}')
    metadata = found.pop("eventMetadata")
    assert found == {
        "captureData": {
            "endpointInput": {
                "observedContentType": "text/csv",
                "mode": "INPUT",
                "data": "5.1,3.5\n",
                "encoding": "CSV",
            },
            "endpointOutput": {
                "observedContentType": "application/json; charset=utf-8",
                "mode": "OUTPUT",
                "data": '{"class": 1}',
                "encoding": "JSON",
            },
        },
        "eventVersion": "0",
    }
    assert metadata.pop("customAttributes") == ["shop=1"]
    assert metadata.pop("inferenceId") == "abc"
    assert re.fullmatch(r"[0-9a-f-]{36}", metadata.pop("eventId"))
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", metadata.pop("inferenceTime"))
    assert metadata == {}


@pytest.mark.parametrize(
    ("header", "kind", "body"),
    [
        ({}, "text/csv", b"1,2"),  # no type is named: all is base64, as SageMaker's default
        (TYPES, "application/x-parquet", b"PAR1\x00"),
        (TYPES, "text/csv", b"\xff\xfe1"),  # not the text its header says
    ],
)
def test_what_is_no_known_text_is_kept_in_base64(header: dict[str, Any], kind: str, body: bytes) -> None:
    part = line(sink(header=header), {"content-type": kind}, body, kind, b"")["captureData"]["endpointInput"]
    assert part["encoding"] == "BASE64"
    assert base64.b64decode(part["data"]) == body


@pytest.mark.parametrize(
    ("modes", "kept"),
    [
        (("Input",), {"endpointInput"}),
        (("Output",), {"endpointOutput"}),
        (("InputAndOutput",), {"endpointInput", "endpointOutput"}),
    ],
)
def test_only_the_sides_asked_for_are_kept(modes: tuple[str, ...], kept: set[str]) -> None:
    assert set(line(sink(100, *modes), {}, b"1", "text/csv", b"2")["captureData"]) == kept


def test_the_sample_is_about_as_large_as_asked() -> None:
    some, none = sink(25), sink(0)
    for _ in range(4000):
        some.take({}, b"x", "text/csv", b"y")
        none.take({}, b"x", "text/csv", b"y")
    # Six standard deviations of a binomial of 4,000 at a quarter.
    assert abs(len(some.events) - 1000) < 6 * (4000 * 0.25 * 0.75) ** 0.5
    assert not none.events


def test_beyond_what_may_wait_nothing_is_kept_and_it_is_said(
    quiet: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(capture, "_KEPT_BYTES", 100)
    made = sink()
    written: list[int] = []
    monkeypatch.setattr(made, "_write", lambda batch: written.append(len(batch)))
    for _ in range(5):
        made.take({}, b"x" * 60, "text/csv", b"")
    made.flush()
    assert written == [2]
    assert "3 requests were not captured" in quiet[0]
    made.take({}, b"x", "text/csv", b"")
    assert len(made.events) == 1


def test_a_file_holds_requests_of_one_hour(monkeypatch: pytest.MonkeyPatch) -> None:
    made = sink()
    clock = iter([3599.5, 3599.9, 3600.0, 3600.1])
    monkeypatch.setattr(capture.time, "time", lambda: next(clock))
    for _ in range(4):
        made.take({}, b"x", "text/csv", b"")
    written: list[int] = []
    monkeypatch.setattr(made, "_write", lambda batch: written.append(len(batch)))
    made.flush()
    assert written == [2, 2]


def test_the_status_says_whether_capture_works() -> None:
    made = sink(KmsKeyId="alias/k")
    spec = {"Capture": made.config}
    assert capture.summary(spec, {"AllTraffic": made}) == {
        "EnableCapture": True,
        "CaptureStatus": "Started",
        "CurrentSamplingPercentage": 100,
        "DestinationS3Uri": "s3://bucket/here",
        "KmsKeyId": "alias/k",
    }
    made.works = False
    stopped = capture.summary(spec, {"AllTraffic": made})
    assert stopped is not None
    assert stopped["CaptureStatus"] == "Stopped"
    assert capture.summary({"Capture": None}, {}) is None
    off = {"Capture": {**made.config, "EnableCapture": False}, "Variants": []}
    assert capture.of(SCOPE, "iris", off) == {}
