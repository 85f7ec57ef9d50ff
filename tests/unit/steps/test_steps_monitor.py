"""The second state machine: its ways, what it hands on, and that it starts the pipeline's own runs alone."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from pipeline.steps import view

Make = Callable[..., view.Settings]
MONITOR: dict[str, Any] = {
    "features": {
        "length": {"request": "cast(columns[0] as double)", "training": "_c1", "psi": 0.1, "ks": None},
        "score": {"request": "answer", "training": None, "psi": None, "ks": None},
    },
    "limits": {"psi": 0.25, "ks": 0.15, "nulls": 0.05, "new_categories": None, "missing_categories": None},
    "channel": "train",
    "window_hours": 24,
    "minimum_requests": 1000,
    "retrain": True,
    "again_after_days": 7,
}
CODE = {"scripts": {"monitor": "s3://b/code/1.py"}, "library": "s3://b/code/2.zip"}


@pytest.fixture
def found(settings_with: Make) -> dict[str, Any]:
    from pipeline.steps.child import to_asl
    from pipeline.steps.monitor import machine

    changes = {"pipeline.monitor": MONITOR, "code": CODE}
    states: dict[str, Any] = to_asl(machine(settings_with(changes)))["States"]
    return states


def test_each_answer_leads_where_it_says(found: dict[str, Any]) -> None:
    ends = {
        "IsThereAnythingToCompare": ("CompareRequests", "NotCompared"),
        "AreThereEnoughRequests": ("DidTheyDrift", "TooFewRequests"),
        "DidTheyDrift": ("NotifyDrift", "NoDrift"),
        "IsARunWanted": ("StartRun", "DriftTold"),
    }
    for name, (onward, otherwise) in ends.items():
        (choice,) = found[name]["Choices"]
        assert (choice["BooleanEquals"], choice["Next"], found[name]["Default"]) == (True, onward, otherwise)
        assert found[otherwise]["Type"] == "Succeed"
    # A message that cannot be sent keeps no run from starting.
    assert found["NotifyDrift"]["Next"] == found["NotifyDrift"]["Catch"][0]["Next"] == "IsARunWanted"


def test_the_job_gets_the_expressions_and_the_limits_of_each_feature(found: dict[str, Any]) -> None:
    parameters = found["CompareRequests"]["Parameters"]
    assert parameters["JobName"] == "demo-dev-monitor"
    arguments = parameters["Arguments"]
    assert arguments["--scriptLocation"] == CODE["scripts"]["monitor"]
    assert json.loads(arguments["--FEATURES"]) == {
        "length": {"request": "cast(columns[0] as double)", "training": "_c1"},
        "score": {"request": "answer"},
    }
    assert json.loads(arguments["--LIMITS"]) == {
        "length": {"psi": 0.1, "ks": 0.15, "nulls": 0.05},
        "score": {"psi": 0.25, "ks": 0.15, "nulls": 0.05},
    }
    # The baseline is named after what decides it.
    assert found["FindBaseline"]["Parameters"]["Payload"]["features"] == json.loads(arguments["--FEATURES"])


def test_a_run_is_the_pipelines_own_and_its_name_is_taken_once(found: dict[str, Any]) -> None:
    start = found["StartRun"]
    assert start["Resource"].endswith(":states:startExecution")
    assert start["Parameters"] == {
        "StateMachineArn": "arn:aws:states:eu-west-1:123456789012:stateMachine:demo-dev",
        "Name.$": "$.verdict.name",
        "Input.$": "$.verdict.input",
    }
    taken = start["Catch"][0]
    assert taken["ErrorEquals"] == ["StepFunctions.ExecutionAlreadyExistsException"]
    assert found[taken["Next"]]["Type"] == "Succeed"


def test_every_failure_is_told(found: dict[str, Any]) -> None:
    for name in ("FindBaseline", "CompareRequests", "JudgeDrift", "StartRun"):
        assert found[name]["Catch"][-1] == {
            "ErrorEquals": ["States.ALL"],
            "Next": "HasCause",
            "ResultPath": "$.error",
        }
        assert found[name]["Retry"]
        assert found[name]["TimeoutSeconds"]
