"""Endpoints' work in the background: bring a fleet up, put another in its place, take it down, bring it back.

Each piece of work runs in a thread of its own and ends by moving the endpoint's record to its next status.
The record holds the fleet's plan, so that a server that was killed can bring back what served.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from typing import Any

from pipeline.local import faults
from pipeline.local.sagemaker import (
    blueprint,
    capture,
    health,
    injected,
    load,
    routes,
    serverless,
    shifting,
    telemetry,
)
from pipeline.local.sagemaker.fleet import (
    Abandoned,
    Fleet,
    Instance,
    StartFailed,
    drain,
    end_all,
    forget_data,
)
from pipeline.local.sagemaker.routes import Key, Route
from pipeline.local.sagemaker.store import Record, Scope, store
from pipeline.local.sagemaker.transitions import advance

log = logging.getLogger(__name__)

KIND = "endpoint"
_RETRY = (2.0, 5.0, 15.0, 60.0)

_live: dict[Key, Fleet] = {}
_starting: set[Fleet] = set()
_lock = threading.Lock()
_stopping = threading.Event()


def live(key: Key) -> Fleet | None:
    """The fleet that serves an endpoint now."""
    return _live.get(key)


def key_of(scope: Scope, name: str) -> Key:
    """The key of an endpoint in the routes."""
    return scope.account, scope.region, name


# --- pieces of work: each starts a thread ---------------------------------------------------------


def create(scope: Scope, name: str) -> None:
    """Bring up a new endpoint's fleet; its record is Creating."""
    _spawn(scope, name, _create)


def update(scope: Scope, name: str) -> None:
    """Put the fleet of `Pending` in the place of the running one; the record is Updating."""
    _spawn(scope, name, _update)


def resize(scope: Scope, name: str, desired: dict[str, dict[str, Any]]) -> None:
    """Change weights and counts of the running fleet; the record is Updating."""
    _spawn(scope, name, lambda s, n: _resize(s, n, desired))


def delete(scope: Scope, name: str) -> None:
    """End the fleet, then forget the record, which is Deleting."""
    _spawn(scope, name, _delete)


def recover() -> None:
    """After a start of the server: bring back every endpoint, and go on with what was under way."""
    _stopping.clear()
    for scope in store.scopes():
        for name, record in store.items(scope, KIND):
            status = record["EndpointStatus"]
            if status == "Creating":
                create(scope, name)
            elif status == "Deleting":
                delete(scope, name)
            elif status != "Failed":
                _spawn(scope, name, _restore)


def stop() -> None:
    """End all fleets at once; records stay as they are, for recover()."""
    _stopping.set()
    with _lock:
        fleets = {*_live.values(), *_starting}
        for key in list(_live):
            routes.withdraw(key)
        _live.clear()
    threads = [threading.Thread(target=fleet.end, args=(3.0,), name="end-fleet") for fleet in fleets]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    capture.flush()
    telemetry.flush()


def _spawn(scope: Scope, name: str, work: Callable[[Scope, str], None]) -> None:
    def run() -> None:
        try:
            work(scope, name)
        except Abandoned:
            log.info("endpoint %s: left as it is, the local target stops", name)
        except KeyError:
            log.info("endpoint %s: gone meanwhile", name)
        except Exception as error:
            log.exception("endpoint %s", name)
            _give_up(scope, name, f"Request to service failed: {type(error).__name__}: {error}")

    threading.Thread(target=run, name=f"endpoint-{name}", daemon=True).start()


def _give_up(scope: Scope, name: str, reason: str) -> None:
    """Something broke that should not: no endpoint may stay in progress for ever."""
    if _stopping.is_set() or store.get(scope, KIND, name) is None:
        return
    with store.edit(scope, KIND, name) as record:
        if record["EndpointStatus"] in ("Updating", "RollingBack") and key_of(scope, name) in _live:
            advance(record, "EndpointStatus", "InService")
        elif record["EndpointStatus"] != "Failed":
            record["EndpointStatus"] = "Failed"
        record["FailureReason"] = reason[:1024]


# --- the work -------------------------------------------------------------------------------------


def _create(scope: Scope, name: str) -> None:
    record = _record(scope, name)
    try:
        fleet = _bring_up(scope, name, record["Fleet"])
    except StartFailed as error:
        _settle(scope, name, "Failed", FailureReason=str(error))
        return
    _serve(scope, name, fleet)
    _settle(scope, name, "InService", Fleet=fleet.spec)


def _restore(scope: Scope, name: str) -> None:
    """Bring back what served. It is tried until it works: on AWS, too, the service replaces instances."""
    attempt = 0
    first = _record(scope, name)
    while True:
        record = _record(scope, name)
        if record["CreationTime"] != first["CreationTime"]:
            return  # deleted meanwhile, and another made under its name
        try:
            fleet = _bring_up(scope, name, record["Fleet"], again=True)
            break
        except StartFailed as error:
            if record["EndpointStatus"] == "InService":
                _settle(scope, name, "OutOfService", FailureReason=str(error))
            if _stopping.wait(_RETRY[min(attempt, len(_RETRY) - 1)]):
                raise Abandoned from None
            attempt += 1
    _serve(scope, name, fleet)
    if record.get("Pending"):
        _update(scope, name)
    elif record["EndpointStatus"] != "InService":
        _settle(scope, name, "InService", FailureReason=None)


def _update(scope: Scope, name: str) -> None:
    record = _record(scope, name)
    key = key_of(scope, name)
    blue = _live[key]
    green: Fleet | None = None
    try:
        steps_of = shifting.plan(record.get("PendingConfig"), blueprint.size(record["Pending"]))
        green = _bring_up(scope, name, record["Pending"])
        for share, status in shifting.steps(steps_of, scope, _stopping):
            _shift(key, blue, green, share)
            with store.edit(scope, KIND, name) as changing:
                changing["PendingStatus"] = status
        if _stopping.is_set():
            raise Abandoned
    except (StartFailed, shifting.RolledBack) as error:
        routes.publish(key, Route([blue.route()]))
        with store.edit(scope, KIND, name) as rolling:
            advance(rolling, "EndpointStatus", "RollingBack")
        if green is not None:
            _retire(green, green.instances())
        _settle(scope, name, "InService", FailureReason=str(error))
        return
    except Abandoned:
        if green is not None:
            green.end(grace=3.0)
        raise
    finally:
        if green is not None:
            _starting.discard(green)
    _serve(scope, name, green)
    changes = {"Fleet": green.spec, "EndpointConfigName": green.spec["EndpointConfigName"]}
    _settle(
        scope,
        name,
        "InService",
        FailureReason=None,
        LastDeploymentConfig=record.get("PendingConfig"),
        **changes,
    )
    _retire(blue, blue.instances())


def _resize(scope: Scope, name: str, desired: dict[str, dict[str, Any]]) -> None:
    key = key_of(scope, name)
    fleet = _live[key]
    before = {variant["VariantName"]: dict(variant) for variant in fleet.spec["Variants"]}
    gone: list[Instance] = []
    reason = None
    try:
        for variant in fleet.spec["Variants"]:
            wanted = desired.get(variant["VariantName"], {})
            if wanted.get("Count", 0) > variant["Count"]:
                fleet.grow(variant["VariantName"], wanted["Count"])
    except StartFailed as error:
        reason = str(error)
        with store.edit(scope, KIND, name) as rolling:
            advance(rolling, "EndpointStatus", "RollingBack")
    for variant in fleet.spec["Variants"]:
        variant |= before[variant["VariantName"]] | (
            {} if reason else desired.get(variant["VariantName"], {})
        )
        gone += fleet.shrink(variant["VariantName"], variant["Count"])
    routes.publish(key, Route([fleet.route()]))
    _settle(scope, name, "InService", Fleet=fleet.spec, FailureReason=reason)
    drain(gone)
    end_all(gone)


def _delete(scope: Scope, name: str) -> None:
    from pipeline.local.autoscaling import targets

    key = key_of(scope, name)
    routes.withdraw(key)
    fleet = _live.pop(key, None)
    if fleet is not None:
        _retire(fleet, fleet.instances())
    forget_data(scope, name)
    load.forget(scope.account, scope.region, name)
    targets.forget(scope, name)
    store.delete(scope, KIND, name)


# --- parts ----------------------------------------------------------------------------------------


def _record(scope: Scope, name: str) -> Record:
    record = store.get(scope, KIND, name)
    if record is None:
        raise KeyError(name)
    return record


def _bring_up(scope: Scope, name: str, spec: dict[str, Any], *, again: bool = False) -> Fleet:
    """A healthy fleet of the plan, with its images resolved. Raises StartFailed, Abandoned.

    What served before is waited for as long as AWS waits: all endpoints come back at once, on a machine that
    may be busy, and one that is given up for being slow is out of service.
    """
    blueprint.resolve_images(scope, spec)
    if not again and faults.take("endpoint-capacity", name):
        raise StartFailed(injected.ENDPOINT_CAPACITY)
    ceiling = None if again else float(os.environ.get("PIPELINE_LOCAL_PING_SECONDS") or 0) or None
    fleet = Fleet(scope, name, spec, ceiling)
    fleet.short_of_memory = not again and faults.take("endpoint-memory", name) is not None
    with _lock:
        if _stopping.is_set():
            raise Abandoned
        _starting.add(fleet)
    try:
        fleet.start()
        for variant in spec["Variants"]:
            if variant.get("Serverless"):
                name_of = variant["VariantName"]
                fleet.demands[name_of] = serverless.OnDemand(fleet, name_of)
    except StartFailed:
        fleet.forget_data()
        raise
    except BaseException:
        _starting.discard(fleet)
        raise
    return fleet


def _serve(scope: Scope, name: str, fleet: Fleet) -> None:
    """From here on the endpoint's requests meet this fleet."""
    key = key_of(scope, name)
    with _lock:
        _starting.discard(fleet)
        if _stopping.is_set():
            raise Abandoned
        _live[key] = fleet
        routes.publish(key, Route([fleet.route()]))
    health.supervise(lambda: list(_live.values()), _stopping)
    if fleet.demands:
        serverless.supervise(lambda: list(_live.values()), _stopping)


def _shift(key: Key, blue: Fleet, green: Fleet, share: float) -> None:
    old, new = blue.route(), green.route()
    old.weight, new.weight = 1.0 - share, share
    routes.publish(key, Route([new] if share >= 1.0 else [old, new]))


def _retire(fleet: Fleet, instances: list[Instance]) -> None:
    drain(instances)
    fleet.end()
    for sink in fleet.sinks.values():
        sink.flush()
    fleet.forget_data()


def _settle(scope: Scope, name: str, status: str, **members: Any) -> None:
    """The work is done: move the record on, and drop what only mattered on the way."""
    if _stopping.is_set():
        raise Abandoned
    with store.edit(scope, KIND, name) as record:
        if record["EndpointStatus"] != status:
            advance(record, "EndpointStatus", status)
        for member in ("Pending", "PendingConfig", "PendingStatus", "PendingSince"):
            record.pop(member, None)
        for member, value in members.items():
            if value is None:
                record.pop(member, None)
            else:
                record[member] = value[:1024] if member == "FailureReason" else value
