"""A gate's verdict found again in a run's history."""

from __future__ import annotations

import io
import json
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError
from botocore.response import StreamingBody

from pipeline.errors import ExecutionError
from pipeline.execution import data_quality, gate

VERDICT = {"approved": False, "reason": "worse", "metrics": {}, "results": [{"metric": "accuracy"}],
           "champion": {}, "explanation": "gate: rejected"}  # fmt: skip
REUSED = {"approved": True, "reason": "version 3 was approved", "metrics": {"accuracy": 0.9}}


def left(number: int, name: str, data: Any) -> dict[str, Any]:
    text = data if isinstance(data, str) else json.dumps(data)
    return {
        "id": number,
        "type": "TaskStateExited",
        "stateExitedEventDetails": {"name": name, "output": text},
    }


class Clients:
    """Step Functions with histories by ARN, and a registry with one version."""

    def __init__(self, **histories: list[dict[str, Any]]) -> None:
        self.histories = histories
        self.metadata: dict[str, str] = {}
        self.stepfunctions = self.sagemaker = self

    def describe_execution(self, executionArn: str) -> dict[str, Any]:
        return {"name": executionArn, "status": "FAILED"}

    def get_execution_history(self, executionArn: str, nextToken: str = "0", **_: Any) -> dict[str, Any]:
        if executionArn not in self.histories:
            raise ClientError({"Error": {"Code": "ExecutionDoesNotExist", "Message": ""}}, "Get")
        # One event a page, newest first.
        events = self.histories[executionArn][::-1]
        place = int(nextToken)
        more = {"nextToken": str(place + 1)} if place + 1 < len(events) else {}
        return {"events": events[place : place + 1], **more}

    def describe_model_package(self, ModelPackageName: str) -> dict[str, Any]:
        assert ModelPackageName == "p"
        return {"CustomerMetadataProperties": self.metadata}


class Bucket:
    """S3 with one bucket, `b`."""

    def __init__(self, objects: dict[str, bytes]) -> None:
        self.objects = objects

    def get_object(self, Bucket: str, Key: str) -> dict[str, Any]:
        assert Bucket == "b"
        if Key not in self.objects:
            raise ClientError({"Error": {"Code": "NoSuchKey", "Message": ""}}, "GetObject")
        return {"Body": StreamingBody(io.BytesIO(self.objects[Key]), len(self.objects[Key]))}

    def get_paginator(self, _name: str) -> Bucket:
        return self

    def paginate(self, Bucket: str, Prefix: str) -> list[dict[str, Any]]:
        assert Bucket == "b"
        return [{"Contents": [{"Key": key}]} for key in sorted(self.objects) if key.startswith(Prefix)]


def test_the_newest_data_with_a_verdict_counts_however_far_back() -> None:
    clients: Any = Clients(
        a=[
            left(1, "Gate", {"gate": VERDICT}),
            left(2, "RegisterRejected", {"gate": VERDICT, "package": {}}),
            left(3, "NotifyRejected", '{"sent": "no gate"}'),
            left(4, "Odd", '"gate"'),
        ]
    )
    found = gate._verdict(clients, "a")
    assert found == {"execution": "a", "status": "FAILED", **VERDICT, "report": ""}


def test_the_page_lies_beside_the_report_that_was_judged() -> None:
    report = "s3://b/iris-dev/runs/a/evaluation/evaluation.json"
    clients: Any = Clients(a=[left(1, "Gate", {"gate": VERDICT, "evaluation": {"report": report}})])
    clients.target = SimpleNamespace(name="local")
    clients.s3 = Bucket({"iris-dev/runs/a/evaluation/report.html": b"<p>worst</p>"})
    found = gate._verdict(clients, "a")
    assert found is not None and found["report"] == report
    assert gate.page(clients, found) == "<p>worst</p>"
    clients.s3 = Bucket({})
    assert gate.page(clients, found) == ""
    assert gate.page(clients, {**found, "report": ""}) == ""


def test_bad_rows_are_read_from_every_quarantine_each_with_its_frame() -> None:
    clients: Any = SimpleNamespace(target=SimpleNamespace(name="local"))
    clients.s3 = Bucket(
        {
            "r/split/quarantine/flowers/part-0": b'{"size": 99, "_reason": "too big"}\n\n',
            "r/split/quarantine/flowers/part-1": b'{"size": -1, "_reason": "too small"}\n',
            "r/split/quarantine/flowers2/part-0": b'{"size": 0}\n',
        }
    )
    place = "s3://b/r/split/quarantine/flowers/"
    results = [
        {"transform": "split", "frame": "flowers", "quarantine": place},
        {"transform": "split", "frame": "flowers", "quarantine": place},
        {"transform": "split", "frame": "train", "quarantine": ""},
    ]
    rows = [json.loads(line) for line in data_quality.bad_rows(clients, {"results": results})]
    assert rows == [
        {"_frame": "split/flowers", "size": 99, "_reason": "too big"},
        {"_frame": "split/flowers", "size": -1, "_reason": "too small"},
    ]
    with pytest.raises(ExecutionError, match="the report is gone"):
        list(data_quality.bad_rows(clients, {"results": None, "report": "s3://b/r"}))


def test_a_run_that_judged_nothing_has_no_verdict() -> None:
    assert gate._verdict(Clients(a=[left(1, "CheckData", {"run": {}})]), "a") is None  # type: ignore[arg-type]


def test_a_model_used_again_shows_what_it_was_judged_by() -> None:
    clients: Any = Clients(
        again=[left(1, "FindReusable", {"gate": REUSED, "package": {"ModelPackageArn": "p"}})],
        made=[left(1, "Gate", {"gate": {**VERDICT, "approved": True}})],
    )
    clients.metadata = {"execution": "made", "gate": "accuracy=0.9"}
    found = gate._verdict(clients, "again")
    assert found is not None
    assert found["results"] == VERDICT["results"]
    assert (found["again"], found["judged_in"]) == ("version 3 was approved", "made")
    # Step Functions forgets; the registry keeps the numbers.
    del clients.histories["made"]
    found = gate._verdict(clients, "again")
    assert found is not None
    assert found["results"] == []
    assert "accuracy=0.9" in found["explanation"]
    assert found["metrics"] == {"accuracy": 0.9}


def test_no_verdict_at_all_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    class Target:
        name = "local"

    clients: Any = Clients(a=[left(1, "CheckData", {})])
    clients.target = Target()
    monkeypatch.setattr(gate.start, "last", lambda *_: [{"executionArn": "a"}])

    class Settings:
        name, stack_name = "iris", "iris-dev"

    with pytest.raises(ExecutionError, match="no gate has decided"):
        gate.find(Settings(), clients)  # type: ignore[arg-type]
