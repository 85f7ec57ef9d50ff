"""What is deployed, ran, and serves; whether it is what the settings want."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from pipeline.aws import stacks
from pipeline.aws.errors import code, told
from pipeline.execution import invoke, judged, monitor, reuse, serving, start

if TYPE_CHECKING:
    from pipeline.aws import Clients
    from pipeline.settings.model import Settings

# Errors of runs that ended well in all but name: somebody or something said no.
REJECTED = {"ModelRejected": "model", "DataRejected": "data", "ApprovalRejected": "model"}
NOTHING_TOLD: dict[str, Any] = {"checked": "", "reuse": [], "quality": "", "rejected": "", "error": ""}


def report(settings: Settings, clients: Clients, last: int = 5) -> dict[str, Any]:
    """All of it as JSON data.

    Keys: pipeline, environment, target, stack, drift (None without a stack), executions, endpoint, model (the
    newest version), serves (the version that the endpoint runs, None without any), monitor (the last
    comparison of requests, None without any), warnings.
    """
    with told(clients.target.name):
        stack = stacks.describe(clients, settings.stack_name)
        endpoint = _endpoint(settings, clients)
        model = _model(settings, clients)
        executions = _executions(settings, clients, last)
        comparison = monitor.last(settings, clients)
        serves = serving.version(clients, endpoint["config"]) if endpoint else None
    found = {
        "pipeline": settings.name,
        "environment": settings.environment_name,
        "target": clients.target.name,
        "account": clients.account,
        "region": clients.region,
        "stack": {
            "name": settings.stack_name,
            "status": stack.status if stack else "not deployed",
            "reason": stack.reason if stack else "",
            "outputs": stack.outputs if stack else {},
        },
        "drift": _drift(settings, clients) if stack and stack.exists else None,
        "executions": executions,
        "endpoint": endpoint,
        "model": model,
        "serves": serves,
        "monitor": comparison,
    }
    return {**found, "warnings": warnings(found)}


def warnings(found: dict[str, Any]) -> list[str]:
    """What a person should look at, one sentence each. Pure."""
    said: list[str] = []
    name, drift, endpoint = found["pipeline"], found["drift"], found["endpoint"]
    status = found["stack"]["status"]
    if "ROLLBACK" in status or status.endswith("FAILED"):
        said.append(f"the stack is {status}: apply again after mending the cause (pipeline plan {name})")
    if drift and drift["changes"]:
        said.append(f"deployed is not what is desired, {drift['changes']} changes: pipeline plan {name}")
    if drift and drift.get("workflow"):
        said.append(
            f"the workflow is from {drift['workflow']}, put by hand, not from the definition: "
            f"pipeline apply {name} puts that back"
        )
    if endpoint and endpoint["status"] not in {"InService", "Creating", "Updating"}:
        said.append(f"the endpoint is {endpoint['status']}: {endpoint['reason'] or 'no reason given'}")
    newest = found["executions"][0] if found["executions"] else None
    if newest and newest["status"] not in {"RUNNING", "SUCCEEDED", "PENDING_REDRIVE"}:
        what = REJECTED.get(newest["error"])
        said.append(
            f"the last run's {what} was rejected: {_still(found['serves'])}"
            if what
            else f"the last run {newest['status']}: pipeline run {name} --execution {newest['name']}"
        )
    return said


def _still(serves: dict[str, Any] | None) -> str:
    return f"version {serves['version']} serves as before" if serves else "no version serves"


def _drift(settings: Settings, clients: Clients) -> dict[str, Any]:
    from pipeline.plan import compute, given

    plan = compute(settings, clients)
    changed = [change.logical_id for stack in plan.stacks for change in stack.changes]
    count = len(changed) + sum(len(stack.other) for stack in plan.stacks)
    return {
        "changes": count,
        "resources": changed,
        "image": bool(plan.image.digest),
        "workflow": given.deployed(plan),
    }


def _executions(settings: Settings, clients: Clients, count: int) -> list[dict[str, Any]]:
    newest = start.last(settings, clients, count)
    return [
        {
            "name": summary["name"],
            "arn": summary["executionArn"],
            "status": summary["status"],
            "started": summary["startDate"],
            "seconds": round((summary["stopDate"] - summary["startDate"]).total_seconds(), 3)
            if summary.get("stopDate")
            else None,
            # One more call, so only of the last one.
            **(_told(clients, summary) if summary is newest[0] else NOTHING_TOLD),
        }
        for summary in newest
    ]


def _told(clients: Clients, summary: dict[str, Any]) -> dict[str, Any]:
    """What the run skipped and made, and why; what was said of its data and its model; how it ended."""
    if summary["status"] not in ("SUCCEEDED", "FAILED"):
        return NOTHING_TOLD
    found = clients.stepfunctions.describe_execution(executionArn=summary["executionArn"])
    output, error, cause = found.get("output", ""), found.get("error", ""), found.get("cause", "")
    said = judged.sentence(judged.decided(output))
    checked = judged.checked(output)
    # Of an ordinary run what it did tells enough.
    worth = checked.get("new") is False or str(checked.get("reason", "")).startswith("forced")
    return {
        "checked": str(checked["reason"]) if worth and checked.get("reason") else "",
        "reuse": reuse.sentences(reuse.decided(output)),
        "quality": f"data rejected: {cause}" if error == "DataRejected" else said,
        "rejected": f"model rejected: {cause}" if REJECTED.get(error) == "model" else "",
        "error": error,
    }


def _endpoint(settings: Settings, clients: Clients) -> dict[str, Any] | None:
    found = invoke.describe(settings, clients)
    if found is None:
        return None
    return {
        "name": found["EndpointName"],
        "status": found["EndpointStatus"],
        "config": found["EndpointConfigName"],
        "reason": found.get("FailureReason", ""),
        "changed": found.get("LastModifiedTime"),
        "variants": [
            {
                "name": variant["VariantName"],
                "weight": variant.get("CurrentWeight"),
                "instances": variant.get("CurrentInstanceCount"),
            }
            for variant in found.get("ProductionVariants", [])
        ],
    }


def _model(settings: Settings, clients: Clients) -> dict[str, Any] | None:
    """The newest registered model package of the pipeline's group."""
    try:
        found = clients.sagemaker.list_model_packages(
            ModelPackageGroupName=settings.stack_name,
            SortBy="CreationTime",
            SortOrder="Descending",
            MaxResults=1,
        )["ModelPackageSummaryList"]
    except ClientError as error:
        # A group that does not exist is a validation error there.
        if code(error) in {"ValidationException", "ResourceNotFound"}:
            return None
        raise
    if not found:
        return None
    newest = found[0]
    return {
        "arn": newest["ModelPackageArn"],
        "version": newest.get("ModelPackageVersion"),
        "approval": newest.get("ModelApprovalStatus", ""),
        "created": newest["CreationTime"],
    }
