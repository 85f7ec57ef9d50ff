"""Retry and Catch around the states that can fail: Task, Parallel, Map."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pipeline.local.states import paths, query, template
from pipeline.local.states.engine import Outcome
from pipeline.local.states.errors import Fault, StateFailure
from pipeline.local.states.frame import Frame
from pipeline.local.states.retry import Retrier, catcher


def guarded(
    frame: Frame,
    state: dict[str, Any],
    data: Any,
    attempt: Callable[[], Outcome],
    given_up: Callable[[], None] = lambda: None,
) -> Outcome:
    """Make attempts until one succeeds, a Catch takes the failure over, or none is left.

    `given_up` is called when no retry is left, before Catch: Parallel and Map record their failure there.
    """
    retrier = Retrier(state.get("Retry", []))
    while True:
        frame.note(State={**frame.context["State"], "RetryCount": retrier.total})
        try:
            try:
                return attempt()
            except Fault as fault:
                raise frame.failure(fault) from fault
        except StateFailure as failure:
            delay = retrier.delay(failure)
            if delay is None:
                if not failure.terminal:
                    given_up()
                return _caught(frame, state, data, failure)
            frame.scope.sleep(delay * frame.run.scale)


def _caught(frame: Frame, state: dict[str, Any], data: Any, failure: StateFailure) -> Outcome:
    rule = catcher(state.get("Catch", []), failure)
    if rule is None:
        raise failure
    error_output = failure.output()
    if frame.is_jsonata(state):
        env = frame.env(data, error_output=error_output)
        assigned = query.evaluate(rule.get("Assign", {}), env, "Assign")
        output = query.evaluate(rule["Output"], env, "Output") if "Output" in rule else error_output
    else:
        seen = frame.env(error_output)
        assigned = template.payload(rule.get("Assign", {}), seen, "Assign")
        output = paths.placed(rule.get("ResultPath", "$"), data, error_output)
    return Outcome(output, rule["Next"], frame.assign(assigned))
