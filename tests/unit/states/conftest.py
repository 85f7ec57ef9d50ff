"""Executions run in this process: the engine without a server, AWS answered by a fake client."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from typing import Any

import botocore.session
import pytest

from pipeline.local.states import clients, execution, seams

ROLE = "arn:aws:iam::123456789012:role/machine"
MACHINE = "arn:aws:states:eu-west-1:123456789012:stateMachine:m"
ARN = "arn:aws:states:eu-west-1:123456789012:execution:m:e"


@functools.cache
def service_model(service: str) -> Any:
    """botocore's model, read once: under load the reading takes longer than some of the tests' waits."""
    return botocore.session.get_session().get_service_model(service)


class FakeAws:
    """Clients with botocore's real models whose calls are answered by functions of the test."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.answers: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {}

    def client(self, service: str, *_arguments: str) -> Any:
        model = service_model(service)
        fake = self

        class Client:
            class meta:
                service_model = model

            @staticmethod
            def _make_api_call(name: str, parameters: dict[str, Any]) -> dict[str, Any]:
                fake.calls.append((name, parameters))
                return fake.answers[name](parameters)

        return Client()

    def names(self) -> list[str]:
        return [name for name, _parameters in self.calls]


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> FakeAws:
    service_model("sagemaker")
    fake = FakeAws()
    monkeypatch.setattr(clients, "client", fake.client)
    return fake


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch) -> Callable[..., execution.Execution]:
    """An execution of a definition that is not running yet."""
    monkeypatch.setattr(seams, "emit_status", lambda _record: None)
    monkeypatch.setenv("PIPELINE_LOCAL_WAIT_SCALE", "0.01")

    def prepare(definition: dict[str, Any], data: Any = None) -> execution.Execution:
        machine = {
            "stateMachineArn": MACHINE,
            "name": "m",
            "roleArn": ROLE,
            "definition": json.dumps(definition),
        }
        text = json.dumps({} if data is None else data)
        return execution.Execution(execution.new_record(ARN, machine, "e", text), machine)

    return prepare


@pytest.fixture
def run(start: Callable[..., execution.Execution]) -> Callable[..., dict[str, Any]]:
    """Run a definition to its end; the execution's record."""

    def to_the_end(definition: dict[str, Any], data: Any = None) -> dict[str, Any]:
        one = start(definition, data)
        one.run()
        return one.record

    return to_the_end


@pytest.fixture
def output(run: Callable[..., dict[str, Any]]) -> Callable[..., Any]:
    """Run a definition that must succeed; its output."""

    def succeeded(definition: dict[str, Any], data: Any = None) -> Any:
        record = run(definition, data)
        assert record["status"] == "SUCCEEDED", (record["error"], record["cause"])
        return json.loads(record["output"])

    return succeeded
