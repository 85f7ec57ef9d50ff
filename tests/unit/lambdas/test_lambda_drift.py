"""What requests are compared with, and what follows: metrics, and one run for one model's drift."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from pipeline.lambdas.find_baseline import handler as baseline
from pipeline.lambdas.judge_drift import handler as judge

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
WEEK = timedelta(days=7)
MACHINE = "arn:aws:states:eu-west-1:111122223333:stateMachine:demo-dev"


def run(number: int, status: str, days: float, error: str | None = None) -> dict[str, Any]:
    return {
        "name": f"drift-x-{number}",
        "status": status,
        "startDate": NOW - timedelta(days=days),
        "error": error,
    }


@pytest.mark.parametrize(
    ("earlier", "name", "why"),
    [
        ([], "drift-x-1", "the first run"),
        ([run(1, "RUNNING", 0.1)], "", "drift-x-1 is under way"),
        (
            [run(1, "FAILED", 1, "ModelRejected")],
            "",
            "ended as ModelRejected; another may start 7 days after",
        ),
        ([run(1, "FAILED", 1, "DataRejected")], "", "ended as DataRejected"),
        # It found nothing new to train on, or waits as a version that a human rejected later.
        ([run(1, "SUCCEEDED", 1)], "", "ended well, and the model still serves"),
        ([run(1, "FAILED", 8, "ModelRejected")], "drift-x-2", "7 days ago, and the model still serves"),
        ([run(1, "FAILED", 0.2, "States.TaskFailed")], "drift-x-2", "drift-x-1 broke (States.TaskFailed)"),
        ([run(n, "FAILED", 1, "States.TaskFailed") for n in (1, 2, 3)], "", "3 runs for this drift broke"),
        ([run(n, "FAILED", 9, "States.TaskFailed") for n in (1, 2, 3)], "drift-x-4", "7 days ago"),
        (
            [run(1, "ABORTED", 1), run(2, "FAILED", 0.5, "ModelRejected")],
            "",
            "drift-x-2 ended as ModelRejected",
        ),
    ],
)
def test_drift_of_one_model_starts_one_run(earlier: list[dict[str, Any]], name: str, why: str) -> None:
    found, said = judge.decide("drift-x", earlier, NOW, WEEK)
    assert (found, why in said) == (name, True), said


def test_the_name_is_the_models() -> None:
    assert judge.base_name("arn:1") == judge.base_name("arn:1") != judge.base_name("arn:2")


def report(drifted: bool = True, enough: bool = True) -> dict[str, Any]:
    measure = {
        "measure": "psi",
        "value": 0.4,
        "limit": 0.25,
        "passed": not drifted,
        "why": "x: psi 0.4 > 0.25",
    }
    return {
        "package": "arn:p",
        "records": 500,
        "minimum": 100,
        "enough": enough,
        "features": {"x": {"measures": [measure]}} if enough else {},
        "drifted": ["x"] if drifted and enough else [],
        "reasons": ["x: psi 0.4 > 0.25"] if drifted and enough else [],
    }


def test_metrics_of_what_was_concluded() -> None:
    found = {(m["MetricName"], len(m["Dimensions"])): m["Value"] for m in judge.metrics(report(), "e", NOW)}
    assert found == {("Records", 1): 500.0, ("DriftedFeatures", 1): 1.0, ("PSI", 2): 0.4}
    # Too few requests say nothing: the alarm stays as it is.
    few = judge.metrics(report(enough=False), "e", NOW)
    assert [m["MetricName"] for m in few] == ["Records"]


class Fake:
    """S3, CloudWatch and Step Functions, as far as the function asks them."""

    def __init__(self, found: dict[str, Any], running: list[str], runs: dict[str, dict[str, Any]]) -> None:
        self.report, self.running, self.runs = found, running, runs
        self.put: list[dict[str, Any]] = []

    def get_object(self, **_: Any) -> dict[str, Any]:
        return {"Body": io.BytesIO(json.dumps(self.report).encode())}

    def put_metric_data(self, **request: Any) -> None:
        self.put.append(request)

    def list_executions(self, **_: Any) -> dict[str, Any]:
        return {"executions": [{"name": name} for name in self.running]}

    def describe_execution(self, executionArn: str) -> dict[str, Any]:
        name = executionArn.rpartition(":")[2]
        if name not in self.runs:
            raise ClientError(
                {"Error": {"Code": "ExecutionDoesNotExist", "Message": ""}}, "DescribeExecution"
            )
        return self.runs[name]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, Any]]:
    def ask(found: dict[str, Any], running: list[str] | None = None, **more: Any) -> dict[str, Any]:
        fake = Fake(found, running or [], more.pop("runs", {}))
        monkeypatch.setattr(judge, "client", lambda _: fake)
        event = {
            "report": "s3://b/r/report.json",
            "endpoint_name": "demo-dev",
            "state_machine_arn": MACHINE,
            "retrain": True,
            "again_after_days": 7,
            "namespace": "ml/Drift",
            "now": NOW.isoformat().replace("+00:00", "Z"),
        }
        answer = judge.handler({**event, **more}, None)
        assert [each["Namespace"] for each in fake.put] == ["ml/Drift"]
        return answer

    return ask


def test_drift_starts_a_run_with_its_reason(asked: Callable[..., dict[str, Any]]) -> None:
    answer = asked(report())
    assert (answer["enough"], answer["drift"], answer["retrain"]) == (True, True, True)
    assert answer["name"] == f"{judge.base_name('arn:p')}-1"
    # Not forced: on the same data it would make the same model anew, which drifts again, and so on.
    assert answer["input"] == {"REASON": "drift: x psi 0.400 over 0.25"}


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"retrain": False}, "retrain is off"),
        ({"running": ["20261122-abc"]}, "the run 20261122-abc is under way"),
    ],
)
def test_a_run_that_is_not_wanted_now(
    asked: Callable[..., dict[str, Any]], more: dict[str, Any], why: str
) -> None:
    answer = asked(report(), **more)
    assert (answer["drift"], answer["retrain"]) == (True, False)
    assert why in answer["why"]


def test_the_same_drift_again_starts_nothing(asked: Callable[..., dict[str, Any]]) -> None:
    first = asked(report())["name"]
    ended = {"name": first, "status": "FAILED", "startDate": NOW, "error": "ModelRejected"}
    answer = asked(report(), runs={first: ended})
    assert answer["retrain"] is False
    assert "ModelRejected" in answer["why"]


def test_a_run_that_found_no_newer_data_looks_again_the_next_day(
    asked: Callable[..., dict[str, Any]],
) -> None:
    first = asked(report())["name"]
    idle = {"name": first, "status": "SUCCEEDED", "output": json.dumps({"run": {"new": False}})}
    answer = asked(report(), runs={first: {**idle, "startDate": NOW - timedelta(hours=23)}})
    assert answer["retrain"] is False
    assert f"{first} found no newer data" in answer["why"]
    answer = asked(report(), runs={first: {**idle, "startDate": NOW - timedelta(hours=25)}})
    assert (answer["retrain"], answer["name"]) == (True, f"{judge.base_name('arn:p')}-2")
    # One that made a model, which was no better, waits for its days as before.
    made = {**idle, "output": json.dumps({"run": {"new": True}}), "startDate": NOW - timedelta(hours=25)}
    assert asked(report(), runs={first: made})["retrain"] is False


@pytest.mark.parametrize("found", [report(drifted=False), report(enough=False)])
def test_no_drift_asks_nobody(asked: Callable[..., dict[str, Any]], found: dict[str, Any]) -> None:
    answer = asked(found)
    assert (answer["drift"], answer["retrain"]) == (False, False)


# --- find_baseline


@pytest.mark.parametrize(
    ("given", "since"),
    [
        (None, NOW - timedelta(hours=24)),
        ("2026-11-22T10:00:00Z", datetime(2026, 11, 22, 10, tzinfo=UTC)),
        ("2026-11-22T11:00:00+02:00", datetime(2026, 11, 22, 9, tzinfo=UTC)),
        ("2026-11-22T10:00:00", datetime(2026, 11, 22, 10, tzinfo=UTC)),
    ],
)
def test_the_window(given: str | None, since: datetime) -> None:
    long_ago = NOW - timedelta(days=30)
    assert baseline.window(given, NOW.isoformat(), 24, long_ago) == (since, NOW)


def test_requests_that_another_model_answered_do_not_count() -> None:
    deployed = NOW - timedelta(hours=1)
    assert baseline.window(None, NOW.isoformat(), 24, deployed)[0] == deployed


def test_a_request_in_the_second_of_its_deployment_counts() -> None:
    captured = NOW - timedelta(hours=1)  # as a capture tells it: in whole seconds
    deployed = captured + timedelta(milliseconds=900)
    assert baseline.window(None, NOW.isoformat(), 24, deployed)[0] == captured


@pytest.mark.parametrize("given", ["yesterday", 3, "2026-11-23T00:00:00Z"])
def test_a_since_without_sense(given: Any) -> None:
    with pytest.raises(ValueError, match=r"SINCE|Invalid isoformat"):
        baseline.window(given, NOW.isoformat(), 24, NOW)


def test_the_training_channel() -> None:
    def channel(name: str, kind: str, uri: str) -> dict[str, Any]:
        source = {"S3DataSource": {"S3DataType": kind, "S3Uri": uri}}
        return {"ChannelName": name, "DataSource": source, "ContentType": "text/csv"}

    inputs = [channel("train", "S3Prefix", "s3://b/p"), channel("made", "ManifestFile", "s3://b/m.json")]
    job = {"TrainingJobName": "j", "InputDataConfig": inputs}
    assert baseline.channel_of(job, "train") == {"uri": "s3://b/p/", "type": "text/csv"}
    assert baseline.channel_of(job, "made")["uri"] == "s3://b/m.json"
    with pytest.raises(baseline.NotReady, match="had no channel other; it had train, made"):
        baseline.channel_of(job, "other")


class SageMaker:
    """An endpoint that captures, of a registered model."""

    def __init__(self, **changes: Any) -> None:
        self.changes = changes

    def describe_endpoint(self, **_: Any) -> dict[str, Any]:
        if self.changes.get("endpoint") == "none":
            raise ClientError(
                {"Error": {"Code": "ValidationException", "Message": 'Could not find endpoint "e".'}}, "x"
            )
        capture = {"EnableCapture": True, "DestinationS3Uri": "s3://b/demo-dev/capture"}
        status = self.changes.get("endpoint", "InService")
        return {
            "EndpointStatus": status,
            "EndpointConfigName": "c",
            **({} if self.changes.get("capture") == "off" else {"DataCaptureConfig": capture}),
        }

    def describe_endpoint_config(self, **_: Any) -> dict[str, Any]:
        variants = [{"VariantName": "AllTraffic", "ModelName": "m"}]
        return {"ProductionVariants": variants, "CreationTime": NOW - timedelta(hours=3)}

    def describe_model(self, **_: Any) -> dict[str, Any]:
        return {"PrimaryContainer": {"ModelPackageName": self.changes.get("package", "arn:p")}}

    def describe_model_package(self, **_: Any) -> dict[str, Any]:
        return {"ModelPackageArn": "arn:p", "CustomerMetadataProperties": {"training_job": "j"}}

    def describe_training_job(self, **_: Any) -> dict[str, Any]:
        source = {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://d/train/"}}
        channel = {"ChannelName": "train", "ContentType": "text/csv", "DataSource": source}
        return {"TrainingJobName": "j", "InputDataConfig": [channel]}

    def list_objects_v2(self, **_: Any) -> dict[str, Any]:
        return {"KeyCount": self.changes.get("captured", 1)}


def looked(monkeypatch: pytest.MonkeyPatch, **changes: Any) -> dict[str, Any]:
    fake = SageMaker(**changes)
    monkeypatch.setattr(baseline, "client", lambda _: fake)
    monkeypatch.setattr(baseline.os, "environ", {"ARTIFACT_BUCKET": "b", "STACK_NAME": "demo-dev"})
    event = {
        "input": {},
        "start_time": NOW.isoformat(),
        "execution_name": "one",
        "endpoint_name": "demo-dev",
        "channel": "train",
        "window_hours": 24,
        "features": changes.get("features", {"x": {"request": "body"}}),
    }
    return baseline.handler(event, None)


def test_what_serves_leads_to_its_training_data(monkeypatch: pytest.MonkeyPatch) -> None:
    found = looked(monkeypatch)
    assert found["ready"] is True
    assert found["capture"] == "s3://b/demo-dev/capture/demo-dev/AllTraffic/"
    assert found["training"] == {"uri": "s3://d/train/", "type": "text/csv"}
    assert found["since"] == (NOW - timedelta(hours=3)).isoformat()
    assert found["output"] == "s3://b/demo-dev/monitor/reports/one"
    # Another expression is another baseline.
    other = looked(monkeypatch, features={"x": {"request": "answer"}})
    assert other["baseline"] != found["baseline"] == looked(monkeypatch)["baseline"]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"endpoint": "none"}, "there is no endpoint demo-dev yet"),
        ({"endpoint": "Creating"}, "is Creating: nothing serves"),
        ({"capture": "off"}, "captures no requests"),
        ({"captured": 0}, "no request was captured yet"),
        ({"package": None}, "was not made of a registered version"),
    ],
)
def test_nothing_to_compare_is_no_error(
    monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any], reason: str
) -> None:
    found = looked(monkeypatch, **changes)
    assert found["ready"] is False
    assert reason in found["reason"]
