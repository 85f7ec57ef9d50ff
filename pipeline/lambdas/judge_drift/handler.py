"""Says what follows from a comparison: metrics for CloudWatch, and whether a run is started, and which.

Event: {"report": S3 URI of report.json, "endpoint_name", "state_machine_arn", "retrain": bool,
"again_after_days", "namespace", "now": ISO time}. Result: `enough`, `drift`, `features` and `reasons` in
words, `retrain`, `why` in words and, where a run is to be started, its `name` and `input`.

Drift of one model starts one run. The runs that it started are known by their names, `drift-<hash of the
model package>-<number>`, so that Step Functions itself keeps a second start of the same from happening:
one that is under way is waited for; after one that left the model serving, since the new one was rejected,
the next may start after some days; after one that found no newer data, after a day; one that broke may be
tried again, three times.

The run is not forced: the same data would give the same model, under another name, which drifts again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any
from urllib.parse import urlsplit

import boto3
from botocore.exceptions import ClientError

LARGEST_REPORT_BYTES = 20_000_000
# Errors of a run that was carried out to its end: doing the same again gives the same.
DECIDED = ("ModelRejected", "DataRejected", "ApprovalRejected", "States.Timeout", "EndpointRolledBack")
BROKEN_IN_A_ROW = 3
# A run that finds no newer data costs a function call and a message: it may look again the next day.
LOOK_AGAIN = timedelta(days=1)
# PutMetricData takes so many a call.
METRICS_A_CALL = 1000
# It becomes a field of the model package.
LONGEST_REASON = 256
METRICS = {
    "psi": "PSI",
    "ks": "KS",
    "nulls": "Nulls",
    "new_categories": "NewCategories",
    "missing_categories": "MissingCategories",
}


# --- pure ---------------------------------------------------------------------------------------------------


def metrics(report: Mapping[str, Any], endpoint: str, at: datetime) -> list[dict[str, Any]]:
    """For PutMetricData: records, drifted features, and each measure of each feature that was judged.

    Where nothing was concluded there is no DriftedFeatures, and the alarm stays as it is.
    """
    own = [{"Name": "Endpoint", "Value": endpoint}]

    def datum(name: str, value: float, *more: dict[str, str]) -> dict[str, Any]:
        return {"MetricName": name, "Dimensions": [*own, *more], "Timestamp": at, "Value": float(value)}

    found = [datum("Records", report["records"])]
    if report["enough"]:
        found.append(datum("DriftedFeatures", len(report["drifted"])))
    for name, feature in report["features"].items():
        for measure in feature["measures"]:
            if measure["measure"] in METRICS:
                dimension = {"Name": "Feature", "Value": name}
                found.append(datum(METRICS[measure["measure"]], measure["value"], dimension))
    return found


def base_name(package: str) -> str:
    """What the names of all runs begin with that drift of this model starts."""
    return f"drift-{hashlib.sha256(package.encode()).hexdigest()[:8]}"


def decide(
    base: str, earlier: Iterable[Mapping[str, Any]], now: datetime, again_after: timedelta
) -> tuple[str, str]:
    """The name of the run to start ("" for none), and why.

    Args:
        base: see base_name.
        earlier: the runs that drift of this model started, first to last: name, status, startDate, error,
            output.
    """
    runs = list(earlier)
    name = f"{base}-{len(runs) + 1}"
    if not runs:
        return name, "the first run for drift of this model"
    last = runs[-1]
    if last["status"] == "RUNNING":
        return "", f"{last['name']} is under way for this drift"
    if found_nothing(last) and now - last["startDate"] < LOOK_AGAIN:
        return "", f"{last['name']} found no newer data to train on; another may look a day after it"
    recent = [run for run in runs if now - run["startDate"] < again_after and not found_nothing(run)]
    if not recent and found_nothing(last):
        return name, f"{last['name']} found no newer data to train on, and the model still serves"
    if not recent:
        return name, f"{last['name']} was {again_after.days} days ago, and the model still serves"
    broken = [run for run in recent if run["status"] != "SUCCEEDED" and run.get("error") not in DECIDED]
    if len(broken) < len(recent):
        kept = "ended well, and the model still serves"
        ended = kept if last["status"] == "SUCCEEDED" else f"ended as {last.get('error') or last['status']}"
        return "", f"{last['name']} {ended}; another may start {again_after.days} days after it"
    if len(broken) >= BROKEN_IN_A_ROW:
        return "", f"{len(broken)} runs for this drift broke, {last['name']} last: {last.get('error')}"
    return name, f"{last['name']} broke ({last.get('error') or last['status']})"


def found_nothing(run: Mapping[str, Any]) -> bool:
    """Whether a run ended well because there was nothing new to train on."""
    if run["status"] != "SUCCEEDED":
        return False
    try:
        output = json.loads(run.get("output") or "{}")
    except ValueError:
        return False
    checked = output.get("run") if isinstance(output, dict) else None
    return isinstance(checked, dict) and checked.get("new") is False


def summary(report: Mapping[str, Any]) -> tuple[str, str]:
    """Drifted features and reasons, in words; what is long is cut."""
    return ", ".join(report["drifted"]), "; ".join(report["reasons"][:5])[:600]


def passed(report: Mapping[str, Any]) -> str:
    """The limits that were passed, in the alphabet of the model registry."""
    return " - ".join(
        f"{name} {measure['measure']} {measure['value']:.3f} over {measure['limit']:g}"
        for name in report["drifted"]
        for measure in report["features"][name]["measures"]
        if not measure["passed"]
    )


# --- at the edge --------------------------------------------------------------------------------------------


@cache
def client(service: str) -> Any:
    """One boto3 client of each service for the life of the function's process."""
    return boto3.client(service)


def read_report(uri: str) -> dict[str, Any]:
    """The report. Raises ClientError, or ValueError for what is none."""
    place = urlsplit(uri)
    body = client("s3").get_object(Bucket=place.netloc, Key=place.path[1:])["Body"]
    report = json.loads(body.read(LARGEST_REPORT_BYTES))
    if not isinstance(report, dict) or "enough" not in report:
        raise ValueError(f"{uri} is no report of a comparison")
    return report


def started_before(machine_arn: str, base: str, describe: Callable[..., Any]) -> list[dict[str, Any]]:
    """The runs of these names, first to last; Step Functions knows them for 90 days."""
    found: list[dict[str, Any]] = []
    prefix = machine_arn.replace(":stateMachine:", ":execution:")
    while True:
        try:
            run = describe(executionArn=f"{prefix}:{base}-{len(found) + 1}")
        except ClientError as error:
            if error.response["Error"]["Code"] != "ExecutionDoesNotExist":
                raise
            return found
        found.append(run)


def busy(machine_arn: str) -> str:
    """Name of a run that is under way, whoever started it; "" for none."""
    running = client("stepfunctions").list_executions(
        stateMachineArn=machine_arn, statusFilter="RUNNING", maxResults=1
    )["executions"]
    return running[0]["name"] if running else ""


def retraining(event: Mapping[str, Any], report: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    """Whether a run is to be started, and which."""
    no = {"retrain": False, "name": "", "input": {}}
    if not event["retrain"]:
        return {**no, "why": "retrain is off in the settings"}
    base = base_name(report["package"])
    earlier = started_before(event["state_machine_arn"], base, client("stepfunctions").describe_execution)
    name, why = decide(base, earlier, now, timedelta(days=event["again_after_days"]))
    if name and (other := busy(event["state_machine_arn"])):
        return {**no, "why": f"the run {other} is under way"}
    if not name:
        return {**no, "why": why}
    reason = f"drift: {passed(report)}"[:LONGEST_REASON]
    return {"retrain": True, "why": why, "name": name, "input": {"REASON": reason}}


def handler(event: dict[str, Any], _context: Any) -> dict[str, Any]:
    """What follows. Raises ClientError from AWS."""
    report = read_report(event["report"])
    now = datetime.fromisoformat(event["now"]).astimezone(UTC)
    # As of this moment: the job may take longer than the alarm looks back.
    data = metrics(report, event["endpoint_name"], datetime.now(UTC))
    for first in range(0, len(data), METRICS_A_CALL):
        client("cloudwatch").put_metric_data(
            Namespace=event["namespace"], MetricData=data[first : first + METRICS_A_CALL]
        )
    features, reasons = summary(report)
    result = {
        "enough": report["enough"],
        "drift": bool(report["drifted"]),
        "features": features,
        "reasons": reasons,
        "records": report["records"],
        "minimum": report["minimum"],
        "retrain": False,
        "why": "",
        "name": "",
        "input": {},
    }
    if report["drifted"]:
        result |= retraining(event, report, now)
    print(json.dumps({"event": "judged", **result}))
    return result
