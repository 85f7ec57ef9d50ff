"""Finds what serves, what was captured of its requests, and the training data that its model knows.

Event: {"input": execution input (SINCE: ISO time), "start_time", "execution_name", "endpoint_name",
"channel", "window_hours", "features": {name: {"request", "training"}}}. Result: `ready`, `reason` in words
and, where ready, `package`, `capture`, `since`, `until`, `training` {"uri", "type"}, `baseline` and `output`.

Endpoint -> config -> model -> model package -> training job -> its channel. What is not there is a reason,
and no error: nothing serves yet, or nothing was captured. Environment: STACK_NAME, ARTIFACT_BUCKET.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any
from urllib.parse import urlsplit

import boto3
from botocore.exceptions import ClientError

# The statuses of an endpoint that answers nobody.
SERVES_NOTHING = ("Creating", "Deleting", "Failed", "OutOfService")


class NotReady(Exception):
    """There is nothing to compare; the text says why."""


# --- pure ---------------------------------------------------------------------------------------------------


def moment(text: Any) -> datetime:
    """An ISO time; without an offset it is UTC. Raises ValueError for anything else."""
    if not isinstance(text, str):
        raise ValueError(f"SINCE must be an ISO time, not {json.dumps(text)}")
    found = datetime.fromisoformat(text)
    return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)


def window(given: Any, start: str, hours: int, deployed: datetime) -> tuple[datetime, datetime]:
    """Which requests count: since SINCE, or the last hours, but none that another model answered.

    A capture tells its time in whole seconds, so the first second of a deployment counts from its beginning.

    Raises:
        ValueError: SINCE is no time, or in the future.
    """
    until = moment(start)
    if given is not None:
        since = moment(given)
        if since >= until:
            raise ValueError(f"SINCE {given} is not before now, {start}")
        return since, until
    return max(until - timedelta(hours=hours), deployed.replace(microsecond=0)), until


def serving_variant(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """The variant that gets most of the requests."""
    variants = sorted(
        config["ProductionVariants"],
        key=lambda variant: (-float(variant.get("InitialVariantWeight", 1)), variant["VariantName"]),
    )
    chosen: Mapping[str, Any] = variants[0]
    return chosen


def channel_of(job: Mapping[str, Any], name: str) -> dict[str, str]:
    """Where the job's channel lies and of which type it is. Raises NotReady."""
    for channel in job.get("InputDataConfig", []):
        source = channel.get("DataSource", {}).get("S3DataSource")
        if channel["ChannelName"] == name and source:
            uri = source["S3Uri"]
            # A prefix is a folder; a manifest is known by its end.
            is_file = source["S3DataType"] == "ManifestFile"
            return {
                "uri": uri if is_file else f"{uri.rstrip('/')}/",
                "type": channel.get("ContentType", "text/csv"),
            }
    known = ", ".join(channel["ChannelName"] for channel in job.get("InputDataConfig", []))
    raise NotReady(f"the training job {job['TrainingJobName']} had no channel {name}; it had {known}")


def digest(*parts: Any) -> str:
    """Names the baseline of a package and of the expressions it was computed by."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


# --- at the edge --------------------------------------------------------------------------------------------


@cache
def client(service: str) -> Any:
    """One boto3 client of each service for the life of the function's process."""
    return boto3.client(service)


def describe_endpoint(name: str) -> dict[str, Any]:
    """The endpoint that serves. Raises NotReady."""
    try:
        endpoint: dict[str, Any] = client("sagemaker").describe_endpoint(EndpointName=name)
    except ClientError as error:
        said = error.response["Error"]
        # SageMaker has no error name of its own for it. Only these words are taken for "none".
        if said["Code"] == "ValidationException" and "could not find" in said["Message"].lower():
            raise NotReady(f"there is no endpoint {name} yet") from error
        raise
    if endpoint["EndpointStatus"] in SERVES_NOTHING:
        raise NotReady(f"the endpoint {name} is {endpoint['EndpointStatus']}: nothing serves")
    if not endpoint.get("DataCaptureConfig", {}).get("EnableCapture"):
        raise NotReady(f"the endpoint {name} captures no requests; the next deployment begins")
    return endpoint


def training_of(model_name: str) -> tuple[str, str]:
    """The model package that serves, and the training job that made it. Raises NotReady."""
    sagemaker = client("sagemaker")
    model = sagemaker.describe_model(ModelName=model_name)
    container = model.get("PrimaryContainer") or (model.get("Containers") or [{}])[0]
    package = container.get("ModelPackageName")
    if not package:
        raise NotReady(f"the model {model_name} was not made of a registered version")
    found = sagemaker.describe_model_package(ModelPackageName=package)
    job = found.get("CustomerMetadataProperties", {}).get("training_job")
    if not job:
        raise NotReady(f"{found['ModelPackageArn']} does not say which training job made it")
    return found["ModelPackageArn"], job


def is_any(uri: str) -> bool:
    """Whether there is an object under a prefix."""
    place = urlsplit(uri)
    found = client("s3").list_objects_v2(Bucket=place.netloc, Prefix=place.path.lstrip("/"), MaxKeys=1)
    return bool(found.get("KeyCount"))


def find(event: Mapping[str, Any], environ: Mapping[str, str]) -> dict[str, Any]:
    """The result where there is something to compare.

    Raises:
        NotReady: there is not.
        ValueError: SINCE makes no sense.
    """
    sagemaker = client("sagemaker")
    endpoint = describe_endpoint(event["endpoint_name"])
    config = sagemaker.describe_endpoint_config(EndpointConfigName=endpoint["EndpointConfigName"])
    variant = serving_variant(config)
    given = (event.get("input") or {}).get("SINCE")
    deployed = config["CreationTime"].astimezone(UTC)
    since, until = window(given, event["start_time"], event["window_hours"], deployed)
    package, job_name = training_of(variant["ModelName"])
    root = endpoint["DataCaptureConfig"]["DestinationS3Uri"].rstrip("/")
    capture = f"{root}/{event['endpoint_name']}/{variant['VariantName']}/"
    if not is_any(capture):
        raise NotReady("no request was captured yet")
    job = sagemaker.describe_training_job(TrainingJobName=job_name)
    own = f"s3://{environ['ARTIFACT_BUCKET']}/{environ['STACK_NAME']}/monitor"
    return {
        "ready": True,
        "reason": f"requests since {since.isoformat()} beside the training data of {job_name}",
        "package": package,
        "capture": capture,
        "since": since.isoformat(),
        "until": until.isoformat(),
        "training": channel_of(job, event["channel"]),
        "baseline": f"{own}/baselines/{digest(package, event['channel'], event['features'])}.json",
        "output": f"{own}/reports/{event['execution_name']}",
    }


def handler(event: dict[str, Any], _context: Any) -> dict[str, Any]:
    """What was found. Raises ClientError for trouble that is no answer, such as throttling."""
    try:
        result = find(event, os.environ)
    except NotReady as why:
        result = {"ready": False, "reason": str(why)}
    print(json.dumps({"event": "looked_for_baseline", **result}))
    return result
