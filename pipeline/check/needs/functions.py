"""What a function's role needs: what its source calls through boto3."""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterator
from typing import Any

from pipeline.check import api
from pipeline.check.needs.need import Need
from pipeline.check.needs.reference import iam_actions
from pipeline.check.needs.tasks import TRACING
from pipeline.check.rule import Path
from pipeline.check.subject import Subject

# boto3's own transfer methods, which are no operations of the API.
_TRANSFERS = {
    "upload_file": "s3:PutObject",
    "upload_fileobj": "s3:PutObject",
    "download_file": "s3:GetObject",
    "download_fileobj": "s3:GetObject",
}


def of_function(subject: Subject, name: str, properties: dict[str, Any]) -> Iterator[Need]:
    key = subject.resolver.text((properties.get("Code") or {}).get("S3Key", ""))
    folder = subject.lambdas.get(key)
    sources = [
        t for f, t in subject.files.items() if folder and f.startswith(f"{folder}/") and f.endswith(".py")
    ]
    if not sources:
        return
    at: Path = ("Resources", name)
    for action, method in sorted(called_actions(sources).items()):
        yield Need(action, "*", f"{folder} calls {method}()", at)
        if action == "s3:GetObject":
            # Without it a missing object is AccessDenied, not NoSuchKey:
            # https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html
            yield Need("s3:ListBucket", "*", f"{folder} tells a missing object", at, optional=True)
    for action in ("logs:CreateLogStream", "logs:PutLogEvents"):
        yield Need(action, "*", f"function {name} writes its log", at)
    yield Need("logs:CreateLogGroup", "*", f"function {name} writes its log", at, optional=True)
    if (properties.get("TracingConfig") or {}).get("Mode") == "Active":
        for action in TRACING[:2]:
            yield Need(action, "*", f"function {name} is traced", at)
    if properties.get("DeadLetterConfig"):
        for action in ("sqs:SendMessage", "sns:Publish"):
            yield Need(action, "*", f"function {name} has a dead-letter target", at, optional=True)
    for action in ("kms:Decrypt", "kms:GenerateDataKey"):
        yield Need(action, "*", "data may be encrypted with a key of its own", at, optional=True)


def called_actions(sources: list[str]) -> dict[str, str]:
    """IAM action -> the boto3 method that needs it, for everything the sources call."""
    services: set[str] = set()
    words: set[str] = set()
    for source in sources:
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.Call) and node.args:
                function = node.func
                called = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
                first = node.args[0]
                if called in ("client", "resource") and isinstance(first, ast.Constant):
                    services.add(str(first.value))
            if isinstance(node, ast.Attribute):
                words.add(node.attr)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                words.add(node.value)  # get_paginator("list_objects_v2")
    found: dict[str, str] = {}
    for service in services:
        model = api.model(service)
        for method, operation in _methods(service).items() if model is not None else ():
            if method in words:
                for action in iam_actions(model.service_name, model.signing_name, operation):
                    found[action] = method
        if service == "s3":
            found |= {action: method for method, action in _TRANSFERS.items() if method in words}
    return found


@functools.cache
def _methods(service: str) -> dict[str, str]:
    from botocore import xform_name

    model = api.model(service)
    return {xform_name(operation): operation for operation in model.operation_names}
