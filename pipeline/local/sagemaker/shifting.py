"""How traffic moves from the old fleet to the new: at once, after a canary, or in steps; back on an alarm."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from pipeline.local import roles
from pipeline.local.pace import wait_scale
from pipeline.local.sagemaker.errors import NotSupported, ValidationException
from pipeline.local.sagemaker.store import Scope

log = logging.getLogger(__name__)

_POLL = 1.0  # seconds between two looks at the alarms
# Metrics reach the alarms within this; a shorter look, by a scaled pace, would always find them well.
_SIGHT = 4.0
_TIMEOUT = 14400  # MaximumExecutionTimeoutInSeconds, when not given


class RolledBack(Exception):
    """The deployment is undone; the message goes to FailureReason."""


@dataclass(frozen=True)
class Plan:
    """A deployment configuration as steps.

    Args:
        shares: what part of the traffic the new fleet gets, step by step; the last is 1.
        wait: seconds between the steps.
        bake: seconds from the last step until the old fleet is ended.
        timeout: seconds the whole may take.
        alarms: names of alarms that undo it.
    """

    shares: tuple[float, ...]
    wait: float
    bake: float
    timeout: float
    alarms: tuple[str, ...]


def plan(config: dict[str, Any] | None, instances: int) -> Plan:
    """Read a DeploymentConfig; `instances` is the size of the new fleet, for sizes in instances.

    Raises:
        NotSupported: rolling deployments.
        ValidationException: a size that AWS refuses too.
    """
    config = config or {}
    if config.get("RollingUpdatePolicy"):
        raise NotSupported("A rolling deployment (RollingUpdatePolicy)")
    policy = config.get("BlueGreenUpdatePolicy") or {}
    routing = policy.get("TrafficRoutingConfiguration") or {"Type": "ALL_AT_ONCE"}
    kind = routing["Type"]
    if kind == "CANARY":
        shares: tuple[float, ...] = (_size(routing, "CanarySize", instances), 1.0)
    elif kind == "LINEAR":
        step = _size(routing, "LinearStepSize", instances)
        count = int(1 / step - 1e-9)
        shares = (*(step * i for i in range(1, count + 1)), 1.0)
    else:
        shares = (1.0,)
    alarms = (config.get("AutoRollbackConfiguration") or {}).get("Alarms") or []
    return Plan(
        shares=shares,
        wait=float(routing.get("WaitIntervalInSeconds") or 0),
        bake=float(policy.get("TerminationWaitInSeconds") or 0),
        timeout=float(policy.get("MaximumExecutionTimeoutInSeconds") or _TIMEOUT),
        alarms=tuple(alarm["AlarmName"] for alarm in alarms if alarm.get("AlarmName")),
    )


def _size(routing: dict[str, Any], member: str, instances: int) -> float:
    size = routing.get(member)
    if not size:
        raise ValidationException(f"{member} is required for traffic routing of type {routing['Type']}.")
    share = size["Value"] / 100 if size["Type"] == "CAPACITY_PERCENT" else size["Value"] / max(1, instances)
    least = 0.1 if member == "LinearStepSize" else 0.0
    if not least <= share <= 0.5 or share <= 0:
        raise ValidationException(
            f"{member} must be at most 50% of the new fleet's capacity"
            + (" and at least 10%." if least else ".")
        )
    return float(share)


def _paced(seconds: float, watched: bool) -> float:
    """How long to wait at this target's pace; long enough for alarms to see anything, if there are any."""
    scaled = seconds * wait_scale()
    return max(scaled, min(seconds, _SIGHT)) if watched else scaled


def steps(steps_of: Plan, scope: Scope, stop: threading.Event) -> Iterator[tuple[float, str]]:
    """Give each share to publish, with the variants' status meanwhile; waits and watches in between.

    Raises:
        RolledBack: an alarm went off, or the time is up.
    """
    deadline = time.monotonic() + steps_of.timeout
    for share in steps_of.shares:
        last = share == 1.0
        yield share, "Baking" if last else "ActivatingTraffic"
        pause = _paced(steps_of.bake if last else steps_of.wait, bool(steps_of.alarms))
        _watch(pause, steps_of.alarms, scope, stop, deadline)


def _watch(
    seconds: float, alarms: tuple[str, ...], scope: Scope, stop: threading.Event, deadline: float
) -> None:
    until = time.monotonic() + seconds
    while True:
        raised = _in_alarm(alarms, scope)
        if raised:
            raise RolledBack(f"One or more alarms went off during the deployment: {', '.join(raised)}.")
        now = time.monotonic()
        if now >= deadline:
            raise RolledBack("The deployment exceeded MaximumExecutionTimeoutInSeconds.")
        if now >= until or stop.wait(min(_POLL, until - now)):
            return


def _in_alarm(names: tuple[str, ...], scope: Scope) -> list[str]:
    if not names:
        return []
    service = roles.client(
        "cloudwatch", scope.region, {"AccessKeyId": scope.account, "SecretAccessKey": scope.account}
    )
    try:
        found = service.describe_alarms(AlarmNames=list(names), AlarmTypes=["MetricAlarm", "CompositeAlarm"])
    except (ClientError, BotoCoreError) as error:
        log.warning("alarms %s cannot be read: %s", ", ".join(names), error)
        return []
    alarms = found.get("MetricAlarms", []) + found.get("CompositeAlarms", [])
    return [alarm["AlarmName"] for alarm in alarms if alarm.get("StateValue") == "ALARM"]
