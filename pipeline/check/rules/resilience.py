"""Rules on what happens when something goes wrong: statuses nobody thought of, timeouts, retries, catches."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pipeline.check import api
from pipeline.check.rule import Hit, Path, rule
from pipeline.check.states import Machine, State, is_end, reachable, states, tasks
from pipeline.check.subject import Subject

ERRORS = "https://docs.aws.amazon.com/step-functions/latest/dg/concepts-error-handling.html"
PRACTICES = "https://docs.aws.amazon.com/step-functions/latest/dg/sfn-best-practices.html"


@rule(
    "ML201",
    "a Choice on a status treats every documented value, or its Default fails",
    "https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_DescribeEndpoint.html",
)
def every_status(subject: Subject) -> Iterator[Hit]:
    for state in states(subject.asl):
        if state.kind != "Choice":
            continue
        for variable, values in _compared(state.body).items():
            name, documented = _enumeration(variable, values)
            if not name:
                continue
            at = (*state.path, "Choices")
            for value in sorted(values - set(documented)):
                listed = ", ".join(documented)
                yield Hit("asl", at, f"{name} is never {value!r}", f"documented: {listed}")
            missing = [value for value in documented if value not in values]
            if missing and not _default_fails(state):
                said = f"{name} may be {', '.join(missing)}, which no rule treats"
                default = state.body.get("Default")
                said += f" and Default {default!r} does not fail" if default else " and there is no Default"
                yield Hit("asl", at, said, "add rules for these values, or a Default that leads to a Fail")


def _compared(body: dict[str, Any]) -> dict[str, set[str]]:
    """Variable -> texts it is compared with, anywhere in the Choice."""
    found: dict[str, set[str]] = {}

    def walk(node: Any) -> None:
        if isinstance(node, list):
            for child in node:
                walk(child)
        elif isinstance(node, dict):
            variable, value = node.get("Variable"), node.get("StringEquals")
            if isinstance(variable, str) and isinstance(value, str):
                found.setdefault(variable, set()).add(value)
            for key, child in node.items():
                if key in ("Choices", "And", "Or", "Not"):
                    walk(child)

    walk({"Choices": body.get("Choices")})
    return found


# Statuses that a pipeline waits for, before the many others that share their values.
_USUAL = (
    "EndpointStatus",
    "TrainingJobStatus",
    "ProcessingJobStatus",
    "TransformJobStatus",
    "HyperParameterTuningJobStatus",
    "JobRunState",
)


def _enumeration(variable: str, values: set[str]) -> tuple[str, tuple[str, ...]]:
    """The documented status a variable holds: by its name, else by the values it is compared with."""
    known = api.statuses()
    leaf = variable.rsplit(".", 1)[-1].rstrip("']")
    if leaf in known:
        return leaf, known[leaf]
    if not leaf.lower().endswith(("status", "state")):
        return "", ()
    fitting = [name for name, enum in known.items() if values <= set(enum)]
    # One shared value such as Failed says nothing; an enumeration with all of several does.
    if len(values) < 2 or not fitting:
        return "", ()
    name = next((usual for usual in _USUAL if usual in fitting), min(fitting, key=lambda n: len(known[n])))
    return name, known[name]


def _default_fails(state: State) -> bool:
    """Whether everything that the Default leads to ends in Fail."""
    default = state.body.get("Default")
    machine: Machine = state.machine
    if not isinstance(default, str) or default not in machine.states:
        return False
    follow = reachable(machine, default)
    ends = [machine.states[name] for name in follow if is_end(machine.states[name])]
    return state.name not in follow and bool(ends) and all(body.get("Type") == "Fail" for body in ends)


@rule("ML202", "every Task has a timeout; without one a lost job is waited for up to a year", PRACTICES)
def timeout(subject: Subject) -> Iterator[Hit]:
    for task in tasks(subject.asl):
        if "TimeoutSeconds" not in task.body and "TimeoutSecondsPath" not in task.body:
            yield Hit("asl", task.path, "no TimeoutSeconds", "add TimeoutSeconds, above the job's own limit")


@rule("ML203", "every Task retries throttling and service faults", ERRORS)
def retry(subject: Subject) -> Iterator[Hit]:
    for task in tasks(subject.asl):
        if not task.body.get("Retry"):
            yield Hit(
                "asl", task.path, "no Retry", "add Retry for throttling and service faults, with backoff"
            )


def _caught(state: dict[str, Any]) -> set[str]:
    catches = [c for c in state.get("Catch") or [] if isinstance(c, dict)]
    return {error for c in catches for error in c.get("ErrorEquals", [])}


def _around(asl: dict[str, Any], path: Path) -> Iterator[dict[str, Any]]:
    """The Parallel and Map states within which a state stands, outer first."""
    place: Any = asl
    for key in path:
        if key in ("Branches", "Iterator", "ItemProcessor") and isinstance(place, dict):
            yield place
        place = place[key]


@rule("ML204", "every Task catches failure, so that a run that fails tells somebody", ERRORS)
def catch(subject: Subject) -> Iterator[Hit]:
    for task in tasks(subject.asl):
        caught = _caught(task.body)
        # What fails in a branch fails the Parallel around it, by the same name.
        if any("States.ALL" in _caught(outer) for outer in _around(subject.asl, task.path)):
            continue
        if not caught:
            yield Hit(
                "asl", task.path, "no Catch", 'add Catch on "States.ALL" that leads to the failure states'
            )
        elif "States.ALL" not in caught:
            what = f"Catch takes only {', '.join(sorted(caught))}; any other error ends the run untold"
            yield Hit("asl", (*task.path, "Catch"), what, 'add a last Catch on "States.ALL"')
