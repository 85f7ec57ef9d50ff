"""The runs of a pipeline's Glue jobs: found, and stopped."""

from __future__ import annotations

from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from pipeline.aws.errors import code
from pipeline.aws.pace import Pace

if TYPE_CHECKING:
    from pipeline.aws import Clients
    from pipeline.settings.model import Settings

# JobRunState's values in botocore's model of Glue that are no end.
BUSY = frozenset({"STARTING", "RUNNING", "STOPPING", "WAITING"})


def jobs(settings: Settings) -> list[str]:
    """Names of the Glue jobs of this pipeline: its transforms, and the comparison of its requests."""
    scripts = [name for name, each in settings.pipeline.transforms.items() if each.script]
    names = [*scripts, *(["monitor"] if settings.pipeline.monitor else [])]
    return [f"{settings.stack_name}-{name}" for name in names]


def runs(clients: Clients, job: str) -> dict[str, str]:
    """State of each run by its id, newest first; none where the job is not there."""
    try:
        pages = list(clients.glue.get_paginator("get_job_runs").paginate(JobName=job))
    except ClientError as error:
        if code(error) == "EntityNotFoundException":
            return {}
        raise
    return {run["Id"]: run["JobRunState"] for page in pages for run in page["JobRuns"]}


def stop(clients: Clients, job: str) -> list[str]:
    """Stop what runs and wait for its end; the ids of all runs that Glue still knows."""
    known = runs(clients, job)
    busy = [run for run, state in known.items() if state in BUSY]
    # BatchStopJobRun takes 25 at a time.
    for first in range(0, len(busy), 25):
        clients.glue.batch_stop_job_run(JobName=job, JobRunIds=busy[first : first + 25])
    pace = Pace()
    while any(state in BUSY for run, state in runs(clients, job).items() if run in busy):
        pace.wait()
    return list(known)
