"""What Glue accepts of a job and a run beyond its API's model, and what it can and this target cannot."""

from __future__ import annotations

from typing import Any

from pipeline.local.glue import capacity
from pipeline.local.glue.errors import InvalidInputException, NotSupported

DEFAULT_GLUE_VERSION = "5.1"  # API reference: jobs that are created without one
DEFAULT_WORKERS = ("G.1X", 10)
_LONGEST_MINUTES = 7 * 24 * 60
_MOST_RETRIES = 10
# Members of CreateJob, JobUpdate or StartJobRun that would change what a run does, and do not here.
_NOT_OFFERED = {
    "CodeGenConfigurationNodes": "A visual job (CodeGenConfigurationNodes)",
    "Connections": "A Glue connection",
    "ExecutionRoleSessionPolicy": "ExecutionRoleSessionPolicy",
    "MaintenanceWindow": "A maintenance window",
    "NotificationProperty": "A delay notification (NotificationProperty)",
    "SecurityConfiguration": "A Glue security configuration",
    "SourceControlDetails": "Source control of a job",
}
_COMMANDS = {"glueray": "A Ray job", "gluestreaming": "A streaming job", "pythonshell": "A Python shell job"}
# Glue's own parameters that would change what a script sees, and do not here.
_PARAMETERS = (
    "--additional-python-modules",
    "--class",
    "--extra-files",
    "--extra-jars",
    "--python-modules-installer-option",
    "--user-jars-first",
)


def check_job(job: dict[str, Any]) -> None:
    """Raise for a job, as CreateJob or JobUpdate gives it, that Glue or this target refuses."""
    _offered(job)
    command = job.get("Command") or {}
    name = command.get("Name", "glueetl")
    if name in _COMMANDS:
        raise NotSupported(f"{_COMMANDS[name]} (Command.Name {name})")
    if name != "glueetl":
        raise InvalidInputException(f"Unknown Command name: {name}")
    if command.get("PythonVersion", "3") != "3":
        raise InvalidInputException(f"Python version {command['PythonVersion']} is not valid for Spark jobs.")
    if job.get("JobMode", "SCRIPT") != "SCRIPT":
        raise NotSupported(f"A job of mode {job['JobMode']}")
    if not 0 <= job.get("MaxRetries", 0) <= _MOST_RETRIES:
        raise InvalidInputException(f"MaxRetries must be between 0 and {_MOST_RETRIES}.")
    if (job.get("ExecutionProperty") or {}).get("MaxConcurrentRuns", 1) < 1:
        raise InvalidInputException("MaxConcurrentRuns must be at least 1.")
    _timeout(job)
    sized(job)
    for arguments in ("DefaultArguments", "NonOverridableArguments"):
        _parameters(job.get(arguments) or {})


def check_run(run: dict[str, Any]) -> None:
    """Raise for what StartJobRun gives and Glue or this target refuses."""
    _offered(run)
    _timeout(run)
    _parameters(run.get("Arguments") or {})


def sized(given: dict[str, Any], job: dict[str, Any] | None = None) -> dict[str, Any]:
    """WorkerType, NumberOfWorkers, MaxCapacity and AllocatedCapacity of a job, or of a run of `job`.

    Raises:
        InvalidInputException: members that exclude each other, or that miss each other.
    """
    kind, workers = given.get("WorkerType"), given.get("NumberOfWorkers")
    if given.get("MaxCapacity") is not None and given.get("AllocatedCapacity") is not None:
        raise InvalidInputException("Please set only Allocated Capacity or Max Capacity.")
    dpus = given.get("MaxCapacity", given.get("AllocatedCapacity"))
    if dpus is not None and (kind or workers):
        raise InvalidInputException(
            "Please do not set Max Capacity if using Worker Type and Number of Workers."
        )
    if dpus is not None:
        # One DPU is one G.1X worker.
        if dpus < 2 or dpus != int(dpus):
            raise InvalidInputException("Max Capacity of a Spark job must be a whole number, at least 2.")
        kind, workers = "G.1X", int(dpus)
    elif job is not None:
        kind, workers = kind or job["WorkerType"], workers or job["NumberOfWorkers"]
    elif (kind is None) != (workers is None):
        raise InvalidInputException("Please set both Worker Type and Number of Workers.")
    if kind is None or workers is None:
        kind, workers = DEFAULT_WORKERS
    if kind not in capacity.DPUS:
        raise NotSupported(f"The worker type {kind}")
    if workers < 2:
        raise InvalidInputException("Number of Workers must be at least 2: one of them runs the driver.")
    total = capacity.dpus(kind, workers)
    return {
        "WorkerType": kind,
        "NumberOfWorkers": workers,
        "MaxCapacity": total,
        "AllocatedCapacity": int(total),
    }


def timeout(glue_version: str) -> int:
    """Minutes that a run may take where nothing else is said."""
    return 480 if int(glue_version.split(".")[0]) >= 5 else 2880


def _offered(given: dict[str, Any]) -> None:
    for member, what in _NOT_OFFERED.items():
        if given.get(member):
            raise NotSupported(what)


def _timeout(given: dict[str, Any]) -> None:
    if given.get("Timeout", 1) >= _LONGEST_MINUTES:
        raise InvalidInputException(f"Timeout must be less than {_LONGEST_MINUTES} minutes (7 days).")


def _parameters(arguments: dict[str, str]) -> None:
    for name in _PARAMETERS:
        if name in arguments:
            raise NotSupported(f"The job parameter {name}")
    if arguments.get("--job-language", "python") != "python":
        raise NotSupported(f"A job in {arguments['--job-language']}")
    if arguments.get("--job-bookmark-option", "job-bookmark-disable") != "job-bookmark-disable":
        # They belong to DynamicFrames, which open-source Spark does not have.
        raise NotSupported(f"Job bookmarks ({arguments['--job-bookmark-option']})")
