"""The CloudFormation template of a pipeline: its sections put together, with parameters and outputs."""

from __future__ import annotations

from typing import Any

from pipeline.render import alarms, functions, glue, machine, monitor, roles
from pipeline.render import build as image_build
from pipeline.render.context import Context, ref


def build(context: Context) -> dict[str, Any]:
    """The whole template as data. Every name and ARN that settings decide is written out."""
    sections = [roles, functions, machine, alarms, glue, monitor, image_build]
    resources: dict[str, Any] = {}
    for section in sections:
        found = section.resources(context)
        assert not resources.keys() & found.keys(), "two sections use one logical id"
        resources |= found
    return {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": _description(context),
        "Parameters": _parameters(context),
        "Resources": resources,
        "Outputs": _outputs(context),
    }


def _description(context: Context) -> str:
    text = context.settings.pipeline.description or context.names.pipeline
    return f"{text} ({context.names.environment}); rendered, change pipeline/definitions instead"[:1024]


def _parameters(context: Context) -> dict[str, Any]:
    return {
        "ImageUri": {
            "Type": "String",
            "Description": "The container by digest: <repository>@sha256:<64 hex>",
            "AllowedPattern": r"^[^\s@]+(@sha256:[0-9a-f]{64}|:src-[0-9a-f]{16}(-[0-9a-f]{8})?)$",
        },
        "ArtifactBucket": {
            "Type": "String",
            "Description": "The account's bucket; policies are written for this one",
            "Default": context.names.artifact_bucket,
            "AllowedValues": [context.names.artifact_bucket],
        },
        "GitSha": {
            "Type": "String",
            "Description": "The commit this was rendered from; goes into the model registry",
            "Default": "unknown",
            "AllowedPattern": r"^[\w.:/=+@-]{1,256}$",
        },
    }


def _outputs(context: Context) -> dict[str, Any]:
    values: dict[str, tuple[str, Any]] = {
        "StateMachineArn": ("What a run is an execution of", ref("StateMachine")),
        "EndpointName": ("The endpoint that runs deploy to", context.names.stack),
        "ModelPackageGroupName": ("The registry of its models", context.names.stack),
        "WatermarkParameter": ("What was last trained on and deployed", ref("Watermark")),
        "LogGroupName": ("The log of executions", ref("StateMachineLogGroup")),
        "AlarmTopicArn": ("Where alarms are published", ref("AlarmTopic")),
        "ImageUri": ("The container that runs use", ref("ImageUri")),
    }
    return {name: {"Description": text, "Value": value} for name, (text, value) in values.items()}
