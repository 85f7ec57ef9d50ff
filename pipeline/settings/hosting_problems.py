"""Endpoint and rollout settings that are valid one by one and that AWS refuses, or that do nothing, together.

Sources: https://docs.aws.amazon.com/sagemaker/latest/dg/deployment-guardrails-exclusions.html,
.../deployment-guardrails.html (only real-time and asynchronous endpoints),
.../deployment-guardrails-configuration.html, .../serverless-endpoints.html, .../endpoint-auto-scaling.html
and the API's DeploymentConfig.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from pipeline.settings.hosting import Autoscaling, EndpointCapacity, Rollout, RolloutAlarms, Serverless

Problem = tuple[tuple[str | int, ...], str, str]
"""The key it is about, what is wrong, what to do."""

ALARM_KINDS = ("errors_percent", "errors_count", "latency_p99_ms", "model")
LEAST_STEP = 10  # percent: LinearStepSize


def hosting_problems(environment: dict[str, Any]) -> Iterator[Problem]:
    """Problems of `[endpoint]` and `[rollout]` in one environment's merged table."""
    endpoint, rollout = environment.get("endpoint"), environment.get("rollout")
    endpoint = endpoint if isinstance(endpoint, dict) else {}
    rollout = rollout if isinstance(rollout, dict) else {}
    capacity = endpoint.get("capacity", _default(EndpointCapacity, "capacity"))
    if capacity == "autoscaling":
        yield from _autoscaling(_table(endpoint, "autoscaling"))
    if capacity == "serverless":
        yield from _serverless(_table(endpoint, "serverless"), rollout)
        return
    yield from _shifting(rollout, _instances(endpoint, capacity), capacity)
    yield from _alarms(_table(rollout, "alarms"), rollout)


def _autoscaling(scaling: dict[str, Any]) -> Iterator[Problem]:
    low, high = _get(scaling, Autoscaling, "minimum"), _get(scaling, Autoscaling, "maximum")
    if low is not None and high is not None and low > high:
        yield (
            ("endpoint", "autoscaling", "maximum"),
            f"{high:g} is below minimum = {low:g}",
            f"set it to {low:g} or more",
        )


def _serverless(given: dict[str, Any], rollout: dict[str, Any]) -> Iterator[Problem]:
    warm, most = _number(given.get("provisioned_concurrency")), _get(given, Serverless, "max_concurrency")
    if warm is not None and most is not None and warm > most:
        yield (
            ("endpoint", "serverless", "provisioned_concurrency"),
            f"{warm:g} is above max_concurrency = {most:g}",
            f"set it to {most:g} or less",
        )
    shift = rollout.get("shift", "all_at_once")
    if shift in ("canary", "linear"):
        yield (
            ("rollout", "shift"),
            f"a serverless endpoint takes no {shift} shift: SageMaker shifts between instances only",
            'set shift = "all_at_once", or capacity = "instances" or "autoscaling"',
        )
    for kind in _on(_table(rollout, "alarms")):
        yield (
            ("rollout", "alarms", kind),
            "a serverless endpoint has no rollout that an alarm could take back",
            'leave it out, or set capacity = "instances" or "autoscaling"',
        )
    if _number(rollout.get("termination_wait_seconds")):
        yield (
            ("rollout", "termination_wait_seconds"),
            "a serverless endpoint has no old fleet that could wait",
            "leave it out",
        )


def _shifting(rollout: dict[str, Any], instances: float | None, capacity: Any) -> Iterator[Problem]:
    shift = rollout.get("shift", "all_at_once")
    percent, wait = _get(rollout, Rollout, "percent"), _get(rollout, Rollout, "wait_seconds")
    ending = _get(rollout, Rollout, "termination_wait_seconds")
    most = _get(rollout, Rollout, "maximum_seconds")
    if shift in ("canary", "linear"):
        if instances is not None and instances < 2:
            key = "instance_count" if capacity == "instances" else "autoscaling"
            yield (
                ("endpoint", key),
                f"a {shift} shift needs 2 instances or more: one is all of the new fleet, and the first step "
                "may be 50 % of it at most",
                f"set {'instance_count' if key == 'instance_count' else 'minimum'} to 2 or more, "
                'or shift = "all_at_once"',
            )
        if not _on(_table(rollout, "alarms")):
            yield (
                ("rollout", "shift"),
                f"a {shift} shift without an alarm only takes longer: nothing would take the model back",
                "set one of rollout.alarms: " + ", ".join(ALARM_KINDS),
            )
    if shift == "linear" and percent is not None and percent < LEAST_STEP:
        yield (
            ("rollout", "percent"),
            f"{percent:g} is too small for a linear step; SageMaker takes 10 to 50 percent",
            f"set it to {LEAST_STEP} or more",
        )
    if None in (percent, wait, ending, most):
        return
    assert percent is not None and wait is not None and ending is not None and most is not None
    total = wait * _intervals(shift, percent) + ending
    if total >= most:
        yield (
            ("rollout", "maximum_seconds"),
            f"{most:g} s is not more than all waiting, {total:g} s: every rollout would be taken back",
            f"set it to more than {total:g}, or wait less",
        )


def _alarms(alarms: dict[str, Any], rollout: dict[str, Any]) -> Iterator[Problem]:
    shift = rollout.get("shift", "all_at_once")
    minutes = _get(alarms, RolloutAlarms, "minutes")
    wait = _get(rollout, Rollout, "wait_seconds" if shift != "all_at_once" else "termination_wait_seconds")
    kinds = _on(alarms)
    watched = shift != "all_at_once" or bool(wait)
    if kinds and watched and minutes is not None and wait is not None and wait < minutes * 60:
        name = "wait_seconds" if shift != "all_at_once" else "termination_wait_seconds"
        yield (
            ("rollout", name),
            f"{wait:g} s is shorter than the {minutes:g} min that an alarm needs; it would come too late",
            f"set it to {int(minutes * 60)} or more",
        )
    metric = alarms.get("model")
    if isinstance(metric, dict):
        low, high = _number(metric.get("minimum")), _number(metric.get("maximum"))
        where = ("rollout", "alarms", "model")
        if ("minimum" in metric) == ("maximum" in metric):
            yield (where, "needs one of minimum and maximum: an alarm has one bound", "keep one of them")
        elif low is None and high is None:
            yield (where, "its bound is not a number", "such as minimum = 0.6")


def _intervals(shift: Any, percent: float) -> int:
    """How often a rollout waits between two shifts of traffic."""
    if shift == "linear":
        return max(0, math.ceil(100 / percent) - 1)
    return 1 if shift == "canary" else 0


def _on(alarms: dict[str, Any]) -> list[str]:
    return [kind for kind in ALARM_KINDS if alarms.get(kind) is not None]


def _instances(endpoint: dict[str, Any], capacity: Any) -> float | None:
    if capacity == "autoscaling":
        return _get(_table(endpoint, "autoscaling"), Autoscaling, "minimum")
    return _get(endpoint, EndpointCapacity, "instance_count")


def _table(value: dict[str, Any], name: str) -> dict[str, Any]:
    found = value.get(name)
    return found if isinstance(found, dict) else {}


def _default(model: Any, name: str) -> Any:
    return model.model_fields[name].default


def _get(table: dict[str, Any], model: Any, name: str) -> float | None:
    """A number of the table, or the default; None for what is no number."""
    return _number(table.get(name, _default(model, name)))


def _number(value: Any) -> float | None:
    ok = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if ok else None
