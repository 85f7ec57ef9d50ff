"""Model packages: versions of a model with what they need to be served, their metrics and their approval."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

from botocore.exceptions import ClientError

from pipeline.local import roles
from pipeline.local.sagemaker import model_package_group as groups
from pipeline.local.sagemaker.errors import NotSupported, SageMakerError, ValidationException
from pipeline.local.sagemaker.listing import select
from pipeline.local.sagemaker.model_data import Location, Unavailable, image_digest
from pipeline.local.sagemaker.service import operation
from pipeline.local.sagemaker.store import Record, Scope, store
from pipeline.local.sagemaker.tags import checked

KIND = "model-package"
_KEPT = (
    "ModelPackageDescription",
    "InferenceSpecification",
    "AdditionalInferenceSpecifications",
    "MetadataProperties",
    "ModelMetrics",
    "DriftCheckBaselines",
    "CustomerMetadataProperties",
    "Domain",
    "Task",
    "SamplePayloadUrl",
    "SkipModelValidation",
    "SourceUri",
    "SecurityConfig",
    "ModelCard",
    "ModelLifeCycle",
    "ClientToken",
)
_REFUSED = (
    "ValidationSpecification",
    "SourceAlgorithmSpecification",
    "CertifyForMarketplace",
    "ManagedStorageType",
)


def find(scope: Scope, name_or_arn: str) -> Record:
    """The record of a package by name, `group/version` or ARN; AWS's error for a missing one."""
    name = _name_of(scope, name_or_arn)
    record = store.get(scope, KIND, name)
    if record is None:
        raise ValidationException(f"ModelPackage {scope.arn(f'{KIND}/{name}')} does not exist.")
    return record


def _name_of(scope: Scope, name_or_arn: str) -> str:
    if not name_or_arn.startswith("arn:"):
        return name_or_arn
    parts = name_or_arn.split(":", 5)
    if parts[3] != scope.region:
        raise ValidationException(f"ARN should be scoped to correct region: {scope.region}")
    if parts[4] != scope.account:
        raise NotSupported("A model package of another account")
    return parts[5].partition("/")[2]


def _by_name(request: dict[str, Any], scope: Scope) -> Iterable[str]:
    given = request.get("ModelPackageName") or request["ModelPackageArn"]
    return [given if given.startswith("arn:") else scope.arn(f"{KIND}/{given}")]


def _created(request: dict[str, Any], scope: Scope) -> Iterable[str]:
    """A version is weighed on the package it becomes and on its group: AWS lists both resource types."""
    group = request.get("ModelPackageGroupName")
    if not group:
        return [scope.arn(f"{KIND}/{request.get('ModelPackageName', '*')}")]
    name = groups.name_of(group)
    version = (store.get(scope, groups.KIND, name) or {}).get("LastVersion", 0) + 1
    return [scope.arn(f"{KIND}/{name}/{version}"), scope.arn(f"{groups.KIND}/{name}")]


def _listed(request: dict[str, Any], scope: Scope) -> Iterable[str]:
    """ListModelPackages of a group is weighed on the group's packages."""
    group = request.get("ModelPackageGroupName")
    return [scope.arn(f"{KIND}/{groups.name_of(group)}/*") if group else "*"]


def _several(request: dict[str, Any], scope: Scope) -> Iterable[str]:  # noqa: ARG001
    return list(request["ModelPackageArnList"])


@operation("CreateModelPackage", _created)
def create_package(request: dict[str, Any], scope: Scope) -> dict[str, Any]:
    """Register the next version of a group, or a package of its own name."""
    for member in _REFUSED:
        if request.get(member):
            raise NotSupported(f"{member} of a model package")
    own, group_given = request.get("ModelPackageName"), request.get("ModelPackageGroupName")
    if own and group_given:
        raise ValidationException(
            "Both ModelPackageName and ModelPackageGroupName are provided in the input. "
            "Cannot determine which one to use."
        )
    if not own and not group_given:
        raise ValidationException("Missing ARN.")
    repeated = _same_token(request, scope)
    if repeated:
        return repeated
    record = {key: request[key] for key in _KEPT if key in request}
    for specification in [
        record.get("InferenceSpecification", {}),
        *record.get("AdditionalInferenceSpecifications", []),
    ]:
        for container in specification.get("Containers", []):
            _inspect(container, scope)
    record |= {
        "CreationTime": time.time(),
        "CreatedBy": groups.created_by(scope),
        "ModelPackageStatus": "Completed",
        "ModelPackageStatusDetails": {"ValidationStatuses": [], "ImageScanStatuses": []},
        "Tags": checked(request.get("Tags", [])),
    }
    if own:
        return _keep(scope, own, record | {"ModelPackageName": own})
    return _next_version(scope, groups.name_of(group_given or ""), request, record)


@operation("DescribeModelPackage", _by_name)
def describe_package(request: dict[str, Any], scope: Scope) -> dict[str, Any]:
    """The package's record; a version has a group and a number in place of a name, as on AWS."""
    return find(scope, request["ModelPackageName"])


@operation("BatchDescribeModelPackage", _several)
def batch_describe(request: dict[str, Any], scope: Scope) -> dict[str, Any]:
    """Several at once; those that cannot be told go to the error map."""
    found, missing = {}, {}
    for arn in request["ModelPackageArnList"]:
        try:
            found[arn] = find(scope, arn)
        except SageMakerError as error:
            missing[arn] = {"ErrorCode": error.code, "ErrorResponse": error.message}
    return {"ModelPackageSummaries": found, "BatchDescribeModelPackageErrorMap": missing}


@operation("ListModelPackages", _listed)
def list_packages(request: dict[str, Any], scope: Scope) -> dict[str, Any]:
    """Packages by filter, oldest first: those of a group, or (unless told otherwise) the unversioned."""
    records = store.list(scope, KIND)
    if request.get("ModelPackageGroupName"):
        group = groups.name_of(request["ModelPackageGroupName"])
        groups.find(scope, group)
        records = [record for record in records if record.get("ModelPackageGroupName") == group]
    else:
        wanted = request.get("ModelPackageType", "Unversioned")
        records = [
            r for r in records if wanted == "Both" or ("ModelPackageVersion" in r) == (wanted == "Versioned")
        ]
    approval = request.get("ModelApprovalStatus")
    if approval:
        records = [record for record in records if record.get("ModelApprovalStatus") == approval]
    named = [record | {"Listed": _listed_name(record)} for record in records]
    chosen, token = select(named, request, name="Listed", ascending=True)
    return {"ModelPackageSummaryList": chosen, "NextToken": token}


@operation("UpdateModelPackage", _by_name)
def update_package(request: dict[str, Any], scope: Scope) -> dict[str, Any]:
    """Approve or reject a version, and change its metadata."""
    record = find(scope, request["ModelPackageArn"])
    if request.get("ModelApprovalStatus") and "ModelPackageVersion" not in record:
        raise ValidationException("ModelApprovalStatus can only be set on versioned model packages.")
    for container in request.get("InferenceSpecification", {}).get("Containers", []):
        _inspect(container, scope)
    with store.edit(scope, KIND, _name_of(scope, request["ModelPackageArn"])) as package:
        for member in (
            "ModelApprovalStatus",
            "ApprovalDescription",
            "InferenceSpecification",
            "SourceUri",
            "ModelCard",
            "ModelLifeCycle",
        ):
            if member in request:
                package[member] = request[member]
        metadata = {
            **package.get("CustomerMetadataProperties", {}),
            **request.get("CustomerMetadataProperties", {}),
        }
        for key in request.get("CustomerMetadataPropertiesToRemove", []):
            metadata.pop(key, None)
        if metadata or "CustomerMetadataProperties" in package:
            package["CustomerMetadataProperties"] = metadata
        if request.get("AdditionalInferenceSpecificationsToAdd"):
            more = package.setdefault("AdditionalInferenceSpecifications", [])
            more.extend(request["AdditionalInferenceSpecificationsToAdd"])
        package["LastModifiedTime"] = time.time()
        package["LastModifiedBy"] = groups.created_by(scope)
    return {"ModelPackageArn": record["ModelPackageArn"]}


@operation("DeleteModelPackage", _by_name)
def delete_package(request: dict[str, Any], scope: Scope) -> None:
    """Forget one version; its number is not given again."""
    find(scope, request["ModelPackageName"])
    store.delete(scope, KIND, _name_of(scope, request["ModelPackageName"]))


def _next_version(scope: Scope, group: str, request: dict[str, Any], record: Record) -> dict[str, Any]:
    if store.get(scope, groups.KIND, group) is None:
        raise ValidationException("Model Package Group does not exist.")
    with store.edit(scope, groups.KIND, group) as counted:
        counted["LastVersion"] += 1
        version = counted["LastVersion"]
    record |= {
        "ModelPackageGroupName": group,
        "ModelPackageVersion": version,
        "ModelApprovalStatus": request.get("ModelApprovalStatus", "PendingManualApproval"),
    }
    return _keep(scope, f"{group}/{version}", record)


def _keep(scope: Scope, name: str, record: Record) -> dict[str, Any]:
    arn = scope.arn(f"{KIND}/{name}")
    if not store.create(scope, KIND, name, record | {"ModelPackageArn": arn}):
        raise ValidationException(f"Model Package already exists: {arn}")
    return {"ModelPackageArn": arn}


def _same_token(request: dict[str, Any], scope: Scope) -> dict[str, Any] | None:
    """The answer given before to the same ClientToken: a client's retry makes no second version."""
    token = request.get("ClientToken")
    if not token:
        return None
    same = (record for record in store.list(scope, KIND) if record.get("ClientToken") == token)
    return next(({"ModelPackageArn": record["ModelPackageArn"]} for record in same), None)


def _listed_name(record: Record) -> str:
    if "ModelPackageVersion" in record:
        # As text versions would sort 1, 10, 2.
        return f"{record['ModelPackageGroupName']}/{record['ModelPackageVersion']:09d}"
    return str(record["ModelPackageName"])


def _inspect(container: dict[str, Any], scope: Scope) -> None:
    """Note the digest of the image and the ETag of the artefact; both must be there."""
    try:
        container.setdefault("ImageDigest", image_digest(scope, container["Image"]))
    except Unavailable as error:
        raise ValidationException(str(error)) from None
    url = container.get("ModelDataUrl")
    if not url:
        return
    place = Location.of(url)
    # No role is passed to CreateModelPackage: the service looks with the account's own rights.
    own = {"AccessKeyId": scope.account, "SecretAccessKey": scope.account}
    try:
        head = roles.client("s3", scope.region, own).head_object(Bucket=place.bucket, Key=place.key)
    except ClientError:
        raise ValidationException(f"Could not find model data at {url}.") from None
    container["ModelDataETag"] = head["ETag"].strip('"')
