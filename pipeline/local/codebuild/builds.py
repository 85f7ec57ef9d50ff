"""Builds: started, described, stopped, listed, tried again, forgotten."""

from __future__ import annotations

import shutil
import threading
import time
import uuid
from typing import Any

from pipeline.local.codebuild import overrides
from pipeline.local.codebuild.errors import (
    AccountLimitExceededException,
    InvalidInputException,
    ResourceNotFoundException,
)
from pipeline.local.codebuild.interrupt import STOPPED
from pipeline.local.codebuild.projects import builds_of, find, page
from pipeline.local.codebuild.service import operation
from pipeline.local.codebuild.store import BUILD, Record, Scope, store
from pipeline.local.codebuild.work import Work, workplaces

# StartBuild's token stands for the same build so long: botocore's model, member idempotencyToken.
TOKEN_SECONDS = 300
STOP_SECONDS = 10.0

_lock = threading.Lock()
_works: dict[tuple[Scope, str], Work] = {}


@operation("StartBuild")
def start(request: dict[str, Any], scope: Scope) -> dict[str, Any]:
    """Begin a build of a project, with what the request says instead of it."""
    return _start(request, scope)


def _start(request: dict[str, Any], scope: Scope) -> dict[str, Any]:
    for member, what in overrides.REFUSED.items():
        if request.get(member):
            raise InvalidInputException(f"{what} are not supported by the local target ({member})")
    with _lock:
        project = find(scope, request["projectName"])
        known = builds_of(scope, project["name"])
        again = _by_token(known, request)
        if again:
            return {"build": _shown(again)}
        running = sum(not build["buildComplete"] for build in known)
        limit = project.get("concurrentBuildLimit")
        if limit and running >= limit:
            raise AccountLimitExceededException(
                f"Cannot have more than {limit} builds in queue for the project {project['name']}"
            )
        build = _begun(scope, project, request, known)
        hidden = {key: build[key] for key in ("_artifacts", "_logs")}
        store.put(scope, BUILD, build["id"], build)
        work = _works[_plain(scope), build["id"]] = Work(_plain(scope), build["id"], hidden)
    work.start()
    return {"build": _shown(build)}


@operation("RetryBuild")
def retry(request: dict[str, Any], scope: Scope) -> dict[str, Any]:
    """The same build once more."""
    build = _find(scope, request["id"])
    again: dict[str, Any] = {**build["_request"], "idempotencyToken": request.get("idempotencyToken", "")}
    return _start(again, scope)


@operation("BatchGetBuilds")
def batch_get(request: dict[str, Any], scope: Scope) -> dict[str, Any]:
    """The builds, and the ids that are none."""
    found = {given: store.get(scope, BUILD, _id(given)) for given in request["ids"]}
    return {
        "builds": [_shown(build) for build in found.values() if build],
        "buildsNotFound": [given for given, build in found.items() if not build],
    }


@operation("StopBuild")
def stop(request: dict[str, Any], scope: Scope) -> dict[str, Any]:
    """End a build; one that has ended stays as it is."""
    build = _find(scope, request["id"])
    work = _works.get((_plain(scope), build["id"]))
    if work is not None and not build["buildComplete"]:
        work.end(STOPPED)
        work.done.wait(STOP_SECONDS)
    return {"build": _shown(_find(scope, build["id"]))}


@operation("ListBuilds")
def listing(request: dict[str, Any], scope: Scope) -> dict[str, Any]:
    """Ids of all builds, newest first unless asked otherwise."""
    builds = sorted(store.list(scope, BUILD), key=lambda build: build["startTime"])
    return page([build["id"] for build in builds], {"sortOrder": "DESCENDING", **request}, "ids")


@operation("ListBuildsForProject")
def of_project(request: dict[str, Any], scope: Scope) -> dict[str, Any]:
    """Ids of a project's builds, newest first unless asked otherwise."""
    project = find(scope, request["projectName"])
    ids = [build["id"] for build in builds_of(scope, project["name"])]
    return page(ids, {"sortOrder": "DESCENDING", **request}, "ids")


@operation("BatchDeleteBuilds")
def batch_delete(request: dict[str, Any], scope: Scope) -> dict[str, Any]:
    """Forget builds that have ended."""
    deleted, left = [], []
    for given in request["ids"]:
        build = store.get(scope, BUILD, _id(given))
        if build is None or not build["buildComplete"]:
            left.append(
                {"id": given, "statusCode": "BUILD_NOT_FOUND" if build is None else "BUILD_IN_PROGRESS"}
            )
            continue
        store.delete(scope, BUILD, build["id"])
        deleted.append(build["arn"])
    return {"buildsDeleted": deleted, "buildsNotDeleted": left}


def on_start() -> None:
    """A build of a server that is gone: nobody works at it any more."""
    shutil.rmtree(workplaces(), ignore_errors=True)
    for scope in store.scopes():
        for build in store.list(scope, BUILD):
            if not build["buildComplete"]:
                now = time.time()
                context = {"statusCode": "INTERNAL_SERVICE_ERROR", "message": "the local target was stopped"}
                with store.edit(scope, BUILD, build["id"]) as left:
                    left["phases"][-1].update(endTime=now, phaseStatus="FAULT", contexts=[context])
                    left.update(
                        buildStatus="FAULT", currentPhase="COMPLETED", buildComplete=True, endTime=now
                    )


def on_stop() -> None:
    """End every build, and wait for it."""
    with _lock:
        works = [work for work in _works.values() if not work.done.is_set()]
    for work in works:
        work.end(STOPPED)
    for work in works:
        work.join(STOP_SECONDS)


def _begun(scope: Scope, project: Record, request: dict[str, Any], known: list[Record]) -> Record:
    now, unique = time.time(), str(uuid.uuid4())
    identity = f"{project['name']}:{unique}"
    decided = overrides.build(project, request)
    logs = decided["_logs"].get("cloudWatchLogs") or {}
    group = logs.get("groupName") or f"/aws/codebuild/{project['name']}"
    stream = f"{logs['streamName']}/{unique}" if logs.get("streamName") else unique
    arn = f"arn:{scope.partition}:logs:{scope.region}:{scope.account}:log-group:{group}:log-stream:{stream}"
    queued = {"phaseType": "SUBMITTED", "phaseStatus": "SUCCEEDED", "startTime": now, "endTime": now}
    return {
        **decided,
        "id": identity,
        "arn": scope.arn(f"build/{identity}"),
        "buildNumber": max((build["buildNumber"] for build in known), default=0) + 1,
        "projectName": project["name"],
        "startTime": now,
        "currentPhase": "QUEUED",
        "buildStatus": "IN_PROGRESS",
        "buildComplete": False,
        "phases": [{**queued, "durationInSeconds": 0}, {"phaseType": "QUEUED", "startTime": now}],
        "artifacts": {"location": ""},
        "logs": {
            "groupName": group,
            "streamName": stream,
            "cloudWatchLogsArn": arn,
            "cloudWatchLogs": {**logs, "status": logs.get("status", "ENABLED")},
        },
        "initiator": scope.caller_arn.rpartition("/")[2] or scope.caller_arn.rpartition(":")[2] or "root",
        "_request": {key: value for key, value in request.items() if key != "idempotencyToken"},
        "_token": request.get("idempotencyToken", ""),
    }


def _by_token(known: list[Record], request: dict[str, Any]) -> Record | None:
    token = request.get("idempotencyToken")
    if not token:
        return None
    now = time.time()
    same = [b for b in known if b["_token"] == token and now - b["startTime"] < TOKEN_SECONDS]
    asked = {key: value for key, value in request.items() if key != "idempotencyToken"}
    if same and same[0]["_request"] != asked:
        raise InvalidInputException("The request has the token of another request with other parameters")
    return same[0] if same else None


def _shown(build: Record) -> Record:
    return {key: value for key, value in build.items() if not key.startswith("_")}


def _find(scope: Scope, given: str) -> Record:
    build = store.get(scope, BUILD, _id(given))
    if build is None:
        raise ResourceNotFoundException(f"Build cannot be found: {scope.arn(f'build/{_id(given)}')}")
    return build


def _id(given: str) -> str:
    return given.rpartition("build/")[2]


def _plain(scope: Scope) -> Scope:
    """Account and region alone: who called is another matter."""
    return Scope(scope.account, scope.region)
