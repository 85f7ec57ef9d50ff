"""Finished Glue runs of a fingerprint, and whether what they made is still whole."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from botocore.exceptions import ClientError

from .whole import Unusable, client

# Written last: what has none was never finished.
RECEIPT = "transform.json"
LARGEST_RECEIPT_BYTES = 50_000_000


def named_runs(job: str, print_: str) -> Iterator[Mapping[str, Any]]:
    """Runs of a Glue job that succeeded and were told this fingerprint, newest first."""
    try:
        pages = list(client("glue").get_paginator("get_job_runs").paginate(JobName=job))
    except ClientError as error:
        if error.response["Error"]["Code"] == "EntityNotFoundException":
            return
        raise
    runs = [run for page in pages for run in page["JobRuns"]]
    for run in sorted(runs, key=lambda run: run["StartedOn"], reverse=True):
        if run["JobRunState"] == "SUCCEEDED" and run.get("Arguments", {}).get("--FINGERPRINT") == print_:
            yield run


def usable(run: Mapping[str, Any], print_: str) -> dict[str, Any]:
    """What Transform would have left at `$.transforms.<name>`. Raises Unusable."""
    output = str(run["Arguments"].get("--OUTPUT_PATH", "")).rstrip("/")
    place = urlsplit(output)
    bucket, prefix = place.netloc, place.path.strip("/")
    if place.scheme != "s3" or not bucket or not prefix:
        raise Unusable(f"its output is {output or 'not known'}")
    receipt = read_receipt(bucket, f"{prefix}/{RECEIPT}")
    if receipt.get("fingerprint") != print_:
        raise Unusable(f"its {RECEIPT} is of another fingerprint")
    check_objects(receipt, present(bucket, f"{prefix}/"), prefix)
    return {"JobName": run["JobName"], "JobRunId": run["Id"], "output": output}


def read_receipt(bucket: str, key: str) -> Mapping[str, Any]:
    """What a run says that it made. Raises Unusable."""
    try:
        body = client("s3").get_object(Bucket=bucket, Key=key)["Body"].read(LARGEST_RECEIPT_BYTES)
        found = json.loads(body)
    except ClientError as error:
        if error.response["Error"]["Code"] in ("NoSuchKey", "NoSuchBucket", "AccessDenied"):
            raise Unusable(f"its {RECEIPT} is gone") from None
        raise
    except ValueError:
        raise Unusable(f"its {RECEIPT} is not JSON") from None
    if not isinstance(found, dict) or not isinstance(found.get("datasets"), dict):
        raise Unusable(f"its {RECEIPT} names no datasets")
    return found


def present(bucket: str, prefix: str) -> dict[str, str]:
    """ETag of each object under a prefix: one call for a thousand, however many there are."""
    pages = client("s3").get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    return {e["Key"]: bare(e["ETag"]) for page in pages for e in page.get("Contents", [])}


def check_objects(receipt: Mapping[str, Any], there: Mapping[str, str], prefix: str) -> None:
    """Raises Unusable unless every object of every dataset, and its manifest, is there as it was written."""
    for name, dataset in sorted(receipt["datasets"].items()):
        if f"{prefix}/manifests/{name}.json" not in there:
            raise Unusable(f"the manifest of its dataset {name} is gone")
        for item in dataset["objects"]:
            if item["key"] not in there:
                raise Unusable(f"{item['key']} of its dataset {name} is gone")
            if there[item["key"]] != bare(item["etag"]):
                raise Unusable(f"{item['key']} of its dataset {name} is not what the run wrote")


def bare(etag: str) -> str:
    """S3 gives ETags in quotes."""
    return etag.strip('"')


def find_transform(job: Mapping[str, str], run: Mapping[str, Any]) -> tuple[dict[str, Any] | None, str]:
    """A transform's result from an earlier run of its Glue job; else None and why not."""
    print_ = run["fingerprints"][job["fingerprint"]]
    why_not = []
    for found in named_runs(job["name"], print_):
        try:
            return usable(found, print_), f"Glue run {found['Id']} had the same data, script and parameters"
        except Unusable as reason:
            why_not.append(f"Glue run {found['Id']} cannot be used: {reason}")
    return None, "; ".join(why_not) or "no Glue run that succeeded is of this fingerprint"
