"""Decides whether the data that the transforms left may be trained on. What is missing never passes.

Event: {"outputs": {transform: S3 URI}, "fingerprints": the run's, "rules": {transform: {frame: limits of
drift}}, "model_package_group_name", "to": S3 URI of the run's place}. What a transform's script measured is
in its quality.json. Drift is measured here, by its profile.json, from the data of the newest approved model
whose metadata `data_profile` names a profile in this bucket.

The answer goes into the run's data, so it is short: the whole is in `report`; `profile` is what the next run
is compared with, once this one's model is approved. Environment: STACK_NAME, ARTIFACT_BUCKET.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any
from urllib.parse import urlsplit

import boto3
from botocore.exceptions import ClientError

from . import drift, words

# Profiles of a hundred columns are half a megabyte; this guards the function's memory.
LARGEST_BYTES = 50_000_000
# Approved versions that are looked at for one with a profile here.
VERSIONS_SEARCHED = 20
# S3 answers these for an object that is not there; without ListBucket also AccessDenied.
ABSENT = ("NoSuchKey", "NoSuchBucket", "404", "AccessDenied")


class Unreadable(Exception):
    """Something that decides cannot be read; the text says what and where."""


# --- pure ---------------------------------------------------------------------------------------------------


def findings(transform: str, output: str, report: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Each rule that a transform's script applied, with the transform, the frame and the quarantine."""
    for frame, about in report["frames"].items():
        for found in about["checks"]:
            where = {"transform": transform, "frame": frame, "quarantine": about["quarantine"]}
            yield {**where, "output": output, "stops": True, **found}


def drifted(
    transform: str,
    rules: Mapping[str, Any],
    current: Mapping[str, Any],
    baseline: Mapping[str, Any] | None,
) -> Iterator[dict[str, Any]]:
    """Each measure of drift of a transform's frames that have limits of it."""
    for frame, limits in rules.items():
        here = {"transform": transform, "frame": frame, "quarantine": "", "stops": limits["action"] == "stop"}
        now = current["frames"].get(frame)
        if now is None:
            yield {**here, **_unmeasured(f"the script checked no frame {frame}")}
            continue
        before = (baseline or {}).get("transforms", {}).get(transform, {}).get(frame)
        if before is None:
            continue
        for result in drift.compare(before, now, limits):
            why = f"drift of {result['why']}"
            allowed, measured = f"{result['limit']:g}", result["value"]
            rule = f"drift.{result['measure']}"
            yield {
                **here,
                **_result(rule, result["column"], measured, allowed, result["passed"], why),
            }


def _unmeasured(why: str) -> dict[str, Any]:
    return _result("drift", "", "unknown", "known", False, f"drift: {why}")


def _result(rule: str, column: str, measured: Any, allowed: str, passed: bool, why: str) -> dict[str, Any]:
    """As the scripts' report has them."""
    return {
        "rule": rule,
        "column": column,
        "measured": measured,
        "allowed": allowed,
        "passed": passed,
        "why": why,
        "example": "",
        "at": "",
    }


def decide(checks: list[dict[str, Any]], baseline: str, report: str, profile: str) -> dict[str, Any]:
    """The verdict: passed only if nothing that stops is over its limit."""
    failed = [check for check in checks if not check["passed"] and check["stops"]]
    noted = [check for check in checks if not check["passed"] and not check["stops"]]
    return {
        "passed": not failed,
        "reason": words.reason(failed) if failed else words.passed(checks, baseline),
        "failed": [words.sentence(check) for check in failed[: words.MOST]],
        "notes": words.reason(noted) if noted else "",
        "summary": words.summary(checks, failed, noted),
        "checks": len(checks),
        "baseline": baseline,
        "report": report,
        "profile": profile,
    }


# --- at the edge --------------------------------------------------------------------------------------------


@cache
def client(service: str) -> Any:
    """One boto3 client of each service for the life of the function's process."""
    return boto3.client(service)


def read(uri: str) -> dict[str, Any]:
    """A JSON object in S3. Raises Unreadable, which names it."""
    place = urlsplit(uri)
    if place.scheme != "s3" or not place.netloc:
        raise Unreadable(f"{uri!r} is not an S3 object")
    try:
        body = client("s3").get_object(Bucket=place.netloc, Key=place.path[1:])["Body"]
        found = json.loads(body.read(LARGEST_BYTES))
    except ClientError as error:
        code = error.response["Error"]["Code"]
        if code not in ABSENT:
            raise
        raise Unreadable(f"{uri} cannot be read ({code})") from None
    except ValueError:
        raise Unreadable(f"{uri} is not JSON") from None
    if not isinstance(found, dict):
        raise Unreadable(f"{uri} is not a JSON object")
    return found


def write(uri: str, value: Any) -> str:
    """Keep a JSON object in S3; gives back where."""
    place = urlsplit(uri)
    text = json.dumps(value, sort_keys=True, allow_nan=False).encode()
    client("s3").put_object(
        Bucket=place.netloc, Key=place.path[1:], Body=text, ContentType="application/json"
    )
    return uri


def accepted(group: str) -> tuple[str, str]:
    """Where the newest approved model's data profile lies, and which version that is; or "" and why."""
    sagemaker = client("sagemaker")
    found = sagemaker.list_model_packages(
        ModelPackageGroupName=group,
        ModelApprovalStatus="Approved",
        SortBy="CreationTime",
        SortOrder="Descending",
        MaxResults=VERSIONS_SEARCHED,
    )["ModelPackageSummaryList"]
    here = f"s3://{os.environ['ARTIFACT_BUCKET']}/"
    for summary in found:
        arn = summary["ModelPackageArn"]
        metadata = sagemaker.describe_model_package(ModelPackageName=arn).get(
            "CustomerMetadataProperties", {}
        )
        uri = metadata.get("data_profile", "")
        # What was promoted names a profile in the bucket it came from, which is another account's.
        if uri.startswith(here):
            return uri, f"version {arn.rpartition('/')[2]}"
    return "", "no approved model has a data profile yet" if found else "no model is approved yet"


def judge(event: Mapping[str, Any]) -> dict[str, Any]:
    """The verdict on all transforms, and its record in S3."""
    checks: list[dict[str, Any]] = []
    profiles: dict[str, Any] = {}
    for transform, output in sorted(event["outputs"].items()):
        try:
            receipt = read(f"{output}/transform.json")
            if receipt.get("fingerprint") != event["fingerprints"].get(transform):
                raise Unreadable(f"{output}/transform.json is of another run's data")
            checks += findings(transform, output, read(f"{output}/quality.json"))
            profiles[transform] = read(f"{output}/profile.json")
        except Unreadable as error:
            checks.append(
                {
                    "transform": transform,
                    "frame": "",
                    "quarantine": "",
                    "stops": True,
                    **_result("report", "", "absent", "present", False, f"report: {error}"),
                }
            )
    said = ""
    if event["rules"]:
        more, said = _drift(event, profiles)
        checks += more
    to = event["to"].rstrip("/")
    profile = write(
        f"{to}/data-profile.json",
        {"version": 1, "transforms": {name: found["frames"] for name, found in profiles.items()}},
    )
    report = f"{to}/data-quality.json"
    verdict = decide(checks, said, report, profile)
    write(report, {"version": 1, **verdict, "results": checks})
    return verdict


def _drift(event: Mapping[str, Any], profiles: Mapping[str, Any]) -> tuple[list[dict[str, Any]], str]:
    """Results of all rules of drift, and what the data was compared with."""
    uri, version = accepted(event["model_package_group_name"])
    checks: list[dict[str, Any]] = []
    baseline: dict[str, Any] | None = None
    if uri:
        try:
            baseline = read(uri)
        except Unreadable as error:
            stops = any(
                limits["action"] == "stop" for rules in event["rules"].values() for limits in rules.values()
            )
            why = _unmeasured(f"the data of {version} is not known: {error}")
            checks.append({"transform": "", "frame": "", "quarantine": "", "stops": stops, **why})
    for transform, rules in sorted(event["rules"].items()):
        if transform in profiles:
            checks += drifted(transform, rules, profiles[transform], baseline)
    return checks, f"the data of {version}" if uri else version


def handler(event: dict[str, Any], _context: Any) -> dict[str, Any]:
    """The verdict. Raises ClientError for trouble that is no answer, such as throttling."""
    verdict = judge(event)
    print(json.dumps({"event": "judged_data", **verdict}))
    return verdict
