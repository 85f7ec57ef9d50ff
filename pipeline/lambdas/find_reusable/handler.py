"""Finds what was made of the same data, code and parameters already, and reads a model that is named.

Event to find: {"state": the run's data with `run.fingerprints`, "execution_input", "jobs": those of
pipeline/steps/block.py, "manual": a human approves, "metrics": names}. The answer is the state with `reuse`,
and with what was found under the names that making it would have filled.

Event to read: {"input": with PACKAGE, "defaults", "start_time", "execution_arn", "manual", "metrics"}.

Only what is whole counts: approved (or waiting for approval, where a human decides), completed, by its own
tag or metadata of this fingerprint, its artifact unchanged in S3, its image in ECR. Everything else is named
as the reason why something is made anew. An AWS call that fails fails the run: to train for want of an answer
could cost more. Environment: STACK_NAME, ARTIFACT_BUCKET, IMAGE_URI.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from typing import Any
from urllib.parse import urlsplit

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

# S3's clock and SageMaker's need not agree to the second.
CLOCKS_DIFFER = timedelta(minutes=2)
LARGEST_REPORT_BYTES = 5_000_000
# Who starts a run may say where it comes from.
SAID = ("GIT_SHA", "PULL_REQUEST", "RUN_URL")


class BadPackage(Exception):
    """PACKAGE in the execution's input is none that can be deployed; the text says why."""


class Unusable(Exception):
    """Something found has the fingerprint, but must not be used; the text says why."""


# --- pure ---------------------------------------------------------------------------------------------------


def asked(given: Mapping[str, Any], group_arn: str) -> dict[str, Any]:
    """PACKAGE, checked, with its defaults. Raises BadPackage."""
    package = given.get("PACKAGE")
    if not isinstance(package, dict):
        raise BadPackage(f"PACKAGE must be an object with ModelPackageArn, not {json.dumps(package)}")
    known = {"ModelPackageArn": "", "Why": "an existing model", "Approval": "as-settings", "Watermark": False}
    if odd := sorted(package.keys() - known.keys()):
        raise BadPackage(f"PACKAGE has no {', '.join(odd)}; it has {', '.join(known)}")
    found = {**known, **package}
    for name, default in known.items():
        if type(found[name]) is not type(default):
            raise BadPackage(
                f"PACKAGE.{name} must be a {type(default).__name__}, not {json.dumps(found[name])}"
            )
    if found["Approval"] not in ("as-settings", "given"):
        raise BadPackage(f'PACKAGE.Approval is as-settings or given, not "{found["Approval"]}"')
    arn = found["ModelPackageArn"]
    if re.fullmatch(re.escape(group_arn) + r"/\d+", arn) is None:
        raise BadPackage(f"{arn or 'no ModelPackageArn'} is no version of this pipeline's group {group_arn}")
    return found


def route_of(approval: str, *, ask: bool) -> str:
    """Where a usable version goes: deploy, approve (a human decides) or given (by who started the run)."""
    if ask:
        return "approve"
    return "deploy" if approval == "Approved" else "given"


def container_of(package: Mapping[str, Any]) -> Mapping[str, Any]:
    """The one container of a version. Raises Unusable."""
    containers = package.get("InferenceSpecification", {}).get("Containers", [])
    if len(containers) != 1 or not containers[0].get("ModelDataUrl"):
        raise Unusable("it has not one container with one artifact")
    found: Mapping[str, Any] = containers[0]
    return found


def digest_of(container: Mapping[str, Any], repository: str) -> str:
    """The digest of a version's image in our repository. Raises Unusable."""
    name, _, digest = container["Image"].partition("@")
    digest = digest or container.get("ImageDigest", "")
    # Without a digest a tag follows the last slash; the registry's host may have a port.
    place, _, last = name.rpartition("/")
    if f"{place}/{last.partition(':')[0]}" != repository:
        raise Unusable(f"its image is {name}, not in {repository}")
    if not digest:
        raise Unusable(f"its image {name} has no digest")
    return str(digest)


def repository_of(image_uri: str) -> str:
    """`<registry>/<name>` of an image's address."""
    name = image_uri.partition("@")[0]
    place, _, last = name.rpartition("/")
    return f"{place}/{last.partition(':')[0]}"


def metrics_of(report: Any, names: Sequence[str]) -> dict[str, float]:
    """The report's metrics of these names, at any depth; those that are there and are numbers."""
    found: dict[str, float] = {}

    def walk(group: Any, path: str) -> None:
        for key, value in group.items() if isinstance(group, dict) else ():
            number = value.get("value") if isinstance(value, dict) else value
            if isinstance(number, (int, float)) and not isinstance(number, bool):
                for name in (key, f"{path}{key}"):
                    if name in names:
                        found.setdefault(name, float(number))
            walk(value, f"{path}{key}.")

    for key, group in report.items() if isinstance(report, dict) else ():
        if key.endswith("_metrics"):
            walk(group, "")
    return found


def not_before(day: str, now: datetime) -> datetime | None:
    """What is made of a day's data is not older than the day, so nothing older need be looked at.

    None where the day is not over: somebody put the data there before its time.
    """
    first = datetime.combine(date.fromisoformat(day), time(), UTC) - timedelta(days=1)
    return first if first + timedelta(days=2) < now else None


# --- at the edge --------------------------------------------------------------------------------------------


@cache
def client(service: str) -> Any:
    """One boto3 client of each service for the life of the function's process."""
    return boto3.client(service, config=Config(retries={"mode": "standard", "max_attempts": 8}))


def log(event: str, **facts: Any) -> None:
    """One JSON line in the function's log."""
    print(json.dumps({"event": event, **facts}, default=str))


def head(uri: str, what: str) -> dict[str, Any]:
    """An S3 object's facts. Raises Unusable when it is gone."""
    place = urlsplit(uri)
    try:
        found: dict[str, Any] = client("s3").head_object(Bucket=place.netloc, Key=place.path[1:])
    except ClientError as error:
        code = error.response["Error"]["Code"]
        if code in ("404", "NoSuchKey", "NotFound", "NoSuchBucket"):
            raise Unusable(f"its {what} {uri} is gone") from None
        if code in ("403", "AccessDenied", "Forbidden"):
            raise Unusable(f"its {what} {uri} is not where this pipeline keeps its own") from None
        raise
    return found


def check_age(found: Mapping[str, Any], what: str, begun: datetime, ended: datetime) -> None:
    """Raises Unusable for an object that was not written by the job that ran in that time."""
    written = found["LastModified"]
    if not begun - CLOCKS_DIFFER <= written <= ended + CLOCKS_DIFFER:
        raise Unusable(f"its {what} was written at {written.isoformat()}, not by the job")


def check_image(digest: str, repository: str) -> None:
    """Raises Unusable when ECR has no such image any more."""
    host, _, name = repository.partition("/")
    try:
        client("ecr").describe_images(
            registryId=host.partition(".")[0], repositoryName=name, imageIds=[{"imageDigest": digest}]
        )
    except ClientError as error:
        if error.response["Error"]["Code"] in ("ImageNotFoundException", "RepositoryNotFoundException"):
            raise Unusable(f"its image {name}@{digest[:19]} is gone from ECR") from None
        raise


def check_whole(package: Mapping[str, Any]) -> None:
    """Raises Unusable unless a version's artifact and image are what they were when it was registered."""
    container = container_of(package)
    repository = repository_of(os.environ["IMAGE_URI"])
    digest = digest_of(container, repository)
    etag = head(container["ModelDataUrl"], "artifact").get("ETag", "").strip('"')
    if container.get("ModelDataETag") not in (None, etag):
        raise Unusable("its artifact is not the one that was registered")
    check_image(digest, repository)


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


def named_jobs(operation: str, kind: str, day: str, print_: str) -> Iterator[str]:
    """Names of completed jobs of this stack and day whose tag is this fingerprint, newest first.

    A job's name begins with its stack and its data's day (pipeline/steps/capacity.py), which the fingerprint
    holds too, so no other job need be asked for its tags.
    """
    begins = f"{os.environ['STACK_NAME']}-{day.replace('-', '')}-"
    pages = (
        client("sagemaker")
        .get_paginator(operation)
        .paginate(
            NameContains=begins, StatusEquals="Completed", SortBy="CreationTime", SortOrder="Descending"
        )
    )
    for page in pages:
        for summary in page[f"{kind}JobSummaries"]:
            if not summary[f"{kind}JobName"].startswith(begins):
                continue
            tags = (
                client("sagemaker").get_paginator("list_tags").paginate(ResourceArn=summary[f"{kind}JobArn"])
            )
            if any(t == {"Key": "fingerprint", "Value": print_} for found in tags for t in found["Tags"]):
                yield summary[f"{kind}JobName"]


def training(name: str, job: Mapping[str, str], done: Mapping[str, Any]) -> dict[str, Any]:  # noqa: ARG001
    """What Train would have left at `$.training`. Raises Unusable."""
    found = client("sagemaker").describe_training_job(TrainingJobName=name)
    if found["TrainingJobStatus"] != "Completed":
        raise Unusable(f"it is {found['TrainingJobStatus']}")
    uri = found["ModelArtifacts"]["S3ModelArtifacts"]
    ended = found.get("TrainingEndTime") or found["LastModifiedTime"]
    check_age(head(uri, "artifact"), "artifact", found["CreationTime"], ended)
    return {
        "TrainingJobName": name,
        "TrainingJobArn": found["TrainingJobArn"],
        "ModelArtifacts": {"S3ModelArtifacts": uri},
    }


def processing(name: str, job: Mapping[str, str], done: Mapping[str, Any]) -> dict[str, Any]:
    """What Evaluate would have left at `$.evaluation`. Raises Unusable."""
    found = client("sagemaker").describe_processing_job(ProcessingJobName=name)
    if found["ProcessingJobStatus"] != "Completed":
        raise Unusable(f"it is {found['ProcessingJobStatus']}")
    if job["model"]:
        # Trained twice from the same, a model need not be the same.
        artifact = done[job["model"]]["ModelArtifacts"]["S3ModelArtifacts"]
        inputs = [i.get("S3Input", {}).get("S3Uri") for i in found.get("ProcessingInputs", [])]
        if artifact not in inputs:
            raise Unusable(f"it did not read {artifact}")
    outputs = found.get("ProcessingOutputConfig", {}).get("Outputs", [])
    uri = next((o["S3Output"]["S3Uri"] for o in outputs if o["OutputName"] == job["output"]), "")
    report = f"{uri.rstrip('/')}/evaluation.json"
    ended = found.get("ProcessingEndTime") or found["LastModifiedTime"]
    check_age(head(report, "report"), "report", found["CreationTime"], ended)
    return {
        "ProcessingJobName": name,
        "ProcessingJobArn": found["ProcessingJobArn"],
        "report": report,
        "not_before": (found["CreationTime"] - CLOCKS_DIFFER).isoformat(),
    }


# Another kind of job needs a function here: what its block would have left, or why the job cannot be used.
KINDS: dict[str, tuple[str, str, Callable[..., dict[str, Any]]]] = {
    "training": ("list_training_jobs", "Training", training),
    "processing": ("list_processing_jobs", "Processing", processing),
}


def find_job(
    job: Mapping[str, str], run: Mapping[str, Any], done: Mapping[str, Any]
) -> tuple[dict[str, Any] | None, str]:
    """A block's result from an earlier job; else None and why not."""
    if job["model"] and job["model"] not in done:
        return None, f"the {job['model']} is not an earlier one"
    operation, kind, read = KINDS[job["kind"]]
    why_not = []
    for name in named_jobs(operation, kind, run["date"], run["fingerprints"][job["fingerprint"]]):
        try:
            return read(name, job, done), f"{name} did the same with the same data, code and parameters"
        except Unusable as reason:
            why_not.append(f"{name} cannot be used: {reason}")
    return None, "; ".join(why_not) or "nothing completed is of this fingerprint"


def deployable(package: Mapping[str, Any], why: str, names: Sequence[str]) -> dict[str, Any]:
    """`package` and `gate`, as Register and Gate leave them."""
    arn = package["ModelPackageArn"]
    metrics = report_of(package, names)
    return {
        "package": {"ModelPackageArn": arn, "why": why},
        "gate": {"approved": True, "reason": why, "metrics": metrics},
    }


def find(event: Mapping[str, Any]) -> dict[str, Any]:
    """The run's data with what need not be made, and `reuse`, which says so for the model and every job."""
    state, jobs = event["state"], event["jobs"]
    run = state["run"]
    reuse: dict[str, Any] = {"model": {"reuse": False, "why": "FORCE was given", "route": ""}}
    reuse |= {job["result"]: {"reuse": False, "why": "FORCE was given"} for job in jobs}
    if (event.get("execution_input") or {}).get("FORCE"):
        return {**state, "reuse": reuse}
    package, why = find_model(run["fingerprints"]["model"], run["date"], manual=event["manual"])
    if package is not None:
        route = "deploy" if package["ModelApprovalStatus"] == "Approved" else "approve"
        reuse["model"] = {"reuse": True, "why": why, "route": route}
        reuse |= {job["result"]: {"reuse": True, "why": why} for job in jobs}
        return {**state, **deployable(package, why, event["metrics"]), "reuse": reuse}
    reuse["model"]["why"] = why
    done: dict[str, Any] = {}
    for job in jobs:
        result, why = find_job(job, run, done)
        reuse[job["result"]] = {"reuse": result is not None, "why": why}
        if result is not None:
            done[job["result"]] = result
    return {**state, **done, "reuse": reuse}


def read(event: Mapping[str, Any]) -> dict[str, Any]:
    """The run's data as CheckData, Gate and Register would have left them, for the version that is named."""
    given, stack = event["input"], os.environ["STACK_NAME"]
    _, partition, _, region, account, *_ = event["execution_arn"].split(":")
    wanted = asked(given, f"arn:{partition}:sagemaker:{region}:{account}:model-package/{stack}")
    arn, why = wanted["ModelPackageArn"], wanted["Why"]
    try:
        package = client("sagemaker").describe_model_package(ModelPackageName=arn)
        if package["ModelPackageStatus"] != "Completed":
            raise Unusable(f"it is {package['ModelPackageStatus']}")
        if package.get("ModelApprovalStatus") == "Rejected":
            raise Unusable(f"it was rejected: {package.get('ApprovalDescription') or 'no reason was given'}")
        check_whole(package)
    except Unusable as reason:
        raise BadPackage(f"{arn} cannot be deployed: {reason}") from None
    except ClientError as error:
        if error.response["Error"]["Code"] == "ValidationException":
            raise BadPackage(f"{arn}: {error.response['Error']['Message']}") from None
        raise
    known = package.get("CustomerMetadataProperties", {})
    # The day is part of the run's id, by which its model and endpoint config are called.
    day = known.get("data_date") or event["start_time"][:10]
    unique = hashlib.sha256(f"{event['execution_arn']} {arn}".encode()).hexdigest()[:8]
    run_id = f"{date.fromisoformat(day):%Y%m%d}-{unique}"
    made_of = {name: known.get(name, "") for name in ("data_version", "fingerprint")}
    run = {
        "run_id": run_id,
        "date": day,
        "reason": why,
        **made_of,
        "execution_name": event["execution_arn"].rpartition(":")[2],
        "output_prefix": f"s3://{os.environ['ARTIFACT_BUCKET']}/{stack}/runs/{run_id}",
    }
    if wanted["Watermark"]:
        run["watermark"] = json.dumps({"date": day, **made_of})
    route = route_of(
        package.get("ModelApprovalStatus", ""), ask=event["manual"] and wanted["Approval"] == "as-settings"
    )
    said = {name: str(given.get(name, event["defaults"].get(name, ""))) for name in SAID}
    reuse = {"model": {"reuse": True, "why": why, "route": route}}
    return {
        "run": run,
        "input": {"given": said},
        **deployable(package, why, event["metrics"]),
        "reuse": reuse,
    }


def handler(event: dict[str, Any], _context: Any) -> dict[str, Any]:
    """The run's data. Raises BadPackage, and ClientError from AWS."""
    result = find(event) if "state" in event else read(event)
    log("decided", reuse=result["reuse"])
    return result
