"""Who may do what: every call is weighed by the caller's policies, as AWS would."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from pipeline.local.sagemaker.errors import AccessDeniedException
from pipeline.local.sagemaker.store import Scope

Resources = Callable[[dict[str, Any], Scope], Iterable[str]]

_SERVICE = "sagemaker"
_ROLE_MEMBERS = ("RoleArn", "ExecutionRoleArn")


class Caller:
    """The signer of one request; `check` raises AccessDeniedException in AWS's words.

    Args:
        access_key: the request's access key id, whose signature the gateway has verified.
        scope: account and region of the request.
    """

    def __init__(self, access_key: str, scope: Scope) -> None:
        self.access_key = access_key
        self.scope = scope

    def check(self, action: str, resource: str, context: dict[str, Any] | None = None) -> None:
        """Raise unless the caller's policies allow the action on the resource."""
        from ministack import app
        from ministack.core.iam_actions import identity_denial_message
        from ministack.core.iam_evaluator import AuthError, enforce

        if not app.AUTH:
            return
        denied = enforce(
            self.access_key,
            action,
            _SERVICE,
            self.scope.region,
            resource_arn=resource,
            service_context=context,
        )
        if denied is None:
            return
        if isinstance(denied, AuthError):
            raise AccessDeniedException(denied.message)
        explicit = denied.decision == "Deny"
        raise AccessDeniedException(identity_denial_message(action, denied.principal_arn, resource, explicit))


def authorise(caller: Caller, operation: str, request: dict[str, Any], resources: Iterable[str]) -> None:
    """Weigh one operation: the action itself, the roles it passes, the tags it sets."""
    arns = list(resources) or ["*"]
    context = {**_tags(request), **_conditions(request)}
    for arn in arns:
        caller.check(f"sagemaker:{operation}", arn, context)
    for member in _ROLE_MEMBERS:
        role = request.get(member)
        if role:
            passed = {"iam:PassedToService": "sagemaker.amazonaws.com", "iam:AssociatedResourceArn": arns[0]}
            caller.check("iam:PassRole", role, passed)
    if request.get("Tags") and operation.startswith("Create"):
        caller.check("sagemaker:AddTags", arns[0], {**_tags(request), "sagemaker:TaggingAction": operation})


def _tags(request: dict[str, Any]) -> dict[str, Any]:
    tags = request.get("Tags") or []
    context: dict[str, Any] = {f"aws:RequestTag/{tag['Key']}": tag.get("Value", "") for tag in tags}
    keys = [tag["Key"] for tag in tags] + list(request.get("TagKeys") or [])
    if keys:
        context["aws:TagKeys"] = keys
    return context


def _conditions(request: dict[str, Any]) -> dict[str, Any]:
    """SageMaker's own condition keys that a request decides (service authorization reference)."""
    resources = request.get("ResourceConfig") or {}
    cluster = (request.get("ProcessingResources") or {}).get("ClusterConfig") or {}
    variants = request.get("ProductionVariants") or []
    stopping = request.get("StoppingCondition") or {}
    network = request.get("NetworkConfig") or {}
    vpc = request.get("VpcConfig") or network.get("VpcConfig") or {}
    output = request.get("OutputDataConfig") or request.get("ProcessingOutputConfig") or {}
    found: dict[str, Any] = {
        "sagemaker:InstanceTypes": [
            part["InstanceType"] for part in (resources, cluster, *variants) if part.get("InstanceType")
        ],
        "sagemaker:VolumeKmsKey": resources.get("VolumeKmsKeyId")
        or cluster.get("VolumeKmsKeyId")
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
