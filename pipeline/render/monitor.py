"""The template's second state machine: the comparison of requests with the training data, by the clock.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/AlarmThatSendsEmail.html#alarms-and-missing-data
"""

from __future__ import annotations

from typing import Any

from pipeline.render.context import Context, Resource, get, ref, text
from pipeline.render.functions import log_group
from pipeline.render.glue import MONITOR, MONITOR_SCRIPT, job
from pipeline.render.grants import channels, listing, logs, metrics
from pipeline.render.model import canonical
from pipeline.render.permissions import derive
from pipeline.render.statement import Statement, allow

PERIOD_SECONDS = 300


def resources(context: Context) -> dict[str, Resource]:
    """Nothing without [monitor]."""
    if context.monitor is None:
        return {}
    names = context.names
    definition = canonical(context.monitor)
    return {
        "MonitorLogGroup": log_group(context, f"/aws/vendedlogs/states/{names.monitor}"),
        "MonitorStateMachine": {
            "Type": "AWS::StepFunctions::StateMachine",
            "DependsOn": [
                *(f"{name}Function" for name in ("FindBaseline", "JudgeDrift", "Notify")),
                "MonitorJob",
            ],
            "Properties": {
                "StateMachineName": names.monitor,
                "StateMachineType": "STANDARD",
                "DefinitionString": definition,
                "RoleArn": get("MonitorMachineRole"),
                "LoggingConfiguration": {
                    "Level": "ALL",
                    "IncludeExecutionData": True,
                    "Destinations": [{"CloudWatchLogsLogGroup": {"LogGroupArn": get("MonitorLogGroup")}}],
                },
                "TracingConfiguration": {"Enabled": True},
                "Tags": context.tags,
            },
        },
        "MonitorSchedule": _schedule(context),
        "MonitorJob": job(context, names.monitor, MONITOR, MONITOR_SCRIPT, "MonitorRole"),
        "DriftAlarm": _alarm(
            context,
            f"{names.stack}-Drift",
            "Requests differ from what the model was trained on by more than [monitor] allows",
            names.monitor_namespace,
            "DriftedFeatures",
            [{"Name": "Endpoint", "Value": names.stack}],
            "Maximum",
            # Between two comparisons nothing is known that was not known before.
            missing="ignore",
        ),
        "MonitorFailedAlarm": _alarm(
            context,
            f"{names.monitor}-ExecutionsFailed",
            f"ExecutionsFailed of the state machine {names.monitor}",
            "AWS/States",
            "ExecutionsFailed",
            [{"Name": "StateMachineArn", "Value": ref("MonitorStateMachine")}],
            "Sum",
            missing="notBreaching",
        ),
    }


def _schedule(context: Context) -> Resource:
    monitor = context.settings.pipeline.monitor
    assert monitor is not None
    return {
        "Type": "AWS::Scheduler::Schedule",
        "Properties": {
            "Name": context.names.monitor,
            "Description": f"Runs {context.names.monitor} by the clock",
            "State": "ENABLED" if monitor.schedule.enabled else "DISABLED",
            "ScheduleExpression": monitor.schedule.expression,
            "ScheduleExpressionTimezone": monitor.schedule.timezone,
            "FlexibleTimeWindow": {"Mode": "OFF"},
            "Target": {
                "Arn": ref("MonitorStateMachine"),
                "RoleArn": get("SchedulerRole"),
                "Input": text({}),
                "RetryPolicy": {"MaximumEventAgeInSeconds": 3600, "MaximumRetryAttempts": 5},
            },
        },
    }


def _alarm(
    context: Context,
    name: str,
    description: str,
    namespace: str,
    metric: str,
    dimensions: list[dict[str, Any]],
    statistic: str,
    *,
    missing: str,
) -> Resource:
    return {
        "Type": "AWS::CloudWatch::Alarm",
        "Properties": {
            "AlarmName": name,
            "AlarmDescription": description,
            "Namespace": namespace,
            "MetricName": metric,
            "Dimensions": dimensions,
            "Statistic": statistic,
            "Period": PERIOD_SECONDS,
            "EvaluationPeriods": 1,
            "Threshold": 1,
            "ComparisonOperator": "GreaterThanOrEqualToThreshold",
            "TreatMissingData": missing,
            "AlarmActions": [ref("AlarmTopic")],
            "Tags": context.tags,
        },
    }


def roles(context: Context) -> dict[str, tuple[str, list[Statement]]]:
    """The service and the statements of the roles that only [monitor] needs, by actor."""
    if context.monitor is None:
        return {}
    return {
        "MonitorMachine": ("states", derive(context.monitor, context.names, [])),
        "Monitor": ("glue", _compares(context)),
    }


def _compares(context: Context) -> list[Statement]:
    """The Glue job: reads captures and training data, writes baselines and reports."""
    names = context.names
    bucket = names.artifact_bucket
    captured, own = f"{names.capture_prefix}/*", f"{names.monitor_prefix}/*"
    return [
        *channels(context, "train"),
        allow("s3:GetObject", [names.bucket_arn(bucket, each) for each in (captured, own, "code/*")]),
        allow("s3:PutObject", names.bucket_arn(bucket, own)),
        listing(context, bucket, [captured, own]),
        *logs(context, "/aws-glue/jobs/*"),
        metrics("Glue"),
    ]
