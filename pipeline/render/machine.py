"""The template's state machine, with its log, what starts it by the clock, and what it keeps."""

from __future__ import annotations

import re
from pathlib import Path

from pipeline.names import ROLES
from pipeline.render.context import Context, Resource, get, ref, text
from pipeline.render.functions import log_group
from pipeline.render.model import canonical
from pipeline.render.tasks import call, tasks

# EventBridge Scheduler puts the planned time here, so that a late start still reads the right day.
SCHEDULED_TIME = "<aws.scheduler.scheduled-time>"
# Metadata of the state machine's resource: the workflow is a file's (`pipeline apply --asl`).
GIVEN = "WorkflowFromFile"


def resources(context: Context) -> dict[str, Resource]:
    names = context.names
    definition = canonical(context.asl)
    return {
        "StateMachineLogGroup": log_group(context, names.state_machine_log_group),
        "EndpointLogGroup": log_group(context, f"/aws/sagemaker/Endpoints/{names.stack}"),
        "StateMachine": {
            "Type": "AWS::StepFunctions::StateMachine",
            # A run may start as soon as this exists, so what it calls comes before.
            "DependsOn": sorted(f"{function.logical_id}Function" for function in context.functions),
            **_given(context),
            "Properties": {
                "StateMachineName": names.stack,
                "StateMachineType": "STANDARD",
                "DefinitionString": definition,
                "DefinitionSubstitutions": _substitutions(definition),
                "RoleArn": get("StateMachineRole"),
                "LoggingConfiguration": {
                    "Level": "ALL",
                    "IncludeExecutionData": True,
                    "Destinations": [
                        {"CloudWatchLogsLogGroup": {"LogGroupArn": get("StateMachineLogGroup")}}
                    ],
                },
                "TracingConfiguration": {"Enabled": True},
                "Tags": context.tags,
            },
        },
        "ModelPackageGroup": {
            "Type": "AWS::SageMaker::ModelPackageGroup",
            "Properties": {
                "ModelPackageGroupName": names.stack,
                "ModelPackageGroupDescription": context.settings.pipeline.description or names.stack,
                "Tags": context.tags,
            },
        },
        "Watermark": {
            "Type": "AWS::SSM::Parameter",
            "Properties": {
                "Name": names.watermark,
                "Type": "String",
                "Value": "{}",
                "Description": "What was last trained on and deployed; written by the state machine",
                "Tags": context.tag_map,
            },
        },
        **_parameters(context),
        "Schedule": _schedule(context),
        **_model_metric(context),
    }


def _given(context: Context) -> dict[str, Resource]:
    """Marks a workflow that is not the definition's, so that whoever plans the next change is told."""
    given = context.settings.workflow
    if given is None:
        return {}
    return {"Metadata": {GIVEN: {"File": Path(given.label).name, "Sha256": given.sha256}}}


def _parameters(context: Context) -> dict[str, Resource]:
    """The parameters that the state machine puts, so that they go with the stack; but for the watermark."""
    found: dict[str, Resource] = {}
    for state_name, state in tasks(context.asl):
        called, name = call(str(state.get("Resource", ""))), state.get("Parameters", {}).get("Name")
        if not called or (called.service, called.operation) != ("ssm", "PutParameter"):
            continue
        if not name or name == context.names.watermark:
            continue
        found[f"{re.sub(r'[^A-Za-z0-9]', '', state_name)}Parameter"] = {
            "Type": "AWS::SSM::Parameter",
            "Properties": {
                "Name": name,
                "Type": "String",
                "Value": "{}",
                "Description": f"Written by the state {state_name}",
                "Tags": context.tag_map,
            },
        }
    return found


def _model_metric(context: Context) -> dict[str, Resource]:
    """What takes the model's own metric out of the container's log, one number a line (serving.metric)."""
    metric = context.settings.environment.rollout.alarms.model
    if metric is None:
        return {}
    return {
        "ModelMetricFilter": {
            "Type": "AWS::Logs::MetricFilter",
            "Properties": {
                "FilterName": f"{context.names.stack}-{metric.name}",
                "LogGroupName": ref("EndpointLogGroup"),
                "FilterPattern": f'{{ $.event = "metric" && $.name = "{metric.name}" }}',
                "MetricTransformations": [
                    {
                        "MetricNamespace": f"{context.names.project}/Models",
                        "MetricName": metric.name,
                        "MetricValue": "$.value",
                        "Dimensions": [{"Key": "EndpointConfigName", "Value": "$.deployment"}],
                    }
                ],
            },
        }
    }


def _substitutions(definition: str) -> dict[str, object]:
    """A value for each `${Token}` of the state machine: roles and the template's parameters."""
    tokens = sorted(set(re.findall(r"\$\{(\w+)\}", definition)))
    roles = {f"{actor}RoleArn": get(f"{actor}Role") for actor in ROLES}
    return {token: roles.get(token, ref(token)) for token in tokens}


def _schedule(context: Context) -> Resource:
    schedule = context.settings.pipeline.schedule
    return {
        "Type": "AWS::Scheduler::Schedule",
        "Properties": {
            "Name": context.names.stack,
            "Description": f"Runs {context.names.stack} by the clock",
            "State": "ENABLED" if schedule.enabled else "DISABLED",
            "ScheduleExpression": schedule.expression,
            "ScheduleExpressionTimezone": schedule.timezone,
            "FlexibleTimeWindow": {"Mode": "OFF"},
            "Target": {
                "Arn": ref("StateMachine"),
                "RoleArn": get("SchedulerRole"),
                "Input": text({"DATE": SCHEDULED_TIME}),
                "RetryPolicy": {"MaximumEventAgeInSeconds": 3600, "MaximumRetryAttempts": 5},
            },
        },
    }
