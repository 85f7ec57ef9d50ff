"""CreateJob, UpdateJob, DeleteJob, GetJob(s), ListJobs, BatchGetJobs: what is to be run, and how."""

from __future__ import annotations

import time
from typing import Any

from pipeline.local.glue import job_checks
from pipeline.local.glue.errors import (
    AlreadyExistsException,
    EntityNotFoundException,
    IdempotentParameterMismatchException,
    InvalidInputException,
)
from pipeline.local.glue.paging import page
from pipeline.local.glue.service import operation
from pipeline.local.glue.store import JOB, RUN, Record, Scope, store
from pipeline.local.glue.tags import checked
from pipeline.local.sagemaker.jobs import worker

# What CreateJob and JobUpdate have that is not as it was given.
_DERIVED = ("Name", "CreatedOn", "LastModifiedOn", "Tags")


def definition(given: dict[str, Any]) -> Record:
    """A job as it is kept, with Glue's defaults. Raises for what is refused."""
    for member in ("Role", "Command"):
        if not given.get(member):
            raise InvalidInputException(f"{member} should not be null or empty.")
    if not given["Command"].get("ScriptLocation"):
        raise InvalidInputException("Script location should not be null or empty.")
    job_checks.check_job(given)
    version = given.get("GlueVersion", job_checks.DEFAULT_GLUE_VERSION)
    return {
        "JobMode": "SCRIPT",
        "JobRunQueuingEnabled": False,
        "MaxRetries": 0,
        "ExecutionClass": "STANDARD",
        "DefaultArguments": {},
        "Timeout": job_checks.timeout(version),
        **given,
        "GlueVersion": version,
        "Command": {"Name": "glueetl", "PythonVersion": "3", **given["Command"]},
        "ExecutionProperty": {"MaxConcurrentRuns": 1, **(given.get("ExecutionProperty") or {})},
        **job_checks.sized(given),
    }


@operation("CreateJob")
def create(request: dict[str, Any], scope: Scope) -> dict[str, Any]:
    """Keep a new job."""
    name = request["Name"]
    now = time.time()
    checked(request.get("Tags") or {})
    record = {**definition(request), "CreatedOn": now, "LastModifiedOn": now}
    if not store.create(scope, JOB, name, record):
        if _same(record, store.get(scope, JOB, name) or record):
            raise AlreadyExistsException(f"Job with name: {name} already exists.")
        raise IdempotentParameterMismatchException(
            f"Job with name '{name}' already submitted with different configuration"
        )
    return {"Name": name}


@operation("UpdateJob")
def update(request: dict[str, Any], scope: Scope) -> dict[str, Any]:
    """Overwrite a job's definition as a whole; runs under way keep theirs."""
    name = request["JobName"]
    old = find(scope, name)
    record = {
        **definition(request["JobUpdate"]),
        **{member: old[member] for member in _DERIVED if member in old},
        "LastModifiedOn": time.time(),
    }
    store.put(scope, JOB, name, record)
    return {"JobName": name}


@operation("DeleteJob")
def delete(request: dict[str, Any], scope: Scope) -> dict[str, Any]:
    """Forget a job with its runs; those under way are ended. No such job is no error, as on AWS."""
    name = request["JobName"]
    store.delete(scope, JOB, name)
    for run_id, run in store.items(scope, RUN):
        if run["JobName"] != name:
            continue
        live = worker.find(scope, RUN, run_id)
        if live:
            live.stop.ask()
        store.delete(scope, RUN, run_id)
    return {"JobName": name}


@operation("GetJob")
def get(request: dict[str, Any], scope: Scope) -> dict[str, Any]:
    """A job's definition."""
    return {"Job": find(scope, request["JobName"])}


@operation("GetJobs")
def get_jobs(request: dict[str, Any], scope: Scope) -> dict[str, Any]:
    """All definitions, by pages."""
    jobs, token = page(_all(scope), request, key=lambda job: job["Name"], size=100)
    return {"Jobs": jobs, "NextToken": token}


@operation("ListJobs")
def list_jobs(request: dict[str, Any], scope: Scope) -> dict[str, Any]:
    """Names, of those jobs that have all the tags asked for, by pages."""
    wanted = request.get("Tags") or {}
    names = [job["Name"] for job in _all(scope) if wanted.items() <= (job.get("Tags") or {}).items()]
    chosen, token = page(names, request, key=str, size=100)
    return {"JobNames": chosen, "NextToken": token}


@operation("BatchGetJobs")
def batch_get(request: dict[str, Any], scope: Scope) -> dict[str, Any]:
    """The definitions of these names, and which names have none."""
    found = {name: store.get(scope, JOB, name) for name in request["JobNames"]}
    return {
        "Jobs": [job for job in found.values() if job],
        "JobsNotFound": [name for name, job in found.items() if not job],
    }


def find(scope: Scope, name: str) -> Record:
    """The job; raises EntityNotFoundException."""
    record = store.get(scope, JOB, name)
    if record is None:
        raise EntityNotFoundException(f"Job with name: {name} not found.")
    return record


def _all(scope: Scope) -> list[Record]:
    return sorted(store.list(scope, JOB), key=lambda job: str(job["Name"]))


def _same(one: Record, other: Record) -> bool:
    times = ("CreatedOn", "LastModifiedOn")
    return {**one, **dict.fromkeys(times)} == {**other, **dict.fromkeys(times)}
