"""Keeps endpoints' processes healthy: dead or silent ones are replaced, as SageMaker replaces instances."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable

from pipeline.local import faults
from pipeline.local.sagemaker.fleet import Fleet, Instance

# AWS pings a container every five seconds; this many misses in a row and it is replaced.
_PING_PERIOD = 5.0
_PING_MISSES = 3

_poke = threading.Event()
_lock = threading.Lock()
_thread: threading.Thread | None = None


def poke() -> None:
    """A process did not answer: look at once (called from the event loop)."""
    _poke.set()


def supervise(fleets: Callable[[], Iterable[Fleet]], stopping: threading.Event) -> None:
    """Watch over the fleets from now on, in one thread, until `stopping` is set."""
    global _thread
    with _lock:
        if _thread is None or not _thread.is_alive():
            _thread = threading.Thread(
                target=_watch, args=(fleets, stopping), name="endpoint-health", daemon=True
            )
            _thread.start()


def _watch(fleets: Callable[[], Iterable[Fleet]], stopping: threading.Event) -> None:
    misses: dict[Instance, int] = {}
    while not stopping.is_set():
        poked = _poke.wait(_PING_PERIOD)
        if poked:
            time.sleep(0.1)  # its connections break a moment before the process is gone
        _poke.clear()
        watched = [(fleet, instance) for fleet in fleets() for instance in fleet.instances()]
        for fleet, instance in watched:
            if instance.restarting or fleet.ending or not instance.backend.port:
                continue
            if faults.take("endpoint-memory-serving", fleet.endpoint):
                fleet.kill(instance, "while it serves")
            if instance.alive():
                if poked:
                    continue
                misses[instance] = 0 if instance.ping() else misses.get(instance, 0) + 1
                if misses[instance] < _PING_MISSES:
                    continue
            instance.restarting = True
            threading.Thread(
                target=fleet.restart, args=(instance,), name="restart-instance", daemon=True
            ).start()
        known = {instance for _, instance in watched if not instance.restarting}
        misses = {instance: count for instance, count in misses.items() if instance in known}
