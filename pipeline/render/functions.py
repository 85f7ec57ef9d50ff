"""The template's Lambdas: code by content, settings by environment variable, one log group each."""

from __future__ import annotations

from typing import Any

from pipeline.render.context import Context, Resource, get, ref, text
from pipeline.render.lambdas import CODE_FOLDER
from pipeline.render.recipes import recipes

# One of the API's runtimes; the handlers use nothing newer than 3.11, with which they are tested.
RUNTIME = "python3.12"


def resources(context: Context) -> dict[str, Resource]:
    """Function and log group of each Lambda the state machine invokes."""
    found: dict[str, Resource] = {}
    for function, package in zip(context.functions, context.lambdas, strict=True):
        name = context.names.function(function.folder)
        found[f"{function.logical_id}LogGroup"] = log_group(context, f"/aws/lambda/{name}")
        found[f"{function.logical_id}Function"] = {
            "Type": "AWS::Lambda::Function",
            "Properties": {
                "FunctionName": name,
                "Description": function.description,
                "Runtime": RUNTIME,
                "Architectures": ["arm64"],
                "Handler": f"{CODE_FOLDER}.handler.handler",
                "Code": {"S3Bucket": ref("ArtifactBucket"), "S3Key": package.key},
                "Role": get(f"{function.logical_id}Role"),
                "MemorySize": function.memory_mb,
                "Timeout": function.timeout_seconds,
                "Environment": {"Variables": _ENVIRONMENT[function.folder](context)},
                "LoggingConfig": {"LogGroup": ref(f"{function.logical_id}LogGroup")},
                "Tags": context.tags,
            },
        }
    return found


def log_group(context: Context, name: str) -> Resource:
    """Encrypted by CloudWatch Logs' own key, and gone with the stack."""
    return {
        "Type": "AWS::Logs::LogGroup",
        "DeletionPolicy": "Delete",
        "UpdateReplacePolicy": "Delete",
        "Properties": {
            "LogGroupName": name,
            "RetentionInDays": context.settings.environment.log_retention_days,
            "Tags": context.tags,
        },
    }


def _check_data(context: Context) -> dict[str, Any]:
    settings, data = context.settings, context.settings.pipeline.data
    channels = {
        name: {"prefix": c.prefix, "content_type": c.content_type, "use": c.use}
        for name, c in data.given.items()
    }
    return {
        "BUCKET": settings.data_bucket,
        "PIPELINE": settings.name,
        "ENVIRONMENT": settings.environment_name,
        "STACK_NAME": settings.stack_name,
        "CHANNELS": text(channels),
        "DATA_PREFIX": data.prefix,
        "SUFFIX": data.suffix,
        "WINDOW_DAYS": str(data.window_days),
        "WATERMARK_PARAMETER": context.names.watermark,
        "FINGERPRINTS": text(recipes(context.asl)),
        "IMAGE_URI": ref("ImageUri"),
        "ARTIFACT_BUCKET": settings.artifact_bucket,
        "TIMEZONE": settings.pipeline.schedule.timezone,
    }


def _find_reusable(context: Context) -> dict[str, Any]:
    return {
        **_stack(context),
        "ARTIFACT_BUCKET": context.settings.artifact_bucket,
        "IMAGE_URI": ref("ImageUri"),
    }


def _find_baseline(context: Context) -> dict[str, Any]:
    return {**_stack(context), "ARTIFACT_BUCKET": context.settings.artifact_bucket}


def _notify(context: Context) -> dict[str, Any]:
    notification = context.settings.environment.notification
    # A name serves as the id; the ARN's last six characters are Secrets Manager's choice.
    return {
        "SLACK_SECRET_ARN": (notification.slack_secret or "") if notification.enabled else "",
        "CHANNEL": notification.channel or "",
        "ENABLED": str(notification.enabled).lower(),
    }


def _stack(context: Context) -> dict[str, Any]:
    return {"STACK_NAME": context.settings.stack_name}


def _request_approval(context: Context) -> dict[str, Any]:
    return {**_stack(context), "ARTIFACT_BUCKET": context.settings.artifact_bucket}


def _gate_data(context: Context) -> dict[str, Any]:
    return {**_stack(context), "ARTIFACT_BUCKET": context.settings.artifact_bucket}


def _collect_superseded(context: Context) -> dict[str, Any]:
    return {**_stack(context), "KEEP": str(context.settings.pipeline.keep_endpoint_configs)}


def _none(_: Context) -> dict[str, Any]:
    return {}


_ENVIRONMENT = {
    "check_data": _check_data,
    "find_reusable": _find_reusable,
    "explain_build": _none,
    "start_build": _none,
    "find_champion": _stack,
    "gate": _stack,
    "find_baseline": _find_baseline,
    "judge_drift": _stack,
    "gate_data": _gate_data,
    "notify": _notify,
    "query_training_metrics": _stack,
    "request_approval": _request_approval,
    "smoke_test": _stack,
    "collect_superseded": _collect_superseded,
}
