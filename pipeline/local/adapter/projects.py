"""Seam: MiniStack's CodeBuild keeps a part of a project and pretends its builds. All of it is kept here.

A build that nobody runs would be a lie, so StartBuild is refused unless a runner is there.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

# Members of the API's Project that are the request's own words, besides `name`:
# botocore's model of codebuild, operation CreateProject.
KEPT = (
    "description",
    "source",
    "secondarySources",
    "sourceVersion",
    "secondarySourceVersions",
    "artifacts",
    "secondaryArtifacts",
    "cache",
    "environment",
    "serviceRole",
    "timeoutInMinutes",
    "queuedTimeoutInMinutes",
    "encryptionKey",
    "tags",
    "vpcConfig",
    "logsConfig",
    "fileSystemLocations",
    "buildBatchConfig",
    "concurrentBuildLimit",
    "autoRetryLimit",
    "webhook",
    "projectVisibility",
)
_NUMBERS = ("timeoutInMinutes", "queuedTimeoutInMinutes", "concurrentBuildLimit", "autoRetryLimit")
# CloudFormation's name of a property -> the API's, where it is not the same with a small first letter.
_RENAMED = {"BuildSpec": "buildspec", "Visibility": "projectVisibility"}


def install(codebuild: Any) -> None:
    """Keep what MiniStack drops, and let no build pretend."""
    created: Callable[[dict[str, Any]], Any] = codebuild._create_project
    updated: Callable[[dict[str, Any]], Any] = codebuild._update_project

    def shape(project: dict[str, Any]) -> dict[str, Any]:
        own = ("name", "arn", "created", "lastModified", "badge")
        return {key: project[key] for key in (*own, *KEPT) if key in project}

    def create(data: dict[str, Any]) -> Any:
        answer = created(data)
        return _kept(codebuild, answer, data)

    def update(data: dict[str, Any]) -> Any:
        answer = updated(data)
        return _kept(codebuild, answer, data)

    codebuild._project_shape = shape
    codebuild._create_project, codebuild._update_project = create, update
    codebuild._start_build = _refuse


def _kept(codebuild: Any, answer: Any, data: dict[str, Any]) -> Any:
    if answer[0] != 200:
        return answer
    project = codebuild._projects[data["name"]]
    project.update({key: data[key] for key in KEPT if key in data})
    return codebuild.json_response({"project": codebuild._project_shape(project)})


def _refuse(data: dict[str, Any]) -> Any:
    from ministack.core.responses import error_response_json

    message = f"the local target runs no builds: {data.get('projectName', '')} was not started"
    return error_response_json("InvalidInputException", message, 400)


def resource() -> dict[str, Any]:
    """AWS::CodeBuild::Project, through the API's own functions and with all its properties."""
    return {"create": _create, "update": _update, "delete": _delete}


def _create(logical_id: str, props: dict[str, Any], stack: str) -> tuple[str, dict[str, Any]]:
    from ministack.services import codebuild

    name = props.get("Name") or f"{stack}-{logical_id}"
    status, _, body = codebuild._create_project({**_as_api(props), "name": name})
    if status != 200:
        raise ValueError(f"{json.loads(body).get('message')} (Service: CodeBuild, Status Code: {status})")
    return name, {"Arn": codebuild._project_arn(name)}


def _update(physical_id: str, _: dict[str, Any], new: dict[str, Any], *__: Any) -> tuple[str, dict[str, Any]]:
    from ministack.services import codebuild

    project = codebuild._projects[physical_id]
    for key in KEPT:
        project.pop(key, None)
    project.update({**_as_api(new), "lastModified": int(time.time())})
    return physical_id, {"Arn": codebuild._project_arn(physical_id)}


def _delete(physical_id: str, _: dict[str, Any]) -> None:
    from ministack.services import codebuild

    codebuild._projects.pop(physical_id, None)


def _as_api(props: dict[str, Any]) -> dict[str, Any]:
    """The properties as CreateProject and CreateWebhook take them."""
    request = {
        _name(key): _camel(value)
        for key, value in props.items()
        if key not in ("Name", "Tags", "Triggers", "BadgeEnabled")
    }
    for key in _NUMBERS:
        if key in request:
            request[key] = int(request[key])
    request["tags"] = [{"key": tag["Key"], "value": tag["Value"]} for tag in props.get("Tags") or []]
    triggers = props.get("Triggers") or {}
    if str(triggers.get("Webhook", False)).lower() == "true":
        request["webhook"] = {
            _name(key): _camel(value) for key, value in triggers.items() if key != "Webhook"
        }
    return request


def _camel(value: Any) -> Any:
    if isinstance(value, dict):
        return {_name(key): _camel(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_camel(item) for item in value]
    if value in ("true", "false"):
        return value == "true"
    return value


def _name(key: str) -> str:
    return _RENAMED.get(key, key[:1].lower() + key[1:])
