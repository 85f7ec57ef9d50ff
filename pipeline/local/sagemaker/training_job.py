"""CreateTrainingJob, Describe, List, Stop, Delete: programs that turn data into a model."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from pipeline.local.sagemaker import injected, training_job_checks, training_job_metrics, training_job_run
from pipeline.local.sagemaker import training_job_status as status
from pipeline.local.sagemaker.errors import ResourceInUse, ValidationException
from pipeline.local.sagemaker.jobs import session, worker
from pipeline.local.sagemaker.listing import select
from pipeline.local.sagemaker.service import operation
from pipeline.local.sagemaker.store import Record, Scope, store
from pipeline.local.sagemaker.tags import checked
from pipeline.local.sagemaker.transitions import final

KIND = "training-job"
_DEFAULT_SECONDS = 86400


@operation("CreateTrainingJob")
def create(request: dict[str, Any], scope: Scope) -> dict[str, Any]:
    """Accept a job and start it; it runs in a thread of its own."""
    require(request, scope)
    return {"TrainingJobArn": begin(request, scope)}


def require(request: dict[str, Any], scope: Scope) -> None:
    """Raise for what CreateTrainingJob refuses: also what its role cannot see now."""
    training_job_checks.check(request)
    training_job_metrics.require_none(request["AlgorithmSpecification"])
    checked(request.get("Tags") or [])
    name = request["TrainingJobName"]
    _require_free(scope, name, scope.arn(f"{KIND}/{name}"))
    resources = request["ResourceConfig"]
    injected.quota(name, "training job", resources["InstanceType"], resources["InstanceCount"])
    role = session.assumed(scope, request["RoleArn"])
    session.require_image(role, request["AlgorithmSpecification"]["TrainingImage"])
    for channel in request.get("InputDataConfig") or []:
        session.require_objects(role, channel["DataSource"]["S3DataSource"]["S3Uri"])


def begin(
    request: dict[str, Any],
    scope: Scope,
    *,
    tuning_job: str = "",
    remark: str = "",
    watch: Callable[[str, float], None] | None = None,
) -> str:
    """Start a job that may be; its ARN.

    Args:
        tuning_job: ARN of the tuning job that launches it.
        remark: what its first status says besides.
        watch: told each value of its metrics as it is found, in a thread of the job's.
    """
    name = request["TrainingJobName"]
    arn = scope.arn(f"{KIND}/{name}")
    now = time.time()
    record: Record = {
        "EnableNetworkIsolation": False,
        "EnableInterContainerTrafficEncryption": False,
        "EnableManagedSpotTraining": False,
        **request,
        "AlgorithmSpecification": training_job_metrics.with_own(request["AlgorithmSpecification"]),
        "StoppingCondition": {
            "MaxRuntimeInSeconds": _DEFAULT_SECONDS,
            **(request.get("StoppingCondition") or {}),
        },
        "TrainingJobArn": arn,
        "CreationTime": now,
        "LastModifiedTime": now,
        status.STATUS: "InProgress",
        "ProfilingStatus": "Disabled",
    }
    if tuning_job:
        record["TuningJobArn"] = tuning_job
    status.move(record, "Starting", f"{status.MESSAGES['Starting']} {remark}".rstrip())
    if not store.create(scope, KIND, name, record):
        _require_free(scope, name, arn)
    job = worker.LiveJob(scope, KIND, name, status.STATUS)
    worker.start(job, lambda job: training_job_run.TrainingRun(job, record, watch).run(), status.fail)
    return arn


@operation("DescribeTrainingJob")
def describe(request: dict[str, Any], scope: Scope) -> dict[str, Any]:
    """All there is to say of a job."""
    return _find(scope, request["TrainingJobName"])


@operation("ListTrainingJobs")
def list_jobs(request: dict[str, Any], scope: Scope) -> dict[str, Any]:
    """Summaries, filtered and ordered, by pages."""
    records = store.list(scope, KIND)
    if request.get("WarmPoolStatusEquals") or request.get("TrainingPlanArnEquals"):
        records = []  # no job here has either
    chosen, token = select(records, request, name="TrainingJobName", status=status.STATUS, ascending=True)
    return {"TrainingJobSummaries": chosen, "NextToken": token}


@operation("StopTrainingJob")
def stop(request: dict[str, Any], scope: Scope) -> dict[str, Any]:
    """Ask a job to stop: SIGTERM, and SIGKILL when its grace is over."""
    name = request["TrainingJobName"]
    _find(scope, name)
    with store.edit(scope, KIND, name) as record:
        if final(status.STATUS, record[status.STATUS]):
            raise ValidationException(
                f"The request was rejected because the training job is in status {record[status.STATUS]}."
            )
        status.stopping(record)
    job = worker.find(scope, KIND, name)
    if job:
        job.stop.ask()
    return {}


@operation("DeleteTrainingJob")
def delete(request: dict[str, Any], scope: Scope) -> dict[str, Any]:
    """Forget a job that is over."""
    name = request["TrainingJobName"]
    record = _find(scope, name)
    if not final(status.STATUS, record[status.STATUS]):
        raise ResourceInUse(
            f"The request was rejected because the training job is in status {record[status.STATUS]}."
        )
    store.delete(scope, KIND, name)
    return {}


def on_start() -> None:
    """Fail the jobs that an earlier server left unfinished."""
    worker.mark_interrupted(KIND, status.STATUS, status.fail)


def on_stop() -> None:
    """End all running jobs."""
    worker.stop_all(KIND)


def _find(scope: Scope, name: str) -> Record:
    record = store.get(scope, KIND, name)
    if record is None:
        raise ValidationException("Requested resource not found.")
    return record


def _require_free(scope: Scope, name: str, arn: str) -> None:
    if store.get(scope, KIND, name) is not None:
        raise ResourceInUse(
            "Training job names must be unique within an AWS account and region, and a training job with "
            "this "
            f"name already exists ({arn})"
        )
