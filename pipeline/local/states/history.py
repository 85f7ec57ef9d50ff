"""An execution's history: numbered events, each naming the one before it in its own line.

The execution is one line; every branch of a Parallel and every iteration of a Map is a line of its own that
starts where its parent stood. `previousEventId` follows lines, `id` follows time.
"""

from __future__ import annotations

import threading
from typing import Any

from pipeline.local.states.clock import now_iso
from pipeline.local.states.errors import RUNTIME, StateFailure

# AWS: "Maximum execution history size: 25,000 events in a single state machine execution history".
EVENT_LIMIT = 25_000
INCLUDED = {"truncated": False}


class History:
    """The events of one execution, in the list that GetExecutionHistory reads."""

    def __init__(self, events: list[dict[str, Any]]) -> None:
        self.events = events
        self._lock = threading.Lock()
        self._closed = False

    def append(self, previous: int, kind: str, details: dict[str, Any] | None, key: str) -> int:
        """Add an event and return its id; 0 once the execution has ended: then nothing is recorded."""
        event: dict[str, Any] = {"timestamp": now_iso(), "type": kind, "id": 0, "previousEventId": previous}
        if details is not None:
            event[key] = details
        with self._lock:
            if self._closed:
                return 0
            if len(self.events) >= EVENT_LIMIT:
                raise StateFailure(
                    RUNTIME, f"The execution reached the maximum number of history events ({EVENT_LIMIT})."
                )
            event["id"] = len(self.events) + 1
            self.events.append(event)
            return int(event["id"])

    def close(self, kind: str, details: dict[str, Any], previous: int) -> None:
        """Add the last event; whoever comes later is ignored."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            self.events.append(
                {
                    "timestamp": now_iso(),
                    "type": kind,
                    "id": len(self.events) + 1,
                    "previousEventId": previous,
                    f"{kind[0].lower()}{kind[1:]}EventDetails": details,
                }
            )


class Line:
    """One chain of events: the execution itself, a branch, or an iteration."""

    def __init__(self, history: History, last: int = 0) -> None:
        self.history = history
        self.last = last

    def branch(self) -> Line:
        return Line(self.history, self.last)

    def add(
        self, kind: str, details: dict[str, Any] | None = None, *, key: str = "", advance: bool = True
    ) -> int:
        """Record an event of this line.

        Args:
            key: the details' member; by default the event type with a small first letter + EventDetails.
            advance: whether later events of the line follow this one. AWS lets them not follow the
                Succeeded and Failed events of iterations, nor MapStateSucceeded and ParallelStateSucceeded.
        """
        number = self.history.append(
            self.last, kind, details, key or f"{kind[0].lower()}{kind[1:]}EventDetails"
        )
        if advance and number:
            self.last = number
        return number

    def entered(self, kind: str, name: str, text: str) -> int:
        details = {"name": name, "input": text, "inputDetails": INCLUDED}
        return self.add(f"{kind}StateEntered", details, key="stateEnteredEventDetails")

    def exited(self, kind: str, name: str, text: str, assigned: dict[str, str] | None) -> int:
        details: dict[str, Any] = {"name": name, "output": text, "outputDetails": INCLUDED}
        if assigned:
            details["assignedVariables"] = assigned
            details["assignedVariablesDetails"] = INCLUDED
        return self.add(f"{kind}StateExited", details, key="stateExitedEventDetails")
