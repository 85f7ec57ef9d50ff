"""How busy each variant was in the last minutes: InvocationsPerInstance, kept at hand for scaling.

CloudWatch has the same numbers by the minute; scaling at a fraction of AWS's pace needs them finer.
"""

from __future__ import annotations

import threading
import time
from collections import deque

Key = tuple[str, str, str, str]  # account, region, endpoint, variant

SLOT_SECONDS = 0.2
_KEPT = 900.0  # seconds: AWS's scale-in looks at 15 minutes

_slots: dict[Key, deque[list[float]]] = {}
_lock = threading.Lock()


def note(key: Key, share: float) -> None:
    """One invocation; `share` is 1 / the number of instances at the time."""
    now = time.monotonic()
    with _lock:
        slots = _slots.setdefault(key, deque())
        if slots and now - slots[-1][0] < SLOT_SECONDS:
            slots[-1][1] += share
            return
        slots.append([now, share])
        while slots[0][0] < now - _KEPT:
            slots.popleft()


def between(key: Key, oldest: float, newest: float) -> float:
    """Sum of InvocationsPerInstance from `oldest` to `newest` seconds ago."""
    now = time.monotonic()
    with _lock:
        slots = _slots.get(key, ())
        return sum(share for at, share in slots if now - oldest <= at < now - newest)


def forget(account: str, region: str, endpoint: str) -> None:
    """Drop what is known of an endpoint that is gone."""
    with _lock:
        for key in [key for key in _slots if key[:3] == (account, region, endpoint)]:
            del _slots[key]
