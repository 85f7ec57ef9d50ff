"""The states each resource may be in, and the only ways from one to another."""

from __future__ import annotations

import time
from typing import Any

from pipeline.local.sagemaker.errors import InternalFailure

# field -> state -> the states that may follow. Values as in botocore's enums.
MACHINES: dict[str, dict[str, frozenset[str]]] = {
    "HyperParameterTuningJobStatus": {
        "InProgress": frozenset({"Completed", "Failed", "Stopping", "Stopped"}),
        "Stopping": frozenset({"Stopped", "Completed", "Failed"}),
        "Completed": frozenset(),
        "Failed": frozenset(),
        "Stopped": frozenset(),
    },
    "TransformJobStatus": {
        "InProgress": frozenset({"Completed", "Failed", "Stopping", "Stopped"}),
        "Stopping": frozenset({"Stopped", "Completed", "Failed"}),
        "Completed": frozenset(),
        "Failed": frozenset(),
        "Stopped": frozenset(),
    },
    "TrainingJobStatus": {
        "InProgress": frozenset({"Completed", "Failed", "Stopping", "Stopped"}),
        "Stopping": frozenset({"Stopped", "Completed", "Failed"}),
        "Completed": frozenset(),
        "Failed": frozenset(),
        "Stopped": frozenset(),
    },
    "ProcessingJobStatus": {
        "InProgress": frozenset({"Completed", "Failed", "Stopping", "Stopped"}),
        "Stopping": frozenset({"Stopped", "Completed", "Failed"}),
        "Completed": frozenset(),
        "Failed": frozenset(),
        "Stopped": frozenset(),
    },
    "EndpointStatus": {
        "Creating": frozenset({"InService", "Failed", "Deleting"}),
        "InService": frozenset({"Updating", "SystemUpdating", "Deleting", "OutOfService"}),
        "Updating": frozenset({"InService", "RollingBack", "Failed"}),
        "SystemUpdating": frozenset({"InService", "RollingBack", "Failed"}),
        "RollingBack": frozenset({"InService", "UpdateRollbackFailed", "Failed"}),
        "UpdateRollbackFailed": frozenset({"Deleting"}),
        "OutOfService": frozenset({"InService", "Updating", "Deleting"}),
        "Failed": frozenset({"Deleting"}),
        "Deleting": frozenset({"Failed"}),
    },
    "ModelPackageStatus": {
        "Pending": frozenset({"InProgress", "Completed", "Failed", "Deleting"}),
        "InProgress": frozenset({"Completed", "Failed", "Deleting"}),
        "Completed": frozenset({"Deleting"}),
        "Failed": frozenset({"Deleting"}),
        "Deleting": frozenset(),
    },
    "ModelPackageGroupStatus": {
        "Pending": frozenset({"InProgress", "Completed", "Failed", "Deleting"}),
        "InProgress": frozenset({"Completed", "Failed", "Deleting"}),
        "Completed": frozenset({"Deleting"}),
        "Failed": frozenset({"Deleting"}),
        "Deleting": frozenset({"DeleteFailed"}),
        "DeleteFailed": frozenset({"Deleting"}),
    },
}


# Those of other services: field -> their states, and where advance() stamps the time.
_DECLARED: dict[str, tuple[dict[str, frozenset[str]], str]] = {}


def declare(field: str, machine: dict[str, frozenset[str]], *, stamp: str) -> None:
    """Add another service's states: `stamp` is its record's member for the last change's time."""
    _DECLARED[field] = machine, stamp


def _declared(field: str) -> tuple[dict[str, frozenset[str]], str]:
    return _DECLARED[field] if field in _DECLARED else (MACHINES[field], "LastModifiedTime")


def advance(record: dict[str, Any], field: str, new: str) -> None:
    """Move `record[field]` to a state that may follow, and stamp the time.

    Raises:
        InternalFailure: the transition is not declared; that is a fault of ours.
    """
    machine, stamp = _declared(field)
    old = record.get(field)
    if old is not None and new not in machine[old]:
        raise InternalFailure(f"{field} cannot go from {old} to {new}")
    if new not in machine:
        raise InternalFailure(f"{new} is no {field}")
    record[field] = new
    record[stamp] = time.time()


def final(field: str, state: str) -> bool:
    """Whether nothing may follow."""
    return not _declared(field)[0][state]
