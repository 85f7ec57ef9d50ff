"""What SageMaker weighs beside the action: the roles that are passed, tags, its own condition keys."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pipeline.local.api.access import Caller, Resources

__all__ = ["Caller", "Resources", "authorise"]

_ROLE_MEMBERS = ("RoleArn", "ExecutionRoleArn")


def authorise(caller: Caller, operation: str, request: dict[str, Any], resources: Iterable[str]) -> None:
    """Weigh one operation: the action itself, the roles it passes, the tags it sets."""
    arns = list(resources) or ["*"]
    context = {**_tags(request), **_conditions(request)}
    for arn in arns:
        caller.check(f"sagemaker:{operation}", arn, context)
    for part in (request, *_definitions(request)):
        for role in [part[member] for member in _ROLE_MEMBERS if part.get(member)]:
            passed = {"iam:PassedToService": "sagemaker.amazonaws.com", "iam:AssociatedResourceArn": arns[0]}
            caller.check("iam:PassRole", role, passed)
    if request.get("Tags") and operation.startswith("Create"):
        caller.check("sagemaker:AddTags", arns[0], {**_tags(request), "sagemaker:TaggingAction": operation})


def _definitions(request: dict[str, Any]) -> list[dict[str, Any]]:
    """The training jobs that a tuning job would launch."""
    one = request.get("TrainingJobDefinition")
    return [*([one] if one else []), *(request.get("TrainingJobDefinitions") or [])]


def _tags(request: dict[str, Any]) -> dict[str, Any]:
    tags = request.get("Tags") or []
    context: dict[str, Any] = {f"aws:RequestTag/{tag['Key']}": tag.get("Value", "") for tag in tags}
    keys = [tag["Key"] for tag in tags] + list(request.get("TagKeys") or [])
    if keys:
        context["aws:TagKeys"] = keys
    return context


def _conditions(request: dict[str, Any]) -> dict[str, Any]:
    """SageMaker's own condition keys that a request decides (service authorization reference)."""
    # A tuning job is weighed by the training jobs it would launch; only one definition is supported here.
    request = {**request, **next(iter(_definitions(request)), {})}
    resources = request.get("ResourceConfig") or {}
    cluster = (request.get("ProcessingResources") or {}).get("ClusterConfig") or {}
    transform = request.get("TransformResources") or {}
    variants = request.get("ProductionVariants") or []
    stopping = request.get("StoppingCondition") or {}
    network = request.get("NetworkConfig") or {}
    vpc = request.get("VpcConfig") or network.get("VpcConfig") or {}
    outputs = ("OutputDataConfig", "ProcessingOutputConfig", "TransformOutput")
    output: dict[str, Any] = next((request[name] for name in outputs if request.get(name)), {})
    found: dict[str, Any] = {
        "sagemaker:InstanceTypes": [
            part["InstanceType"]
            for part in (resources, cluster, transform, *variants)
            if part.get("InstanceType")
        ],
        "sagemaker:VolumeKmsKey": resources.get("VolumeKmsKeyId")
        or cluster.get("VolumeKmsKeyId")
        or transform.get("VolumeKmsKeyId")
        or request.get("KmsKeyId"),
        "sagemaker:OutputKmsKey": output.get("KmsKeyId"),
        "sagemaker:MaxRuntimeInSeconds": stopping.get("MaxRuntimeInSeconds"),
        "sagemaker:NetworkIsolation": request.get(
            "EnableNetworkIsolation", network.get("EnableNetworkIsolation")
        ),
        "sagemaker:VpcSubnets": vpc.get("Subnets"),
        "sagemaker:VpcSecurityGroupIds": vpc.get("SecurityGroupIds"),
        "sagemaker:ModelApprovalStatus": request.get("ModelApprovalStatus"),
    }
    context = {key: _text(value) for key, value in found.items() if value not in (None, [])}
    for key, value in (request.get("CustomerMetadataProperties") or {}).items():
        context[f"sagemaker:CustomerMetadataProperties/{key}"] = value
    return context


def _text(value: Any) -> Any:
    """Policy conditions compare text; true and false are spelt small."""
    if isinstance(value, bool):
        return str(value).lower()
    return value if isinstance(value, list | str) else str(value)
