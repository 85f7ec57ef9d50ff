"""Rules on what lets a model pass: bounds that can fail, comparisons that compare, no way around the gate."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from pipeline.check.rule import Hit, rule
from pipeline.check.states import Machine, integration, machines, successors
from pipeline.check.subject import Subject

METRICS = "https://docs.aws.amazon.com/sagemaker/latest/dg/model-monitor-model-quality-metrics.html"
APPROVAL = "https://docs.aws.amazon.com/sagemaker/latest/dg/model-registry-approve.html"

# Metrics of SageMaker's model-quality report that lie between 0 and 1 whatever the model does.
_SHARES = re.compile(
    r"(?:weighted_)?(?:accuracy|recall|precision|f0_5|f1|f2)(?:_best_constant_classifier)?"
    r"|(?:true|false)_(?:positive|negative)_rate|auc|au_prc|pr_auc"
)


@rule(
    "ML604",
    "where a champion's value is not known, a model is stopped or a human decides",
    APPROVAL,
    "warning",
)
def unknown_champion(subject: Subject) -> Iterator[Hit]:
    champion = subject.settings.get("champion") or {}
    if champion.get("when_unknown") != "thresholds" or champion.get("compare") is False:
        return
    if any(_asks_a_human(machine) for machine in machines(subject.asl)):
        return
    yield Hit(
        "settings",
        ("champion", "when_unknown"),
        "a champion that cannot be compared lets a new model pass by its bounds alone, and nobody is asked",
        'set when_unknown = "reject", or approval mode = "manual" in this environment',
    )


@rule("ML605", "a bound of the gate can be missed, and can be met", METRICS)
def bound_decides(subject: Subject) -> Iterator[Hit]:
    for index, each in enumerate(subject.settings.get("gate") or []):
        name = str(each.get("metric", "")).rpartition(".")[2]
        if not _SHARES.fullmatch(name):
            continue
        low, high = each.get("minimum"), each.get("maximum")
        for key, value, idle, impossible in (
            ("minimum", low, lambda v: v <= 0, lambda v: v > 1),
            ("maximum", high, lambda v: v >= 1, lambda v: v < 0),
        ):
            if not isinstance(value, int | float):
                continue
            other = "maximum" if key == "minimum" else "minimum"
            at = ("gate", index, key)
            if impossible(value):
                what = f"{name} lies between 0 and 1: no model meets {key} {value:g}"
                yield Hit("settings", at, what, f"set {key} between 0 and 1")
            elif idle(value) and each.get(other) is None:
                what = f"{name} lies between 0 and 1: every model meets {key} {value:g}"
                yield Hit("settings", at, what, f"set {key} to what a model must reach")


@rule(
    "ML606",
    "a rule with both bounds says which values are better, if it is to be compared",
    METRICS,
    "warning",
)
def band_has_a_direction(subject: Subject) -> Iterator[Hit]:
    if (subject.settings.get("champion") or {}).get("compare") is False:
        return
    for index, each in enumerate(subject.settings.get("gate") or []):
        both = each.get("minimum") is not None and each.get("maximum") is not None
        if both and not each.get("better") and each.get("compare") is not False:
            yield Hit(
                "settings",
                ("gate", index),
                f"{each.get('metric')} has both bounds, so it is not compared with the champion",
                'add better = "higher" or "lower", or compare = false',
            )


@rule("ML607", "what a training job made reaches an endpoint only through the gate", APPROVAL)
def no_way_around(subject: Subject) -> Iterator[Hit]:
    for machine in machines(subject.asl):
        for name, body in machine.states.items():
            if _operation(body) not in ("CreateTrainingJob", "CreateHyperParameterTuningJob"):
                continue
            around = _beyond(machine, name)
            for endpoint in sorted(around):
                if _operation(machine.states[endpoint]) in ("CreateEndpoint", "UpdateEndpoint"):
                    yield Hit(
                        "asl",
                        (*machine.path, "States", name),
                        f"{name} leads to {endpoint} without a gate between them",
                        "put Gate(settings, train, evaluate) between Evaluate and Register",
                    )
                    break


@rule("ML608", "only a model whose verdict is true is registered for use, or deployed", APPROVAL)
def verdict_is_heeded(subject: Subject) -> Iterator[Hit]:
    for machine in machines(subject.asl):
        for name, body in machine.states.items():
            verdict = _verdict(body)
            if verdict is None:
                continue
            for state in sorted(_without(machine, name, verdict)):
                if _uses(machine.states[state]):
                    yield Hit(
                        "asl",
                        (*machine.path, "States", state),
                        f"{state} is reached from {name} where {verdict} is not known to be true",
                        f'let a Choice lead there by {{"Variable": "{verdict}", "BooleanEquals": true}} only',
                    )


def _verdict(body: dict[str, Any]) -> str | None:
    """The path of a gate's `approved`; None for any other state."""
    if not _judges(body):
        return None
    selector, place = body.get("ResultSelector"), body.get("ResultPath", "$")
    within = ".Payload.approved"
    if isinstance(selector, dict):
        named = (key[:-2] for key, value in selector.items() if value == "$.Payload.approved")
        within = "." + next(named, "approved")
    return f"{place}{within}"


def _judges(body: dict[str, Any]) -> bool:
    """Whether its rules are a model's, each of one metric; data is judged by rules, too."""
    if not _has_rules(body):
        return False
    rules = body["Parameters"]["Payload"]["rules"]
    return isinstance(rules, list) and all(isinstance(each, dict) and "metric" in each for each in rules)


def _without(machine: Machine, gate: str, verdict: str) -> set[str]:
    """States that follow the gate on ways on which nobody asked whether the verdict is true."""
    seen: set[str] = set()
    todo = list(successors(machine, gate))
    while todo:
        name = todo.pop()
        if name not in seen:
            seen.add(name)
            body = machine.states[name]
            todo += _open_ways(body, verdict) if body.get("Type") == "Choice" else successors(machine, name)
            todo = [each for each in todo if each in machine.states]
    return seen


def _open_ways(body: dict[str, Any], verdict: str) -> Iterator[str]:
    """Where a Choice leads to without the verdict being true. Its rules are asked in their order."""
    for each in body.get("Choices") or []:
        if _says(each, verdict, True):
            continue
        yield str(each.get("Next"))
        if _says(each, verdict, False, exactly=True):
            return  # whatever comes after it is a verdict that is true
    yield str(body.get("Default"))


def _says(choice: dict[str, Any], verdict: str, value: bool, *, exactly: bool = False) -> bool:
    """Whether a rule holds only if the verdict is `value` (exactly: if and only if)."""
    if choice.get("Variable") == verdict and "BooleanEquals" in choice:
        return choice["BooleanEquals"] is value
    if isinstance(choice.get("Not"), dict):
        # Only a comparison turns over; what `And` denies is wider.
        return "Variable" in choice["Not"] and _says(choice["Not"], verdict, not value, exactly=True)
    parts = choice.get("And")
    return not exactly and isinstance(parts, list) and any(_says(part, verdict, value) for part in parts)


def _uses(body: dict[str, Any]) -> bool:
    operation, parameters = _operation(body), body.get("Parameters")
    if operation in ("CreateModelPackage", "UpdateModelPackage"):
        known = parameters if isinstance(parameters, dict) else {}
        rejects = known.get("ModelApprovalStatus") == "Rejected"
        # An update may be of something else than the approval.
        decides = operation == "CreateModelPackage" or any(k.startswith("ModelApproval") for k in known)
        return decides and not rejects
    return operation in ("CreateEndpoint", "UpdateEndpoint")


def _asks_a_human(machine: Machine) -> bool:
    calls = (integration(body) for body in machine.states.values() if body.get("Type") == "Task")
    return any(call is not None and call.pattern == "waitForTaskToken" for call in calls)


def _operation(body: dict[str, Any]) -> str:
    call = integration(body) if body.get("Type") == "Task" else None
    return call.operation if call is not None else ""


def _beyond(machine: Machine, start: str) -> set[str]:
    """States that `start` can lead to without passing one that decides: a gate's function, or a human."""
    seen: set[str] = set()
    todo = [start]
    while todo:
        name = todo.pop()
        if name in seen:
            continue
        seen.add(name)
        if not _decides(machine.states[name]):
            todo += successors(machine, name)
    return seen


def _decides(body: dict[str, Any]) -> bool:
    """A Task with the gate's rules, or one that waits for somebody's answer."""
    call = integration(body) if body.get("Type") == "Task" else None
    return (call is not None and call.pattern == "waitForTaskToken") or _has_rules(body)


def _has_rules(body: dict[str, Any]) -> bool:
    """Whether this is the gate: the Task that is given the rules."""
    parameters = body.get("Parameters") if body.get("Type") == "Task" else None
    payload = parameters.get("Payload") if isinstance(parameters, dict) else None
    return isinstance(payload, dict) and bool(payload.get("rules"))
