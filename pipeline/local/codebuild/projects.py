"""Projects: made, changed, described, listed, deleted."""

from __future__ import annotations

import time
from typing import Any

from pipeline.local.codebuild.errors import (
    InvalidInputException,
    ResourceAlreadyExistsException,
    ResourceNotFoundException,
)
from pipeline.local.codebuild.service import operation
from pipeline.local.codebuild.store import BUILD, PROJECT, Scope, store

# CreateProject's defaults, in minutes.
TIMEOUT, QUEUED_TIMEOUT = 60, 480
PAGE = 100


@operation("CreateProject")
def create(request: dict[str, Any], scope: Scope) -> dict[str, Any]:
    """Keep a project as it is given."""
    name, now = request["name"], time.time()
    _check(request)
    project = {
        "timeoutInMinutes": TIMEOUT,
        "queuedTimeoutInMinutes": QUEUED_TIMEOUT,
        "encryptionKey": f"arn:{scope.partition}:kms:{scope.region}:{scope.account}:alias/aws/s3",
        "cache": {"type": "NO_CACHE"},
        "badge": {"badgeEnabled": False},
        **_without_badge(request),
        "arn": scope.arn(f"project/{name}"),
        "created": now,
        "lastModified": now,
        "projectVisibility": "PRIVATE",
    }
    if not store.create(scope, PROJECT, name, project):
        raise ResourceAlreadyExistsException(f"Project already exists: {project['arn']}")
    return {"project": project}


@operation("UpdateProject")
def update(request: dict[str, Any], scope: Scope) -> dict[str, Any]:
    """Replace what is given; the rest stays."""
    find(scope, request["name"])
    with store.edit(scope, PROJECT, request["name"]) as project:
        changed = {**project, **_without_badge(request)}
        _check(changed)
        project.update(changed, lastModified=time.time())
    return {"project": find(scope, request["name"])}


@operation("DeleteProject")
def delete(request: dict[str, Any], scope: Scope) -> dict[str, Any]:
    """Forget a project; its builds stay. One that is not there is deleted already."""
    store.delete(scope, PROJECT, _name(request["name"]))
    return {}


@operation("BatchGetProjects")
def batch_get(request: dict[str, Any], scope: Scope) -> dict[str, Any]:
    """The projects, and the names that are none."""
    found = {name: store.get(scope, PROJECT, _name(name)) for name in request["names"]}
    return {
        "projects": [project for project in found.values() if project],
        "projectsNotFound": [name for name, project in found.items() if not project],
    }


@operation("ListProjects")
def listing(request: dict[str, Any], scope: Scope) -> dict[str, Any]:
    """Names, a page at a time."""
    by = {"NAME": "name", "CREATED_TIME": "created", "LAST_MODIFIED_TIME": "lastModified"}
    key = by[request.get("sortBy", "NAME")]
    projects = sorted(store.list(scope, PROJECT), key=lambda project: project[key])
    return page([project["name"] for project in projects], request, "projects")


def find(scope: Scope, name: str) -> dict[str, Any]:
    """The project by its name or ARN. Raises ResourceNotFoundException."""
    project = store.get(scope, PROJECT, _name(name))
    if project is None:
        raise ResourceNotFoundException(f"Project cannot be found: {scope.arn(f'project/{_name(name)}')}")
    return project


def builds_of(scope: Scope, name: str) -> list[dict[str, Any]]:
    """Its builds, oldest first."""
    found = [build for build in store.list(scope, BUILD) if build["projectName"] == name]
    return sorted(found, key=lambda build: build["buildNumber"])


def page(items: list[str], request: dict[str, Any], member: str) -> dict[str, Any]:
    """One page of a list, newest or last first if asked; the token is the place it goes on from."""
    if request.get("sortOrder") == "DESCENDING":
        items = items[::-1]
    token = request.get("nextToken") or "0"
    if not token.isdigit():
        raise InvalidInputException("Invalid token")
    start = int(token)
    more = {"nextToken": str(start + PAGE)} if start + PAGE < len(items) else {}
    return {member: items[start : start + PAGE], **more}


def _name(given: str) -> str:
    return given.rpartition("project/")[2]


def _check(request: dict[str, Any]) -> None:
    source, artifacts = request["source"], request["artifacts"]
    if source["type"] == "NO_SOURCE" and not source.get("buildspec"):
        raise InvalidInputException("Invalid project source: source type NO_SOURCE requires a buildspec")
    if source["type"] not in ("NO_SOURCE", "CODEPIPELINE") and not source.get("location"):
        raise InvalidInputException("Invalid project source: location must be set")
    if artifacts["type"] == "S3" and not artifacts.get("location"):
        raise InvalidInputException("Invalid artifacts: location must be set")


def _without_badge(request: dict[str, Any]) -> dict[str, Any]:
    kept = {key: value for key, value in request.items() if key != "badgeEnabled"}
    if "badgeEnabled" in request:
        kept["badge"] = {"badgeEnabled": request["badgeEnabled"]}
    return kept
