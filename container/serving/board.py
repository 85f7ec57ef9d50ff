"""What the workers tell each other and the supervisor: states, heartbeats and counts, in shared memory.

One slot of float64 a worker, written by that worker alone (its state also by the supervisor, once it is
dead); so nothing is locked. Counts outlive a worker: its successor goes on from them.
"""

from __future__ import annotations

import mmap
import time
from bisect import bisect_left

STARTING, READY, DEAD = 0.0, 1.0, 2.0
STATE, BEAT, CONNECTIONS, QUEUE, GOOD, REFUSED, FAILED, SECONDS, BYTES_IN, BYTES_OUT, RESTARTS, DROPPED = (
    range(12)
)
BUCKETS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0)
_HISTOGRAM = 12
_WIDTH = _HISTOGRAM + len(BUCKETS) + 1


class Slot:
    """One worker's part of the board."""

    __slots__ = ("view",)

    def __init__(self, view: memoryview[float]) -> None:
        self.view = view

    def beat(self) -> None:
        self.view[BEAT] = time.monotonic()

    def count(self, status: int, seconds: float, bytes_in: int, bytes_out: int) -> None:
        """One invocation answered."""
        view = self.view
        view[GOOD if status < 400 else REFUSED if status < 500 else FAILED] += 1
        view[SECONDS] += seconds
        view[BYTES_IN] += bytes_in
        view[BYTES_OUT] += bytes_out
        view[_HISTOGRAM + bisect_left(BUCKETS, seconds)] += 1


class Board:
    """The slots of all workers. To be made before the first fork."""

    def __init__(self, workers: int) -> None:
        self._memory = mmap.mmap(-1, workers * _WIDTH * 8)
        view = memoryview(self._memory).cast("d")
        self.slots = [Slot(view[at * _WIDTH : (at + 1) * _WIDTH]) for at in range(workers)]

    @property
    def healthy(self) -> bool:
        """Whether every worker lives and has its model."""
        return all(slot.view[STATE] == READY for slot in self.slots)

    def metrics(self) -> str:
        """All workers' counts together, in Prometheus's text format."""
        total = [sum(slot.view[at] for slot in self.slots) for at in range(_WIDTH)]
        ready = sum(slot.view[STATE] == READY for slot in self.slots)
        lines = [
            *_metric("serving_workers", "gauge", "Workers that should run.", len(self.slots)),
            *_metric("serving_workers_ready", "gauge", "Workers that have their model.", ready),
            *_metric("serving_worker_restarts_total", "counter", "Workers replaced.", total[RESTARTS]),
            *_metric("serving_connections", "gauge", "Open connections.", total[CONNECTIONS]),
            *_metric("serving_queue", "gauge", "Invocations waiting or at work in threads.", total[QUEUE]),
            *_metric("serving_log_lines_dropped_total", "counter", "Log lines nobody took.", total[DROPPED]),
            *_metric("serving_received_bytes_total", "counter", "Bodies in.", total[BYTES_IN]),
            *_metric("serving_sent_bytes_total", "counter", "Bodies out.", total[BYTES_OUT]),
            "# HELP serving_invocations_total Invocations answered, by the kind of status.",
            "# TYPE serving_invocations_total counter",
        ]
        for label, field in (("2xx", GOOD), ("4xx", REFUSED), ("5xx", FAILED)):
            lines.append(f'serving_invocations_total{{status="{label}"}} {total[field]:.0f}')
        name = "serving_invocation_seconds"
        lines += [f"# HELP {name} From the whole request to its answer.", f"# TYPE {name} histogram"]
        below = 0.0
        for bound, count in zip((*BUCKETS, "+Inf"), total[_HISTOGRAM:], strict=True):
            below += count
            lines.append(f'{name}_bucket{{le="{bound}"}} {below:.0f}')
        lines += [f"{name}_sum {total[SECONDS]:.6f}", f"{name}_count {below:.0f}"]
        return "\n".join(lines) + "\n"


def _metric(name: str, kind: str, text: str, value: float) -> list[str]:
    return [f"# HELP {name} {text}", f"# TYPE {name} {kind}", f"{name} {value:.0f}"]
