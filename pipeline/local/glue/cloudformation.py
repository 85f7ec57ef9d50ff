"""AWS::Glue::Job over the same operations that clients call.

Ref gives the job's name, and there is no other attribute (CloudFormation's registry: its primary identifier
is Name, which is fixed at creation; everything else changes in place).
"""

from __future__ import annotations

import json
from typing import Any

from pipeline.local.glue import service
from pipeline.local.glue.errors import GlueError
from pipeline.local.sagemaker.cloudformation import ProvisioningError, converted, generated

Properties = dict[str, Any]
Created = tuple[str, dict[str, Any]]
TYPE = "AWS::Glue::Job"


def _call(operation: str, request: Properties) -> dict[str, Any]:
    try:
        return service.call(operation, request, service.current_scope())
    except GlueError as error:
        raise ProvisioningError(
            f"{error.message} (Service: AWSGlue; Status Code: {error.status}; Error Code: {error.code})"
        ) from None


def _request(operation: str, properties: Properties) -> Properties:
    """Properties as the operation's: a template may give numbers as text, and maps as JSON text."""
    from pipeline.local.api.validation import model

    given = dict(properties)
    for member in ("DefaultArguments", "NonOverridableArguments", "Tags"):
        if isinstance(given.get(member), str):
            given[member] = json.loads(given[member])
    shape = model("glue").operation_model(operation).input_shape
    return converted(shape if operation == "CreateJob" else shape.members["JobUpdate"], given)


def _create(logical_id: str, properties: Properties, stack: str) -> Created:
    name = properties.get("Name") or generated(logical_id, stack)
    _call("CreateJob", _request("CreateJob", {**properties, "Name": name}))
    return name, {}


def _update(physical_id: str, old: Properties, new: Properties, stack: str, logical_id: str) -> Created:
    if (new.get("Name") or physical_id) != physical_id:
        made = _create(logical_id, new, stack)
        _delete(physical_id, old)
        return made
    fixed = ("Name", "Tags")
    update = {member: value for member, value in new.items() if member not in fixed}
    _call("UpdateJob", {"JobName": physical_id, "JobUpdate": _request("UpdateJob", update)})
    _retag(physical_id, _request("CreateJob", old).get("Tags"), _request("CreateJob", new).get("Tags"))
    return physical_id, {}


def _delete(physical_id: str, properties: Properties) -> None:  # noqa: ARG001
    _call("DeleteJob", {"JobName": physical_id})


def _retag(name: str, before: dict[str, str] | None, after: dict[str, str] | None) -> None:
    arn = service.current_scope().arn(f"job/{name}")
    gone = [key for key in before or {} if key not in (after or {})]
    if gone:
        _call("UntagResource", {"ResourceArn": arn, "TagsToRemove": gone})
    changed = {key: value for key, value in (after or {}).items() if (before or {}).get(key) != value}
    if changed:
        _call("TagResource", {"ResourceArn": arn, "TagsToAdd": changed})


HANDLERS: dict[str, dict[str, Any]] = {
    TYPE: {"create": _create, "update": _update, "update_with_logical_id": True, "delete": _delete},
}
