"""CreateHyperParameterTuningJob, Describe, List, Stop, Delete, and its training jobs: the best of many."""

from __future__ import annotations

import time
from typing import Any

from pipeline.local.sagemaker import training_job, tuning_job_checks, tuning_job_run, validation
from pipeline.local.sagemaker import tuning_job_told as told
from pipeline.local.sagemaker.errors import ResourceInUse, ResourceNotFound, ValidationException
from pipeline.local.sagemaker.jobs import worker
from pipeline.local.sagemaker.listing import page, select
from pipeline.local.sagemaker.service import operation
from pipeline.local.sagemaker.store import Record, Scope, store
from pipeline.local.sagemaker.tags import checked
from pipeline.local.sagemaker.transitions import advance, final
from pipeline.local.sagemaker.tuning_job_request import definition_of, training_request

KIND, STATUS = told.KIND, told.STATUS
_NAME = "HyperParameterTuningJobName"
_END = "HyperParameterTuningEndTime"


@operation("CreateHyperParameterTuningJob")
def create(request: dict[str, Any], scope: Scope) -> dict[str, Any]:
    """Accept a tuning job and start it; it runs in a thread of its own and launches training jobs."""
    name = request[_NAME]
    arn = scope.arn(f"{KIND}/{name}")
    tuning_job_checks.check(request)
    tuning_job_checks.check_parents(request, scope)
    checked(request.get("Tags") or [])
    _require_free(scope, name, arn)
    now = time.time()
    record: Record = {
        **request,
        "TrainingJobDefinition": definition_of(request),
        "HyperParameterTuningJobArn": arn,
        "CreationTime": now,
        "LastModifiedTime": now,
        STATUS: "InProgress",
        "Jobs": [],
    }
    # What its jobs would be refused for, it is refused for: their names are as long, their values as good.
    first = {each.name: each.text(each.values[0] if each.values else each.low) for each in _space(request)}
    example = training_request(record, f"{name}-001-00000000", first)
    training_job.require(validation.check("CreateTrainingJob", example), scope)
    if not store.create(scope, KIND, name, record):
        _require_free(scope, name, arn)
    job = worker.LiveJob(scope, KIND, name, STATUS)
    worker.start(job, lambda job: tuning_job_run.TuningRun(job, record, scope).run(), fail)
    return {"HyperParameterTuningJobArn": arn}


def fail(record: Record, reason: str) -> None:
    """The job is over and did not succeed."""
    worker.fail_record(record, STATUS, reason, _END, time.time())


@operation("DescribeHyperParameterTuningJob")
def describe(request: dict[str, Any], scope: Scope) -> dict[str, Any]:
    """All there is to say of a job, with its best training job so far."""
    record = _find(scope, request[_NAME])
    return {**record, **told.described(scope, record)}


@operation("ListHyperParameterTuningJobs")
def list_jobs(request: dict[str, Any], scope: Scope) -> dict[str, Any]:
    """Summaries, filtered and ordered, by pages."""
    by_name = {"SortBy": request.get("SortBy") or "Name"}
    chosen, token = select(
        store.list(scope, KIND), {**request, **by_name}, name=_NAME, status=STATUS, ascending=True
    )
    shown = []
    for record in chosen:
        config = record["HyperParameterTuningJobConfig"]
        numbers = told.counters(told.summaries(scope, record))
        limits = {"Strategy": config["Strategy"], "ResourceLimits": config["ResourceLimits"]}
        shown.append({**record, **numbers, **limits})
    return {"HyperParameterTuningJobSummaries": shown, "NextToken": token}


def _own(request: dict[str, Any], scope: Scope) -> list[str]:
    return [scope.arn(f"{KIND}/{request[_NAME]}")]


@operation("ListTrainingJobsForHyperParameterTuningJob", _own)
def list_training_jobs(request: dict[str, Any], scope: Scope) -> dict[str, Any]:
    """Summaries of the jobs it launched; by the objective, only those that have one."""
    found = told.summaries(scope, _find(scope, request[_NAME]))
    if request.get("StatusEquals"):
        found = [each for each in found if each["TrainingJobStatus"] == request["StatusEquals"]]
    by = request.get("SortBy") or "Name"
    final_metric = "FinalHyperParameterTuningJobObjectiveMetric"
    if by == "FinalObjectiveMetricValue":
        found = [each for each in found if final_metric in each]
        found.sort(key=lambda each: (each[final_metric]["Value"], each["TrainingJobName"]))
    else:
        field = {"Name": "TrainingJobName", "Status": "TrainingJobStatus"}.get(by, by)
        found.sort(key=lambda each: (each[field], each["TrainingJobName"]))
    if request.get("SortOrder") == "Descending":
        found.reverse()
    chosen, token = page(found, request, key=lambda each: each["TrainingJobName"])
    return {"TrainingJobSummaries": chosen, "NextToken": token}


@operation("StopHyperParameterTuningJob")
def stop(request: dict[str, Any], scope: Scope) -> dict[str, Any]:
    """Ask a job to stop: it launches nothing more, and stops what runs."""
    name = request[_NAME]
    _find(scope, name)
    with store.edit(scope, KIND, name) as record:
        if final(STATUS, record[STATUS]):
            raise ValidationException(
                f"The request was rejected because the tuning job is in status {record[STATUS]}."
            )
        if record[STATUS] != "Stopping":
            advance(record, STATUS, "Stopping")
    job = worker.find(scope, KIND, name)
    if job:
        job.stop.ask()
    return {}


@operation("DeleteHyperParameterTuningJob")
def delete(request: dict[str, Any], scope: Scope) -> dict[str, Any]:
    """Forget a job that is over; its training jobs stay."""
    name = request[_NAME]
    record = _find(scope, name)
    if not final(STATUS, record[STATUS]):
        raise ValidationException(
            f"The request was rejected because the tuning job is in status {record[STATUS]}."
        )
    store.delete(scope, KIND, name)
    return {}


def on_start() -> None:
    """Fail the jobs that an earlier server left unfinished."""
    worker.mark_interrupted(KIND, STATUS, fail)


def on_stop() -> None:
    """Launch nothing more."""
    worker.stop_all(KIND)


def _space(request: dict[str, Any]) -> list[Any]:
    return tuning_job_checks.space_of(request["HyperParameterTuningJobConfig"])


def _find(scope: Scope, name: str) -> Record:
    record = store.get(scope, KIND, name)
    if record is None:
        raise ResourceNotFound(
            f"Amazon SageMaker can't find a tuning job with the name {name}. Check the name and try again."
        )
    return record


def _require_free(scope: Scope, name: str, arn: str) -> None:
    if any(other.lower() == name.lower() for other, _ in store.items(scope, KIND)):
        raise ResourceInUse(
            "Tuning job names must be unique within an AWS account and region, and a tuning job with this "
            f"name already exists ({arn})"
        )
