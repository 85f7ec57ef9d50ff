"""CreateProcessingJob, Describe, List, Stop, Delete: programs that read data and write data."""

from __future__ import annotations

import time
from typing import Any

from pipeline.local.sagemaker import injected, processing_job_checks, processing_job_run
from pipeline.local.sagemaker.errors import ResourceInUse, ValidationException
from pipeline.local.sagemaker.jobs import session, worker
from pipeline.local.sagemaker.jobs.names import require_free
from pipeline.local.sagemaker.listing import select
from pipeline.local.sagemaker.processing_job_run import STATUS
from pipeline.local.sagemaker.service import operation
from pipeline.local.sagemaker.store import Record, Scope, store
from pipeline.local.sagemaker.tags import checked
from pipeline.local.sagemaker.transitions import advance, final

KIND = "processing-job"
_DEFAULT_SECONDS = 86400


@operation("CreateProcessingJob")
def create(request: dict[str, Any], scope: Scope) -> dict[str, Any]:
    """Accept a job and start it; it runs in a thread of its own."""
    name = request["ProcessingJobName"]
    arn = scope.arn(f"{KIND}/{name}")
    processing_job_checks.check(request)
    checked(request.get("Tags") or [])
    require_free(scope, KIND, name, arn)
    cluster = request["ProcessingResources"]["ClusterConfig"]
    injected.quota(name, "processing job", cluster["InstanceType"], cluster["InstanceCount"])
    role = session.assumed(scope, request["RoleArn"])
    session.require_image(role, request["AppSpecification"]["ImageUri"])
    now = time.time()
    record: Record = {
        **request,
        "StoppingCondition": request.get("StoppingCondition") or {"MaxRuntimeInSeconds": _DEFAULT_SECONDS},
        "ProcessingJobArn": arn,
        "CreationTime": now,
        "LastModifiedTime": now,
        STATUS: "InProgress",
    }
    if not store.create(scope, KIND, name, record):
        require_free(scope, KIND, name, arn)
    job = worker.LiveJob(scope, KIND, name, STATUS)
    worker.start(job, lambda job: processing_job_run.ProcessingRun(job, record).run(), fail)
    return {"ProcessingJobArn": arn}


def fail(record: Record, reason: str) -> None:
    """The job is over and did not succeed."""
    worker.fail_record(record, STATUS, reason, "ProcessingEndTime", time.time())


@operation("DescribeProcessingJob")
def describe(request: dict[str, Any], scope: Scope) -> dict[str, Any]:
    """All there is to say of a job."""
    return _find(scope, request["ProcessingJobName"])


@operation("ListProcessingJobs")
def list_jobs(request: dict[str, Any], scope: Scope) -> dict[str, Any]:
    """Summaries, filtered and ordered, by pages."""
    records = store.list(scope, KIND)
    chosen, token = select(records, request, name="ProcessingJobName", status=STATUS, ascending=True)
    return {"ProcessingJobSummaries": chosen, "NextToken": token}


@operation("StopProcessingJob")
def stop(request: dict[str, Any], scope: Scope) -> dict[str, Any]:
    """Ask a job to stop: SIGTERM, and SIGKILL when its grace is over."""
    name = request["ProcessingJobName"]
    _find(scope, name)
    with store.edit(scope, KIND, name) as record:
        if final(STATUS, record[STATUS]):
            raise ValidationException(
                f"The request was rejected because the processing job is in status {record[STATUS]}."
            )
        if record[STATUS] != "Stopping":
            advance(record, STATUS, "Stopping")
    job = worker.find(scope, KIND, name)
    if job:
        job.stop.ask()
    return {}


@operation("DeleteProcessingJob")
def delete(request: dict[str, Any], scope: Scope) -> dict[str, Any]:
    """Forget a job that is over."""
    name = request["ProcessingJobName"]
    record = _find(scope, name)
    if not final(STATUS, record[STATUS]):
        raise ResourceInUse(
            f"The request was rejected because the processing job is in status {record[STATUS]}."
        )
    store.delete(scope, KIND, name)
    return {}


def on_start() -> None:
    """Fail the jobs that an earlier server left unfinished."""
    worker.mark_interrupted(KIND, STATUS, fail)


def on_stop() -> None:
    """End all running jobs."""
    worker.stop_all(KIND)


def _find(scope: Scope, name: str) -> Record:
    record = store.get(scope, KIND, name)
    if record is None:
        raise ValidationException(f"Could not find requested job with name: {name}")
    return record
