"""Records of scalable targets, their policies and activities; kept on disk as all of the local target's."""

from __future__ import annotations

import re
import secrets
import time
import uuid
from pathlib import Path
from typing import Any

from pipeline.local import context
from pipeline.local.sagemaker.errors import SageMakerError, ValidationException
from pipeline.local.sagemaker.store import Record, Scope, Store

NAMESPACE, DIMENSION = "sagemaker", "sagemaker:variant:DesiredInstanceCount"
METRIC = "SageMakerVariantInvocationsPerInstance"
TARGET, ACTIVITY = "target", "activity"
_KEPT = 200  # activities of one scope
_RESOURCE = re.compile(r"^endpoint/([^/]+)/variant/([^/]+)$")
_SUSPENDED = ("DynamicScalingInSuspended", "DynamicScalingOutSuspended", "ScheduledScalingSuspended")


class ObjectNotFoundException(SageMakerError):
    """No such target or policy."""

    code, status = "ObjectNotFoundException", 400


class _Store(Store):
    def root(self) -> Path:
        if self._root is None:
            self._root = Path(context.state_dir()) / "autoscaling"
        return self._root


store = _Store()


def resource(resource_id: str) -> tuple[str, str]:
    """Endpoint and variant of a resource id. Raises ValidationException."""
    found = _RESOURCE.match(resource_id)
    if found is None:
        raise ValidationException(
            f"Unsupported resource id: {resource_id}. It is endpoint/NAME/variant/NAME."
        )
    return found[1], found[2]


def find(scope: Scope, request: dict[str, Any]) -> Record:
    """The target a request is about. Raises ObjectNotFoundException."""
    record = store.get(scope, TARGET, request["ResourceId"])
    if record is None:
        raise ObjectNotFoundException(
            f"No scalable target found for service namespace: {NAMESPACE}, resource ID: "
            f"{request['ResourceId']}, scalable dimension: {DIMENSION}"
        )
    return record


def register(scope: Scope, request: dict[str, Any]) -> Record:
    """Make the target or change what is given of it; bounds are checked together."""
    name = request["ResourceId"]
    record = store.get(scope, TARGET, name)
    if record is None:
        missing = [key for key in ("MinCapacity", "MaxCapacity") if key not in request]
        if missing:
            raise ValidationException(f"{' and '.join(missing)} must be given for a new scalable target.")
        arn = f"arn:{scope.partition}:application-autoscaling:{scope.region}:{scope.account}:scalable-target"
        record = {
            "ServiceNamespace": NAMESPACE,
            "ResourceId": name,
            "ScalableDimension": DIMENSION,
            "RoleARN": role_arn(scope),
            "CreationTime": time.time(),
            "ScalableTargetARN": f"{arn}/{secrets.token_hex(13)}",
            "SuspendedState": dict.fromkeys(_SUSPENDED, False),
            "Policies": {},
        }
    record |= {key: request[key] for key in ("MinCapacity", "MaxCapacity") if key in request}
    if record["MinCapacity"] > record["MaxCapacity"]:
        raise ValidationException("Maximum capacity cannot be less than minimum capacity")
    if record["MinCapacity"] < 1:
        raise ValidationException("MinCapacity of a SageMaker variant must be at least 1.")
    record["SuspendedState"] = {**record["SuspendedState"], **request.get("SuspendedState", {})}
    store.put(scope, TARGET, name, record)
    return record


def forget(scope: Scope, endpoint: str) -> None:
    """The endpoint is gone, and its targets with it: AWS tells nobody either."""
    for name, _ in store.items(scope, TARGET):
        if resource(name)[0] == endpoint:
            store.delete(scope, TARGET, name)


def role_arn(scope: Scope) -> str:
    """The service-linked role of SageMaker's scaling."""
    service = "sagemaker.application-autoscaling.amazonaws.com"
    name = "AWSServiceRoleForApplicationAutoScaling_SageMakerEndpoint"
    return f"arn:{scope.partition}:iam::{scope.account}:role/aws-service-role/{service}/{name}"


def note(scope: Scope, record: Record, description: str, cause: str) -> str:
    """A new activity in progress; its id."""
    activity = {
        "ActivityId": str(uuid.uuid4()),
        **{key: record[key] for key in ("ServiceNamespace", "ResourceId", "ScalableDimension")},
        "Description": description,
        "Cause": cause,
        "StartTime": time.time(),
        "StatusCode": "InProgress",
    }
    store.put(scope, ACTIVITY, activity["ActivityId"], activity)
    known = sorted(store.list(scope, ACTIVITY), key=lambda a: float(a["StartTime"]), reverse=True)
    for old in known[_KEPT:]:
        store.delete(scope, ACTIVITY, old["ActivityId"])
    return str(activity["ActivityId"])


def settle(scope: Scope, activity_id: str, status: str, message: str) -> None:
    """The activity is done, one way or the other."""
    with store.edit(scope, ACTIVITY, activity_id) as activity:
        activity |= {"StatusCode": status, "StatusMessage": message, "EndTime": time.time()}
