"""SageMaker's CloudFormation types over the same operations that clients call.

Ref gives the ARN of every one of them, as AWS documents; names are attributes. Creating a stack's
endpoint waits until it is in service, and fails with its FailureReason.
"""

from __future__ import annotations

import json
import secrets
import time
from typing import Any

from pipeline.local.sagemaker import service
from pipeline.local.sagemaker.errors import SageMakerError

Properties = dict[str, Any]
Created = tuple[str, dict[str, Any]]

_POLL = 0.2
# CloudFormation itself gives an endpoint three hours.
_WAIT = 3 * 3600.0


class ProvisioningError(Exception):
    """A resource cannot be made or changed; the text goes to the stack's events."""


def _call(operation: str, request: Properties) -> dict[str, Any]:
    try:
        return service.call(operation, request, service.current_scope())
    except SageMakerError as error:
        raise ProvisioningError(
            f"{error.message} (Service: AmazonSageMaker; Status Code: {error.status}; "
            f"Error Code: {error.code})"
        ) from None


def _typed(operation: str, properties: Properties, *, without: tuple[str, ...] = ()) -> Properties:
    """Properties as the operation's request: templates may give numbers and booleans as text."""
    from pipeline.local.sagemaker.validation import model

    shape = model().operation_model(operation).input_shape
    given = {key: value for key, value in properties.items() if key not in without}
    return dict(converted(shape, given))


def converted(shape: Any, value: Any) -> Any:
    """A template's value as the shape has it: its numbers and booleans may be text, and the other way."""
    kind = shape.type_name
    if kind == "structure" and isinstance(value, dict):
        members = shape.members
        return {k: converted(members[k], v) if k in members else v for k, v in value.items() if v is not None}
    if kind == "list" and isinstance(value, list):
        return [converted(shape.member, item) for item in value]
    if kind == "map" and isinstance(value, dict):
        return {key: converted(shape.value, item) for key, item in value.items()}
    if kind in ("integer", "long", "float", "double") and isinstance(value, str):
        try:
            return float(value) if kind in ("float", "double") else int(value)
        except ValueError:
            return value  # the operation's own validation names it
    if kind == "boolean" and isinstance(value, str):
        return {"true": True, "false": False}.get(value.lower(), value)
    if kind == "string" and isinstance(value, int | float):
        return str(value).lower() if isinstance(value, bool) else str(value)
    return value


def generated(logical_id: str, stack: str, limit: int = 63) -> str:
    """CloudFormation's own name for a resource that is given none: logical id and a random end."""
    end = secrets.token_hex(6)
    stem = f"{logical_id}-{stack}"[: limit - len(end) - 1].rstrip("-")
    return f"{stem}-{end}"


def _retag(arn: str, old: Properties, new: Properties) -> None:
    """Bring a resource's tags from the old template's to the new one's."""
    before = {tag["Key"]: tag["Value"] for tag in old.get("Tags") or []}
    after = {tag["Key"]: tag["Value"] for tag in new.get("Tags") or []}
    gone = [key for key in before if key not in after]
    if gone:
        _call("DeleteTags", {"ResourceArn": arn, "TagKeys": gone})
    changed = [{"Key": key, "Value": str(value)} for key, value in after.items() if before.get(key) != value]
    if changed:
        _call("AddTags", {"ResourceArn": arn, "Tags": changed})


def _named(kind: str, noun: str) -> dict[str, Any]:
    """Handlers of a type whose every property but Tags is fixed at creation: a model, a configuration."""
    member = f"{noun}Name"

    def create(logical_id: str, properties: Properties, stack: str) -> Created:
        name = properties.get(member) or generated(logical_id, stack)
        _call(f"Create{noun}", _typed(f"Create{noun}", {**properties, member: name}))
        arn = service.current_scope().arn(f"{kind}/{name}")
        return arn, {member: name, f"{noun}Arn": arn}

    def delete(physical_id: str, properties: Properties) -> None:
        _forget(f"Delete{noun}", member, _name(physical_id, properties, member))

    def update(physical_id: str, old: Properties, new: Properties, stack: str, logical_id: str) -> Created:
        if {**old, "Tags": 0} == {**new, "Tags": 0}:
            _retag(physical_id, old, new)
            return physical_id, {member: _name(physical_id, old, member), f"{noun}Arn": physical_id}
        if new.get(member) and new.get(member) == old.get(member):
            raise ProvisioningError(
                "CloudFormation cannot update a stack when a custom-named resource requires replacing. "
                f"Rename {new[member]} and update the stack again."
            )
        made = create(logical_id, new, stack)
        delete(physical_id, old)
        return made

    return {"create": create, "update": update, "update_with_logical_id": True, "delete": delete}


def _name(physical_id: str, properties: Properties, member: str) -> str:
    return str(properties.get(member) or physical_id.rpartition("/")[2])


def _forget(operation: str, member: str, name: str) -> None:
    """Delete; what is gone already is what was asked for."""
    try:
        service.call(operation, {member: name}, service.current_scope())
    except SageMakerError as error:
        if "Could not find" not in error.message and "does not exist" not in error.message:
            raise ProvisioningError(error.message) from None


# --- endpoint -------------------------------------------------------------------------------------


def _create_endpoint(logical_id: str, properties: Properties, stack: str) -> Created:
    name = properties.get("EndpointName") or generated(logical_id, stack)
    only_update = ("RetainAllVariantProperties", "ExcludeRetainedVariantProperties", "RetainDeploymentConfig")
    given = _config_name({**properties, "EndpointName": name})
    _call("CreateEndpoint", _typed("CreateEndpoint", given, without=only_update))
    described = _settled(name)
    if described["EndpointStatus"] != "InService":
        raise ProvisioningError(described.get("FailureReason", "the endpoint did not come into service"))
    return described["EndpointArn"], {"EndpointName": name, "EndpointArn": described["EndpointArn"]}


def _update_endpoint(physical_id: str, old: Properties, new: Properties, stack: str) -> Created:  # noqa: ARG001
    name = _name(physical_id, old, "EndpointName")
    given = _config_name({**new, "EndpointName": name})
    _retag(physical_id, old, new)
    running = _call("DescribeEndpoint", {"EndpointName": name})["EndpointConfigName"]
    if given["EndpointConfigName"] != running:
        _call("UpdateEndpoint", _typed("UpdateEndpoint", given, without=("Tags",)))
        described = _settled(name)
        if described["EndpointConfigName"] != given["EndpointConfigName"]:
            raise ProvisioningError(described.get("FailureReason", "the endpoint kept its configuration"))
    return physical_id, {"EndpointName": name, "EndpointArn": physical_id}


def _delete_endpoint(physical_id: str, properties: Properties) -> None:
    name = _name(physical_id, properties, "EndpointName")
    _settled(name)
    _forget("DeleteEndpoint", "EndpointName", name)
    _settled(name, gone=True)


def _config_name(properties: Properties) -> Properties:
    """A template gives a configuration by Ref, which is its ARN; the API takes its name."""
    given = str(properties.get("EndpointConfigName", ""))
    return {**properties, "EndpointConfigName": given.rpartition("/")[2]}


def _settled(name: str, *, gone: bool = False) -> dict[str, Any]:
    """The endpoint once nothing is under way; {} if there is none."""
    deadline = time.monotonic() + _WAIT
    scope = service.current_scope()
    busy = ("Creating", "Updating", "SystemUpdating", "RollingBack", "Deleting")
    while time.monotonic() < deadline:
        try:
            described = service.call("DescribeEndpoint", {"EndpointName": name}, scope)
        except SageMakerError:
            return {}
        if not gone and described["EndpointStatus"] not in busy:
            return described
        time.sleep(_POLL)
    raise ProvisioningError(f"the endpoint {name} did not settle in time")


# --- registry -------------------------------------------------------------------------------------


def _create_group(logical_id: str, properties: Properties, stack: str) -> Created:  # noqa: ARG001
    name = properties["ModelPackageGroupName"]
    without = ("ModelPackageGroupPolicy",)
    _call("CreateModelPackageGroup", _typed("CreateModelPackageGroup", properties, without=without))
    _put_policy(name, properties)
    return _group(name)


def _update_group(physical_id: str, old: Properties, new: Properties, stack: str) -> Created:  # noqa: ARG001
    name = _name(physical_id, new, "ModelPackageGroupName")
    _retag(physical_id, old, new)
    if new.get("ModelPackageGroupPolicy"):
        _put_policy(name, new)
    elif old.get("ModelPackageGroupPolicy"):
        _call("DeleteModelPackageGroupPolicy", {"ModelPackageGroupName": name})
    return _group(name)


def _group(name: str) -> Created:
    described = _call("DescribeModelPackageGroup", {"ModelPackageGroupName": name})
    arn = described["ModelPackageGroupArn"]
    return arn, {
        "ModelPackageGroupArn": arn,
        "CreationTime": str(described["CreationTime"]),
        "ModelPackageGroupStatus": described["ModelPackageGroupStatus"],
    }


def _put_policy(name: str, properties: Properties) -> None:
    policy = properties.get("ModelPackageGroupPolicy")
    if policy:
        text = policy if isinstance(policy, str) else json.dumps(policy)
        _call("PutModelPackageGroupPolicy", {"ModelPackageGroupName": name, "ResourcePolicy": text})


def _delete_group(physical_id: str, properties: Properties) -> None:
    name = _name(physical_id, properties, "ModelPackageGroupName")
    _forget("DeleteModelPackageGroup", "ModelPackageGroupName", name)


def _create_package(logical_id: str, properties: Properties, stack: str) -> Created:  # noqa: ARG001
    read_only = ("ModelPackageStatusDetails", "ModelPackageVersion", "ApprovalDescription")
    arn = _call("CreateModelPackage", _typed("CreateModelPackage", properties, without=read_only))[
        "ModelPackageArn"
    ]
    return _package(arn)


def _update_package(physical_id: str, old: Properties, new: Properties, stack: str) -> Created:  # noqa: ARG001
    changed = {key: new[key] for key in new if new.get(key) != old.get(key)}
    kept = ("ModelApprovalStatus", "ApprovalDescription", "CustomerMetadataProperties", "SourceUri")
    request = {key: changed[key] for key in kept if key in changed}
    if request:
        _call("UpdateModelPackage", {"ModelPackageArn": physical_id, **request})
    return _package(physical_id)


def _package(arn: str) -> Created:
    described = _call("DescribeModelPackage", {"ModelPackageName": arn})
    return arn, {
        "ModelPackageArn": arn,
        "CreationTime": str(described["CreationTime"]),
        "ModelPackageStatus": described["ModelPackageStatus"],
    }


def _delete_package(physical_id: str, properties: Properties) -> None:  # noqa: ARG001
    _forget("DeleteModelPackage", "ModelPackageName", physical_id)


HANDLERS: dict[str, dict[str, Any]] = {
    "AWS::SageMaker::Model": _named("model", "Model"),
    "AWS::SageMaker::EndpointConfig": _named("endpoint-config", "EndpointConfig"),
    "AWS::SageMaker::Endpoint": {
        "create": _create_endpoint,
        "update": _update_endpoint,
        "delete": _delete_endpoint,
    },
    "AWS::SageMaker::ModelPackageGroup": {
        "create": _create_group,
        "update": _update_group,
        "delete": _delete_group,
    },
    "AWS::SageMaker::ModelPackage": {
        "create": _create_package,
        "update": _update_package,
        "delete": _delete_package,
    },
}
