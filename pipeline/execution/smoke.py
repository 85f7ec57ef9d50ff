"""A whole run on the sample data: applied, trained, gated, deployed and asked, on a target made for it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from pipeline.apply import apply
from pipeline.aws.errors import told
from pipeline.aws.pace import Pace
from pipeline.errors import PipelineError
from pipeline.execution import data, start
from pipeline.execution.follow import Step, Watcher
from pipeline.execution.history import readable_cause
from pipeline.plan import compute
from pipeline.plan.report import Smoke

if TYPE_CHECKING:
    from pipeline.aws import Clients
    from pipeline.settings.model import Settings

Say = Callable[[str], None]


def harmless(settings: Settings) -> Settings:
    """The settings of a pipeline that nobody approves, that tells nobody, and that no clock starts.

    All that decides what the model is stays.
    """
    environment, pipeline = settings.environment, settings.pipeline
    return settings.model_copy(
        update={
            "environment": environment.model_copy(
                update={
                    "approval": environment.approval.model_copy(update={"mode": "automatic"}),
                    "notification": environment.notification.model_copy(update={"enabled": False}),
                }
            ),
            "pipeline": pipeline.model_copy(
                update={
                    "schedule": pipeline.schedule.model_copy(update={"enabled": False}),
                    # A bucket of the user's own is not there; the account's is, once it is applied.
                    "data": pipeline.data.model_copy(update={"bucket": None}),
                }
            ),
        }
    )


def smoke(settings: Settings, clients: Clients, say: Say) -> Smoke:
    """Run the pipeline of `settings` once, on a target where nothing else is.

    A change that cannot be applied, data that is refused, a run that fails: all of it is a result.
    """
    began = time.monotonic()
    wanted = harmless(settings)
    try:
        say(f"smoke run of {settings.stack_name} on its sample data")
        apply(compute(wanted, clients), wanted, clients, lambda _: None)
        data.put(wanted, clients, day=data.parse_day(None), say=say)
        started = start.start(wanted, clients)
        step = _watch(clients, started.arn, say)
    except PipelineError as error:
        return Smoke("", 0.0, time.monotonic() - began, {}, error=str(error))
    gate = _gate(clients, started.arn)
    seconds = (step.description["stopDate"] - step.description["startDate"]).total_seconds()
    cause = readable_cause(step.description.get("cause") or step.timeline.cause)
    error_name = step.description.get("error") or step.timeline.error
    return Smoke(
        step.status,
        seconds,
        time.monotonic() - began,
        {name: value for name, value in (gate.get("metrics") or {}).items() if value is not None},
        tuple((str(r.get("why", "")), bool(r.get("passed"))) for r in gate.get("results") or []),
        bool(gate.get("approved")),
        f"{error_name}: {cause}".strip(": ") if step.status != "SUCCEEDED" else "",
    )


def _watch(clients: Clients, arn: str, say: Say) -> Step:
    watcher, pace, seen = Watcher(clients, arn), Pace(longest=1.0), set[str]()
    while True:
        step = watcher.look()
        for visit in step.changed:
            if visit.jobs and visit.exited and visit.name not in seen:
                seen.add(visit.name)
                say(f"  {visit.name}: {visit.status}, {visit.seconds(visit.exited):.1f} s")
        if step.closed:
            return step
        pace.wait(news=bool(step.changed))


def _gate(clients: Clients, arn: str) -> Mapping[str, Any]:
    """The gate's verdict as the execution carried it last; empty if it never came to one."""
    with told(clients.target.name):
        pages = clients.stepfunctions.get_paginator("get_execution_history").paginate(
            executionArn=arn, reverseOrder=True, includeExecutionData=True
        )
        for page in pages:
            for event in page["events"]:
                verdict = _verdict(event.get("stateExitedEventDetails", {}).get("output"))
                if verdict:
                    return verdict
    return {}


def _verdict(output: str | None) -> Mapping[str, Any]:
    try:
        found = json.loads(output or "null")
    except ValueError:
        return {}
    gate = found.get("gate") if isinstance(found, dict) else None
    return gate if isinstance(gate, dict) and "results" in gate else {}
