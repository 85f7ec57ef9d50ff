"""Leaves a request for approval, with its task token, where `pipeline approve` finds it.

Event: {"task_token", "execution_name", "model_package_arn", ...}; everything given is kept. The state machine
waits until the token is answered. Environment: ARTIFACT_BUCKET, STACK_NAME.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Any

import boto3

_EXECUTION_NAME = re.compile(r"[A-Za-z0-9_.-]{1,80}")


@cache
def client(service: str) -> Any:
    """One boto3 client of each service for the life of the function's process."""
    return boto3.client(service)


def request(event: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    """The request as stored. Raises ValueError when it could not be answered or found again."""
    if not event.get("task_token"):
        raise ValueError("the event has no task_token; without it nobody could answer")
    name = event.get("execution_name")
    if not isinstance(name, str) or not _EXECUTION_NAME.fullmatch(name):
        raise ValueError(f"the execution name {name!r} cannot be part of a key")
    return {**event, "requested_at": now.isoformat()}


def handler(event: dict[str, Any], _context: Any) -> dict[str, str]:
    """Store the request; return where. Raises ValueError, or ClientError from S3."""
    stored = request(event, datetime.now(UTC))
    bucket = os.environ["ARTIFACT_BUCKET"]
    key = f"{os.environ['STACK_NAME']}/approvals/{stored['execution_name']}.json"
    client("s3").put_object(
        Bucket=bucket, Key=key, Body=json.dumps(stored).encode(), ContentType="application/json"
    )
    uri = f"s3://{bucket}/{key}"
    # The token answers the request, so it stays out of the log.
    print(json.dumps({"event": "approval_requested", "uri": uri, "model": stored.get("model_package_arn")}))
    return {"uri": uri}
