"""Pure parts of what is reported: log entries, levels, alarm states, a schedule's input."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.local.adapter.alarms import judge
from pipeline.local.adapter.executions import entry, wanted
from pipeline.local.adapter.schedules import filled


@pytest.mark.parametrize(
    ("level", "kinds"),
    [
        ("ALL", ["TaskStateEntered", "TaskFailed", "ExecutionFailed", "WaitStateAborted"]),
        ("ERROR", ["TaskFailed", "ExecutionFailed", "WaitStateAborted"]),
        ("FATAL", ["ExecutionFailed"]),
        ("OFF", []),
    ],
)
def test_levels(level: str, kinds: list[str]) -> None:
    every = ["TaskStateEntered", "TaskFailed", "ExecutionFailed", "WaitStateAborted"]
    assert [kind for kind in every if wanted(level, kind)] == kinds


def test_an_entry_is_text_and_holds_data_only_if_asked() -> None:
    event = {
        "id": 2,
        "previousEventId": 1,
        "timestamp": "2026-11-22T10:00:00.250Z",
        "type": "PassStateEntered",
        "stateEnteredEventDetails": {"name": "P", "input": "{}", "inputDetails": {"truncated": False}},
    }
    assert entry(event, "arn", data=False) == {
        "id": "2",
        "type": "PassStateEntered",
        "details": {"name": "P"},
        "previous_event_id": "1",
        "event_timestamp": "1795341600250",
        "execution_arn": "arn",
    }
    assert entry(event, "arn", data=True)["details"]["input"] == "{}"


def alarm(**more: Any) -> dict[str, Any]:
    base = {"ComparisonOperator": "GreaterThanOrEqualToThreshold", "Threshold": 1, "StateValue": "OK"}
    return {**base, **more}


@pytest.mark.parametrize(
    ("settings", "values", "state"),
    [
        ({}, [1.0], "ALARM"),
        ({}, [0.0], "OK"),
        ({}, [1.0, 0.0], "OK"),
        ({"DatapointsToAlarm": 1}, [0.0, 1.0], "ALARM"),
        ({}, [None], "INSUFFICIENT_DATA"),
        ({"TreatMissingData": "notBreaching"}, [None], "OK"),
        ({"TreatMissingData": "breaching"}, [None], "ALARM"),
        ({"TreatMissingData": "ignore", "StateValue": "ALARM"}, [None], "ALARM"),
        ({"TreatMissingData": "notBreaching"}, [1.0, None], "OK"),
        ({"ComparisonOperator": "LessThanThreshold", "Threshold": 5}, [4.9], "ALARM"),
    ],
)
def test_the_state_of_an_alarm(settings: dict[str, Any], values: list[float | None], state: str) -> None:
    assert judge(alarm(**settings), values) == state


def test_a_schedules_input() -> None:
    text = '["<aws.scheduler.scheduled-time>", "<aws.scheduler.schedule-arn>", "<aws.scheduler.x>"]'
    given = filled(text, {"Arn": "arn:s"}, 1795341600.0)
    assert given == '["2026-11-22T10:00:00Z", "arn:s", "<aws.scheduler.x>"]'
