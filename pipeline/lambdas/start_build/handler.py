"""Starts a build of the image, and says how it is: for those whose state machine may not call CodeBuild.

Event: {"request": StartBuild's parameters as a state machine writes them, "token": the run's id}. Result:
{"id", "arn"} of a build that has succeeded.

Raises BuildRunning for as long as it is under way, which the Task's Retry answers by asking again: the token
names the build, so that no second one is started, and nobody pays for a function that waits. Raises
BuildEnded for a build that failed, was stopped or took too long; a failed build is no answer.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import cache
from typing import Any

import boto3

# A build that another try has started is among the newest.
LOOKED_AT = 100


class BuildRunning(Exception):
    """The build is under way."""


class BuildEnded(Exception):
    """The build did not succeed; the text is its description, as `codebuild:startBuild.sync` gives it."""


# --- pure ---------------------------------------------------------------------------------------------------


def as_api(value: Any) -> Any:
    """Keys as boto3 has them: CodeBuild's begin with a small letter."""
    if isinstance(value, dict):
        return {key[:1].lower() + key[1:]: as_api(item) for key, item in value.items()}
    return [as_api(item) for item in value] if isinstance(value, list) else value


def as_task(value: Any) -> Any:
    """Keys as a state machine has them; times become texts."""
    if isinstance(value, dict):
        return {key[:1].upper() + key[1:]: as_task(item) for key, item in value.items()}
    if isinstance(value, list):
        return [as_task(item) for item in value]
    return value if isinstance(value, (str, int, float, bool, type(None))) else str(value)


def marked(request: Mapping[str, Any], token: str) -> dict[str, Any]:
    """The request with a variable that says which run it is for, by which its build is found again.

    StartBuild's own idempotencyToken stands for the same build for five minutes only.
    """
    unique = hashlib.sha256(json.dumps([token, request], sort_keys=True).encode()).hexdigest()[:32]
    variables = [*request.get("environmentVariablesOverride", []), _mark(unique)]
    return {**request, "environmentVariablesOverride": variables, "idempotencyToken": unique}


def _mark(unique: str) -> dict[str, str]:
    return {"name": "PIPELINE_RUN", "value": unique, "type": "PLAINTEXT"}


def is_marked(build: Mapping[str, Any], request: Mapping[str, Any]) -> bool:
    """Whether a build is that of the marked request."""
    mark = _mark(request["idempotencyToken"])
    found = build.get("environment", {}).get("environmentVariables", [])
    return any(each.get("name") == mark["name"] and each.get("value") == mark["value"] for each in found)


# --- at the edge --------------------------------------------------------------------------------------------


@cache
def client(service: str) -> Any:
    """One boto3 client of each service for the life of the function's process."""
    return boto3.client(service)


def begun(request: Mapping[str, Any]) -> dict[str, Any] | None:
    """The run's build, if there is one."""
    codebuild = client("codebuild")
    ids = codebuild.list_builds_for_project(projectName=request["projectName"])["ids"][:LOOKED_AT]
    builds = codebuild.batch_get_builds(ids=ids)["builds"] if ids else []
    return next((build for build in builds if is_marked(build, request)), None)


def handler(event: dict[str, Any], _context: Any) -> dict[str, Any]:
    """The build that succeeded. Raises BuildRunning, BuildEnded, and ClientError from AWS."""
    request = marked(as_api(event["request"]), event["token"])
    build = begun(request) or client("codebuild").start_build(**request)["build"]
    print(json.dumps({"event": "looked", "build": build["id"], "status": build["buildStatus"]}))
    if build["buildStatus"] == "IN_PROGRESS":
        raise BuildRunning(f"{build['id']} is in {build.get('currentPhase', '?')}")
    if build["buildStatus"] != "SUCCEEDED":
        raise BuildEnded(json.dumps({"Build": as_task(build)}))
    return {"id": build["id"], "arn": build["arn"]}
