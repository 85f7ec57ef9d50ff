"""The Task state: one attempt from its parameters to its result, under its timeout and heartbeat."""

from __future__ import annotations

import time
from typing import Any

from pipeline.local.states import integrations, paths, query, template, tokens
from pipeline.local.states.engine import Outcome, finish, following, handles
from pipeline.local.states.errors import DATA_LIMIT, TIMEOUT, Fault, StateFailure, too_large
from pipeline.local.states.frame import Frame
from pipeline.local.states.guard import guarded
from pipeline.local.states.jsontext import dumps, exceeds_limit
from pipeline.local.states.taskcall import REQUEST, Resource, TaskCall, TimedOut, parse_resource
from pipeline.local.states.taskevents import TaskEvents, recorder


@handles("Task")
def _task(frame: Frame, state: dict[str, Any], data: Any) -> Outcome:
    def attempt() -> Outcome:
        result = run(frame, state, data)
        return finish(frame, state, data, result, next_state=following(state))

    return guarded(frame, state, data, attempt)


def run(frame: Frame, state: dict[str, Any], data: Any) -> Any:
    """One attempt; the task's result, before ResultSelector."""
    resource = parse_resource(state["Resource"])
    token, waiting = "", None
    if resource.pattern != REQUEST or ":activity:" in resource.arn:
        # A .sync task has a token too: whoever gets it may end the task before its job ends.
        token, waiting = tokens.issue()
        if resource.pattern != REQUEST:
            frame.note(Task={"Token": token})
    try:
        timeout = _seconds(frame, state, "TimeoutSeconds", data)
        heartbeat = _seconds(frame, state, "HeartbeatSeconds", data)
        parameters = _parameters(frame, state, data)
        role = _role(frame, state, data)
        shown = {
            "timeoutInSeconds": timeout,
            "heartbeatInSeconds": heartbeat,
            "taskCredentials": {"roleArn": role} if role else None,
        }
        call = TaskCall(
            frame,
            resource,
            parameters,
            deadline=None if timeout is None else time.monotonic() + timeout,
            heartbeat=heartbeat,
            token=token,
            waiting=waiting,
            role=role,
        )
        return _recorded(call, recorder(frame, resource), {k: v for k, v in shown.items() if v is not None})
    finally:
        if token:
            tokens.retire(token)
            frame.note(Task=None)


def _recorded(call: TaskCall, events: TaskEvents, shown: dict[str, Any]) -> Any:
    """Do the work between its events; `shown` are further members of the first."""
    integration = integrations.find(call.resource)
    events.scheduled(integration.shown(call), shown)
    try:
        events.started()
        result = integration.run(call)
        text = dumps(result)
        if exceeds_limit(text):
            raise StateFailure(DATA_LIMIT, too_large(events.limit_name))
    except TimedOut as late:
        events.timed_out()
        raise StateFailure(TIMEOUT, heartbeat=late.heartbeat) from late
    except StateFailure as failure:
        events.failed(failure)
        raise
    events.succeeded(text)
    return result


def _seconds(frame: Frame, state: dict[str, Any], name: str, data: Any) -> int | None:
    """TimeoutSeconds or HeartbeatSeconds: literal, by path, or JSONata."""
    if f"{name}Path" in state:
        path = state[f"{name}Path"]
        value = paths.reference(path, frame.env(data))
    elif name in state and frame.is_jsonata(state):
        path, value = name, query.typed(state, name, "number", frame.env(data))
    elif name in state:
        path, value = name, state[name]
    else:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or value <= 0:
        raise Fault(f"The value of {name} must be a positive integer: {path} == {dumps(value)}")
    return value


def _role(frame: Frame, state: dict[str, Any], data: Any) -> str:
    """The RoleArn of the state's Credentials, "" without."""
    given = state.get("Credentials")
    if not given:
        return ""
    if frame.is_jsonata(state):
        filled = query.evaluate(given, frame.env(data), "Credentials")
    else:
        filled = template.payload(given, frame.env(data), "Credentials")
    return str(filled["RoleArn"])


def _parameters(frame: Frame, state: dict[str, Any], data: Any) -> Any:
    if frame.is_jsonata(state):
        parameters = (
            query.evaluate(state["Arguments"], frame.env(data), "Arguments") if "Arguments" in state else data
        )
    else:
        effective = paths.filtered(state, "InputPath", frame.env(data))
        parameters = (
            template.payload(state["Parameters"], frame.env(effective))
            if "Parameters" in state
            else effective
        )
    if exceeds_limit(dumps(parameters)):
        raise StateFailure(DATA_LIMIT, too_large(frame.state))
    return parameters


def run_single(frame: Frame, resource: str, parameters: Any) -> Any:
    """One call outside a machine (TestState): no events are kept."""
    parsed: Resource = parse_resource(resource)
    call = TaskCall(frame, parsed, parameters)
    return integrations.find(parsed).run(call)
