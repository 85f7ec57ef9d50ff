"""Application Auto Scaling on the wire: JSON 1.1, checked by botocore's model, weighed by policies.

Offered: target tracking of a SageMaker variant's instances. Everything else is refused by name.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from pipeline.local.autoscaling import scaler, targets
from pipeline.local.autoscaling.targets import ObjectNotFoundException
from pipeline.local.sagemaker import access, service, validation
from pipeline.local.sagemaker.errors import (
    CONTENT_TYPE,
    NotSupported,
    SageMakerError,
    UnknownOperation,
    ValidationException,
)
from pipeline.local.sagemaker.store import Scope

log = logging.getLogger(__name__)

Response = tuple[int, dict[str, str], bytes]
TARGET_PREFIX = "AnyScaleFrontendService."
_BOTOCORE, _IAM = "application-autoscaling", "application-autoscaling"
_POOL = ThreadPoolExecutor(max_workers=8, thread_name_prefix="autoscaling")


def register_scalable_target(request: dict[str, Any], scope: Scope) -> dict[str, Any]:
    """Register a variant's number of instances, or change bounds and suspension."""
    endpoint, variant = targets.resource(request["ResourceId"])
    try:
        described = service.call("DescribeEndpoint", {"EndpointName": endpoint}, scope)
    except SageMakerError as error:
        raise ValidationException(error.message) from None
    if described["EndpointStatus"] not in ("Failed", "Creating") and variant not in {
        each["VariantName"] for each in described.get("ProductionVariants", [])
    }:
        raise ValidationException(f"SageMaker endpoint {endpoint} has no variant {variant}.")
    record = targets.register(scope, request)
    scaler.start()
    scaler.keep_within(scope, record)
    return {"ScalableTargetARN": record["ScalableTargetARN"]}


def deregister_scalable_target(request: dict[str, Any], scope: Scope) -> dict[str, Any]:
    """Forget a target with its policies."""
    targets.find(scope, request)
    targets.store.delete(scope, targets.TARGET, request["ResourceId"])
    return {}


def put_scaling_policy(request: dict[str, Any], scope: Scope) -> dict[str, Any]:
    """Keep a target tracking policy; the scaler follows it from its next look on."""
    record = targets.find(scope, request)
    config = request.get("TargetTrackingScalingPolicyConfiguration")
    if request.get("PolicyType", "TargetTrackingScaling") != "TargetTrackingScaling" or not config:
        raise NotSupported(f"A scaling policy of type {request.get('PolicyType', 'StepScaling')}")
    metric = config.get("PredefinedMetricSpecification", {}).get("PredefinedMetricType")
    if metric != targets.METRIC:
        raise NotSupported(f"Tracking of {metric or 'a custom metric'}")
    if config["TargetValue"] <= 0:
        raise ValidationException("TargetValue must be greater than 0.")
    name = request["PolicyName"]
    if set(record["Policies"]) - {name}:
        raise NotSupported("More than one scaling policy of a target")
    arn = record["ScalableTargetARN"].replace(":scalable-target/", ":scalingPolicy:")
    policy = {
        "PolicyARN": f"{arn}:resource/{targets.NAMESPACE}/{record['ResourceId']}:policyName/{name}",
        "PolicyName": name,
        "PolicyType": "TargetTrackingScaling",
        "TargetTrackingScalingPolicyConfiguration": config,
        "CreationTime": record["Policies"].get(name, {}).get("CreationTime", record["CreationTime"]),
        "Alarms": [],
    }
    with targets.store.edit(scope, targets.TARGET, request["ResourceId"]) as changing:
        changing["Policies"][name] = policy
    return {"PolicyARN": policy["PolicyARN"], "Alarms": []}


def delete_scaling_policy(request: dict[str, Any], scope: Scope) -> dict[str, Any]:
    """Forget a policy; capacity stays as it is."""
    record = targets.find(scope, request)
    if request["PolicyName"] not in record["Policies"]:
        raise ObjectNotFoundException(f"No scaling policy found: {request['PolicyName']}")
    with targets.store.edit(scope, targets.TARGET, request["ResourceId"]) as changing:
        del changing["Policies"][request["PolicyName"]]
    return {}


def describe_scalable_targets(request: dict[str, Any], scope: Scope) -> dict[str, Any]:
    """All targets, or those of the resources asked for."""
    wanted = request.get("ResourceIds")
    found = [t for t in targets.store.list(scope, targets.TARGET) if not wanted or t["ResourceId"] in wanted]
    return {"ScalableTargets": sorted(found, key=lambda t: str(t["ResourceId"]))}


def describe_scaling_policies(request: dict[str, Any], scope: Scope) -> dict[str, Any]:
    """Policies of one resource or all."""
    known = ("ServiceNamespace", "ResourceId", "ScalableDimension")
    names = request.get("PolicyNames")
    found = [
        {**policy, **{key: target[key] for key in known}}
        for target in describe_scalable_targets(_ids(request), scope)["ScalableTargets"]
        for policy in target["Policies"].values()
        if not names or policy["PolicyName"] in names
    ]
    return {"ScalingPolicies": found}


def describe_scaling_activities(request: dict[str, Any], scope: Scope) -> dict[str, Any]:
    """What was done, newest first."""
    only = request.get("ResourceId")
    found = [a for a in targets.store.list(scope, targets.ACTIVITY) if only in (None, a["ResourceId"])]
    found.sort(key=lambda a: float(a["StartTime"]), reverse=True)
    return {"ScalingActivities": found[: request.get("MaxResults", 100)]}


def _ids(request: dict[str, Any]) -> dict[str, Any]:
    return {"ResourceIds": [request["ResourceId"]]} if request.get("ResourceId") else {}


_OPERATIONS: dict[str, Callable[[dict[str, Any], Scope], dict[str, Any]]] = {
    "DeleteScalingPolicy": delete_scaling_policy,
    "DeregisterScalableTarget": deregister_scalable_target,
    "DescribeScalableTargets": describe_scalable_targets,
    "DescribeScalingActivities": describe_scaling_activities,
    "DescribeScalingPolicies": describe_scaling_policies,
    "PutScalingPolicy": put_scaling_policy,
    "RegisterScalableTarget": register_scalable_target,
}


def call(name: str, raw: Any, scope: Scope, caller: access.Caller | None = None) -> dict[str, Any]:
    """Run one operation in this thread. Raises SageMakerError with AWS's code and message."""
    model = validation.model(_BOTOCORE)
    if name not in _OPERATIONS:
        if name in model.operation_names:
            raise NotSupported(f"The Application Auto Scaling operation {name}")
        raise UnknownOperation(f"Application Auto Scaling has no operation {name!r}.")
    shapes = model.operation_model(name)
    request = validation.check_shape(shapes.input_shape, raw)
    if caller is not None:
        _weigh(name, request, scope, caller)
    for member, offered in (
        ("ServiceNamespace", targets.NAMESPACE),
        ("ScalableDimension", targets.DIMENSION),
    ):
        if request.get(member, offered) != offered:
            raise NotSupported(f"Scaling of {request[member]}")
    return validation.shaped_by(shapes.output_shape, _OPERATIONS[name](request, scope))


def _weigh(name: str, request: dict[str, Any], scope: Scope, caller: access.Caller) -> None:
    conditions = {
        "application-autoscaling:service-namespace": request.get("ServiceNamespace"),
        "application-autoscaling:scalable-dimension": request.get("ScalableDimension"),
    }
    given = {key: value for key, value in conditions.items() if value}
    resource = "*"
    if not name.startswith("Describe"):
        known = targets.store.get(scope, targets.TARGET, request["ResourceId"])
        prefix = (
            f"arn:{scope.partition}:application-autoscaling:{scope.region}:{scope.account}:scalable-target"
        )
        resource = known["ScalableTargetARN"] if known else f"{prefix}/new"
    caller.check(f"{_IAM}:{name}", resource, given)
    if name == "RegisterScalableTarget" and not targets.store.list(scope, targets.TARGET):
        service_name = "sagemaker.application-autoscaling.amazonaws.com"
        caller.check(
            "iam:CreateServiceLinkedRole", targets.role_arn(scope), {"iam:AWSServiceName": service_name}
        )


# --- the shape MiniStack expects of a service -----------------------------------------------------


async def handle_request(
    method: str,  # noqa: ARG001
    path: str,  # noqa: ARG001
    headers: dict[str, str],
    body: bytes,
    query_params: dict[str, Any],
) -> Response:
    """Answer one HTTP request."""
    target = next((value for key, value in headers.items() if key.lower() == "x-amz-target"), "")
    run = contextvars.copy_context().run
    return await asyncio.get_running_loop().run_in_executor(
        _POOL, run, _answer, target, headers, body, query_params
    )


def _answer(target: str, headers: dict[str, str], body: bytes, query_params: dict[str, Any]) -> Response:
    def result() -> dict[str, Any]:
        raw = validation.decode(body)
        caller = service.current_caller(headers, query_params)
        return call(target.removeprefix(TARGET_PREFIX), raw, service.current_scope(), caller)

    return service.answered(target, CONTENT_TYPE, result)


def on_start() -> None:
    """Once the server listens: go on with what is registered."""
    if any(targets.store.list(scope, targets.TARGET) for scope in targets.store.scopes()):
        scaler.start()


def on_stop() -> None:
    """Before the server ends."""
    scaler.stop()


def reset() -> None:
    """Forget everything."""
    on_stop()
    targets.store.clear()


def get_state() -> dict[str, Any]:
    """Nothing: the store writes through by itself."""
    return {}


def load_persisted_state(data: dict[str, Any]) -> None:
    """Nothing to take: the store reads its own files."""
    if data:
        log.warning("unexpected persisted scaling state: %s", sorted(data))
