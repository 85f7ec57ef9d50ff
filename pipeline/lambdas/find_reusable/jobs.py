"""Finished jobs of a fingerprint, and what the blocks that ran them would have left."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from .programs import bundle, described, output_of, program, times
from .trainings import training
from .transforms import find_transform
from .tuning import find_tuning
from .whole import CLOCKS_DIFFER, Unusable, check_age, client, head


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


def processing(name: str, job: Mapping[str, str], done: Mapping[str, Any]) -> dict[str, Any]:
    """What Evaluate would have left at `$.evaluation`. Raises Unusable."""
    found = described(name)
    if job["model"]:
        # Trained twice from the same, a model need not be the same.
        artifact = done[job["model"]]["ModelArtifacts"]["S3ModelArtifacts"]
        inputs = [i.get("S3Input", {}).get("S3Uri") for i in found.get("ProcessingInputs", [])]
        if artifact not in inputs:
            raise Unusable(f"it did not read {artifact}")
    report = f"{output_of(found, job['output'])}/evaluation.json"
    check_age(head(report, "report"), "report", *times(found))
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
    "program": ("list_processing_jobs", "Processing", program),
    "bundle": ("list_processing_jobs", "Processing", bundle),
}


def find_job(
    job: Mapping[str, str], run: Mapping[str, Any], done: Mapping[str, Any]
) -> tuple[dict[str, Any] | None, str]:
    """A block's result from an earlier job; else None and why not."""
    if job["kind"] == "transform":
        return find_transform(job, run)
    if job["kind"] == "tuning":
        return find_tuning(job, run)
    if job["model"] and job["model"] not in done:
        return None, f"the {job['model']} is made anew"
    operation, kind, read = KINDS[job["kind"]]
    why_not = []
    for name in named_jobs(operation, kind, run["date"], run["fingerprints"][job["fingerprint"]]):
        try:
            return read(name, job, done), f"{kind.lower()} job {name} had the same data, code and parameters"
        except Unusable as reason:
            why_not.append(f"{kind.lower()} job {name} cannot be used: {reason}")
    return None, "; ".join(why_not) or "nothing completed is of this fingerprint"
