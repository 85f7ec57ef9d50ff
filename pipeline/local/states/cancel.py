"""Stopping work in progress: a tree of scopes that wakes every wait below it.

The execution is the root, every branch and iteration a child. StopExecution, a timeout or a failed sibling
cancels a scope: waits in it and below raise `Stopped` at once, and integrations then stop their jobs.
"""

from __future__ import annotations

import threading
import time

ABORTED = "aborted"
TIMED_OUT = "timed_out"
SIBLING_FAILED = "sibling_failed"


class Stopped(Exception):
    """This line of the execution must end now. `reason` is ABORTED, TIMED_OUT or SIBLING_FAILED."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Signal:
    """One thing to wait for: set once by `finish` (any thread), woken as well by a scope's cancellation."""

    def __init__(self) -> None:
        self.event = threading.Event()
        self.finished = False

    def finish(self) -> None:
        self.finished = True
        self.event.set()

    def clear(self) -> None:
        """Make it reusable: the producer may finish it again."""
        self.finished = False
        self.event.clear()


class Scope:
    """A cancellable line of work.

    Args:
        parent: the scope whose cancellation includes this one; None for an execution.
        deadline: time.monotonic() at which the execution's TimeoutSeconds pass; only for the root.
    """

    def __init__(self, parent: Scope | None = None, deadline: float | None = None) -> None:
        self._lock = threading.Lock()
        self._children: set[Scope] = set()
        self._waiting: set[Signal] = set()
        self._reason = ""
        self._parent = parent
        self.deadline: float | None = deadline if parent is None else parent.deadline
        self._root: Scope = self if parent is None else parent._root
        if parent is not None:
            parent._adopt(self)

    def _adopt(self, child: Scope) -> None:
        with self._lock:
            self._children.add(child)
            reason = self._reason
        if reason:
            child.cancel(reason)

    def close(self) -> None:
        """Forget a finished branch."""
        if self._parent is not None:
            with self._parent._lock:
                self._parent._children.discard(self)

    @property
    def cancelled(self) -> bool:
        return bool(self._reason)

    def cancel(self, reason: str) -> None:
        """Never blocks and makes no calls, so it is safe on the server's event loop."""
        with self._lock:
            if self._reason:
                return
            self._reason = reason
            children, waiting = list(self._children), list(self._waiting)
        for signal in waiting:
            signal.event.set()
        for child in children:
            child.cancel(reason)

    def check(self) -> None:
        """Raise Stopped if the line must end; costs next to nothing otherwise."""
        if self.deadline is not None and not self._reason and time.monotonic() >= self.deadline:
            self._root.cancel(TIMED_OUT)
        if self._reason:
            raise Stopped(self._reason)

    def wait(self, signal: Signal, timeout: float | None = None) -> bool:
        """True once the signal finished, False after `timeout` seconds; raises Stopped when cancelled."""
        with self._lock:
            self._waiting.add(signal)
            if self._reason:
                signal.event.set()
        try:
            until = None if timeout is None else time.monotonic() + timeout
            while True:
                limits = [at for at in (until, self.deadline) if at is not None]
                signal.event.wait(max(0.0, min(limits) - time.monotonic()) if limits else None)
                if signal.finished:
                    return True
                self.check()
                if until is not None and time.monotonic() >= until:
                    return False
        finally:
            with self._lock:
                self._waiting.discard(signal)

    def sleep(self, seconds: float) -> None:
        """Wait `seconds`; raises Stopped when cancelled meanwhile."""
        if seconds > 0:
            self.wait(Signal(), seconds)
        else:
            self.check()
