"""CreateModel, DescribeModel, ListModels, DeleteModel: an image, an artefact and the role that reads them."""

from __future__ import annotations

import time
from typing import Any

from pipeline.local.sagemaker import isolation, model_data
from pipeline.local.sagemaker.errors import NotSupported, ValidationException
from pipeline.local.sagemaker.listing import select
from pipeline.local.sagemaker.service import operation
from pipeline.local.sagemaker.store import Record, Scope, store
from pipeline.local.sagemaker.tags import checked

KIND = "model"
_REFUSED = ("ImageConfig", "AdditionalModelDataSources", "MultiModelConfig", "InferenceSpecificationName")


def find(scope: Scope, name: str) -> Record:
    """The record of a model, or AWS's error for a missing one."""
    record = store.get(scope, KIND, name)
    if record is None:
        raise ValidationException(f'Could not find model "{scope.arn(f"model/{name}")}".')
    return record


@operation("CreateModel")
def create_model(request: dict[str, Any], scope: Scope) -> dict[str, Any]:
    """Register an image with its model data. Both must be readable by the execution role now, as on AWS."""
    name = request["ModelName"]
    arn = scope.arn(f"model/{name}")
    if store.get(scope, KIND, name) is not None:
        raise ValidationException(f'Cannot create already existing model "{arn}".')
    role = request.get("ExecutionRoleArn")
    if not role:
        raise ValidationException("ExecutionRoleArn is required to create a model that is hosted.")
    _refuse(request)
    container = _container(request, scope)
    try:
        model_data.resolve_image(scope, role, container["Image"])
        if container.get("ModelDataUrl"):
            model_data.require_object(scope, role, container["ModelDataUrl"])
    except model_data.Unavailable as error:
        raise ValidationException(str(error)) from None
    record = {
        "ModelName": name,
        "ModelArn": arn,
        "ExecutionRoleArn": role,
        "EnableNetworkIsolation": bool(request.get("EnableNetworkIsolation")),
        "CreationTime": time.time(),
        "Tags": checked(request.get("Tags", [])),
        # What is hosted; the request's own containers are told back as given.
        "Resolved": container,
    }
    record |= {key: request[key] for key in ("PrimaryContainer", "Containers") if key in request}
    if not store.create(scope, KIND, name, record):
        raise ValidationException(f'Cannot create already existing model "{arn}".')
    return {"ModelArn": arn}


@operation("DescribeModel")
def describe_model(request: dict[str, Any], scope: Scope) -> dict[str, Any]:
    """The model's record."""
    return find(scope, request["ModelName"])


@operation("ListModels")
def list_models(request: dict[str, Any], scope: Scope) -> dict[str, Any]:
    """Models by filter, newest first."""
    chosen, token = select(store.list(scope, KIND), request, name="ModelName")
    return {"Models": chosen, "NextToken": token}


@operation("DeleteModel")
def delete_model(request: dict[str, Any], scope: Scope) -> None:
    """Forget the model; its artefact and what already serves it stay."""
    find(scope, request["ModelName"])
    store.delete(scope, KIND, request["ModelName"])


def _refuse(request: dict[str, Any]) -> None:
    isolation.check(request.get("EnableNetworkIsolation"))
    if request.get("VpcConfig"):
        raise NotSupported("VpcConfig of a model")
    if request.get("InferenceExecutionConfig", {}).get("Mode", "Serial") != "Serial":
        raise NotSupported("InferenceExecutionConfig mode Direct")
    if len(request.get("Containers", [])) > 1:
        raise NotSupported("An inference pipeline of several containers")


def _container(request: dict[str, Any], scope: Scope) -> dict[str, Any]:
    """The one container to host: Image, ModelDataUrl, Environment; a model package resolved."""
    given = [request[key] for key in ("PrimaryContainer",) if key in request] + request.get("Containers", [])
    if not given:
        raise ValidationException("No containers are specified: PrimaryContainer or Containers is required.")
    if "PrimaryContainer" in request and request.get("Containers"):
        raise ValidationException("You must not specify both PrimaryContainer and Containers.")
    container = dict(given[0])
    for feature in _REFUSED:
        if container.get(feature):
            raise NotSupported(f"{feature} of a container")
    if container.get("Mode", "SingleModel") != "SingleModel":
        raise NotSupported("Container mode MultiModel")
    if container.get("ModelPackageName"):
        container = _from_package(container, scope)
    source = container.pop("ModelDataSource", {}).get("S3DataSource")
    if source:
        if source["S3DataType"] != "S3Object" or source["CompressionType"] != "Gzip":
            raise NotSupported("ModelDataSource other than one gzip-compressed S3Object")
        container["ModelDataUrl"] = source["S3Uri"]
    if not container.get("Image"):
        raise ValidationException("Image or ModelPackageName must be specified for the container.")
    return {key: container[key] for key in ("Image", "ModelDataUrl", "Environment") if container.get(key)}


def _from_package(container: dict[str, Any], scope: Scope) -> dict[str, Any]:
    from pipeline.local.sagemaker.model_package import find as find_package

    if container.get("Image") or container.get("ModelDataUrl"):
        raise ValidationException("Image and ModelDataUrl cannot be given together with ModelPackageName.")
    package = find_package(scope, container["ModelPackageName"])
    approval = package.get("ModelApprovalStatus", "Approved")
    if package.get("ModelPackageVersion") and approval != "Approved":
        raise ValidationException(
            f"Model package {package['ModelPackageArn']} cannot be deployed: its ModelApprovalStatus is "
            f"{approval}, and must be Approved."
        )
    containers = package.get("InferenceSpecification", {}).get("Containers", [])
    if len(containers) != 1:
        raise NotSupported("A model package of several containers" if containers else "A package without one")
    merged = dict(containers[0])
    if merged.get("ImageDigest") and "@" not in merged["Image"]:
        base, _, last = merged["Image"].rpartition("/")
        merged["Image"] = f"{base}/{last.partition(':')[0]}@{merged['ImageDigest']}"
    merged["Environment"] = {**merged.get("Environment", {}), **container.get("Environment", {})}
    return merged
