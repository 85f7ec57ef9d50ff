"""What SageMaker says and does where a fault strikes (pipeline.local.faults).

Words and statuses are AWS's: FailureReason of real jobs and endpoints, and the service's error for a quota.
"""

from __future__ import annotations

from typing import Any

from pipeline.local import faults
from pipeline.local.sagemaker.errors import ResourceLimitExceeded
from pipeline.local.sagemaker.jobs import failure

# Kinds of jobs that run on instances of SageMaker's.
JOBS = frozenset({"training-job", "processing-job", "transform-job"})
CAPACITY = (
    "CapacityError: Unable to provision requested ML compute capacity. Please retry using a different ML "
    "instance type."
)
ENDPOINT_CAPACITY = (
    "Unable to provision requested ML compute capacity due to InsufficientInstanceCapacity error. Please "
    "retry using a different ML instance type."
)
IMAGE = (
    "ClientError: Cannot pull algorithm container. Either the image does not exist or its permissions are "
    "incorrect."
)
# What is said beside it in a log: a reader of the log is not to take it for the program's own end.
MARK = "local target: an injected fault: "


def before_job(kind: str, name: str) -> None:
    """Strike a job at its start: raises JobFailed."""
    if kind not in JOBS:
        return
    if faults.take("capacity", name):
        raise failure.JobFailed(CAPACITY)
    if faults.take("image-pull", name):
        raise failure.JobFailed(IMAGE)


def quota(name: str, what: str, instance_type: str, count: int = 1) -> None:
    """Refuse what would be created, as where the account may not have as many instances.

    Args:
        what: `training job`, `endpoint`, ...
    """
    if faults.take("quota", name):
        raise ResourceLimitExceeded(
            f"The account-level service limit '{instance_type} for {what} usage' is 0 Instances, with "
            f"current utilization of 0 Instances and a request delta of {count} Instances. Please contact "
            "AWS support to request an increase for this limit."
        )


def spot(record: dict[str, Any]) -> faults.Fault | None:
    """The loss of its instances that waits for a training job, if it runs on spot instances."""
    name = record["TrainingJobName"]
    return faults.take("spot-loss", name) if record.get("EnableManagedSpotTraining") else None


def missed(fault: faults.Fault, what: str) -> None:
    """A loss that was to come later than the job's end: it waits for the next one."""
    faults.put_back(fault, what)


def no_spot(record: dict[str, Any]) -> bool:
    """Whether a training job on spot instances gets none."""
    if not record.get("EnableManagedSpotTraining"):
        return False
    return faults.take("no-spot", record["TrainingJobName"]) is not None
