"""Structured log: one JSON object a line on standard output, which becomes the endpoint's log group."""

from __future__ import annotations

import json
import os
import threading
import time
from collections import deque
from typing import Any

from .board import DROPPED, Slot

# Lines gather this long, so that a busy server writes ten times a second and not ten thousand times.
GATHER_SECONDS = 0.1
# When nobody reads standard output, lines are dropped and counted: a stuck log must not stop the answers.
MOST_LINES = 50_000


def line(event: str, **facts: Any) -> str:
    """One event as it is written."""
    return json.dumps({"event": event, "time": round(time.time(), 3), **facts}, default=str) + "\n"


def write(event: str, **facts: Any) -> None:
    """Write an event at once."""
    _write_all(line(event, **facts).encode())


def _write_all(data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(1, rest) :]


class Log:
    """A worker's log: lines are put down at once and written by a thread of its own."""

    def __init__(self, slot: Slot) -> None:
        self._slot = slot
        self._lines: deque[str] = deque()
        self._some = threading.Event()
        self._told = False
        self._guard = threading.Lock()
        threading.Thread(target=self._work, name="log", daemon=True).start()

    def put(self, text: str) -> None:
        """Add a whole line."""
        lines = self._lines
        if len(lines) >= MOST_LINES:
            self._slot.view[DROPPED] += 1
            return
        lines.append(text)
        if not self._told:
            self._told = True
            self._some.set()

    def event(self, event: str, **facts: Any) -> None:
        self.put(line(event, **facts))

    def flush(self, seconds: float = 1.0) -> None:
        """Write what is there; give up after `seconds` when nobody reads it."""
        thread = threading.Thread(target=self._write, daemon=True)
        thread.start()
        thread.join(seconds)

    def _work(self) -> None:
        while True:
            self._some.wait()
            time.sleep(GATHER_SECONDS)
            self._write()

    def _write(self) -> None:
        with self._guard:
            # Before the lines are taken: one that comes after sets both again.
            self._some.clear()
            self._told = False
            lines = [self._lines.popleft() for _ in range(len(self._lines))]
            if lines:
                _write_all("".join(lines).encode("utf-8", "backslashreplace"))
