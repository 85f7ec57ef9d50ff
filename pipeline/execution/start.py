"""Starting an execution of the deployed state machine, or finding one that is there."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from pipeline import git
from pipeline.aws.errors import code, told
from pipeline.errors import ExecutionError, SettingsError
from pipeline.execution import names
from pipeline.names import Names

if TYPE_CHECKING:
    from pipeline.aws import Clients
    from pipeline.settings.model import Settings


@dataclass(frozen=True)
class Started:
    """An execution; `attached`: it was running already and nothing new was started."""

    arn: str
    name: str
    input: dict[str, Any]
    attached: bool

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def machine_arn(settings: Settings) -> str:
    """ARN of the pipeline's state machine, from its name."""
    return Names.of(settings).state_machine_arn


def start(
    settings: Settings,
    clients: Clients,
    *,
    date: str | None = None,
    force: bool = False,
    pull_request: str = "",
    run_url: str = "",
) -> Started:
    """Start a run; a running one with the same commit, definition and input is attached to instead.

    Args:
        date: YYYY-MM-DD or an ISO time; None lets the state machine take its start time.
        force: train on known data too.
        pull_request, run_url: what brought it about; recorded with the model.

    Raises:
        SettingsError: the date is not one.
        ExecutionError: the pipeline is not deployed.
    """
    if date is not None:
        try:
            names.parse_day(date)
        except ValueError as error:
            raise SettingsError(
                f"not a date: {date!r}", where="--date", hint="YYYY-MM-DD, or an ISO time"
            ) from error
    sha = git.head(Path(settings.root))
    data: dict[str, Any] = {}
    if date is not None:
        data["DATE"] = date
    if force:
        data["FORCE"] = True
    if sha:
        data["GIT_SHA"] = sha
    # Ends in tags and metadata of 256 characters.
    data |= {
        key: value[:256] for key, value in (("PULL_REQUEST", pull_request), ("RUN_URL", run_url)) if value
    }
    with told(clients.target.name):
        arn = machine_arn(settings)
        machine = _describe_machine(settings, clients, arn)
        day = date or f"{datetime.now(UTC):%Y-%m-%d}"
        base = names.base_name(day, sha, machine["definition"] + machine["roleArn"], data)
        while True:
            known = _executions_named(clients, arn, base)
            for name, summary in known.items():
                if summary["status"] == "RUNNING":
                    return Started(summary["executionArn"], name, data, attached=True)
            name = names.next_name(base, known)
            try:
                made = clients.stepfunctions.start_execution(
                    stateMachineArn=arn, name=name, input=json.dumps(data)
                )
            except ClientError as error:
                # Somebody else took the name between our look and our start.
                if code(error) == "ExecutionAlreadyExists":
                    continue
                raise
            return Started(made["executionArn"], name, data, attached=False)


def find(settings: Settings, clients: Clients, which: str, machine: str = "") -> Started:
    """The execution `which`: an ARN, a name, or `last`.

    Args:
        machine: ARN of another state machine than the pipeline's own.

    Raises:
        ExecutionError: there is none.
    """
    with told(clients.target.name):
        arn = machine or machine_arn(settings)
        if which == "last":
            newest = last(settings, clients, 1, arn)
            if not newest:
                raise ExecutionError(
                    "it has never run", where=settings.stack_name, hint=f"pipeline run {settings.name}"
                )
            which = newest[0]["executionArn"]
        elif not which.startswith("arn:"):
            which = f"{arn.replace(':stateMachine:', ':execution:')}:{which}"
        try:
            found = clients.stepfunctions.describe_execution(executionArn=which)
        except ClientError as error:
            if code(error) in {"ExecutionDoesNotExist", "InvalidArn"}:
                raise ExecutionError(
                    f"no execution {which}",
                    where=settings.stack_name,
                    hint=f"see `pipeline status {settings.name}`",
                ) from error
            raise
    return Started(
        found["executionArn"], found["name"], json.loads(found.get("input") or "{}"), attached=True
    )


def stop(settings: Settings, clients: Clients, which: str, cause: str) -> Started:
    """Stop an execution (and with it its job); one that has ended is left as it is."""
    found = find(settings, clients, which)
    with told(clients.target.name):
        clients.stepfunctions.stop_execution(executionArn=found.arn, error="Stopped", cause=cause)
    return found


def last(settings: Settings, clients: Clients, count: int, machine: str = "") -> list[dict[str, Any]]:
    """The newest executions as ListExecutions shows them, newest first; empty without a state machine."""
    try:
        found: list[dict[str, Any]] = clients.stepfunctions.list_executions(
            stateMachineArn=machine or machine_arn(settings), maxResults=max(1, min(count, 1000))
        )["executions"]
    except ClientError as error:
        if code(error) == "StateMachineDoesNotExist":
            return []
        raise
    return sorted(found, key=lambda e: e["startDate"], reverse=True)[:count]


def _describe_machine(settings: Settings, clients: Clients, arn: str) -> dict[str, Any]:
    try:
        machine: dict[str, Any] = clients.stepfunctions.describe_state_machine(stateMachineArn=arn)
    except ClientError as error:
        if code(error) in {"StateMachineDoesNotExist", "StateMachineDeleting"}:
            raise ExecutionError(
                f"{settings.stack_name} is not deployed here",
                where=f"target {clients.target.name}",
                hint=f"pipeline apply {settings.name} -e {settings.environment_name}",
            ) from error
        raise
    return machine


def _executions_named(clients: Clients, arn: str, base: str) -> dict[str, dict[str, Any]]:
    pages = clients.stepfunctions.get_paginator("list_executions").paginate(stateMachineArn=arn)
    return {
        summary["name"]: summary
        for page in pages
        for summary in page["executions"]
        if names.belongs(summary["name"], base)
    }
