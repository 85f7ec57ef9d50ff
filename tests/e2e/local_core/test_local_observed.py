"""What a state machine's end leaves behind: its log, its metrics, its alarm; what a schedule may start."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.e2e.local_core.conftest import ACCOUNT, REGION, Target, until

FAILS = {"StartAt": "F", "States": {"F": {"Type": "Fail", "Error": "Bad", "Cause": "data"}}}
PASSES = {"StartAt": "P", "States": {"P": {"Type": "Pass", "End": True}}}


def machine(target: Target, name: str, definition: dict[str, Any], level: str = "ALL") -> str:
    role = target.role(f"{name}-machine", "states")
    target.client("logs").create_log_group(logGroupName=f"/states/{name}")
    group = f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:/states/{name}:*"
    created = target.client("stepfunctions").create_state_machine(
        name=name,
        definition=json.dumps(definition),
        roleArn=role,
        loggingConfiguration={
            "level": level,
            "includeExecutionData": True,
            "destinations": [{"cloudWatchLogsLogGroup": {"logGroupArn": group}}],
        },
    )
    return str(created["stateMachineArn"])


def ended(target: Target, arn: str, name: str) -> None:
    states = target.client("stepfunctions")
    run = states.start_execution(stateMachineArn=arn, name=name, input='{"a": 1}')["executionArn"]
    until(lambda: states.describe_execution(executionArn=run)["status"] != "RUNNING")


def logged(target: Target, name: str) -> list[dict[str, Any]]:
    events = target.client("logs").filter_log_events(logGroupName=f"/states/{name}")["events"]
    return [json.loads(event["message"]) for event in events]


def test_the_history_is_logged(target: Target) -> None:
    ended(target, machine(target, "logs-all", PASSES), "one")
    entries = until(lambda: logged(target, "logs-all"))
    assert [entry["type"] for entry in entries] == [
        "ExecutionStarted",
        "PassStateEntered",
        "PassStateExited",
        "ExecutionSucceeded",
    ]
    assert entries[0]["details"]["input"] == '{"a": 1}'
    assert entries[0]["execution_arn"].endswith(":logs-all:one")


def test_errors_only(target: Target) -> None:
    ended(target, machine(target, "logs-errors", FAILS, "ERROR"), "one")
    entries = until(lambda: logged(target, "logs-errors"))
    assert [entry["type"] for entry in entries] == ["FailStateEntered", "ExecutionFailed"]
    assert entries[-1]["details"] == {"error": "Bad", "cause": "data"}


def test_a_failed_execution_raises_its_machines_alarm_only(target: Target) -> None:
    cloudwatch = target.client("cloudwatch")
    arns = {name: machine(target, name, FAILS) for name in ("alarmed", "quiet")}
    topic = target.client("sns").create_topic(Name="alarms")["TopicArn"]
    queue_arn = f"arn:aws:sqs:{REGION}:{ACCOUNT}:told"
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": "sns.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": queue_arn,
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    made = target.client("sqs").create_queue(QueueName="told", Attributes={"Policy": policy})
    queue = made["QueueUrl"]
    target.client("sns").subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue_arn)
    for name, arn in arns.items():
        cloudwatch.put_metric_alarm(
            AlarmName=name,
            Namespace="AWS/States",
            MetricName="ExecutionsFailed",
            Dimensions=[{"Name": "StateMachineArn", "Value": arn}],
            Statistic="Sum",
            Period=300,
            EvaluationPeriods=1,
            Threshold=1,
            ComparisonOperator="GreaterThanOrEqualToThreshold",
            TreatMissingData="notBreaching",
            AlarmActions=[topic],
        )
    ended(target, arns["alarmed"], "one")

    def state(name: str) -> str:
        return str(cloudwatch.describe_alarms(AlarmNames=[name])["MetricAlarms"][0]["StateValue"])

    until(lambda: state("alarmed") == "ALARM")
    assert state("quiet") == "OK"
    told = until(lambda: target.client("sqs").receive_message(QueueUrl=queue).get("Messages"))
    assert "ExecutionsFailed" in told[0]["Body"] or "alarmed" in told[0]["Body"]


@pytest.mark.parametrize("allowed", [True, False])
def test_a_schedule_starts_what_its_role_allows(target: Target, allowed: bool) -> None:
    name = f"scheduled-{'yes' if allowed else 'no'}"
    arn = machine(target, name, PASSES)
    statement = {
        "Effect": "Allow",
        "Action": "states:StartExecution",
        "Resource": arn if allowed else f"{arn}-x",
    }
    role = target.role(f"{name}-scheduler", "scheduler", statement)
    soon = datetime.now(UTC) + timedelta(seconds=1)
    target.client("scheduler").create_schedule(
        Name=name,
        ScheduleExpression=f"at({soon:%Y-%m-%dT%H:%M:%S})",
        FlexibleTimeWindow={"Mode": "OFF"},
        Target={"Arn": arn, "RoleArn": role, "Input": '{"DATE": "<aws.scheduler.scheduled-time>"}'},
    )
    states = target.client("stepfunctions")

    def runs() -> list[dict[str, Any]]:
        return list(states.list_executions(stateMachineArn=arn)["executions"])

    if allowed:
        run = until(runs, 20)[0]
        given = json.loads(states.describe_execution(executionArn=run["executionArn"])["input"])
        assert datetime.fromisoformat(given["DATE"]) >= soon - timedelta(seconds=1)
    else:
        log = target.root / ".pipeline" / "local" / "server.log"
        until(lambda: "does not allow states:StartExecution" in log.read_text(), 20)
        assert runs() == []
