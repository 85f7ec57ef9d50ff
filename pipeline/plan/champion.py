"""The model that serves now, by the chain from its endpoint to its package, with its metrics."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from botocore.exceptions import ClientError

from pipeline.aws.errors import DENIED, code

if TYPE_CHECKING:
    from pipeline.aws import Clients
    from pipeline.settings.model import Settings

MAX_REPORT_BYTES = 5_000_000


@dataclass(frozen=True)
class Champion:
    """What serves.

    Args:
        package: ARN of the model package; empty if the model was not made from one.
        metrics: of its own evaluation, by name; those that the gate asks for.
        data_date: day of the data that these were measured on.
        training: name of the job that made it.
        run_seconds: how long the run took that made it; None where that run is not known any more.
    """

    endpoint: str
    config: str
    package: str = ""
    metrics: Mapping[str, float] = field(default_factory=dict)
    data_date: str = ""
    training: str = ""
    git_sha: str = ""
    run_seconds: float | None = None


def find(settings: Settings, clients: Clients) -> Champion | None:
    """The champion of the pipeline's endpoint; None without an endpoint."""
    sagemaker, name = clients.sagemaker, settings.stack_name
    try:
        endpoint = sagemaker.describe_endpoint(EndpointName=name)
    except ClientError as error:
        if code(error) == "ValidationException":
            return None
        raise
    config = endpoint["EndpointConfigName"]
    variants = sagemaker.describe_endpoint_config(EndpointConfigName=config)["ProductionVariants"]
    model = sagemaker.describe_model(ModelName=variants[0]["ModelName"])
    container = model.get("PrimaryContainer") or (model.get("Containers") or [{}])[0]
    package = container.get("ModelPackageName") or _package_of(
        settings, clients, container.get("ModelDataUrl")
    )
    if not package:
        return Champion(name, config)
    found = sagemaker.describe_model_package(ModelPackageName=package)
    known = found.get("CustomerMetadataProperties", {})
    uri = found.get("ModelMetrics", {}).get("ModelQuality", {}).get("Statistics", {}).get("S3Uri", "")
    names = [rule.metric for rule in settings.pipeline.gate]
    return Champion(
        name,
        config,
        found["ModelPackageArn"],
        metrics(_report(clients, uri), names),
        known.get("data_date", ""),
        known.get("training_job", ""),
        known.get("git_sha", ""),
        _seconds(clients, known.get("execution", "")),
    )


def _seconds(clients: Clients, execution: str) -> float | None:
    """How long an execution took. Step Functions forgets one 90 days after its end."""
    if not execution.startswith("arn:"):
        return None
    try:
        found = clients.stepfunctions.describe_execution(executionArn=execution)
    except ClientError as error:
        # A promoted model's run was in another account.
        if code(error) in {"ExecutionDoesNotExist", "InvalidArn", *DENIED}:
            return None
        raise
    begun, ended = found.get("startDate"), found.get("stopDate")
    return (ended - begun).total_seconds() if begun and ended else None


def metrics(report: Any, names: list[str]) -> dict[str, float]:
    """The metrics of these names in a report of SageMaker's shape; nested ones as `setosa.recall`."""
    found: dict[str, float] = {}
    groups = report.items() if isinstance(report, Mapping) else ()
    for key, group in groups:
        if not key.endswith("_metrics"):
            continue
        for path, value in _numbers(group):
            for name in names:
                if path == name or path.endswith(f".{name}"):
                    found.setdefault(name, value)
    return found


def _numbers(group: Any, path: str = "") -> Iterator[tuple[str, float]]:
    if not isinstance(group, Mapping):
        return
    for key, value in group.items():
        place = f"{path}.{key}" if path else str(key)
        number = value.get("value") if isinstance(value, Mapping) else value
        if isinstance(number, int | float) and not isinstance(number, bool):
            yield place, float(number)
        yield from _numbers(value, place)


def _report(clients: Clients, uri: str) -> Any:
    """The evaluation report; None where it cannot be read: then there are no metrics to show."""
    place = urlsplit(uri)
    if place.scheme != "s3":
        return None
    try:
        body = clients.s3.get_object(Bucket=place.netloc, Key=place.path[1:])["Body"].read(MAX_REPORT_BYTES)
        return json.loads(body)
    except (ClientError, ValueError):
        return None


def _package_of(settings: Settings, clients: Clients, artifact: str | None) -> str:
    """The version of this pipeline's group with that artifact, for a model that does not name its package."""
    if not artifact:
        return ""
    pages = clients.sagemaker.get_paginator("list_model_packages").paginate(
        ModelPackageGroupName=settings.stack_name,
        SortBy="CreationTime",
        SortOrder="Descending",
        MaxResults=20,
    )
    for summary in next(iter(pages))["ModelPackageSummaryList"]:
        arn = str(summary["ModelPackageArn"])
        found = clients.sagemaker.describe_model_package(ModelPackageName=arn)
        containers = found.get("InferenceSpecification", {}).get("Containers", [])
        if any(each.get("ModelDataUrl") == artifact for each in containers):
            return arn
    return ""
