"""smoke_test, request_approval and collect_superseded."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError, ConnectTimeoutError
from botocore.stub import Stubber

from pipeline.lambdas.collect_superseded import handler as collect
from pipeline.lambdas.request_approval import handler as approval
from pipeline.lambdas.smoke_test import handler as smoke

NOW = datetime(2026, 3, 2, 3, tzinfo=UTC)
REQUEST = {
    "endpoint_name": "iris-dev",
    "content_type": "text/csv",
    "accept": "application/json",
    "body": "5.1,3.5,1.4,0.2",
}


# --- smoke_test


@pytest.fixture
def runtime(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stubber]:
    made = boto3.client(
        "sagemaker-runtime", region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x"
    )
    monkeypatch.setattr(smoke, "client", lambda _service: made)
    with Stubber(made) as stub:
        yield stub


def answer(body: bytes, content_type: str = "application/json", status: int = 200) -> dict[str, Any]:
    return {
        "Body": io.BytesIO(body),
        "ContentType": content_type,
        "ResponseMetadata": {"HTTPStatusCode": status},
    }


def test_a_good_answer_passes(runtime: Stubber) -> None:
    runtime.add_response(
        "invoke_endpoint",
        answer(b'{"predictions": []}'),
        {
            "EndpointName": "iris-dev",
            "ContentType": "text/csv",
            "Accept": "application/json",
            "Body": b"5.1,3.5,1.4,0.2",
        },
    )
    result = smoke.handler(REQUEST, None)
    assert (result["status"], result["body"]) == (200, '{"predictions": []}')
    assert result["latency_ms"] >= 0


@pytest.mark.parametrize(
    ("response", "why"),
    [
        (answer(b"{broken"), "no JSON"),
        (answer(b"  "), "empty body"),
        (answer(b"setosa", "text/csv"), "application/json was asked for, text/csv was answered"),
        (answer(b"{}", status=304), "answered 304"),
    ],
)
def test_a_bad_answer_fails(runtime: Stubber, response: dict[str, Any], why: str) -> None:
    runtime.add_response("invoke_endpoint", response)
    with pytest.raises(smoke.SmokeTestFailed, match=why):
        smoke.handler(REQUEST, None)


def test_the_models_own_error_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken:
        def invoke_endpoint(self, **_kwargs: Any) -> None:
            raise ClientError(
                {
                    "Error": {"Code": "ModelError", "Message": "Received server error"},
                    "OriginalStatusCode": 500,
                    "OriginalMessage": "the model is broken",
                },
                "InvokeEndpoint",
            )

    monkeypatch.setattr(smoke, "client", lambda _service: Broken())
    with pytest.raises(smoke.SmokeTestFailed, match=r"ModelError \(500\): the model is broken"):
        smoke.handler(REQUEST, None)


def test_an_endpoint_out_of_reach_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    class Silent:
        def invoke_endpoint(self, **_kwargs: Any) -> None:
            raise ConnectTimeoutError(endpoint_url="https://runtime")

    monkeypatch.setattr(smoke, "client", lambda _service: Silent())
    with pytest.raises(smoke.SmokeTestFailed, match="could not be reached"):
        smoke.handler(REQUEST, None)


# --- request_approval


def test_a_request_is_stored_whole_and_its_token_is_not_logged(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stored: dict[str, Any] = {}

    class FakeS3:
        def put_object(self, **kwargs: Any) -> None:
            stored.update(kwargs)

    monkeypatch.setattr(approval, "client", lambda _service: FakeS3())
    monkeypatch.setenv("ARTIFACT_BUCKET", "artifacts")
    monkeypatch.setenv("STACK_NAME", "iris-dev")
    event = {"task_token": "secret-token", "execution_name": "2026-03-02-abc", "metrics": {"accuracy": 0.95}}
    assert approval.handler(event, None) == {"uri": "s3://artifacts/iris-dev/approvals/2026-03-02-abc.json"}
    assert json.loads(stored["Body"]).items() >= event.items()
    assert "secret-token" not in capsys.readouterr().out


@pytest.mark.parametrize(
    "event",
    [{"execution_name": "a"}, {"task_token": "t"}, {"task_token": "t", "execution_name": "../../other"}],
)
def test_a_request_nobody_could_answer_is_refused(event: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        approval.request(event, NOW)


# --- collect_superseded


def run(number: int) -> str:
    return f"iris-dev-202603{number:02}-0000abcd"


def named(*numbers: int) -> list[collect.Named]:
    return [collect.Named(run(number), NOW + timedelta(days=number)) for number in numbers]


@pytest.mark.parametrize(
    ("numbers", "running", "keep", "deleted"),
    [
        ([1, 2, 3, 4, 5], [5], 2, [1, 2]),
        ([5, 3, 1, 4, 2], [5], 2, [1, 2]),
        ([1, 2, 3], [3], 5, []),
        ([1, 2, 3], [3], 0, [1, 2]),
        # A run that goes on beside this one has made 4 and 5 already.
        ([1, 2, 3, 4, 5], [3], 1, [1]),
        # A rollback: the old one runs again.
        ([1, 2, 3], [1], 0, []),
        # Blue/green under way: both stay.
        ([1, 2, 3, 4], [2, 4], 0, [1]),
        ([1, 2, 3], [9], 0, []),
        ([], [1], 0, []),
    ],
)
def test_what_is_superseded(numbers: list[int], running: list[int], keep: int, deleted: list[int]) -> None:
    found = collect.superseded(named(*numbers), {run(number) for number in running}, keep)
    assert [item.name for item in found] == [run(number) for number in deleted]


@pytest.mark.parametrize(
    ("name", "ours"),
    [
        ("iris-dev-20260301-0123abcd", True),
        ("iris-dev-2-20260301-0123abcd", False),
        ("iris-dev", False),
        ("iris-dev-20260301-0123abcd-x", False),
        ("my-iris-dev-20260301-0123abcd", False),
        ("iris-dev-by-hand", False),
    ],
)
def test_only_names_of_this_stack_are_ours(name: str, ours: bool) -> None:
    assert collect.is_ours(name, "iris-dev") is ours


class FakeSageMaker:
    """Configs and models by number; config n serves model n."""

    def __init__(
        self, numbers: list[int], status: str = "InService", undeletable: tuple[str, ...] = ()
    ) -> None:
        self.configs = {item.name: item.created for item in named(*numbers)}
        self.models = dict(self.configs)
        self.status = status
        self.running = run(max(numbers))
        self.pending: str | None = None
        self.alarms = [f"{name}-errors-percent" for name in self.configs]
        # Of stacks whose names begin alike, and of nobody's configuration.
        self.alarms += ["iris-dev-2-20260301-0000abcd-errors-percent", "iris-dev-ExecutionsFailed"]
        self.undeletable = undeletable

    def describe_endpoint(self, EndpointName: str) -> dict[str, Any]:
        assert EndpointName == "iris-dev"
        pending = {"PendingDeploymentSummary": {"EndpointConfigName": self.pending}} if self.pending else {}
        return {"EndpointStatus": self.status, "EndpointConfigName": self.running, **pending}

    def describe_endpoint_config(self, EndpointConfigName: str) -> dict[str, Any]:
        assert EndpointConfigName in self.configs
        return {"ProductionVariants": [{"ModelName": EndpointConfigName}]}

    def delete_alarms(self, AlarmNames: list[str]) -> None:
        self.alarms = [name for name in self.alarms if name not in AlarmNames]

    def get_paginator(self, operation: str) -> Any:
        if operation == "describe_alarms":
            return self._alarm_pages()
        configs = operation == "list_endpoint_configs"
        field, key = ("EndpointConfigs", "EndpointConfigName") if configs else ("Models", "ModelName")
        items = self.configs if configs else self.models

        class Pages:
            def paginate(self, NameContains: str) -> list[dict[str, Any]]:
                # Two pages, with a stranger whose name begins alike.
                entries = [{key: name, "CreationTime": time} for name, time in items.items()]
                strange = {key: f"{NameContains}-2-20200101-00000000", "CreationTime": NOW}
                return [{field: entries[:1]}, {field: [*entries[1:], strange]}]

        return Pages()

    def _alarm_pages(self) -> Any:
        alarms = self.alarms

        class Pages:
            def paginate(self, AlarmNamePrefix: str) -> list[dict[str, Any]]:
                assert AlarmNamePrefix == "iris-dev-"
                return [{"MetricAlarms": [{"AlarmName": name}]} for name in alarms]

        return Pages()

    def delete_endpoint_config(self, EndpointConfigName: str) -> None:
        self._delete(self.configs, EndpointConfigName)

    def delete_model(self, ModelName: str) -> None:
        self._delete(self.models, ModelName)

    def _delete(self, items: dict[str, datetime], name: str) -> None:
        if name in self.undeletable:
            raise ClientError({"Error": {"Code": "ValidationException", "Message": "in use"}}, "Delete")
        del items[name]


def collected(
    monkeypatch: pytest.MonkeyPatch, sagemaker: FakeSageMaker, keep: int, requested: str | None = None
) -> dict[str, Any]:
    monkeypatch.setattr(collect, "client", lambda _service: sagemaker)
    monkeypatch.setenv("STACK_NAME", "iris-dev")
    monkeypatch.setenv("KEEP", str(keep))
    event = {"endpoint_name": "iris-dev", "endpoint_config_name": requested or sagemaker.running}
    return collect.handler(event, None)


def test_old_configs_go_with_their_models(monkeypatch: pytest.MonkeyPatch) -> None:
    sagemaker = FakeSageMaker([1, 2, 3, 4, 5])
    result = collected(monkeypatch, sagemaker, keep=2)
    assert sorted(sagemaker.configs) == [run(3), run(4), run(5)]
    assert sorted(sagemaker.models) == [run(3), run(4), run(5)]
    gone = [f"{kind}/{run(n)}" for kind in ("endpoint-config", "model") for n in (1, 2)]
    assert result["deleted"] == [*gone, *(f"alarm/{run(n)}-errors-percent" for n in (1, 2))]
    assert result["failed"] == []
    others = ["iris-dev-2-20260301-0000abcd-errors-percent", "iris-dev-ExecutionsFailed"]
    assert sagemaker.alarms == [*(f"{run(n)}-errors-percent" for n in (3, 4, 5)), *others]


def test_what_runs_stays_even_when_another_was_requested(monkeypatch: pytest.MonkeyPatch) -> None:
    sagemaker = FakeSageMaker([1, 2, 3])
    sagemaker.running = run(1)  # a rollback nobody told of
    collected(monkeypatch, sagemaker, keep=0, requested=run(3))
    assert sorted(sagemaker.configs) == [run(1), run(2), run(3)]
    assert sorted(sagemaker.models) == [run(1), run(2), run(3)]


def test_what_is_being_deployed_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    sagemaker = FakeSageMaker([1, 2, 3])
    sagemaker.pending = run(2)
    collected(monkeypatch, sagemaker, keep=0)
    assert sorted(sagemaker.configs) == [run(2), run(3)]


@pytest.mark.parametrize("status", ["Updating", "RollingBack", "SystemUpdating", "Failed", "Creating"])
def test_nothing_goes_while_the_endpoint_is_not_in_service(
    monkeypatch: pytest.MonkeyPatch, status: str
) -> None:
    sagemaker = FakeSageMaker([1, 2, 3], status)
    result = collected(monkeypatch, sagemaker, keep=0)
    assert len(sagemaker.configs) == len(sagemaker.models) == 3
    assert status in result["why"]


def test_one_that_cannot_go_keeps_its_model_and_stops_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    sagemaker = FakeSageMaker([1, 2, 3], undeletable=(run(1),))
    result = collected(monkeypatch, sagemaker, keep=0)
    assert sorted(sagemaker.configs) == sorted(sagemaker.models) == [run(1), run(3)]
    assert result["failed"] == [{"name": f"endpoint-config/{run(1)}", "why": "in use"}]
