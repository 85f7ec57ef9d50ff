"""What [monitor] adds to the template, and that nothing of it is there without."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.names import Names
from pipeline.render import alarms, glue, monitor, roles
from pipeline.render.context import Context
from pipeline.settings.model import Settings

MACHINE: dict[str, Any] = {
    "StartAt": "StartRun",
    "States": {
        "StartRun": {
            "Type": "Task",
            "Resource": "arn:aws:states:::states:startExecution",
            "Parameters": {
                "StateMachineArn": "arn:aws:states:eu-west-1:123456789012:stateMachine:demo-dev",
                "Input": {},
            },
            "End": True,
        }
    },
}
FEATURES = {"features": {"x": {"request": "body"}}}


@pytest.fixture
def context(make_settings: Callable[..., Settings], tmp_path: Path) -> Callable[..., Context]:
    for name in ("monitor/compare.py", "common/__init__.py"):
        (tmp_path / "glue_scripts" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "glue_scripts" / name).write_text("X = 1\n")

    def make(**pipeline: Any) -> Context:
        settings = make_settings(pipeline=pipeline)
        machine = MACHINE if pipeline.get("monitor") else None
        return Context(settings, Names.of(settings), {"States": {}}, [], (), machine)

    return make


def actions(role: dict[str, Any]) -> dict[str, list[Any]]:
    statements = role["Properties"]["Policies"][0]["PolicyDocument"]["Statement"]
    return {action: s["Resource"] for s in statements for action in s["Action"]}


def test_without_monitor_there_is_nothing_of_it(context: Callable[..., Context]) -> None:
    plain = context()
    assert monitor.resources(plain) == {}
    assert not [name for name in roles.resources(plain) if "Monitor" in name]
    assert glue.packages(plain.settings) == ()


def test_a_machine_by_the_clock_with_its_job(context: Callable[..., Context]) -> None:
    schedule = {"expression": "rate(1 hour)", "enabled": True}
    found = monitor.resources(context(monitor={**FEATURES, "schedule": schedule}))
    machine = found["MonitorStateMachine"]["Properties"]
    assert machine["StateMachineName"] == "demo-dev-monitor"
    assert json.loads(machine["DefinitionString"]) == MACHINE
    clock = found["MonitorSchedule"]["Properties"]
    assert (clock["State"], clock["ScheduleExpression"]) == ("ENABLED", "rate(1 hour)")
    assert clock["Target"]["Arn"] == {"Ref": "MonitorStateMachine"}
    job = found["MonitorJob"]["Properties"]
    assert job["Name"] == "demo-dev-monitor"
    assert job["Role"] == {"Fn::GetAtt": ["MonitorRole", "Arn"]}


def test_the_alarm_stays_between_comparisons_and_may_be_told(context: Callable[..., Context]) -> None:
    made = context(monitor=FEATURES)
    alarm = monitor.resources(made)["DriftAlarm"]["Properties"]
    assert (alarm["Namespace"], alarm["MetricName"]) == ("ml/Drift", "DriftedFeatures")
    assert alarm["TreatMissingData"] == "ignore"
    assert alarm["AlarmActions"] == [{"Ref": "AlarmTopic"}]
    # The topic's policy lets in alarms by the stack's name.
    policy = alarms.resources(made)["AlarmTopicPolicy"]["Properties"]["PolicyDocument"]["Statement"][0]
    assert policy["Condition"]["ArnLike"]["aws:SourceArn"].endswith(":alarm:demo-dev-*")
    assert alarm["AlarmName"].startswith("demo-dev-")


def test_each_role_has_what_it_needs(context: Callable[..., Context]) -> None:
    found = roles.resources(context(monitor=FEATURES))
    machine = found["MonitorMachineRole"]
    main = "arn:aws:states:eu-west-1:123456789012:stateMachine:demo-dev"
    assert actions(machine)["states:StartExecution"] == [main]
    trust = machine["Properties"]["AssumeRolePolicyDocument"]["Statement"][0]
    assert trust["Condition"]["ArnEquals"] == {"aws:SourceArn": f"{main}-monitor"}
    job = actions(found["MonitorRole"])
    bucket = "arn:aws:s3:::ml-123456789012-eu-west-1"
    assert job["s3:PutObject"] == [f"{bucket}/demo-dev/monitor/*"]
    assert f"{bucket}/demo-dev/capture/*" in job["s3:GetObject"]
    assert f"{bucket}/input-training/*" in job["s3:GetObject"]
    # Held-out data is none of its business.
    assert f"{bucket}/input-test/*" not in job["s3:GetObject"]
    started = actions(found["SchedulerRole"])["states:StartExecution"]
    assert started == [{"Ref": "MonitorStateMachine"}, {"Ref": "StateMachine"}]
    # With [monitor] requests are captured, as the model's role.
    assert f"{bucket}/demo-dev/capture/*" in actions(found["ModelRole"])["s3:PutObject"]
