"""What a SageMaker job's or model's role needs: its image, its log, and the S3 places its Task names."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from pipeline.check.needs.hosting import rolls_back
from pipeline.check.needs.need import Need
from pipeline.check.needs.tasks import glob, role_named, role_values
from pipeline.check.states import State, integration, tasks
from pipeline.check.subject import Subject

# https://docs.aws.amazon.com/sagemaker/latest/dg/sagemaker-roles.html, for each API that takes a role
_PULL = ("ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer")
_LOG = ("logs:CreateLogStream", "logs:PutLogEvents")
_MAY = (
    "cloudwatch:PutMetricData",
    "ecr:GetAuthorizationToken",
    "kms:CreateGrant",
    "kms:Decrypt",
    "kms:DescribeKey",
    "kms:Encrypt",
    "kms:GenerateDataKey",
    "logs:CreateLogGroup",
    "logs:DescribeLogStreams",
    "s3:AbortMultipartUpload",
    "s3:GetBucketLocation",
    "s3:ListBucket",
)
_IMAGES = ("TrainingImage", "ImageUri", "Image")
# Parameter that holds an S3 URI, by the end of its path -> what is done there.
_READS = ("S3DataSource.S3Uri", "S3Input.S3Uri", "ModelDataUrl")
_WRITES = ("OutputDataConfig.S3OutputPath", "S3Output.S3Uri", "DebugHookConfig.S3OutputPath")
_BOTH = ("CheckpointConfig.S3Uri",)
# Of an endpoint's configuration, written as its model's role:
# https://docs.aws.amazon.com/sagemaker/latest/dg/model-monitor-data-capture-endpoint.html
_CAPTURES = "DataCaptureConfig.DestinationS3Uri"


def of_jobs(subject: Subject) -> Iterator[tuple[str, Need]]:
    """Every (role, need) of the roles that Tasks hand to SageMaker."""
    watched = False
    hosts: dict[str, State] = {}
    captured: list[tuple[State, str]] = []
    for task in tasks(subject.asl):
        call = integration(task.body)
        if call is None or call.service != "sagemaker":
            continue
        captured += [(task, uri) for path, uri in _values(task.arguments) if path.endswith(_CAPTURES)]
        watched = watched or rolls_back(call, task.arguments if isinstance(task.arguments, dict) else {})
        for role in {role_named(subject, value) for value in role_values(task.arguments)} - {""}:
            if call.operation == "CreateModel":
                hosts[role] = task
            for need in _of_task(subject, task):
                yield role, need
    for role in hosts:
        # Somebody may ask the model for answers to a whole dataset: a transform job runs as its role.
        yield role, Need("s3:PutObject", "*", "the model's batch transforms store answers", optional=True)
        for task, uri in captured:
            yield role, Need("s3:PutObject", _objects(uri), f"{task.name} captures requests", task.path)
    for role, task in hosts.items() if watched else ():
        yield (
            role,
            Need("cloudwatch:DescribeAlarms", "*", f"alarms watch the model of {task.name}", task.path),
        )


def _of_task(subject: Subject, task: State) -> Iterator[Need]:
    why = f"{task.name} runs with it"
    for action in _MAY:
        yield Need(action, "*", why, optional=True)
    for action in _LOG:
        yield Need(action, "*", f"{task.name} writes its log", task.path)
    for path, value in _values(task.arguments):
        # Which image it is may be known in the run alone: one that it has built, or the champion's.
        if path.rsplit(".", 1)[-1] in _IMAGES and (".dkr.ecr." in value or "${" in value or value == "*"):
            yield Need("ecr:GetAuthorizationToken", "*", f"{task.name} pulls its image", task.path)
            for action in _PULL:
                yield Need(action, _repository(subject, value), f"{task.name} pulls its image", task.path)
        elif path.endswith(".ModelPackageName"):
            # Image and artifact are what the version says.
            for action in ("ecr:GetAuthorizationToken", *_PULL):
                yield Need(action, "*", f"{task.name} pulls the image of a model version", task.path)
            for action in ("s3:GetObject", "s3:ListBucket"):
                yield Need(action, "*", f"{task.name} reads the artifact of a model version", task.path)
        elif path.endswith(_READS):
            yield Need("s3:GetObject", _objects(value), f"{task.name} reads {path}", task.path)
            yield Need("s3:ListBucket", _bucket(value), f"{task.name} reads {path}", task.path)
        elif path.endswith(_WRITES):
            yield Need("s3:PutObject", _objects(value), f"{task.name} writes {path}", task.path)
        elif path.endswith(_BOTH):
            for action in ("s3:GetObject", "s3:PutObject"):
                yield Need(action, _objects(value), f"{task.name} keeps {path}", task.path)
            yield Need("s3:ListBucket", _bucket(value), f"{task.name} keeps {path}", task.path)
            # A checkpoint deleted in the container is deleted in S3, too:
            # https://docs.aws.amazon.com/sagemaker/latest/dg/model-checkpoints.html
            yield Need("s3:DeleteObject", _objects(value), f"{task.name} keeps {path}", optional=True)


def _values(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Every (path without list indices and .$, text or glob)."""
    if isinstance(value, dict):
        for key, child in value.items():
            at = f"{path}.{key.removesuffix('.$')}"
            if isinstance(child, str):
                yield at, glob(child) if key.endswith(".$") else child
            else:
                yield from _values(child, at)
    elif isinstance(value, list):
        for child in value:
            yield from _values(child, path)


def _objects(uri: str) -> str:
    """The ARN of everything under an S3 URI; * when the bucket is known only at run time."""
    match = re.match(r"s3://([^/*]+)/?(.*)$", uri)
    return f"arn:aws:s3:::{match[1]}/{match[2].rstrip('/')}*" if match else "*"


def _bucket(uri: str) -> str:
    match = re.match(r"s3://([^/*]+)", uri)
    return f"arn:aws:s3:::{match[1]}" if match else "*"


def _repository(subject: Subject, image: str) -> str:
    """ARN of the image's repository, as far as it is known."""
    match = re.match(r"(\d{12})\.dkr\.ecr\.([a-z0-9-]+)\.[^/]+/([^@:]+)", subject.text(image))
    return f"arn:aws:ecr:{match[2]}:{match[1]}:repository/{match[3]}" if match else "*"
