"""Serverless variants: a process for each request at a time, started on demand, ended when idle.

A request meets an idle process or waits for a new one (a cold start, reported as ModelSetupTime); beyond
MaxConcurrency it is throttled. ProvisionedConcurrency processes stay warm. AWS does not say how long it keeps
an idle one; here it is IDLE_SECONDS at the target's pace.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Iterable

from pipeline.local.pace import wait_scale
from pipeline.local.sagemaker import telemetry
from pipeline.local.sagemaker.backend import Backend
from pipeline.local.sagemaker.fleet import Fleet, Instance, drain, end_all

log = logging.getLogger(__name__)

IDLE_SECONDS = 600.0
_LOOK = 0.5

_thread: threading.Thread | None = None
_starting = threading.Lock()


class Throttled(Exception):
    """As many requests as there may be are under way."""


class OnDemand:
    """The processes of one serverless variant."""

    def __init__(self, fleet: Fleet, name: str) -> None:
        spec = next(variant for variant in fleet.spec["Variants"] if variant["VariantName"] == name)
        self.most: int = spec["Serverless"]["MaxConcurrency"]
        self.warm: int = spec["Serverless"].get("ProvisionedConcurrency", 0)
        self._fleet, self._name = fleet, name
        self._key = (
            fleet.scope.account,
            fleet.scope.region,
            fleet.endpoint,
            name,
            fleet.spec["EndpointConfigName"],
        )
        self._lock = threading.Lock()
        self._busy = 0
        self._used: dict[Instance, float] = dict.fromkeys(fleet.variants[name], time.monotonic())

    async def acquire(self) -> Backend:
        """A process for one request; counted in its `inflight`.

        Raises:
            Throttled: MaxConcurrency requests are under way.
            StartFailed, Abandoned: no process comes up.
        """
        with self._lock:
            if self._busy >= self.most:
                raise Throttled
            self._busy += 1
            idle = next((i for i in self._fleet.variants[self._name] if _is_free(i)), None)
            if idle is not None:
                idle.backend.inflight += 1
                return idle.backend
        try:
            return await asyncio.get_running_loop().run_in_executor(None, self._start)
        except BaseException:
            with self._lock:
                self._busy -= 1
            raise

    def release(self, backend: Backend) -> None:
        """The request is done; its process may take another."""
        with self._lock:
            self._busy -= 1
            backend.inflight -= 1
            now = time.monotonic()
            for instance in self._fleet.variants[self._name]:
                if instance.backend is backend:
                    self._used[instance] = now

    def end_idle(self, seconds: float) -> list[Instance]:
        """Take out what was idle for so long, but for those that stay warm; the caller ends them."""
        oldest = time.monotonic() - seconds
        with self._lock:
            there = self._fleet.variants[self._name]
            idle = [i for i in there if _is_free(i) and self._used.get(i, 0.0) < oldest]
            gone = idle[: max(0, len(there) - self.warm)]
            for instance in gone:
                instance.backend.healthy = False
                self._used.pop(instance, None)
            self._fleet.variants[self._name] = [i for i in there if i not in gone]
        return gone

    def _start(self) -> Backend:
        began = time.monotonic()
        instance = self._fleet.one_more(self._name)
        with self._lock:
            instance.backend.inflight += 1
            self._used[instance] = time.monotonic()
            self._fleet.variants[self._name] = [*self._fleet.variants[self._name], instance]
        telemetry.cold_start(self._key, time.monotonic() - began)
        return instance.backend


def _is_free(instance: Instance) -> bool:
    return instance.backend.healthy and not instance.backend.inflight


def supervise(fleets: Callable[[], Iterable[Fleet]], stopping: threading.Event) -> None:
    """End idle processes of these fleets from now on, in one thread, until `stopping` is set."""
    global _thread
    with _starting:
        if _thread is None or not _thread.is_alive():
            _thread = threading.Thread(
                target=_watch, args=(fleets, stopping), name="serverless-idle", daemon=True
            )
            _thread.start()


def _watch(fleets: Callable[[], Iterable[Fleet]], stopping: threading.Event) -> None:
    while not stopping.wait(_LOOK):
        gone = []
        for fleet in fleets():
            for demand in fleet.demands.values():
                gone += demand.end_idle(IDLE_SECONDS * wait_scale())
        if gone:
            drain(gone)
            end_all(gone)
