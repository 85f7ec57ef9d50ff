"""CreateTransformJob, Describe, List, Stop: a model's answers to every object of a dataset."""

from __future__ import annotations

import time
from typing import Any

from pipeline.local.sagemaker import model, transform_job_checks, transform_job_run
from pipeline.local.sagemaker.errors import ResourceNotFound, ValidationException
from pipeline.local.sagemaker.jobs import worker
from pipeline.local.sagemaker.jobs.names import require_free
from pipeline.local.sagemaker.listing import select
from pipeline.local.sagemaker.service import operation
from pipeline.local.sagemaker.store import Record, Scope, store
from pipeline.local.sagemaker.tags import checked
from pipeline.local.sagemaker.transform_job_run import STATUS
from pipeline.local.sagemaker.transitions import advance, final

KIND = "transform-job"


@operation("CreateTransformJob")
def create(request: dict[str, Any], scope: Scope) -> dict[str, Any]:
    """Accept a job and start it; it runs in a thread of its own."""
    name = request["TransformJobName"]
    arn = scope.arn(f"{KIND}/{name}")
    transform_job_checks.check(request)
    checked(request.get("Tags") or [])
    require_free(scope, KIND, name, arn)
    hosted = model.find(scope, request["ModelName"])
    now = time.time()
    record: Record = {
        **request,
        "TransformJobArn": arn,
        "CreationTime": now,
        "LastModifiedTime": now,
        STATUS: "InProgress",
    }
    if not store.create(scope, KIND, name, record):
        require_free(scope, KIND, name, arn)
    job = worker.LiveJob(scope, KIND, name, STATUS)
    worker.start(job, lambda job: transform_job_run.TransformRun(job, record, hosted, scope).run(), fail)
    return {"TransformJobArn": arn}


def fail(record: Record, reason: str) -> None:
    """The job is over and did not succeed."""
    worker.fail_record(record, STATUS, reason, "TransformEndTime", time.time())


@operation("DescribeTransformJob")
def describe(request: dict[str, Any], scope: Scope) -> dict[str, Any]:
    """All there is to say of a job."""
    return _find(scope, request["TransformJobName"])


@operation("ListTransformJobs")
def list_jobs(request: dict[str, Any], scope: Scope) -> dict[str, Any]:
    """Summaries, filtered and ordered, by pages."""
    chosen, token = select(store.list(scope, KIND), request, name="TransformJobName", status=STATUS)
    return {"TransformJobSummaries": chosen, "NextToken": token}


@operation("StopTransformJob")
def stop(request: dict[str, Any], scope: Scope) -> dict[str, Any]:
    """Ask a job to stop; it then stores nothing."""
    name = request["TransformJobName"]
    _find(scope, name)
    with store.edit(scope, KIND, name) as record:
        if final(STATUS, record[STATUS]):
            raise ValidationException(
                f"The request was rejected because the transform job is in status {record[STATUS]}."
            )
        if record[STATUS] != "Stopping":
            advance(record, STATUS, "Stopping")
    job = worker.find(scope, KIND, name)
    if job:
        job.stop.ask()
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
        raise ResourceNotFound(f"Could not find requested job with name: {name}")
    return record
