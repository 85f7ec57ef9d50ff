"""Endpoint configurations: which models, on how many instances, with which share of the traffic."""

from __future__ import annotations

import time
from typing import Any

from pipeline.local.sagemaker import model
from pipeline.local.sagemaker.errors import NotSupported, ValidationException
from pipeline.local.sagemaker.listing import select
from pipeline.local.sagemaker.service import operation
from pipeline.local.sagemaker.store import Record, Scope, store
from pipeline.local.sagemaker.tags import checked

KIND = "endpoint-config"
_REFUSED = {
    "AsyncInferenceConfig": "Asynchronous inference",
    "ExplainerConfig": "An explainer of an endpoint",
    "ShadowProductionVariants": "Shadow variants",
    "VpcConfig": "VpcConfig of an endpoint",
    "EnableNetworkIsolation": "EnableNetworkIsolation of an endpoint",
    "ExecutionRoleArn": "Inference components (ExecutionRoleArn of an endpoint configuration)",
    "MetricsConfig": "Enhanced metrics of an endpoint",
}
_VARIANT_REFUSED = {
    "AcceleratorType": "Elastic Inference accelerators",
    "InstancePools": "Instance pools of a variant",
    "CoreDumpConfig": "Core dumps of a variant",
    "EnableSSMAccess": "SSM access to a variant's instances",
    "ManagedInstanceScaling": "Managed instance scaling",
    "CapacityReservationConfig": "Capacity reservations of a variant",
}


def find(scope: Scope, name: str) -> Record:
    """The record of a configuration, or AWS's error for a missing one."""
    record = store.get(scope, KIND, name)
    if record is None:
        arn = scope.arn(f"endpoint-config/{name}")
        raise ValidationException(f'Could not find endpoint configuration "{arn}".')
    return record


@operation("CreateEndpointConfig")
def create_endpoint_config(request: dict[str, Any], scope: Scope) -> dict[str, Any]:
    """Keep a configuration; its models must exist."""
    name = request["EndpointConfigName"]
    arn = scope.arn(f"endpoint-config/{name}")
    for member, feature in _REFUSED.items():
        if request.get(member):
            raise NotSupported(feature)
    variants = [_variant(variant, scope) for variant in request["ProductionVariants"]]
    if len(variants) > 1 and any(variant.get("ServerlessConfig") for variant in variants):
        raise ValidationException("A serverless endpoint has exactly one production variant.")
    capture = request.get("DataCaptureConfig")
    if capture and capture.get("EnableCapture", True):
        _capture(capture, variants)
    names = [variant["VariantName"] for variant in variants]
    if len(set(names)) != len(names):
        raise ValidationException(f"Duplicate production variant names are not allowed: {', '.join(names)}")
    record = {
        "EndpointConfigName": name,
        "EndpointConfigArn": arn,
        "ProductionVariants": variants,
        "KmsKeyId": request.get("KmsKeyId"),
        "DataCaptureConfig": capture,
        "EnableNetworkIsolation": False,
        "CreationTime": time.time(),
        "Tags": checked(request.get("Tags", [])),
    }
    if not store.create(scope, KIND, name, record):
        raise ValidationException(f'Cannot create already existing endpoint configuration "{arn}".')
    return {"EndpointConfigArn": arn}


@operation("DescribeEndpointConfig")
def describe_endpoint_config(request: dict[str, Any], scope: Scope) -> dict[str, Any]:
    """The configuration's record."""
    return find(scope, request["EndpointConfigName"])


@operation("ListEndpointConfigs")
def list_endpoint_configs(request: dict[str, Any], scope: Scope) -> dict[str, Any]:
    """Configurations by filter, newest first."""
    chosen, token = select(store.list(scope, KIND), request, name="EndpointConfigName")
    return {"EndpointConfigs": chosen, "NextToken": token}


@operation("DeleteEndpointConfig")
def delete_endpoint_config(request: dict[str, Any], scope: Scope) -> None:
    """Forget the configuration; an endpoint that runs it keeps running."""
    find(scope, request["EndpointConfigName"])
    store.delete(scope, KIND, request["EndpointConfigName"])


def _variant(variant: dict[str, Any], scope: Scope) -> dict[str, Any]:
    for member, feature in _VARIANT_REFUSED.items():
        if variant.get(member):
            raise NotSupported(feature)
    serverless = variant.get("ServerlessConfig")
    wanted = ("ModelName",) if serverless else ("ModelName", "InstanceType", "InitialInstanceCount")
    for member in wanted:
        if not variant.get(member):
            raise ValidationException(
                f"{member} is required for the production variant {variant['VariantName']}."
            )
    hosted = model.find(scope, variant["ModelName"])
    if serverless:
        _serverless(variant, serverless, hosted)
    return {"InitialVariantWeight": 1.0, **variant}


def _capture(config: dict[str, Any], variants: list[dict[str, Any]]) -> None:
    # https://docs.aws.amazon.com/sagemaker/latest/dg/serverless-endpoints.html, feature exclusions
    if any(variant.get("ServerlessConfig") for variant in variants):
        raise ValidationException("DataCaptureConfig is not supported for serverless endpoints.")
    if not config["DestinationS3Uri"].startswith("s3://"):
        raise NotSupported("A DestinationS3Uri that is no s3:// URI")


def _serverless(variant: dict[str, Any], config: dict[str, Any], hosted: Record) -> None:
    name = variant["VariantName"]
    for member in ("InstanceType", "InitialInstanceCount"):
        if variant.get(member):
            raise ValidationException(
                f"{member} cannot be given with ServerlessConfig for the variant {name}."
            )
    if config["MemorySizeInMB"] % 1024:
        raise ValidationException(f"MemorySizeInMB of the variant {name} must be a multiple of 1024.")
    if config.get("ProvisionedConcurrency", 0) > config["MaxConcurrency"]:
        raise ValidationException(
            f"ProvisionedConcurrency of the variant {name} is above its MaxConcurrency."
        )
    if hosted.get("EnableNetworkIsolation"):
        raise ValidationException(
            f"Model {hosted['ModelName']} has network isolation, which serverless endpoints do not support."
        )
