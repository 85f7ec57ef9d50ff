"""What a tuning job tells of its training jobs, from their records: summaries, counters, the best one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pipeline.local.sagemaker.store import Record, Scope, store
from pipeline.local.sagemaker.tuning_stopping import is_better, not_improving

TRAINING = "training-job"
KIND = "hyper-parameter-tuning-job"
STATUS = "HyperParameterTuningJobStatus"
Summary = dict[str, Any]
_COPIED = (
    "TrainingJobArn",
    "CreationTime",
    "TrainingStartTime",
    "TrainingEndTime",
    "TrainingJobStatus",
    "FailureReason",
)
_ENDED = ("Completed", "Failed", "Stopped")


def objective_of(record: Record) -> dict[str, str]:
    """Type and MetricName of a tuning job's objective."""
    found: dict[str, str] = record["HyperParameterTuningJobConfig"]["HyperParameterTuningJobObjective"]
    return found


def maximizes(record: Record) -> bool:
    """Whether more of the objective is better."""
    return objective_of(record)["Type"] == "Maximize"


def summary(scope: Scope, tuning: Record, job: dict[str, Any]) -> Summary:
    """The HyperParameterTrainingJobSummary of one of its jobs.

    Args:
        job: as the tuning job keeps it: TrainingJobName, TunedHyperParameters, and Summary once it ended.
    """
    if job.get("Summary"):
        return dict(job["Summary"])
    record = store.get(scope, TRAINING, job["TrainingJobName"])
    found: Summary = {key: job[key] for key in ("TrainingJobName", "TunedHyperParameters")}
    if name := tuning["TrainingJobDefinition"].get("DefinitionName"):
        found["TrainingJobDefinitionName"] = name
    if record is None:  # somebody deleted it while nobody looked
        arn = scope.arn(f"{TRAINING}/{job['TrainingJobName']}")
        return found | {
            "TrainingJobArn": arn,
            "CreationTime": job["CreationTime"],
            "TrainingJobStatus": "Failed",
            "FailureReason": "InternalServerError: the training job was deleted.",
            "ObjectiveStatus": "Failed",
        }
    found |= {key: record[key] for key in _COPIED if key in record}
    objective = objective_of(tuning)
    final = record.get("FinalMetricDataList") or []
    value = next((each["Value"] for each in final if each["MetricName"] == objective["MetricName"]), None)
    if value is not None:
        found["FinalHyperParameterTuningJobObjectiveMetric"] = {**objective, "Value": value}
    found["ObjectiveStatus"] = _objective_status(record["TrainingJobStatus"], value)
    return found


def _objective_status(status: str, value: float | None) -> str:
    if status not in _ENDED:
        return "Pending"
    return "Succeeded" if value is not None and status != "Failed" else "Failed"


def has_ended(found: Summary) -> bool:
    """Whether a summary is a job's last."""
    return found["TrainingJobStatus"] in _ENDED


def value_of(found: Summary) -> float | None:
    """The objective's value that counts in the search; None where it does not."""
    if found.get("ObjectiveStatus") != "Succeeded":
        return None
    return float(found["FinalHyperParameterTuningJobObjectiveMetric"]["Value"])


def summaries(scope: Scope, tuning: Record) -> list[Summary]:
    """Of all its jobs, in the order of their start."""
    return [summary(scope, tuning, job) for job in tuning["Jobs"]]


def best(found: Iterable[Summary], maximize: bool) -> Summary | None:
    """The job that completed with the best objective; the earliest of equals."""
    chosen: Summary | None = None
    for each in found:
        value = value_of(each)
        if value is None or each["TrainingJobStatus"] != "Completed":
            continue
        so_far = value_of(chosen) if chosen else None
        if so_far is None or is_better(value, so_far, maximize):
            chosen = each
    return chosen


def counters(found: list[Summary]) -> dict[str, Any]:
    """TrainingJobStatusCounters and ObjectiveStatusCounters."""
    statuses = [each["TrainingJobStatus"] for each in found]
    retryable = sum(
        each["TrainingJobStatus"] == "Failed"
        and str(each.get("FailureReason", "")).startswith("InternalServerError")
        for each in found
    )
    objectives = [each["ObjectiveStatus"] for each in found]
    return {
        "TrainingJobStatusCounters": {
            "Completed": statuses.count("Completed"),
            "InProgress": statuses.count("InProgress") + statuses.count("Stopping"),
            "RetryableError": retryable,
            "NonRetryableError": statuses.count("Failed") - retryable,
            "Stopped": statuses.count("Stopped"),
        },
        "ObjectiveStatusCounters": {
            name: objectives.count(name) for name in ("Succeeded", "Pending", "Failed")
        },
    }


def described(scope: Scope, tuning: Record) -> dict[str, Any]:
    """What DescribeHyperParameterTuningJob says beyond the record."""
    found = summaries(scope, tuning)
    maximize = maximizes(tuning)
    told: dict[str, Any] = counters(found)
    chosen = best(found, maximize)
    if chosen:
        told["BestTrainingJob"] = chosen
    values = [value for each in sorted(found, key=_end) if (value := value_of(each)) is not None]
    told["TuningJobCompletionDetails"] = {
        "NumberOfTrainingJobsObjectiveNotImproving": not_improving(values, maximize)
    }
    runtime = sum(
        each["TrainingEndTime"] - each["TrainingStartTime"]
        for each in found
        if "TrainingEndTime" in each and "TrainingStartTime" in each
    )
    told["ConsumedResources"] = {"RuntimeInSeconds": round(runtime)}
    warm = tuning.get("WarmStartConfig") or {}
    if warm.get("WarmStartType") == "IdenticalDataAndAlgorithm":
        overall = best([*found, *parents_summaries(scope, warm)], maximize)
        if overall:
            told["OverallBestTrainingJob"] = {
                "TuningJobName": tuning["HyperParameterTuningJobName"],
                **overall,
            }
    return told


def _end(found: Summary) -> float:
    return float(found.get("TrainingEndTime") or found["CreationTime"])


def parents(scope: Scope, warm: dict[str, Any]) -> list[Record]:
    """The records of a WarmStartConfig's parents that are there."""
    names = [each.get("HyperParameterTuningJobName", "") for each in warm["ParentHyperParameterTuningJobs"]]
    return [record for name in names if (record := store.get(scope, KIND, name)) is not None]


def parents_summaries(scope: Scope, warm: dict[str, Any]) -> list[Summary]:
    """The jobs of all parents, with their TuningJobName."""
    return [
        {**each, "TuningJobName": record["HyperParameterTuningJobName"]}
        for record in parents(scope, warm)
        for each in summaries(scope, record)
    ]
