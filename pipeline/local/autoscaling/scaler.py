"""The loop that looks at the load of every scalable target and changes the number of its processes.

Capacity changes through SageMaker's own UpdateEndpointWeightsAndCapacities, so nothing happens to an endpoint
that is being updated: the next look finds it in service again.
"""

from __future__ import annotations

import logging
import threading
import time
from typing import Any

from pipeline.local.autoscaling import targets, tracking
from pipeline.local.autoscaling.tracking import IN_PERIODS, PERIOD_SECONDS, Bounds
from pipeline.local.pace import wait_scale
from pipeline.local.sagemaker import load, service
from pipeline.local.sagemaker.errors import SageMakerError
from pipeline.local.sagemaker.store import Record, Scope

log = logging.getLogger(__name__)

_DEFAULT_COOLDOWN = 300.0
_LOOK = 0.5
# Shorter periods would be mostly empty of the requests that came.
_SHORTEST_PERIOD = 0.5

_stopping = threading.Event()
_lock = threading.Lock()
_thread: threading.Thread | None = None
_began: dict[tuple[str, str, str], float] = {}
_last: dict[tuple[str, str, str], float] = {}  # when capacity last changed


def start() -> None:
    """Look from now on, in one thread, until stop()."""
    global _thread
    with _lock:
        if _thread is None or not _thread.is_alive():
            _stopping.clear()
            _thread = threading.Thread(target=_run, name="autoscaling", daemon=True)
            _thread.start()


def stop() -> None:
    """Look no more."""
    _stopping.set()


def period() -> float:
    """Seconds of what is a minute on AWS."""
    return max(_SHORTEST_PERIOD, PERIOD_SECONDS * wait_scale())


def keep_within(scope: Scope, record: Record) -> None:
    """As RegisterScalableTarget: capacity outside of the bounds is changed at once."""
    bounds = Bounds(record["MinCapacity"], record["MaxCapacity"])
    current = capacity(scope, record)
    if current is not None and bounds.within(current) != current:
        cause = f"minimum capacity was set to {bounds.least} and maximum capacity to {bounds.most}"
        _change(scope, record, bounds.within(current), cause)


def capacity(scope: Scope, record: Record) -> int | None:
    """Instances of the target's variant; None while the endpoint is not there or not in service."""
    endpoint, variant = targets.resource(record["ResourceId"])
    try:
        described = service.call("DescribeEndpoint", {"EndpointName": endpoint}, scope)
    except SageMakerError:
        return None
    if described["EndpointStatus"] != "InService":
        return None
    found = [v for v in described.get("ProductionVariants", []) if v["VariantName"] == variant]
    count = found[0].get("DesiredInstanceCount") if found else None
    return None if count is None else int(count)


def _run() -> None:
    while not _stopping.wait(_LOOK):
        for scope in targets.store.scopes():
            for name, record in targets.store.items(scope, targets.TARGET):
                try:
                    _look(scope, name, record)
                except Exception:
                    log.exception("scaling %s", name)


def _look(scope: Scope, name: str, record: Record) -> None:
    policy: dict[str, Any] | None = next(iter(record["Policies"].values()), None)
    current = capacity(scope, record) if policy else None
    if policy is None or current is None:
        return
    key = (scope.account, scope.region, name)
    now = time.monotonic()
    began = _began.setdefault(key, now)
    seen = min(IN_PERIODS, int((now - began) / period()))
    endpoint, variant = targets.resource(name)
    of = (scope.account, scope.region, endpoint, variant)
    each = period()
    per_minute = [
        load.between(of, (index + 1) * each, index * each) * PERIOD_SECONDS / each for index in range(seen)
    ]
    config = policy["TargetTrackingScalingPolicyConfiguration"]
    bounds = Bounds(record["MinCapacity"], record["MaxCapacity"])
    wanted = tracking.wanted(per_minute, current, float(config["TargetValue"]), bounds)
    if wanted == current or _held(record, config, out=wanted > current, since=now - _last.get(key, 0.0)):
        return
    side = "AlarmHigh" if wanted > current else "AlarmLow"
    cause = (
        f"monitor alarm TargetTracking-{name}-{side} in state ALARM triggered policy {policy['PolicyName']} "
        f"({per_minute[0]:.0f} invocations per instance and minute, {config['TargetValue']:g} wanted)"
    )
    _change(scope, record, wanted, cause)


def _held(record: Record, config: dict[str, Any], *, out: bool, since: float) -> bool:
    """Whether a change in this direction must not be, or not yet."""
    side = "Out" if out else "In"
    suspended = record["SuspendedState"].get(f"DynamicScaling{side}Suspended", False)
    if suspended or (not out and config.get("DisableScaleIn")):
        return True
    cooldown = float(config.get(f"Scale{side}Cooldown", _DEFAULT_COOLDOWN))
    return since < cooldown * wait_scale()


def _change(scope: Scope, record: Record, count: int, cause: str) -> None:
    endpoint, variant = targets.resource(record["ResourceId"])
    activity = targets.note(scope, record, f"Setting desired instance count to {count}.", cause)
    wanted = [{"VariantName": variant, "DesiredInstanceCount": count}]
    try:
        service.call(
            "UpdateEndpointWeightsAndCapacities",
            {"EndpointName": endpoint, "DesiredWeightsAndCapacities": wanted},
            scope,
        )
    except SageMakerError as error:
        targets.settle(
            scope, activity, "Failed", f"Failed to set desired instance count to {count}. Reason: {error}"
        )
        return
    deadline = time.monotonic() + 600
    while capacity(scope, record) is None and time.monotonic() < deadline and not _stopping.wait(0.1):
        pass
    _last[scope.account, scope.region, record["ResourceId"]] = time.monotonic()
    reached = capacity(scope, record)
    said = f"set desired instance count to {count}."
    if reached == count:
        targets.settle(
            scope, activity, "Successful", f"Successfully {said} Change successfully fulfilled by sagemaker."
        )
    else:
        targets.settle(scope, activity, "Failed", f"Failed to {said} Reason: there are {reached} instances.")
