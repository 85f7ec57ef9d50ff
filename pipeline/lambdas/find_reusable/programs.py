"""Finished processing jobs of the container's programs: those that made datasets, those that made bundles."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from .transforms import RECEIPT, read_receipt
from .whole import Unusable, check_age, client, head


def program(name: str, job: Mapping[str, str], done: Mapping[str, Any]) -> dict[str, Any]:  # noqa: ARG001
    """What Transform would have left at `$.transforms.<name>`. Raises Unusable."""
    found = described(name)
    output = output_of(found, job["output"])
    place = urlsplit(output)
    prefix = place.path.strip("/")
    receipt = read_receipt(place.netloc, f"{prefix}/{RECEIPT}")
    begun, ended = times(found)
    check_files(receipt, present(place.netloc, f"{prefix}/"), prefix, begun, ended)
    return {**named(name, found), "output": output}


def bundle(name: str, job: Mapping[str, str], done: Mapping[str, Any]) -> dict[str, Any]:
    """What Bundle would have left at `$.bundle`. Raises Unusable."""
    if job["after"] not in done:
        raise Unusable(f"the {job['after']} is made anew")
    found = described(name)
    inputs = [i.get("S3Input", {}).get("S3Uri", "") for i in found.get("ProcessingInputs", [])]
    artifact = done[job["model"]]["ModelArtifacts"]["S3ModelArtifacts"]
    if artifact not in inputs:
        raise Unusable(f"it did not read {artifact}")
    output = done[job["after"]]["output"]
    if not any(uri.startswith(f"{output}/") for uri in inputs):
        raise Unusable(f"it did not read {output}")
    uri = f"{output_of(found, job['output'])}/model.tar.gz"
    check_age(head(uri, "artifact"), "artifact", *times(found))
    return {**named(name, found), "ModelArtifacts": {"S3ModelArtifacts": uri}}


def described(name: str) -> Mapping[str, Any]:
    """A processing job that is completed. Raises Unusable."""
    found: Mapping[str, Any] = client("sagemaker").describe_processing_job(ProcessingJobName=name)
    if found["ProcessingJobStatus"] != "Completed":
        raise Unusable(f"it is {found['ProcessingJobStatus']}")
    return found


def named(name: str, found: Mapping[str, Any]) -> dict[str, str]:
    return {"ProcessingJobName": name, "ProcessingJobArn": found["ProcessingJobArn"]}


def output_of(found: Mapping[str, Any], output: str) -> str:
    """S3 URI of one of a job's outputs, without a slash at its end. Raises Unusable."""
    outputs = found.get("ProcessingOutputConfig", {}).get("Outputs", [])
    uri = next((str(o["S3Output"]["S3Uri"]) for o in outputs if o["OutputName"] == output), "")
    if not uri:
        raise Unusable(f"it has no output {output}")
    return uri.rstrip("/")


def times(found: Mapping[str, Any]) -> tuple[datetime, datetime]:
    """When a job was made, and when it ended."""
    return found["CreationTime"], found.get("ProcessingEndTime") or found["LastModifiedTime"]


def present(bucket: str, prefix: str) -> dict[str, Mapping[str, Any]]:
    """Each object under a prefix: one call for a thousand, however many there are."""
    pages = client("s3").get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    return {entry["Key"]: entry for page in pages for entry in page.get("Contents", [])}


def check_files(
    receipt: Mapping[str, Any],
    there: Mapping[str, Mapping[str, Any]],
    prefix: str,
    begun: datetime,
    ended: datetime,
) -> None:
    """Raises Unusable unless every file of every dataset is there, as long as it was and as old as the job.

    A program does not know what ETag S3 will give; but what is younger than the job, the job did not write.
    """
    for name, dataset in sorted(receipt["datasets"].items()):
        for path, size in sorted(dataset.get("files", {}).items()):
            found = there.get(f"{prefix}/{path}")
            if found is None:
                raise Unusable(f"{path} of its dataset {name} is gone")
            if found["Size"] != size:
                raise Unusable(f"{path} of its dataset {name} has {found['Size']} bytes, not {size}")
            check_age(found, f"{path} of its dataset {name}", begun, ended)
