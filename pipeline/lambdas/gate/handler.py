"""Decides by named metrics of the held-out evaluation whether a model may go on. In doubt it may not.

Event: {"evaluation_uri": "s3://...", "rules": [{"metric", "minimum"?, "maximum"?}], "not_before": ISO time}.
A metric is looked up by name anywhere under the report's `*_metrics`; `setosa.recall` names a nested one.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from typing import Any
from urllib.parse import urlsplit

import boto3
from botocore.exceptions import ClientError

# A report is a few kilobytes; this only guards the function's memory.
LARGEST_REPORT_BYTES = 5_000_000


class EvaluationUnreadable(Exception):
    """The report's object cannot be read; the text names it and S3's error code."""


# --- pure ---------------------------------------------------------------------------------------------------


def decide(
    rules: Sequence[Mapping[str, Any]], text: bytes, written: datetime, not_before: datetime
) -> dict[str, Any]:
    """The verdict: approved only if every rule finds one finite number within bounds in a fresh report."""
    # S3 gives whole seconds, an execution's start has milliseconds: compare in S3's unit.
    if written < not_before.replace(microsecond=0):
        return refused(
            f"the evaluation is stale: written {written.isoformat()}, run from {not_before.isoformat()}"
        )
    if len(text) > LARGEST_REPORT_BYTES:
        return refused(f"the evaluation is larger than {LARGEST_REPORT_BYTES:,} bytes")
    try:
        report = json.loads(text)
    except ValueError as error:
        return refused(f"the evaluation is not JSON: {error}")
    if not isinstance(report, dict):
        return refused("the evaluation is not a JSON object")
    if not rules:
        return refused("no rule was given, and without a rule nothing passes")
    results = [judge(rule, report) for rule in rules]
    failed = [result["why"] for result in results if not result["passed"]]
    return {
        "approved": not failed,
        "reason": "; ".join(failed or [result["why"] for result in results]),
        "metrics": {result["metric"]: result["value"] for result in results},
        "results": results,
    }


def refused(reason: str) -> dict[str, Any]:
    """A verdict without any metric read."""
    return {"approved": False, "reason": reason, "metrics": {}, "results": []}


def judge(rule: Mapping[str, Any], report: Mapping[str, Any]) -> dict[str, Any]:
    """One rule's result. `value` is null unless it is a finite number: NaN is no JSON."""
    name = rule.get("metric")
    minimum, maximum = rule.get("minimum"), rule.get("maximum")
    bounds = [f"minimum {minimum}"] * (minimum is not None) + [f"maximum {maximum}"] * (maximum is not None)
    value: float | None = None
    passed = False
    if not isinstance(name, str) or not name:
        why = f"the rule {json.dumps(dict(rule))} names no metric"
    elif not bounds or not all(is_number(bound) for bound in (minimum, maximum) if bound is not None):
        why = f"the rule for {name} has no bound that is a number"
    else:
        found = [
            entry
            for key, group in report.items()
            if key.endswith("_metrics")
            for entry in search(group, name)
        ]
        value, why = one_number(name, found)
        if value is not None:
            if minimum is not None and value < minimum:
                why = f"{name} {value:g} < minimum {minimum:g}"
            elif maximum is not None and value > maximum:
                why = f"{name} {value:g} > maximum {maximum:g}"
            else:
                passed, why = True, f"{name} {value:g} meets {' and '.join(bounds)}"
    return {"metric": str(name), "value": value, "bound": ", ".join(bounds), "passed": passed, "why": why}


def search(group: Any, name: str) -> Iterator[Any]:
    """Everything in a metric group that goes by this name, at any depth."""
    if not isinstance(group, dict):
        return
    found = group.get(name, _NOTHING)
    if found is _NOTHING and "." in name:
        found = group
        for part in name.split("."):
            found = found.get(part, _NOTHING) if isinstance(found, dict) else _NOTHING
    if found is not _NOTHING:
        yield found
    for key, inner in group.items():
        if key != name:
            yield from search(inner, name)


_NOTHING = object()


def one_number(name: str, found: Sequence[Any]) -> tuple[float | None, str]:
    """The one finite number among what was found, or None and why there is none."""
    if not found:
        return None, f"{name} is missing from the evaluation"
    if len(found) > 1:
        return None, f"{name} is ambiguous: the evaluation has {len(found)} metrics of that name"
    value = found[0].get("value", _NOTHING) if isinstance(found[0], dict) else found[0]
    if value is _NOTHING:
        return None, f"{name} has no value in the evaluation"
    if isinstance(value, float) and not math.isfinite(value):
        return None, f"{name} is {value}, not a finite number"
    if not is_number(value):
        return None, f"{name} is {json.dumps(value)[:60]}, not a number"
    return float(value), ""


def is_number(value: Any) -> bool:
    """A finite number; true and false are none, nor is text that looks like one."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def parse_time(text: str) -> datetime:
    """An ISO time; without an offset it is UTC. Raises ValueError."""
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


# --- at the edge --------------------------------------------------------------------------------------------


@cache
def client(service: str) -> Any:
    """One boto3 client of each service for the life of the function's process."""
    return boto3.client(service)


def fetch(uri: str) -> tuple[bytes, datetime]:
    """The report's bytes and when they were written. Raises EvaluationUnreadable."""
    place = urlsplit(uri)
    if place.scheme != "s3" or not place.netloc or not place.path.strip("/"):
        raise EvaluationUnreadable(f"{uri!r} is not an S3 object")
    try:
        found = client("s3").get_object(Bucket=place.netloc, Key=place.path[1:])
        # One byte more than is judged, to know that there is more.
        return found["Body"].read(LARGEST_REPORT_BYTES + 1), found["LastModified"]
    except ClientError as error:
        raise EvaluationUnreadable(f"{uri}: {error.response['Error']['Code']}") from error


def handler(event: dict[str, Any], _context: Any) -> dict[str, Any]:
    """The verdict. Raises EvaluationUnreadable when S3 does not give the report."""
    text, written = fetch(event["evaluation_uri"])
    verdict = decide(event.get("rules") or [], text, written, parse_time(event["not_before"]))
    print(json.dumps({"event": "decided", "evaluation": event["evaluation_uri"], **verdict}))
    return verdict
