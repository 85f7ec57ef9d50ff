"""AWS::CodeBuild::Project over the same operations that clients call. Ref gives the project's name."""

from __future__ import annotations

from typing import Any

from pipeline.local.codebuild import service
from pipeline.local.codebuild.errors import ApiError
from pipeline.local.codebuild.store import PROJECT, store
from pipeline.local.sagemaker.cloudformation import ProvisioningError, generated

Properties = dict[str, Any]
Created = tuple[str, dict[str, Any]]
TYPE = "AWS::CodeBuild::Project"
_NUMBERS = ("timeoutInMinutes", "queuedTimeoutInMinutes", "concurrentBuildLimit", "autoRetryLimit")
# CloudFormation's name of a property -> the API's, where it is not the same with a small first letter.
_RENAMED = {"BuildSpec": "buildspec", "Visibility": "projectVisibility"}
# What CreateProject does not take: AWS sets it by calls of its own.
_BESIDE = ("webhook", "projectVisibility", "resourceAccessRole")


def _call(operation: str, request: Properties) -> dict[str, Any]:
    try:
        return service.call(operation, request, service.current_scope())
    except ApiError as error:
        raise ProvisioningError(
            f"{error.message} (Service: AWSCodeBuild; Status Code: {error.status}; Error Code: {error.code})"
        ) from None


def _create(logical_id: str, properties: Properties, stack: str) -> Created:
    name = properties.get("Name") or generated(logical_id, stack)
    request = {**_as_api(properties), "name": name}
    made = _call("CreateProject", {k: v for k, v in request.items() if k not in _BESIDE})["project"]
    _beside(name, request)
    return name, {"Arn": made["arn"]}


def _update(physical_id: str, old: Properties, new: Properties, stack: str, logical_id: str) -> Created:
    if (new.get("Name") or physical_id) != physical_id:
        made = _create(logical_id, new, stack)
        _delete(physical_id, old)
        return made
    request = {**_as_api(new), "name": physical_id}
    with store.edit(service.current_scope(), PROJECT, physical_id) as project:
        # A property that is gone from the template is gone from the project.
        for key in set(_as_api(old)) - set(request):
            project.pop(key, None)
    changed = _call("UpdateProject", {k: v for k, v in request.items() if k not in _BESIDE})["project"]
    _beside(physical_id, request)
    return physical_id, {"Arn": changed["arn"]}


def _delete(physical_id: str, properties: Properties) -> None:  # noqa: ARG001
    _call("DeleteProject", {"name": physical_id})


def _beside(name: str, request: Properties) -> None:
    given = {key: request[key] for key in _BESIDE if key in request}
    if given:
        with store.edit(service.current_scope(), PROJECT, name) as project:
            project.update(given)


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


HANDLERS: dict[str, dict[str, Any]] = {
    TYPE: {"create": _create, "update": _update, "update_with_logical_id": True, "delete": _delete},
}
