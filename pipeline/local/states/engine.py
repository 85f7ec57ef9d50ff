"""The walk through a machine's states, and the states that need nothing from outside."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, NamedTuple

from pipeline.local.states import choice, paths, query, template
from pipeline.local.states.cancel import Stopped
from pipeline.local.states.errors import DATA_LIMIT, QUERY_EVALUATION, Fault, StateFailure, too_large
from pipeline.local.states.frame import Frame
from pipeline.local.states.jsontext import dumps, exceeds_limit


class Outcome(NamedTuple):
    """What a state leaves: its output, the next state (None at an end), the variables it assigned."""

    output: Any
    next: str | None
    assigned: dict[str, str] | None = None


Handler = Callable[[Frame, dict[str, Any], Any], Outcome]
_handlers: dict[str, Handler] = {}
# The states for which the API has an Aborted event.
_ABORTABLE = frozenset({"Task", "Wait", "Parallel", "Map"})


def handles(kind: str) -> Callable[[Handler], Handler]:
    """Register the function that runs states of a Type."""

    def register(handler: Handler) -> Handler:
        _handlers[kind] = handler
        return handler

    return register


def walk(frame: Frame, machine: dict[str, Any], data: Any) -> Any:
    """Run a machine (the whole, a branch, an iterator) from StartAt to its end; its last state's output.

    Raises StateFailure when it fails, cancel.Stopped when it must end.
    """
    states = machine["States"]
    name: str | None = machine["StartAt"]
    text = dumps(data)
    while name is not None:
        frame.scope.check()
        if name not in states:
            raise StateFailure("States.Runtime", f"The state '{name}' is not in the state machine.")
        state = states[name]
        kind = state["Type"]
        frame.enter(kind, name, text)
        try:
            outcome = _handlers[kind](frame, state, data)
        except Fault as fault:
            raise frame.failure(fault) from fault
        except Stopped:
            if kind in _ABORTABLE:
                frame.line.add(f"{kind}StateAborted", advance=False)
            raise
        data = outcome.output
        text = dumps(data)
        if exceeds_limit(text):
            raise StateFailure(DATA_LIMIT, too_large(name))
        frame.line.exited(kind, name, text, outcome.assigned)
        name = outcome.next
    return data


def following(state: dict[str, Any]) -> str | None:
    return None if state.get("End") else state["Next"]


def finish(
    frame: Frame,
    state: dict[str, Any],
    data: Any,
    result: Any,
    *,
    next_state: str | None,
    selector: bool = True,
) -> Outcome:
    """From a state's result to its output: Assign, ResultSelector, ResultPath, OutputPath (or Output).

    `data` is the state's raw input. JSONPath's Assign sees the result as `$`; JSONata's as $states.result.
    """
    if frame.is_jsonata(state):
        env = frame.env(data, result=result)
        assigned = query.evaluate(state.get("Assign", {}), env, "Assign")
        output = query.evaluate(state["Output"], env, "Output") if "Output" in state else result
        return Outcome(output, next_state, frame.assign(assigned))
    env = frame.env(data)
    assigned = template.payload(state.get("Assign", {}), env.over(result), "Assign")
    if selector and "ResultSelector" in state:
        result = template.payload(state["ResultSelector"], env.over(result), "ResultSelector")
    placed = paths.placed(state.get("ResultPath", "$"), data, result)
    variables = frame.assign(assigned)
    output = paths.filtered(state, "OutputPath", frame.env(placed))
    return Outcome(output, next_state, variables)


@handles("Pass")
def _pass(frame: Frame, state: dict[str, Any], data: Any) -> Outcome:
    if frame.is_jsonata(state):
        return finish(frame, state, data, data, next_state=following(state))
    effective = paths.filtered(state, "InputPath", frame.env(data))
    if "Result" in state:
        result = state["Result"]
    elif "Parameters" in state:
        result = template.payload(state["Parameters"], frame.env(effective))
    else:
        result = effective
    return finish(frame, state, data, result, next_state=following(state), selector=False)


@handles("Choice")
def _choice(frame: Frame, state: dict[str, Any], data: Any) -> Outcome:
    if frame.is_jsonata(state):
        for rule in state["Choices"]:
            if query.typed(rule, "Condition", "boolean", frame.env(data)):
                # A rule brings its own Output and Assign, in the state's language.
                own = {**rule, "QueryLanguage": query.JSONATA}
                return finish(frame, own, data, data, next_state=rule["Next"])
        if "Default" not in state:
            raise _no_match()
        return finish(frame, state, data, data, next_state=state["Default"])
    effective = paths.filtered(state, "InputPath", frame.env(data))
    chosen = next((rule for rule in state["Choices"] if choice.holds(rule, frame.env(effective))), None)
    if chosen is None and "Default" not in state:
        raise _no_match()
    taken = state if chosen is None else chosen
    target = state["Default"] if chosen is None else chosen["Next"]
    assigned = frame.assign(template.payload(taken.get("Assign", {}), frame.env(effective), "Assign"))
    return Outcome(paths.filtered(state, "OutputPath", frame.env(effective)), target, assigned)


def _no_match() -> StateFailure:
    # A Choice state has no Catch: the failure ends the line whatever its name.
    return StateFailure("States.NoChoiceMatched", "No Choice rule matched and the state has no Default.")


@handles("Wait")
def _wait(frame: Frame, state: dict[str, Any], data: Any) -> Outcome:
    if frame.is_jsonata(state):
        seconds = _queried_wait(frame, state, data)
        frame.scope.sleep(seconds * frame.run.scale)
        return finish(frame, state, data, data, next_state=following(state))
    env = frame.env(paths.filtered(state, "InputPath", frame.env(data)))
    frame.scope.sleep(_wait_seconds(state, env) * frame.run.scale)
    assigned = frame.assign(template.payload(state.get("Assign", {}), env, "Assign"))
    return Outcome(paths.filtered(state, "OutputPath", env), following(state), assigned)


def _wait_seconds(state: dict[str, Any], env: paths.Env) -> float:
    """Seconds that a JSONPath Wait asks for, worded as AWS words what is wrong with them."""
    if "SecondsPath" in state:
        path = state["SecondsPath"]
        try:
            value = paths.lookup(path, env)
        except LookupError as error:
            raise Fault(f"The SecondsPath parameter does not reference an input value: {path}") from error
        if not isinstance(value, int) or isinstance(value, bool):
            raise Fault(
                f"The SecondsPath parameter cannot be parsed as a long value: {path} == {dumps(value)}"
            )
        if value < 0:
            raise Fault(f"The SecondsPath parameter references a negative value: {path} == {value}")
        return value
    if "TimestampPath" in state:
        path = state["TimestampPath"]
        value = paths.reference(path, env)
        moment = choice.timestamp(value)
        if moment is None:
            shown = value if isinstance(value, str) else dumps(value)
            raise Fault(
                "The TimestampPath parameter does not reference a valid ISO-8601 extended offset date-time "
                f"format string: {path} == {shown}"
            )
        return _until(moment)
    if "Timestamp" in state:
        moment = choice.timestamp(state["Timestamp"])
        if moment is None:
            raise Fault(f"The Timestamp '{state['Timestamp']}' is no RFC3339 timestamp")
        return _until(moment)
    return float(state["Seconds"])


def _queried_wait(frame: Frame, state: dict[str, Any], data: Any) -> float:
    if "Timestamp" in state:
        text = query.typed(state, "Timestamp", "string", frame.env(data))
        moment = choice.timestamp(text)
        if moment is None:
            raise Fault(
                "The Timestamp field cannot be parsed as an ISO-8601 extended offset date-time format "
                f"string: {text}",
                error=QUERY_EVALUATION,
                location="Timestamp",
            )
        return _until(moment)
    seconds = query.typed(state, "Seconds", "number", frame.env(data))
    wrong = ""
    if float(seconds) != int(seconds):
        wrong = f"The Seconds field cannot be parsed as an integer: {dumps(seconds)}"
    elif seconds < 0:
        wrong = f"Seconds cannot be negative but was: {dumps(seconds)}"
    if wrong:
        raise Fault(wrong, error=QUERY_EVALUATION, location="Seconds")
    return float(seconds)


def _until(moment: datetime) -> float:
    return max(0.0, (moment - datetime.now(UTC)).total_seconds())


@handles("Succeed")
def _succeed(frame: Frame, state: dict[str, Any], data: Any) -> Outcome:
    if frame.is_jsonata(state):
        return finish(frame, state, data, data, next_state=None)
    effective = paths.filtered(state, "InputPath", frame.env(data))
    return Outcome(paths.filtered(state, "OutputPath", frame.env(effective)), None)


@handles("Fail")
def _fail(frame: Frame, state: dict[str, Any], data: Any) -> Outcome:
    raise StateFailure(_fail_field(frame, state, "Error", data), _fail_field(frame, state, "Cause", data))


def _fail_field(frame: Frame, state: dict[str, Any], name: str, data: Any) -> str | None:
    if frame.is_jsonata(state):
        return str(query.typed(state, name, "string", frame.env(data))) if name in state else None
    if f"{name}Path" not in state:
        return state.get(name)
    value = template.expression(state[f"{name}Path"], frame.env(data), f"{name}Path")
    if not isinstance(value, str):
        raise Fault(f"{name}Path '{state[f'{name}Path']}' does not reference a string: {dumps(value)}")
    return value
