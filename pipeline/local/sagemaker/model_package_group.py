"""Model package groups: the names under which a registry counts versions, and their resource policies."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from typing import Any

from pipeline.local.sagemaker.errors import ConflictException, NotSupported, ValidationException
from pipeline.local.sagemaker.listing import select
from pipeline.local.sagemaker.service import operation
from pipeline.local.sagemaker.store import Record, Scope, store
from pipeline.local.sagemaker.tags import checked

KIND = "model-package-group"


def name_of(name_or_arn: str) -> str:
    """The group's name from its name or ARN."""
    return name_or_arn.rpartition("/")[2]


def find(scope: Scope, name: str) -> Record:
    """The record of a group, or AWS's error for a missing one."""
    record = store.get(scope, KIND, name)
    if record is None:
        raise ValidationException(f"ModelPackageGroup {scope.arn(f'{KIND}/{name}')} does not exist.")
    return record


def created_by(scope: Scope) -> dict[str, Any]:
    """Who a request came from, as the registry remembers it."""
    return {"IamIdentity": {"Arn": scope.caller_arn}} if scope.caller_arn else {}


def _own(request: dict[str, Any], scope: Scope) -> Iterable[str]:
    return [scope.arn(f"{KIND}/{name_of(request['ModelPackageGroupName'])}")]


@operation("CreateModelPackageGroup")
def create_group(request: dict[str, Any], scope: Scope) -> dict[str, Any]:
    """Keep an empty group."""
    if request.get("ManagedConfiguration"):
        raise NotSupported("ManagedConfiguration of a model package group")
    name = request["ModelPackageGroupName"]
    arn = scope.arn(f"{KIND}/{name}")
    record = {
        "ModelPackageGroupName": name,
        "ModelPackageGroupArn": arn,
        "ModelPackageGroupDescription": request.get("ModelPackageGroupDescription"),
        "CreationTime": time.time(),
        "CreatedBy": created_by(scope),
        "ModelPackageGroupStatus": "Completed",
        "Tags": checked(request.get("Tags", [])),
        # A version's number is never given twice, not even when the version is deleted.
        "LastVersion": 0,
    }
    if not store.create(scope, KIND, name, record):
        raise ValidationException(f"Model Package Group already exists: {arn}")
    return {"ModelPackageGroupArn": arn}


@operation("DescribeModelPackageGroup", _own)
def describe_group(request: dict[str, Any], scope: Scope) -> dict[str, Any]:
    """The group's record, by name or ARN."""
    return find(scope, name_of(request["ModelPackageGroupName"]))


@operation("ListModelPackageGroups")
def list_groups(request: dict[str, Any], scope: Scope) -> dict[str, Any]:
    """Groups by filter, oldest first."""
    if request.get("CrossAccountFilterOption", "SameAccount") != "SameAccount":
        raise NotSupported("Listing other accounts' model package groups")
    chosen, token = select(store.list(scope, KIND), request, name="ModelPackageGroupName", ascending=True)
    return {"ModelPackageGroupSummaryList": chosen, "NextToken": token}


@operation("DeleteModelPackageGroup", _own)
def delete_group(request: dict[str, Any], scope: Scope) -> None:
    """Forget a group that holds no versions."""
    name = name_of(request["ModelPackageGroupName"])
    find(scope, name)
    if any(p.get("ModelPackageGroupName") == name for p in store.list(scope, "model-package")):
        raise ConflictException(
            f"Model Package Group {scope.arn(f'{KIND}/{name}')} cannot be deleted because it still contains "
            "Model Packages."
        )
    store.delete(scope, KIND, name)


@operation("PutModelPackageGroupPolicy", _own)
def put_policy(request: dict[str, Any], scope: Scope) -> dict[str, Any]:
    """Keep a resource policy; it must be JSON with statements."""
    name = name_of(request["ModelPackageGroupName"])
    group = find(scope, name)
    try:
        statements = json.loads(request["ResourcePolicy"])["Statement"]
    except (ValueError, KeyError, TypeError):
        statements = None
    if not statements:
        raise ValidationException("The resource policy is not a valid policy document.")
    with store.edit(scope, KIND, name) as record:
        record["ResourcePolicy"] = request["ResourcePolicy"]
    return {"ModelPackageGroupArn": group["ModelPackageGroupArn"]}


@operation("GetModelPackageGroupPolicy", _own)
def get_policy(request: dict[str, Any], scope: Scope) -> dict[str, Any]:
    """The resource policy that was put."""
    group = find(scope, name_of(request["ModelPackageGroupName"]))
    if "ResourcePolicy" not in group:
        arn = group["ModelPackageGroupArn"]
        raise ValidationException(f"Cannot find resource policy for: {arn}")
    return {"ResourcePolicy": group["ResourcePolicy"]}


@operation("DeleteModelPackageGroupPolicy", _own)
def delete_policy(request: dict[str, Any], scope: Scope) -> None:
    """Remove the resource policy."""
    name = name_of(request["ModelPackageGroupName"])
    find(scope, name)
    with store.edit(scope, KIND, name) as record:
        record.pop("ResourcePolicy", None)
