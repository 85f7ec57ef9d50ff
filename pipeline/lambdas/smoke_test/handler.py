"""Sends a fresh deployment its first request and fails unless it answers well.

Event: {"endpoint_name", "content_type", "accept", "body", "encoding"}; with the encoding base64 the body is
what it stands for.
"""

from __future__ import annotations

import base64
import json
import time
from functools import cache
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

# Enough to see an answer; a state's data is limited to 256 KiB.
BODY_CHARACTERS = 2000


# The reason becomes the model's ApprovalDescription: one line, 1,024 characters with what is said around it.
REASON_CHARACTERS = 700


class SmokeTestFailed(Exception):
    """The endpoint did not answer, or not with 2xx, or with something that is not what it says it is."""

    def __init__(self, why: str) -> None:
        super().__init__(" ".join(why.split())[:REASON_CHARACTERS])


@cache
def client(service: str) -> Any:
    """One boto3 client of each service. A model has 60 s to answer, so the client waits a little longer."""
    config = Config(connect_timeout=5, read_timeout=65, retries={"mode": "standard", "max_attempts": 2})
    return boto3.client(service, config=config)


def check(status: int, content_type: str, accept: str, body: str) -> None:
    """Raise SmokeTestFailed unless this is a good answer to a request with that Accept."""
    if not 200 <= status < 300:
        raise SmokeTestFailed(f"the endpoint answered {status}: {body[:200]}")
    if not body.strip():
        raise SmokeTestFailed("the endpoint answered with an empty body")
    got = content_type.partition(";")[0].strip().lower()
    wanted = accept.partition(";")[0].strip().lower()
    if got and wanted and "*" not in wanted and "," not in wanted and got != wanted:
        raise SmokeTestFailed(f"{wanted} was asked for, {got} was answered")
    if got == "application/json":
        try:
            json.loads(body)
        except ValueError as error:
            raise SmokeTestFailed(f"the answer is no JSON ({error}): {body[:200]}") from None


def request_body(event: dict[str, Any]) -> bytes:
    """What is sent."""
    text = str(event["body"])
    return base64.b64decode(text) if event.get("encoding") == "base64" else text.encode()


def handler(event: dict[str, Any], _context: Any) -> dict[str, Any]:
    """The answer, its status and the time it took. Raises SmokeTestFailed."""
    accept = event.get("accept") or "*/*"
    started = time.perf_counter()
    try:
        answer = client("sagemaker-runtime").invoke_endpoint(
            EndpointName=event["endpoint_name"],
            ContentType=event["content_type"],
            Accept=accept,
            Body=request_body(event),
        )
        body = answer["Body"].read().decode("utf-8", errors="replace")
    except ClientError as error:
        # ModelError carries what the container answered.
        status = error.response.get("OriginalStatusCode")
        said = error.response.get("OriginalMessage") or error.response["Error"].get("Message", "")
        code = error.response["Error"]["Code"]
        raise SmokeTestFailed(f"{code}{f' ({status})' if status else ''}: {str(said)[:500]}") from error
    except BotoCoreError as error:
        raise SmokeTestFailed(f"the endpoint could not be reached: {error}") from error
    result = {
        "status": answer["ResponseMetadata"]["HTTPStatusCode"],
        "body": body[:BODY_CHARACTERS],
        "latency_ms": round((time.perf_counter() - started) * 1000),
    }
    check(result["status"], answer.get("ContentType", ""), accept, body)
    print(json.dumps({"event": "answered", "endpoint": event["endpoint_name"], **result}))
    return result
