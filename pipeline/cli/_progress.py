"""What a long job says of itself while it is followed: the newest line of its log, every now and then."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipeline.aws import Clients
    from pipeline.execution.follow import Step
    from pipeline.execution.history import Visit
    from pipeline.execution.logs import Source

# A job that is over sooner needs no words; one that takes hours is not to fill the screen.
EVERY_SECONDS = 10.0
LONGEST = 160


class Progress:
    """Looks at the logs of the jobs that run, each at most every EVERY_SECONDS.

    Args:
        clock: monotonic seconds.
    """

    def __init__(self, clients: Clients, clock: Callable[[], float] = time.monotonic) -> None:
        self._clients, self._clock = clients, clock
        self._due: dict[int, float] = {}
        self._newest: dict[tuple[int, Source], int] = {}
        self._silent = False

    def lines(self, step: Step) -> list[str]:
        """`Train: epoch 3, loss 0.2`: one for each job that has said something new since the last time."""
        from pipeline.errors import TargetError

        running = [v for v in step.timeline.visits if v.status == "running" and v.jobs]
        try:
            return [f"{visit.name}: {text}" for visit in running for text in self._said(visit)]
        except TargetError:
            # Who may start a run may be forbidden its logs; the run is followed all the same.
            self._silent = True
            return []

    def _said(self, visit: Visit) -> Iterator[str]:
        from pipeline.execution import logs

        now = self._clock()
        if self._silent or now < self._due.setdefault(id(visit), now + EVERY_SECONDS):
            return
        self._due[id(visit)] = now + EVERY_SECONDS
        last = None
        for source in logs.sources_of(visit, self._clients):
            key = (id(visit), source)
            found = logs.read(self._clients, source, self._newest.get(key, -1) + 1 or None)
            if found:
                self._newest[key] = max(line.time for line in found)
                # What a program prints goes before what its surroundings say, which is the later source.
                last = last or found[-1].text
        if last:
            yield last if len(last) <= LONGEST else f"{last[: LONGEST - 3]}..."
