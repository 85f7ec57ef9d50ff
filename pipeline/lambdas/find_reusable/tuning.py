"""Finished tuning jobs of a fingerprint, and what the block that ran one would have left."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from .trainings import training
from .versions import not_before
from .whole import Unusable, client


def named_tunings(begins: str, day: str, print_: str) -> Iterator[str]:
    """Names of completed tuning jobs whose tag is this fingerprint, newest first.

    Their names are too short to hold the data's day, so those made since the day are looked at.

    Args:
        begins: what the names of this stack's tuning jobs begin with, without the hyphen.
    """
    since = not_before(day, datetime.now(UTC))
    pages = (
        client("sagemaker")
        .get_paginator("list_hyper_parameter_tuning_jobs")
        .paginate(
            NameContains=f"{begins}-",
            StatusEquals="Completed",
            SortBy="CreationTime",
            SortOrder="Descending",
            **({"CreationTimeAfter": since} if since else {}),
        )
    )
    for page in pages:
        for summary in page["HyperParameterTuningJobSummaries"]:
            name, arn = summary["HyperParameterTuningJobName"], summary["HyperParameterTuningJobArn"]
            if not name.startswith(f"{begins}-"):
                continue
            tags = client("sagemaker").get_paginator("list_tags").paginate(ResourceArn=arn)
            if any(t == {"Key": "fingerprint", "Value": print_} for found in tags for t in found["Tags"]):
                yield name


def tuning(name: str) -> dict[str, Any]:
    """What Tune would have left at `$.training`, with what it leaves at `$.tuning`. Raises Unusable."""
    found = client("sagemaker").describe_hyper_parameter_tuning_job(HyperParameterTuningJobName=name)
    best = found.get("BestTrainingJob")
    if found["HyperParameterTuningJobStatus"] != "Completed" or not best:
        raise Unusable(f"it is {found['HyperParameterTuningJobStatus']}, and has no best job")
    made = training(best["TrainingJobName"], {}, {})
    made["tuning"] = {
        "HyperParameterTuningJobName": name,
        "HyperParameterTuningJobArn": found["HyperParameterTuningJobArn"],
        "TrainingJobName": best["TrainingJobName"],
        "hyperparameters": best["TunedHyperParameters"],
        "objective": best["FinalHyperParameterTuningJobObjectiveMetric"]["Value"],
    }
    return made


def find_tuning(job: Mapping[str, str], run: Mapping[str, Any]) -> tuple[dict[str, Any] | None, str]:
    """A search's result from an earlier tuning job; else None and why not."""
    why_not = []
    for name in named_tunings(job["name"], run["date"], run["fingerprints"][job["fingerprint"]]):
        try:
            return tuning(name), f"tuning job {name} had the same data, code and parameters"
        except Unusable as reason:
            why_not.append(f"tuning job {name} cannot be used: {reason}")
    return None, "; ".join(why_not) or "no tuning job that completed is of this fingerprint"
