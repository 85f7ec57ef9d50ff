"""A gate's verdict found again in a run's history."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from pipeline.errors import ExecutionError
from pipeline.execution import gate

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
    assert found == {"execution": "a", "status": "FAILED", **VERDICT}


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
