"""Waiting for a task token, and running a job to its end (.sync)."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from pipeline.local.states.cancel import Stopped
from pipeline.local.states.errors import TASK_FAILED, StateFailure
from pipeline.local.states.integrations import api
from pipeline.local.states.integrations.api import Style
from pipeline.local.states.jsontext import dumps
from pipeline.local.states.taskcall import TaskCall, TimedOut

# Seconds between two looks at a job: quick at first for short jobs, light for long ones.
FIRST_POLL = 0.02
LAST_POLL = 0.5
POLL_GROWTH = 1.4


def from_token(call: TaskCall) -> Any:
    """What SendTaskSuccess sent; raises what SendTaskFailure told."""
    kind, *said = call.told()
    if kind == "failure":
        raise StateFailure(said[0], said[1], absent=None)
    return json.loads(said[0])


@dataclass(frozen=True)
class Job:
    """How Step Functions runs a job to its end.

    Args:
        describe: the API that tells how the job is, e.g. DescribeTrainingJob.
        key: the describe and stop parameters, from the task's parameters and the create response.
        status: the member of the description that holds the status.
        succeeded, failed: the statuses at which the job is over.
        stop: the API that stops it.
        rule: the EventBridge rule that AWS manages for the integration.
        members: the members of the description that are passed on; empty for all.
        extra: further members of the result.
        within: the member of the answer that is the description, or a list of it alone; "" where it is the
            answer itself.
        called: the member of the task's output that is the description; "" where it is the output itself.
        stop_key: the stop parameters, from the describe parameters.
        submitted: what TaskSubmitted shows, from the create response as a task's output.
    """

    describe: str
    key: Callable[[dict[str, Any], dict[str, Any]], dict[str, Any]]
    status: str
    succeeded: frozenset[str]
    failed: frozenset[str]
    stop: str
    rule: str = ""
    members: frozenset[str] = frozenset()
    extra: Callable[[TaskCall, dict[str, Any]], dict[str, Any]] = field(default=lambda _call, _parameters: {})
    within: str = ""
    called: str = ""
    stop_key: Callable[[dict[str, Any]], dict[str, Any]] = field(default=lambda key: key)
    submitted: Callable[[TaskCall, dict[str, Any]], dict[str, Any]] = field(
        default=lambda _call, response: response
    )


def run_job(call: TaskCall, style: Style, job: Job, parameters: Any) -> Any:
    """Create the job, wait for its end, return its description.

    A failed job is States.TaskFailed with the description as cause. A timeout, a stopped execution or a
    failed sibling stops the job, even one whose creation is still under way.
    """

    def undo(answer: tuple[dict[str, Any], Any]) -> None:
        _stop(call, style, job, job.key(parameters, answer[0]))

    response, model = call.call(lambda: api.invoke(call, style, call.resource.api, parameters), undo)
    key = job.key(parameters, response)
    try:
        call.submitted(job.submitted(call, api.output(style, response, model)))
        description = _wait(call, style, job, key)
        if description is None:
            return from_token(call)
    except (TimedOut, Stopped):
        call.quietly(lambda: _stop(call, style, job, key))
        raise
    value: dict[str, Any] = {**description, **job.extra(call, parameters)}
    if job.called:
        value = {job.called: value}
    if description.get(job.status) in job.failed:
        raise StateFailure(TASK_FAILED, dumps(value))
    return value


def _wait(call: TaskCall, style: Style, job: Job, key: dict[str, Any]) -> dict[str, Any] | None:
    """The description of the ended job, None if the task's token was answered before."""
    pause = FIRST_POLL
    while True:
        response, model = call.call(lambda: api.invoke(call, style, job.describe, key))
        description = api.output(style, response, model, metadata=False)
        description = description[job.within] if job.within else description
        description = description[0] if isinstance(description, list) else description
        if description.get(job.status) in job.succeeded | job.failed:
            return {
                name: item for name, item in description.items() if not job.members or name in job.members
            }
        if call.pause(pause):
            return None
        pause = min(pause * POLL_GROWTH, LAST_POLL)


def _stop(call: TaskCall, style: Style, job: Job, key: dict[str, Any]) -> None:
    api.invoke(call, style, job.stop, job.stop_key(key))
