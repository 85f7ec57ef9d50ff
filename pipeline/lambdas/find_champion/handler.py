"""Finds the model that serves, and whether it was evaluated on the same held-out rows as a new one.

Event: {"endpoint_name", "model_package_group_name", "challenger": {"report": s3 URI, "artifacts": s3 URI}}.
Result: `exists` (does a model serve at all), `why` in words, `package` (ARN, or "none"), `image` and
`artifacts` to evaluate it with, `report` (its recorded evaluation, if that is of the same rows, else "") and
`evaluate` (must it be evaluated anew).

Endpoint -> config -> model -> model package -> the package's report. What AWS says does not exist, or denies,
is an answer, with which the gate decides; any other error is raised, and fails the run.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from typing import Any
from urllib.parse import urlsplit

import boto3
from botocore.exceptions import ClientError

# The statuses of an endpoint that answers nobody.
SERVES_NOTHING = ("Creating", "Deleting", "Failed", "OutOfService")
# A model that was made without a package is looked for among so many of the newest versions.
VERSIONS_SEARCHED = 20
LARGEST_REPORT_BYTES = 5_000_000
# S3 answers these for an object that is not there; without ListBucket also AccessDenied.
ABSENT = ("NoSuchKey", "NoSuchBucket", "404", "AccessDenied")


class Lost(Exception):
    """There is a champion, and something of it is gone or hidden; the text says what."""


# --- pure ---------------------------------------------------------------------------------------------------


def answer(exists: bool, why: str, **found: Any) -> dict[str, Any]:
    """The result, with what is not known filled in."""
    empty = {"package": "none", "image": "", "artifacts": "", "report": "", "evaluate": False}
    return {"exists": exists, "why": why, **empty, **found}


def serving_variant(config: Mapping[str, Any]) -> str:
    """Name of the model that gets most of the requests. Raises Lost."""
    variants = sorted(
        config.get("ProductionVariants") or [],
        key=lambda variant: (-float(variant.get("InitialVariantWeight", 1)), variant["VariantName"]),
    )
    name = variants[0].get("ModelName", "") if variants else ""
    if not name:
        raise Lost(f"the endpoint config {config.get('EndpointConfigName')} names no model")
    return str(name)


def container_of(found: Mapping[str, Any], what: str) -> Mapping[str, Any]:
    """The one container of a model or of a model package's specification. Raises Lost."""
    containers = [found["PrimaryContainer"]] if found.get("PrimaryContainer") else found.get("Containers", [])
    if len(containers) != 1:
        raise Lost(f"{what} has {len(containers)} containers; one can be evaluated")
    container: Mapping[str, Any] = containers[0]
    return container


def same_rows(challenger: Mapping[str, Any], champion: Mapping[str, Any]) -> bool:
    """Whether both reports say that they are of the same rows; saying nothing is no proof."""
    hashes = [
        said.get("sha256") if isinstance(said := report.get("held_out"), dict) else None
        for report in (challenger, champion)
    ]
    return isinstance(hashes[0], str) and len(hashes[0]) == 64 and hashes[0] == hashes[1]


# --- at the edge --------------------------------------------------------------------------------------------


@cache
def client(service: str) -> Any:
    """One boto3 client of each service for the life of the function's process."""
    return boto3.client(service)


def describe(what: str, name: str, call: Any, **request: Any) -> dict[str, Any]:
    """What SageMaker says of something. Raises Lost when it is not there or denied."""
    try:
        found: dict[str, Any] = call(**request)
        return found
    except ClientError as error:
        said = error.response["Error"]
        # SageMaker's word for "there is none" is ValidationException.
        if said["Code"] in ("ValidationException", "ResourceNotFound", "AccessDeniedException"):
            raise Lost(f"{what} {name} cannot be read: {said['Code']}: {said['Message']}") from error
        raise


def read_report(uri: str) -> dict[str, Any]:
    """A report; {} when it is not there, not to be read or no report."""
    place = urlsplit(uri)
    if place.scheme != "s3" or not place.netloc:
        return {}
    try:
        body = client("s3").get_object(Bucket=place.netloc, Key=place.path[1:])["Body"]
        report = json.loads(body.read(LARGEST_REPORT_BYTES))
    except ClientError as error:
        if error.response["Error"]["Code"] not in ABSENT:
            raise
        return {}
    except ValueError:
        return {}
    return report if isinstance(report, dict) else {}


def package_of(container: Mapping[str, Any], group: str) -> dict[str, Any]:
    """The model package that a served container was made of; {} when none can be found. Raises Lost."""
    sagemaker = client("sagemaker")
    name = container.get("ModelPackageName")
    if name:
        return describe("model package", name, sagemaker.describe_model_package, ModelPackageName=name)
    # A model made of image and artifact: by its artifact, which no two trainings share.
    versions = describe(
        "model package group",
        group,
        sagemaker.list_model_packages,
        ModelPackageGroupName=group,
        SortBy="CreationTime",
        SortOrder="Descending",
        MaxResults=VERSIONS_SEARCHED,
    )["ModelPackageSummaryList"]
    for version in versions:
        arn = version["ModelPackageArn"]
        found = describe("model package", arn, sagemaker.describe_model_package, ModelPackageName=arn)
        own = found.get("InferenceSpecification", {}).get("Containers", [])
        if any(c.get("ModelDataUrl") == container.get("ModelDataUrl") for c in own):
            return found
    return {}


def find(endpoint_name: str, group: str, challenger: Mapping[str, str]) -> dict[str, Any]:
    """The result. Raises Lost when there is a champion of which not enough is known to evaluate it."""
    sagemaker = client("sagemaker")
    try:
        endpoint = sagemaker.describe_endpoint(EndpointName=endpoint_name)
    except ClientError as error:
        said = error.response["Error"]
        # SageMaker has no error name of its own for it. Only these words are taken for "none".
        if said["Code"] != "ValidationException" or "could not find" not in said["Message"].lower():
            raise
        return answer(False, f"there was no endpoint {endpoint_name} when the gate decided")
    status, config_name = endpoint["EndpointStatus"], endpoint["EndpointConfigName"]
    if status in SERVES_NOTHING:
        why = f"the endpoint {endpoint_name} was {status} when the gate decided: nothing served"
        return answer(False, why)
    config = describe(
        "endpoint config", config_name, sagemaker.describe_endpoint_config, EndpointConfigName=config_name
    )
    model_name = serving_variant(config)
    model = describe("model", model_name, sagemaker.describe_model, ModelName=model_name)
    served = container_of(model, f"model {model_name}")
    package = package_of(served, group)
    made = container_of(package.get("InferenceSpecification", {}), "its model package") if package else served
    image, artifacts = made.get("Image", ""), made.get("ModelDataUrl", "")
    arn = package.get("ModelPackageArn", "none")
    said = arn.rpartition("/")[2] if package else ""
    name = f"version {said} (model {model_name})" if said else f"model {model_name}, which is not registered"
    if artifacts and artifacts == challenger["artifacts"]:
        return answer(False, f"{name} is this very model, which serves already", package=arn)
    if not image or not artifacts:
        raise Lost(f"{name} names no image or no artifact")
    metrics = package.get("ModelMetrics", {}).get("ModelQuality", {}).get("Statistics", {})
    recorded = metrics.get("S3Uri", "")
    found = {"package": arn, "image": image, "artifacts": artifacts}
    if same_rows(read_report(challenger["report"]), read_report(recorded)):
        return answer(True, f"{name}, by its evaluation of the same rows", **found, report=recorded)
    return answer(True, f"{name}, evaluated anew on this run's rows", **found, evaluate=True)


def handler(event: dict[str, Any], _context: Any) -> dict[str, Any]:
    """What was found. Raises ClientError for trouble that is no answer, such as throttling."""
    try:
        result = find(event["endpoint_name"], event["model_package_group_name"], event["challenger"])
    except Lost as reason:
        result = answer(True, str(reason))
    print(json.dumps({"event": "looked_for_champion", **result}))
    return result
