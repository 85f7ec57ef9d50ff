"""find_reusable: Glue runs whose output may be read again, and why others may not."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import botocore.session
import pytest
from botocore import xform_name
from botocore.exceptions import ClientError
from botocore.validate import ParamValidator

from pipeline.lambdas.find_reusable import handler as reusable
from pipeline.lambdas.find_reusable import jobs, transforms, versions, whole

NOW = datetime(2026, 3, 5, 12, tzinfo=UTC)
OUTPUT = "demo-dev/runs/20260301-1/features"
JOB = {
    "fingerprint": "features",
    "result": "features",
    "kind": "transform",
    "model": "",
    "output": "",
    "within": "transforms",
    "name": "demo-dev-features",
}
STATE = {
    "run": {"date": "2026-03-01", "fingerprints": {"features": "f-1", "model": "m-1"}},
    "transforms": {"other": {"output": "kept"}},
}


class Aws:
    """Glue and S3 in memory; requests are checked by botocore's models."""

    def __init__(self) -> None:
        self.runs: list[dict[str, Any]] = []
        self.objects: dict[str, tuple[bytes, str]] = {}
        self.job = True
        self.requests: list[tuple[str, dict[str, Any]]] = []

    def client(self, service: str) -> Client:
        return Client(self, service)

    def run(self, id_: str = "jr_1", hours: int = 0, print_: str = "f-1", **more: Any) -> None:
        arguments = {"--FINGERPRINT": print_, "--OUTPUT_PATH": f"s3://artifacts/{OUTPUT}"}
        self.runs.append(
            {
                "Id": id_,
                "JobName": "demo-dev-features",
                "JobRunState": "SUCCEEDED",
                "StartedOn": NOW + timedelta(hours=hours),
                "Arguments": arguments,
                **more,
            }
        )

    def output(self, print_: str = "f-1") -> None:
        part = f"{OUTPUT}/train/part-0.csv"
        receipt = {
            "fingerprint": print_,
            "datasets": {"train": {"rows": 3, "objects": [{"key": part, "etag": "e0", "bytes": 9}]}},
        }
        self.objects = {
            part: (b"1,2\n", '"e0"'),
            f"{OUTPUT}/manifests/train.json": (b"[]", '"e1"'),
            f"{OUTPUT}/transform.json": (json.dumps(receipt).encode(), '"e2"'),
        }


class Client:
    def __init__(self, aws: Aws, service: str) -> None:
        self._aws, self._service = aws, service
        self._model = botocore.session.get_session().get_service_model(service)

    def _asked(self, operation: str, request: dict[str, Any]) -> None:
        shape = self._model.operation_model(operation).input_shape
        report = ParamValidator().validate(request, shape)
        assert not report.has_errors(), report.generate_report()
        self._aws.requests.append((operation, request))

    def get_paginator(self, method: str) -> Any:
        operations = {xform_name(name): name for name in self._model.operation_names}
        aws, asked = self._aws, self._asked

        class Pages:
            def paginate(self, **request: Any) -> list[dict[str, Any]]:
                asked(operations[method], request)
                if method == "get_job_runs":
                    if not aws.job:
                        raise ClientError({"Error": {"Code": "EntityNotFoundException"}}, "GetJobRuns")
                    return [{"JobRuns": [run]} for run in aws.runs]
                found = {k: v for k, v in aws.objects.items() if k.startswith(request["Prefix"])}
                return [{"Contents": [{"Key": key, "ETag": tag}]} for key, (_, tag) in found.items()] or [{}]

        return Pages()

    def get_object(self, **request: Any) -> dict[str, Any]:
        self._asked("GetObject", request)
        if request["Key"] not in self._aws.objects:
            raise ClientError({"Error": {"Code": "NoSuchKey"}}, "GetObject")
        return {"Body": io.BytesIO(self._aws.objects[request["Key"]][0])}


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Aws:
    made = Aws()
    for module in (jobs, transforms, versions, whole):
        monkeypatch.setattr(module, "client", made.client)
    monkeypatch.setattr(reusable, "find_model", lambda *_, **__: (None, "no model"))
    return made


def found(**more: Any) -> dict[str, Any]:
    event = {"state": STATE, "jobs": [JOB], "manual": False, "metrics": [], "execution_input": {}, **more}
    return reusable.find(event)


def test_a_whole_run_stands_for_the_transform(aws: Aws) -> None:
    aws.run()
    aws.output()
    answer = found()
    assert answer["reuse"]["features"] == {
        "reuse": True,
        "why": "Glue run jr_1 had the same data, script and parameters",
    }
    assert answer["transforms"] == {
        "other": {"output": "kept"},
        "features": {
            "JobName": "demo-dev-features",
            "JobRunId": "jr_1",
            "output": f"s3://artifacts/{OUTPUT}",
        },
    }


def test_the_newest_run_is_taken(aws: Aws) -> None:
    aws.run("jr_old", hours=-2)
    aws.run("jr_new", hours=-1)
    aws.output()
    assert "jr_new" in found()["reuse"]["features"]["why"]


@pytest.mark.parametrize(
    ("run", "why"),
    [
        ({"print_": "f-2"}, "no Glue run that succeeded is of this fingerprint"),
        ({"JobRunState": "FAILED"}, "no Glue run that succeeded is of this fingerprint"),
        ({"JobRunState": "RUNNING"}, "no Glue run that succeeded is of this fingerprint"),
        ({"Arguments": {"--FINGERPRINT": "f-1"}}, "its output is not known"),
        ({"Arguments": {"--FINGERPRINT": "f-1", "--OUTPUT_PATH": "/tmp/x"}}, "its output is /tmp/x"),
    ],
)
def test_runs_that_say_something_else(aws: Aws, run: dict[str, Any], why: str) -> None:
    aws.run(**run)
    aws.output()
    decision = found()["reuse"]["features"]
    assert decision["reuse"] is False and why in decision["why"]


@pytest.mark.parametrize(
    ("key", "content", "why"),
    [
        ("transform.json", None, "its transform.json is gone"),
        ("transform.json", (b"{", '"e"'), "its transform.json is not JSON"),
        ("transform.json", (b'{"fingerprint": "f-1"}', '"e"'), "names no datasets"),
        ("transform.json", (b'{"fingerprint": "f-2", "datasets": {}}', '"e"'), "is of another fingerprint"),
        ("train/part-0.csv", None, "train/part-0.csv of its dataset train is gone"),
        ("train/part-0.csv", (b"", '"changed"'), "is not what the run wrote"),
        ("manifests/train.json", None, "the manifest of its dataset train is gone"),
    ],
)
def test_output_that_is_not_whole(aws: Aws, key: str, content: tuple[bytes, str] | None, why: str) -> None:
    aws.run()
    aws.output()
    if content is None:
        del aws.objects[f"{OUTPUT}/{key}"]
    else:
        aws.objects[f"{OUTPUT}/{key}"] = content
    answer = found()
    decision = answer["reuse"]["features"]
    assert decision["reuse"] is False
    assert decision["why"].startswith("Glue run jr_1 cannot be used: ") and why in decision["why"]
    assert "features" not in answer["transforms"]


def test_data_that_was_rejected_is_found_again_and_rejected_again(aws: Aws) -> None:
    aws.run()
    aws.objects = {f"{OUTPUT}/transform.json": (b'{"fingerprint": "f-1", "datasets": {}}', '"e"')}
    assert found()["reuse"]["features"]["reuse"] is True


def test_a_job_that_is_not_deployed_yet(aws: Aws) -> None:
    aws.job = False
    assert found()["reuse"]["features"]["reuse"] is False


def test_force_makes_it_anew(aws: Aws) -> None:
    aws.run()
    aws.output()
    decision = found(execution_input={"FORCE": True})["reuse"]["features"]
    assert decision == {"reuse": False, "why": "FORCE was given"}
    assert aws.requests == []


def test_many_objects_are_asked_for_by_the_thousand(aws: Aws) -> None:
    aws.run()
    aws.output()
    found()
    assert [name for name, _ in aws.requests] == ["GetJobRuns", "GetObject", "ListObjectsV2"]
