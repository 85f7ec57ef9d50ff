"""StartJobRun, GetJobRun(s), BatchStopJobRun: a job at work."""

from __future__ import annotations

import secrets
import threading
import time
from typing import Any

from pipeline.local.glue import events, job_checks, job_run_status, script
from pipeline.local.glue import job_run_work as work
from pipeline.local.glue.errors import (
    ConcurrentRunsExceededException,
    EntityNotFoundException,
    InvalidInputException,
)
from pipeline.local.glue.job import find as find_job
from pipeline.local.glue.job_run_status import STATE
from pipeline.local.glue.paging import page
from pipeline.local.glue.service import operation
from pipeline.local.glue.store import JOB, RUN, Record, Scope, store
from pipeline.local.sagemaker.jobs import worker
from pipeline.local.sagemaker.transitions import advance

LOG_GROUP_NAME = "/aws-glue/jobs"
_PAGE = 200
_QUEUE_SECONDS = 0.2  # between two looks of a run that waits for its turn
_OVERRIDES = ("Timeout", "ExecutionClass", "JobRunQueuingEnabled")
# Counting what runs and starting one more is one thing.
_starting = threading.Lock()


@operation("StartJobRun")
def start(request: dict[str, Any], scope: Scope) -> dict[str, Any]:
    """Start a run; it works in a thread of its own."""
    job = store.get(scope, JOB, request["JobName"])
    if job is None:
        raise EntityNotFoundException("Failed to start job run due to missing metadata.")
    job_checks.check_run(request)
    previous = _previous(scope, request)
    record = _record(job, request, previous)
    with _starting:
        if not _room(scope, job):
            if not record["JobRunQueuingEnabled"]:
                raise ConcurrentRunsExceededException(f"Concurrent runs exceeded for {job['Name']}")
            record[STATE] = "WAITING"
        store.put(scope, RUN, record["Id"], record)
    _begin(scope, job, record)
    return {"JobRunId": record["Id"]}


def _room(scope: Scope, job: Record) -> bool:
    """Whether one more run of a job may be at work."""
    runs = [run for run in store.list(scope, RUN) if run["JobName"] == job["Name"]]
    return sum(map(job_run_status.active, runs)) < int(job["ExecutionProperty"]["MaxConcurrentRuns"])


def _leave_queue(scope: Scope, job: Record, run_id: str) -> bool:
    """Let a waiting run begin if there is room for it; whether it waits no more."""
    with _starting, store.edit(scope, RUN, run_id) as record:
        if record[STATE] == "WAITING" and _room(scope, job):
            advance(record, STATE, "STARTING")
        return bool(record[STATE] != "WAITING")


@operation("GetJobRun")
def get(request: dict[str, Any], scope: Scope) -> dict[str, Any]:
    """How a run is."""
    return {"JobRun": job_run_status.shown(_find(scope, request["JobName"], request["RunId"]))}


@operation("GetJobRuns")
def get_runs(request: dict[str, Any], scope: Scope) -> dict[str, Any]:
    """A job's runs, newest first, by pages."""
    find_job(scope, request["JobName"])
    runs = [run for run in store.list(scope, RUN) if run["JobName"] == request["JobName"]]
    runs.sort(key=lambda run: (run["StartedOn"], run["Attempt"]), reverse=True)
    chosen, token = page(runs, request, key=lambda run: run["Id"], size=_PAGE)
    return {"JobRuns": [job_run_status.shown(run) for run in chosen], "NextToken": token}


@operation("BatchStopJobRun")
def stop(request: dict[str, Any], scope: Scope) -> dict[str, Any]:
    """Ask runs to stop: SIGTERM, and SIGKILL to the whole process group when their grace is over."""
    stopped, errors = [], []
    for run_id in request["JobRunIds"]:
        known = {"JobName": request["JobName"], "JobRunId": run_id}
        refused = _stop(scope, request["JobName"], run_id)
        if refused:
            errors.append({**known, "ErrorDetail": {"ErrorCode": refused[0], "ErrorMessage": refused[1]}})
        else:
            stopped.append(known)
    return {"SuccessfulSubmissions": stopped, "Errors": errors}


def on_start() -> None:
    """Fail the runs that an earlier server left unfinished."""
    worker.mark_interrupted(RUN, STATE, job_run_status.fail, store, "StartedOn")


def on_stop() -> None:
    """End all runs."""
    worker.stop_all(RUN)


def _stop(scope: Scope, name: str, run_id: str) -> tuple[str, str] | None:
    """Stop one run, or the error's code and message."""
    try:
        record = _find(scope, name, run_id)
    except EntityNotFoundException as error:
        return error.code, error.message
    with store.edit(scope, RUN, run_id) as record:
        if job_run_status.ended(record):
            return (
                "JobRunInTerminalStateException",
                f"Job run {run_id} is in the terminal state {record[STATE]} and cannot be stopped.",
            )
        job_run_status.stopping(record)
    live = worker.find(scope, RUN, run_id)
    if live:
        live.stop.ask()
    return None


def _record(job: Record, request: dict[str, Any], previous: Record | None) -> Record:
    """A run's record at its start."""
    now = time.time()
    given = request.get("Arguments") or (previous or {}).get("Arguments") or {}
    record: Record = {
        "Id": f"jr_{secrets.token_hex(32)}",
        "Attempt": previous["Attempt"] + 1 if previous else 0,
        "JobName": job["Name"],
        "JobMode": job["JobMode"],
        "StartedOn": now,
        "LastModifiedOn": now,
        STATE: "STARTING",
        "Arguments": given,
        "_Arguments": script.effective(job, given),
        "PredecessorRuns": [],
        "ExecutionTime": 0,
        "LogGroupName": LOG_GROUP_NAME,
        "GlueVersion": job["GlueVersion"],
        **{member: request.get(member, job[member]) for member in _OVERRIDES},
        **job_checks.sized(request, job),
    }
    if previous:
        record["PreviousRunId"] = previous["Id"]
    return record


def _begin(scope: Scope, job: Record, record: Record) -> None:
    live = worker.LiveJob(scope, RUN, record["Id"], STATE, store)

    def run(live: worker.LiveJob) -> None:
        while not _leave_queue(scope, job, record["Id"]) and not live.stop.asked:
            live.stop.wait(_QUEUE_SECONDS)
        work.JobRunWork(live, scope, job, record).run()

    def after() -> None:
        ended = store.get(scope, RUN, record["Id"])
        if ended is None:
            return
        events.emit(ended)
        again = ended[STATE] == "FAILED" and ended["Attempt"] < job["MaxRetries"]
        if again and not live.interrupted:
            _again(scope, job, ended)

    worker.start(live, run, job_run_status.fail, after)


def _again(scope: Scope, job: Record, failed: Record) -> None:
    """Another attempt: a run of its own, under the first one's id with the attempt's number."""
    attempt = failed["Attempt"] + 1
    now = time.time()
    ends = ("CompletedOn", "ErrorMessage", "DPUSeconds")
    record: Record = {
        **{member: value for member, value in failed.items() if member not in ends},
        "Id": f"{failed['Id'].partition('_attempt_')[0]}_attempt_{attempt}",
        "Attempt": attempt,
        "PreviousRunId": failed["Id"],
        "StartedOn": now,
        "LastModifiedOn": now,
        "ExecutionTime": 0,
        STATE: "STARTING",
    }
    store.put(scope, RUN, record["Id"], record)
    _begin(scope, job, record)


def _previous(scope: Scope, request: dict[str, Any]) -> Record | None:
    """The run that is tried again, where the request names one."""
    if not request.get("JobRunId"):
        return None
    record = _find(scope, request["JobName"], request["JobRunId"])
    if not job_run_status.ended(record):
        raise InvalidInputException(f"Job run {record['Id']} is in state {record[STATE]}: it has not ended.")
    return record


def _find(scope: Scope, name: str, run_id: str) -> Record:
    record = store.get(scope, RUN, run_id)
    if record is None or record["JobName"] != name:
        raise EntityNotFoundException(f"Job run {run_id} of job {name} not found.")
    return record
