"""Reads a training job's final metrics by name; what is missing or no number is an error, never a pass.

Event: {"training_job_name", "metrics": [name, ...], "rules": [{"metric", "minimum"?, "maximum"?}, ...]}.
Result: {"training_job_name", "metrics": {name: value}, "passed", "reason", "results": [...]}; without rules
`passed` is true.

FinalMetricDataList has no order to rely on, and holds only what the job's metric definitions found in its
log: the metric that stands first may be any. These are metrics of *training*; what a model is worth on data
it has never seen is the gate's business.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import boto3


class MetricMissing(Exception):
    """A metric is not among the job's, or is no finite number; the text names those there are."""


# --- pure ---------------------------------------------------------------------------------------------------


def by_name(job: Mapping[str, Any]) -> dict[str, float]:
    """The job's final metrics. Of a name that is there twice the latest counts."""
    found = job.get("FinalMetricDataList") or []
    # A metric without a time is taken for older than all others.
    ordered = sorted(found, key=lambda item: _seconds(item.get("Timestamp")))
    return {item["MetricName"]: float(item["Value"]) for item in ordered}


def _seconds(time: Any) -> float:
    return float(time.timestamp()) if hasattr(time, "timestamp") else 0.0


def wanted(job: Mapping[str, Any], names: Sequence[str]) -> dict[str, float]:
    """These metrics. Raises MetricMissing for all of them at once."""
    there = by_name(job)
    lacking = [name for name in names if name not in there]
    broken = [name for name in names if name in there and not math.isfinite(there[name])]
    said = [f"no metric {', '.join(lacking)}"] * bool(lacking)
    said += [f"{name} is {there[name]}" for name in broken]
    if said:
        has = ", ".join(f"{name}={value:g}" for name, value in sorted(there.items())) or "none at all"
        raise MetricMissing(f"training job {job.get('TrainingJobName')}: {'; '.join(said)}; it has {has}")
    return {name: there[name] for name in names}


def judge(rule: Mapping[str, Any], value: float) -> dict[str, Any]:
    """One rule's result. Raises ValueError for a rule without a bound."""
    name, minimum, maximum = rule["metric"], rule.get("minimum"), rule.get("maximum")
    if minimum is None and maximum is None:
        raise ValueError(f"the rule for {name} has no bound")
    if minimum is not None and value < minimum:
        return {"metric": name, "passed": False, "why": f"{name} {value:g} < minimum {minimum:g}"}
    if maximum is not None and value > maximum:
        return {"metric": name, "passed": False, "why": f"{name} {value:g} > maximum {maximum:g}"}
    return {"metric": name, "passed": True, "why": f"{name} {value:g} is within its bounds"}


def decide(
    job: Mapping[str, Any], names: Sequence[str], rules: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """The result. Raises MetricMissing, ValueError."""
    asked = list(dict.fromkeys([*names, *(rule["metric"] for rule in rules)]))
    if not asked:
        raise ValueError("no metric was asked for")
    metrics = wanted(job, asked)
    results = [judge(rule, metrics[rule["metric"]]) for rule in rules]
    failed = [result["why"] for result in results if not result["passed"]]
    told = failed or [f"{name} {value:g}" for name, value in metrics.items()]
    return {
        "training_job_name": job["TrainingJobName"],
        "metrics": metrics,
        "passed": not failed,
        "reason": "; ".join(told),
        "results": results,
    }


# --- at the edge --------------------------------------------------------------------------------------------


@cache
def client(service: str) -> Any:
    """One boto3 client of each service for the life of the function's process."""
    return boto3.client(service)


def handler(event: dict[str, Any], _context: Any) -> dict[str, Any]:
    """What the job's metrics are, and whether they keep the rules. Raises MetricMissing, ClientError."""
    job = client("sagemaker").describe_training_job(TrainingJobName=event["training_job_name"])
    result = decide(job, event.get("metrics") or [], event.get("rules") or [])
    print(json.dumps({"event": "queried_training_metrics", **result}))
    return result
