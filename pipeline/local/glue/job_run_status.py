"""How a run's record moves: its declared states, times, and what it has cost."""

from __future__ import annotations

import math
import time

from pipeline.local.glue.store import Record
from pipeline.local.sagemaker.transitions import advance, declare, final

STATE = "JobRunState"
_ENDS = frozenset({"STOPPED", "SUCCEEDED", "FAILED", "TIMEOUT", "ERROR"})
# AWS, "AWS Glue job run statuses". What is not here cannot happen.
MACHINE: dict[str, frozenset[str]] = {
    "WAITING": frozenset({"STARTING", "STOPPING", "FAILED", "ERROR"}),
    "STARTING": frozenset({"RUNNING", "STOPPING", "FAILED", "ERROR"}),
    "RUNNING": frozenset({"STOPPING", "SUCCEEDED", "FAILED", "TIMEOUT", "ERROR"}),
    # Whatever a run that was asked to stop has done: it is not taken for one that succeeded.
    "STOPPING": frozenset({"STOPPED", "FAILED", "ERROR"}),
    **dict.fromkeys(_ENDS, frozenset()),
}
declare(STATE, MACHINE, stamp="LastModifiedOn")


def ended(record: Record) -> bool:
    """Whether nothing may follow."""
    return final(STATE, record[STATE])


def active(record: Record) -> bool:
    """Whether it counts against MaxConcurrentRuns."""
    return not ended(record) and record[STATE] != "WAITING"


def running(record: Record) -> None:
    """The run has what it needs, and its time begins."""
    advance(record, STATE, "RUNNING")
    record["_Began"] = record["LastModifiedOn"]


def stopping(record: Record) -> None:
    """It is being stopped; a second time changes nothing."""
    if record[STATE] != "STOPPING":
        advance(record, STATE, "STOPPING")


def end(record: Record, state: str, message: str = "") -> None:
    """The run is over."""
    advance(record, STATE, state)
    now = record["LastModifiedOn"]
    record["CompletedOn"] = now
    if message:
        record["ErrorMessage"] = message
    began = record.pop("_Began", None)
    if began is not None:
        seconds = max(1, math.ceil(now - began))
        record["ExecutionTime"] = seconds
        if _by_executors(record):
            record["DPUSeconds"] = float(seconds * record["MaxCapacity"])


def fail(record: Record, reason: str) -> None:
    """The run is over and did not succeed."""
    end(record, "FAILED", reason)


def shown(record: Record) -> Record:
    """The record as clients see it: ExecutionTime grows while it runs."""
    began = record.get("_Began")
    if began is None:
        return record
    return {**record, "ExecutionTime": int(time.time() - began)}


def _by_executors(record: Record) -> bool:
    """When AWS tells DPUSeconds: for the class FLEX, or with auto scaling (API reference, JobRun)."""
    scaled = (record.get("_Arguments") or {}).get("--enable-auto-scaling")
    return record.get("ExecutionClass") == "FLEX" or scaled == "true"
