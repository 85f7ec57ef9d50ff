"""Finds what was made of the same data, code and parameters already, and reads a model that is named.

Event to find: {"state": the run's data with `run.fingerprints`, "execution_input", "jobs": those of
pipeline/steps/block.py, "manual": a human approves, "metrics": names}. The answer is the state with `reuse`,
and with what was found under the names that making it would have filled.

Event to read: {"input": with PACKAGE, "defaults", "start_time", "execution_arn", "manual", "metrics"}.

Only what is whole counts: approved (or waiting for approval, where a human decides), completed, by its own
tag, argument or metadata of this fingerprint, its artifact unchanged in S3, its image in ECR. Everything else
is named as the reason why something is made anew. An AWS call that fails fails the run: to train for want of
an answer could cost more. Environment: STACK_NAME, ARTIFACT_BUCKET, IMAGE_URI.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from botocore.exceptions import ClientError

from .jobs import find_job
from .versions import find_model, report_of
from .whole import Unusable, check_whole, client, log

# What UpdateModelPackage takes as ApprovalDescription.
LONGEST_WHY = 1024
# Who starts a run may say where it comes from.
SAID = ("GIT_SHA", "PULL_REQUEST", "RUN_URL", "REASON")


class BadPackage(Exception):
    """PACKAGE in the execution's input is none that can be deployed; the text says why."""


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
    # It becomes the description of the approval.
    if len(found["Why"]) > LONGEST_WHY:
        raise BadPackage(f"PACKAGE.Why is longer than {LONGEST_WHY} characters")
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
    return {**state, **placed(jobs, done, state), "reuse": reuse}


def placed(
    jobs: Sequence[Mapping[str, str]], done: Mapping[str, Any], state: Mapping[str, Any]
) -> dict[str, Any]:
    """The results where making them would have left them: at `$.<result>`, or within another object."""
    found: dict[str, Any] = {}
    for job in jobs:
        if job["result"] not in done:
            continue
        if "tuning" in done[job["result"]]:
            found["tuning"] = done[job["result"]].pop("tuning")
        within = job.get("within", "")
        if within:
            found.setdefault(within, dict(state.get(within, {})))[job["result"]] = done[job["result"]]
        else:
            found[job["result"]] = done[job["result"]]
    return found


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
