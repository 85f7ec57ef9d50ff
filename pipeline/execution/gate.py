"""What the gate decided in a run, read from the run's own record: the data its states passed on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from botocore.exceptions import ClientError

from pipeline.aws.errors import code, told
from pipeline.errors import ExecutionError
from pipeline.execution import start
from pipeline.execution.passed_on import passed_on

if TYPE_CHECKING:
    from pipeline.aws import Clients
    from pipeline.settings.model import Settings

# Runs that found nothing new judged nothing; so many are looked at for one that did.
LOOKED_AT = 50
# What an evaluation may leave beside its report, for people.
PAGE = "report.html"


def find(settings: Settings, clients: Clients, which: str | None = None) -> dict[str, Any]:
    """The verdict of a run, with its arithmetic.

    Args:
        which: an execution's ARN or name, or `last`; None: the newest in which a gate decided.

    Returns:
        execution, status, and the gate's approved, reason, metrics, results, champion, explanation; `report`,
        where the evaluation's lies ("": not known); for a model that was used again also `again` (why) and,
        where it is known, `judged_in` (the execution).

    Raises:
        ExecutionError: there is no such run, or no gate decided in it.
    """
    with told(clients.target.name):
        if which is not None:
            one = start.find(settings, clients, which)
            found = _verdict(clients, one.arn)
            if found is None:
                raise ExecutionError(
                    "no gate decided in this run",
                    where=one.name,
                    hint=f"see how far it went: pipeline run {settings.name} --execution {one.name}",
                )
            return found
        for summary in start.last(settings, clients, LOOKED_AT):
            found = _verdict(clients, summary["executionArn"])
            if found is not None:
                return found
    raise ExecutionError(
        "no gate has decided in any run yet",
        where=settings.stack_name,
        hint=f"pipeline run {settings.name} --follow",
    )


def explanation(clients: Clients, execution_arn: str) -> str:
    """The arithmetic of one run in words; "" where no gate decided."""
    with told(clients.target.name):
        found = _verdict(clients, execution_arn)
    return str(found["explanation"]) if found else ""


def page(clients: Clients, found: dict[str, Any]) -> str:
    """The page that the evaluation left beside its report; "" where it left none, or it is gone."""
    place = urlsplit(found["report"])
    if not place.netloc:
        return ""
    key = f"{place.path[1:].rpartition('/')[0]}/{PAGE}"
    with told(clients.target.name):
        try:
            body = clients.s3.get_object(Bucket=place.netloc, Key=key)["Body"].read()
        except ClientError as error:
            if code(error) not in {"NoSuchKey", "NoSuchBucket", "404"}:
                raise
            return ""
    return str(body.decode())


def _verdict(clients: Clients, arn: str) -> dict[str, Any] | None:
    data = next(passed_on(clients, arn, "gate"), None)
    if data is None:
        return None
    described = clients.stepfunctions.describe_execution(executionArn=arn)
    head = {"execution": described["name"], "status": described["status"]}
    gate = data["gate"]
    if gate.get("results") is not None:
        return {**head, **gate, "report": _report(data)}
    return {**head, **_again(clients, data), "again": gate.get("reason", "")}


def _again(clients: Clients, data: dict[str, Any]) -> dict[str, Any]:
    """The verdict on a model that exists already: that of the run which made it, as far as it can be read."""
    gate = data["gate"]
    short = {
        "approved": gate.get("approved", True),
        "reason": gate.get("reason", ""),
        "metrics": gate.get("metrics", {}),
        "results": [],
        "champion": {},
        "report": "",
        "explanation": f"gate: not asked again\n  {gate.get('reason', '')}",
    }
    known = _metadata(clients, data.get("package", {}).get("ModelPackageArn", ""))
    origin = known.get("execution", "")
    if not origin:
        return short
    try:
        made = next(passed_on(clients, origin, "gate"), None)
    except ClientError as error:
        # Step Functions forgets after 90 days; a promoted model was judged in another account.
        if code(error) not in {"ExecutionDoesNotExist", "InvalidArn", "AccessDeniedException"}:
            raise
        made = None
    if made is None or made["gate"].get("results") is None:
        kept = f"\n  registered with: {known['gate']}" if known.get("gate") else ""
        return {**short, "explanation": short["explanation"] + kept, "judged_in": origin}
    return {**made["gate"], "judged_in": origin, "report": _report(made)}


def _report(data: dict[str, Any]) -> str:
    found = data.get("evaluation")
    return str(found.get("report", "")) if isinstance(found, dict) else ""


def _metadata(clients: Clients, package: str) -> dict[str, str]:
    if not package:
        return {}
    try:
        found = clients.sagemaker.describe_model_package(ModelPackageName=package)
    except ClientError as error:
        if code(error) not in {"ValidationException", "ResourceNotFound"}:
            raise
        return {}
    return dict(found.get("CustomerMetadataProperties", {}))
