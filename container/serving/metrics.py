"""The model's own numbers, out of its predictions into the log, where a metric filter finds them.

    from serving import metric
    metric("confidence", max(probabilities))

A worker writes at most one line for each name every half second, whatever the load: `{"event": "metric",
"name": ..., "value": <mean>, "count": ..., "minimum": ..., "maximum": ..., "deployment": ...}`. The
deployment is the environment's SERVING_DEPLOYMENT, by which two fleets are told apart while one takes over
from the other.
"""

from __future__ import annotations

import math
import os
import threading
from typing import Protocol

_DEPLOYMENT = os.environ.get("SERVING_DEPLOYMENT", "")
_lock = threading.Lock()
_gathered: dict[str, list[float]] = {}  # name -> count, sum, least, most


class Events(Protocol):
    """Where lines go: log.Log."""

    def event(self, event: str, **facts: object) -> None:
        """Write one."""


def metric(name: str, value: float) -> None:
    """Report one number. It never fails a prediction: what is no finite number is left out."""
    number = float(value)
    if not math.isfinite(number):
        return
    with _lock:
        kept = _gathered.get(name)
        if kept is None:
            _gathered[name] = [1, number, number, number]
            return
        kept[0] += 1
        kept[1] += number
        if number < kept[2]:
            kept[2] = number
        elif number > kept[3]:
            kept[3] = number


def write(log: Events) -> None:
    """Write what has gathered since the last time."""
    if not _gathered:
        return
    with _lock:
        taken = dict(_gathered)
        _gathered.clear()
    for name, (count, total, least, most) in taken.items():
        log.event(
            "metric",
            name=name,
            value=total / count,
            count=int(count),
            minimum=least,
            maximum=most,
            deployment=_DEPLOYMENT,
        )
