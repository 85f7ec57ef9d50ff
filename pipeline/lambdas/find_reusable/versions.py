"""Registered versions of this pipeline's model: the one of a fingerprint, and what one was approved by."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from urllib.parse import urlsplit

from botocore.exceptions import ClientError

from .whole import Unusable, check_whole, client, log

LARGEST_REPORT_BYTES = 5_000_000


def versions(status: str, day: str) -> Iterator[dict[str, Any]]:
    """This group's versions of a status, newest first, described."""
    since = not_before(day, datetime.now(UTC))
    pages = (
        client("sagemaker")
        .get_paginator("list_model_packages")
        .paginate(
            ModelPackageGroupName=os.environ["STACK_NAME"],
            ModelApprovalStatus=status,
            SortBy="CreationTime",
            SortOrder="Descending",
            **({"CreationTimeAfter": since} if since else {}),
        )
    )
    for page in pages:
        for summary in page["ModelPackageSummaryList"]:
            yield client("sagemaker").describe_model_package(ModelPackageName=summary["ModelPackageArn"])


def find_model(print_: str, day: str, *, manual: bool) -> tuple[dict[str, Any] | None, str]:
    """The newest usable version of this fingerprint, approved ones first; else None and why not."""
    looked, why_not = 0, []
    for status in ("Approved", "PendingManualApproval") if manual else ("Approved",):
        for package in versions(status, day):
            looked += 1
            own = package.get("CustomerMetadataProperties", {}).get("model_fingerprint")
            # Somebody may have decided between the two calls.
            if own != print_ or package.get("ModelApprovalStatus") != status:
                continue
            version = package["ModelPackageVersion"]
            if package["ModelPackageStatus"] != "Completed":
                why_not.append(f"version {version} is {package['ModelPackageStatus']}")
                continue
            try:
                check_whole(package)
            except Unusable as reason:
                why_not.append(f"version {version} cannot be used: {reason}")
                continue
            said = "was approved" if status == "Approved" else "waits for approval"
            return package, f"model version {version} of the same data, code and parameters {said}"
    return None, "; ".join(why_not) or f"no approved model is of this fingerprint ({looked} looked at)"


def not_before(day: str, now: datetime) -> datetime | None:
    """What is made of a day's data is not older than the day, so nothing older need be looked at.

    None where the day is not over: somebody put the data there before its time.
    """
    first = datetime.combine(date.fromisoformat(day), time(), UTC) - timedelta(days=1)
    return first if first + timedelta(days=2) < now else None


def report_of(package: Mapping[str, Any], names: Sequence[str]) -> dict[str, float]:
    """The metrics a version was approved by, as far as its report can be read: they only inform."""
    quality = package.get("ModelMetrics", {}).get("ModelQuality", {})
    uri = quality.get("Statistics", {}).get("S3Uri", "")
    place = urlsplit(uri)
    try:
        body = client("s3").get_object(Bucket=place.netloc, Key=place.path[1:])["Body"] if uri else None
        return metrics_of(json.loads(body.read(LARGEST_REPORT_BYTES)), names) if body else {}
    except (ClientError, ValueError) as error:
        log("report_unreadable", uri=uri, why=str(error))
        return {}


def metrics_of(report: Any, names: Sequence[str]) -> dict[str, float]:
    """The report's metrics of these names, at any depth; those that are there and are finite numbers."""
    found: dict[str, float] = {}

    def walk(group: Any, path: str) -> None:
        for key, value in group.items() if isinstance(group, dict) else ():
            number = value.get("value") if isinstance(value, dict) else value
            if isinstance(number, bool) or not isinstance(number, (int, float)):
                number = math.nan
            if math.isfinite(number):
                for name in names:
                    if f".{path}{key}".endswith(f".{name}"):
                        found.setdefault(name, float(number))
            walk(value, f"{path}{key}.")

    for key, group in report.items() if isinstance(report, dict) else ():
        if key.endswith("_metrics"):
            walk(group, "")
    return found
