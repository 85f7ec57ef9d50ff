"""Create, update, delete, describe and list endpoints; change weights and capacities."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

from pipeline.local.sagemaker import blueprint, capture, deployment, endpoint_config, injected, shifting
from pipeline.local.sagemaker.errors import NotSupported, ResourceLimitExceeded, ValidationException
from pipeline.local.sagemaker.listing import select
from pipeline.local.sagemaker.service import operation
from pipeline.local.sagemaker.store import Record, Scope, store
from pipeline.local.sagemaker.tags import checked
from pipeline.local.sagemaker.transitions import advance

KIND = deployment.KIND
# AWS's quotas differ by instance type and account; this one is the machine's sake.
INSTANCES = 20
_IN_PROGRESS = ("Creating", "Updating", "SystemUpdating", "RollingBack", "Deleting")

on_start = deployment.recover
on_stop = deployment.stop


def find(scope: Scope, name: str) -> Record:
    """The record of an endpoint, or AWS's error for a missing one."""
    record = store.get(scope, KIND, name)
    if record is None:
        raise ValidationException(f'Could not find endpoint "{scope.arn(f"endpoint/{name}")}".')
    return record


def _both(request: dict[str, Any], scope: Scope) -> Iterable[str]:
    """CreateEndpoint and UpdateEndpoint are weighed on the endpoint and on its configuration."""
    return [
        scope.arn(f"endpoint/{request['EndpointName']}"),
        scope.arn(f"endpoint-config/{request['EndpointConfigName']}"),
    ]


def _own(request: dict[str, Any], scope: Scope) -> Iterable[str]:
    return [scope.arn(f"endpoint/{request['EndpointName']}")]


@operation("CreateEndpoint", _both)
def create_endpoint(request: dict[str, Any], scope: Scope) -> dict[str, Any]:
    """Answer at once, Creating; the fleet comes up in the background."""
    name = request["EndpointName"]
    arn = scope.arn(f"endpoint/{name}")
    config = endpoint_config.find(scope, request["EndpointConfigName"])
    taken = f'Cannot create already existing endpoint "{arn}".'
    if store.get(scope, KIND, name) is not None:
        raise ValidationException(taken)
    fleet = blueprint.plan(scope, config)
    _deployable(fleet, request.get("DeploymentConfig"))
    _quota(name, fleet)
    now = time.time()
    record = {
        "EndpointName": name,
        "EndpointArn": arn,
        "EndpointConfigName": config["EndpointConfigName"],
        "EndpointStatus": "Creating",
        "CreationTime": now,
        "LastModifiedTime": now,
        "LastDeploymentConfig": request.get("DeploymentConfig"),
        "Tags": checked(request.get("Tags", [])),
        "Fleet": fleet,
    }
    if not store.create(scope, KIND, name, record):
        raise ValidationException(taken)
    deployment.create(scope, name)
    return {"EndpointArn": arn}


@operation("UpdateEndpoint", _both)
def update_endpoint(request: dict[str, Any], scope: Scope) -> dict[str, Any]:
    """Answer at once, Updating; the new fleet comes up beside the old, which serves until it takes over."""
    name = request["EndpointName"]
    record = _updatable(scope, name)
    config = endpoint_config.find(scope, request["EndpointConfigName"])
    if record["EndpointConfigName"] == config["EndpointConfigName"]:
        raise ValidationException(
            "Cannot update endpoint with the currently in use endpoint configuration "
            f'"{config["EndpointConfigName"]}".'
        )
    fleet = blueprint.plan(scope, config, _retained(request, record))
    if blueprint.is_serverless(fleet) and not blueprint.is_serverless(record["Fleet"]):
        raise ValidationException(
            f'Cannot update endpoint "{record["EndpointArn"]}": an instance-based endpoint cannot be '
            "converted to a serverless one."
        )
    deploy = request.get("DeploymentConfig")
    if request.get("RetainDeploymentConfig"):
        deploy = deploy or record.get("LastDeploymentConfig")
    _deployable(fleet, deploy)
    _quota(name, fleet)
    with store.edit(scope, KIND, name) as changing:
        _require_idle(changing)
        advance(changing, "EndpointStatus", "Updating")
        changing.pop("FailureReason", None)
        changing |= {"Pending": fleet, "PendingConfig": deploy, "PendingSince": time.time()}
    deployment.update(scope, name)
    return {"EndpointArn": record["EndpointArn"]}


@operation("UpdateEndpointWeightsAndCapacities", _own)
def update_endpoint_weights_and_capacities(request: dict[str, Any], scope: Scope) -> dict[str, Any]:
    """Change shares and instance counts of the running fleet."""
    name = request["EndpointName"]
    record = _updatable(scope, name)
    variants = {variant["VariantName"]: variant for variant in record["Fleet"]["Variants"]}
    desired: dict[str, dict[str, Any]] = {}
    for change in request["DesiredWeightsAndCapacities"]:
        variant = change["VariantName"]
        if change.get("ServerlessUpdateConfig"):
            raise NotSupported("Changing the concurrency of a serverless variant")
        if variant not in variants:
            raise ValidationException(f'The variant name(s) "{variant}" is/are not present within endpoint.')
        if variants[variant].get("Serverless") and "DesiredInstanceCount" in change:
            raise ValidationException(f"The serverless variant {variant} has no instances.")
        desired[variant] = {
            member: change[given]
            for given, member in (("DesiredWeight", "Weight"), ("DesiredInstanceCount", "Count"))
            if given in change
        }
    if any(change.get("Count", 1) < 1 for change in desired.values()):
        raise NotSupported("A production variant of no instances")
    _instances({"Variants": [variant | desired.get(key, {}) for key, variant in variants.items()]})
    with store.edit(scope, KIND, name) as changing:
        _require_idle(changing)
        advance(changing, "EndpointStatus", "Updating")
        changing.pop("FailureReason", None)
    deployment.resize(scope, name, desired)
    return {"EndpointArn": record["EndpointArn"]}


@operation("DeleteEndpoint")
def delete_endpoint(request: dict[str, Any], scope: Scope) -> None:
    """Answer at once, Deleting; the record goes when no process is left."""
    name = request["EndpointName"]
    find(scope, name)
    with store.edit(scope, KIND, name) as changing:
        _require_idle(changing)
        advance(changing, "EndpointStatus", "Deleting")
    deployment.delete(scope, name)


@operation("DescribeEndpoint")
def describe_endpoint(request: dict[str, Any], scope: Scope) -> dict[str, Any]:
    """The record, with the instances that serve at this moment."""
    record = find(scope, request["EndpointName"])
    running = deployment.live(deployment.key_of(scope, request["EndpointName"]))
    counts = (
        {name: sum(i.backend.healthy for i in group) for name, group in running.variants.items()}
        if running
        else {}
    )
    status = record["EndpointStatus"]
    response = dict(record)
    captured = capture.summary(record["Fleet"], running.sinks if running else {})
    if captured:
        response["DataCaptureConfig"] = captured
    if status not in ("Failed", "Creating"):
        response["ProductionVariants"] = [
            _summary(variant, counts.get(variant["VariantName"], 0))
            for variant in record["Fleet"]["Variants"]
        ]
    if status == "Creating":
        response["ProductionVariants"] = [
            _summary(variant, 0) | {"VariantStatus": _status("Creating", record)}
            for variant in record["Fleet"]["Variants"]
        ]
    if record.get("Pending"):
        doing = record.get("PendingStatus", "Creating")
        response["PendingDeploymentSummary"] = {
            "EndpointConfigName": record["Pending"]["EndpointConfigName"],
            "StartTime": record["PendingSince"],
            "ProductionVariants": [
                _summary(variant, None) | {"VariantStatus": _status(doing, record)}
                for variant in record["Pending"]["Variants"]
            ],
        }
    return response


@operation("ListEndpoints")
def list_endpoints(request: dict[str, Any], scope: Scope) -> dict[str, Any]:
    """Endpoints by filter, newest first."""
    chosen, token = select(store.list(scope, KIND), request, name="EndpointName", status="EndpointStatus")
    return {"Endpoints": chosen, "NextToken": token}


def _summary(variant: dict[str, Any], running: int | None) -> dict[str, Any]:
    hosted = variant["Model"]
    summary = {
        "VariantName": variant["VariantName"],
        "CurrentWeight": variant["Weight"],
        "DesiredWeight": variant["Weight"],
        "DeployedImages": [
            {
                "SpecifiedImage": hosted["Image"],
                "ResolvedImage": hosted.get("ResolvedImage"),
                "ResolutionTime": hosted.get("ResolutionTime"),
            }
        ],
    }
    if variant.get("Serverless"):
        config = variant["Serverless"]
        return {**summary, "CurrentServerlessConfig": config, "DesiredServerlessConfig": config}
    return {
        **summary,
        "DesiredInstanceCount": variant["Count"],
        # Of the summaries only a pending one's shape has it.
        "InstanceType": variant["InstanceType"],
        **({} if running is None else {"CurrentInstanceCount": running}),
    }


def _deployable(fleet: dict[str, Any], deploy: dict[str, Any] | None) -> None:
    """Raise unless the deployment can be done with this fleet."""
    shifting.plan(deploy, _instances(fleet))
    if deploy and blueprint.is_serverless(fleet):
        raise ValidationException("DeploymentConfig is not supported for serverless endpoints.")


def _status(status: str, record: Record) -> list[dict[str, Any]]:
    return [{"Status": status, "StartTime": record.get("PendingSince", record["LastModifiedTime"])}]


def _updatable(scope: Scope, name: str) -> Record:
    record = find(scope, name)
    _require_idle(record)
    if record["EndpointStatus"] == "Failed":
        raise ValidationException(
            f'Cannot update endpoint "{record["EndpointArn"]}": it is Failed, and can only be deleted.'
        )
    if deployment.live(deployment.key_of(scope, name)) is None:
        # Just after a restart: what served is being brought back, which is maintenance on AWS.
        raise ValidationException(f'Cannot update in-progress endpoint "{record["EndpointArn"]}".')
    return record


def _quota(name: str, fleet: dict[str, Any]) -> None:
    first = fleet["Variants"][0]
    injected.quota(name, "endpoint", first["InstanceType"] or "serverless", blueprint.size(fleet))


def _require_idle(record: Record) -> None:
    if record["EndpointStatus"] in _IN_PROGRESS:
        raise ValidationException(f'Cannot update in-progress endpoint "{record["EndpointArn"]}".')


def _retained(request: dict[str, Any], record: Record) -> dict[str, dict[str, Any]]:
    """Weights and counts that an update keeps from the running fleet, if it says so."""
    if not request.get("RetainAllVariantProperties"):
        return {}
    excluded = {item["VariantPropertyType"] for item in request.get("ExcludeRetainedVariantProperties", [])}
    members = {"DesiredInstanceCount": "Count", "DesiredWeight": "Weight"}
    kept = [member for property_, member in members.items() if property_ not in excluded]
    return {
        variant["VariantName"]: {member: variant[member] for member in kept}
        for variant in record["Fleet"]["Variants"]
    }


def _instances(fleet: dict[str, Any]) -> int:
    total = blueprint.size(fleet)
    if total > INSTANCES:
        raise ResourceLimitExceeded(
            f"The account-level service limit 'Number of instances for an endpoint' is {INSTANCES} Instances,"
            f" with current utilization of 0 Instances and a request delta of {total} Instances."
        )
    return total
