"""How a training job's record moves: status, secondary status with its history, times."""

from __future__ import annotations

import math
import time
from typing import Any

from pipeline.local.sagemaker.jobs.worker import fail_record
from pipeline.local.sagemaker.store import Record
from pipeline.local.sagemaker.transitions import advance

STATUS = "TrainingJobStatus"
# The messages AWS shows with each secondary status.
MESSAGES = {
    "Starting": "Preparing the instances for training",
    "Downloading": "Downloading the training image",
    "Training": "Training image download completed. Training in progress.",
    "Uploading": "Uploading generated training model",
    "Stopping": "Stopping the training job",
    "Completed": "Training job completed",
    "Failed": "Training job failed",
    "Stopped": "Training job stopped",
    "Interrupted": "Training job interrupted: the managed spot instances were taken away",
    "MaxWaitTimeExceeded": "Training job wait time exceeded MaxWaitTimeInSeconds provided",
    "MaxRuntimeExceeded": "Training job runtime exceeded MaxRuntimeInSeconds provided",
}


def move(record: Record, secondary: str, message: str = "") -> None:
    """Enter a secondary status; the one before it ends now."""
    now = time.time()
    history: list[dict[str, Any]] = record.setdefault("SecondaryStatusTransitions", [])
    if history and "EndTime" not in history[-1]:
        history[-1]["EndTime"] = now
    history.append({"Status": secondary, "StartTime": now, "StatusMessage": message or MESSAGES[secondary]})
    record["SecondaryStatus"] = secondary
    record["LastModifiedTime"] = now


def stopping(record: Record) -> None:
    """The job is being stopped; a second time changes nothing."""
    if record[STATUS] == "Stopping":
        return
    advance(record, STATUS, "Stopping")
    move(record, "Stopping")


def end(record: Record, status: str, secondary: str) -> None:
    """The job is over."""
    advance(record, STATUS, status)
    move(record, secondary)
    record["SecondaryStatusTransitions"][-1]["EndTime"] = record["LastModifiedTime"]
    _times(record)


def fail(record: Record, reason: str) -> None:
    """The job is over and did not succeed."""
    move(record, "Failed")
    record["SecondaryStatusTransitions"][-1]["EndTime"] = record["LastModifiedTime"]
    fail_record(record, STATUS, reason, "TrainingEndTime", time.time())
    _times(record)


def _times(record: Record) -> None:
    finish = record["LastModifiedTime"]
    record["TrainingEndTime"] = finish
    start = record.get("TrainingStartTime")
    if start is not None:
        seconds = max(1, math.ceil(finish - start))
        record["TrainingTimeInSeconds"] = seconds
        record["BillableTimeInSeconds"] = max(1, math.ceil(finish - start - _waited(record, start)))


def _waited(record: Record, start: float) -> float:
    """Seconds since `start` in which spot instances were waited for: nobody pays for them."""
    return sum(
        each["EndTime"] - each["StartTime"]
        for each in record["SecondaryStatusTransitions"]
        if each["Status"] in ("Interrupted", "Starting") and each["StartTime"] >= start
    )
