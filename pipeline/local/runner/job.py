"""Run a program to its end, its time limit or its stop, whichever comes first."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import Literal

from pipeline.local.runner import registry
from pipeline.local.runner.model import Log, Program, Runner

STOP_GRACE_SECONDS = 120.0  # what SageMaker gives a job between SIGTERM and SIGKILL


@dataclass(frozen=True)
class Outcome:
    """How a program ended.

    Args:
        exit_code: its own, or 128+N when signal N ended it.
        because: `exited` by itself, ended by the `timeout`, or `stopped` on request.
        seconds: wall-clock time it ran.
        oom: it was killed because it used up its memory.
        lost: why its runner lost it, through no fault of its own; else empty.
    """

    exit_code: int
    because: Literal["exited", "timeout", "stopped"]
    seconds: float
    oom: bool = False
    lost: str = ""


class StopRequest:
    """Lets another thread stop a job, before it starts or while it runs."""

    def __init__(self) -> None:
        self._wake = threading.Event()
        self._asked = False
        self.grace: float | None = None

    def ask(self, grace: float | None = None) -> None:
        """Stop the job; safe at any time, more than once. `grace` replaces the job's own."""
        self.grace = grace
        self._asked = True
        self._wake.set()

    def withdraw(self) -> None:
        """As if nothing had been asked, so that another program can be run."""
        self._asked, self.grace = False, None
        self._wake.clear()

    @property
    def asked(self) -> bool:
        """Whether a stop was asked for."""
        return self._asked

    def wake(self) -> None:
        """End `wait` early, without asking for a stop."""
        self._wake.set()

    def wait(self, timeout: float | None) -> None:
        """Until `ask` or `wake`, or `timeout` seconds."""
        self._wake.wait(timeout)


def run_job(
    program: Program,
    log: Log,
    *,
    stop: StopRequest | None = None,
    max_seconds: float | None = None,
    grace: float = STOP_GRACE_SECONDS,
    runner: Runner | None = None,
) -> Outcome:
    """Run `program`, giving `log` each line it prints; returns when neither it nor a child of it is left.

    Args:
        stop: through which another thread may stop it.
        max_seconds: SIGTERM after so many seconds, SIGKILL `grace` seconds later.
        grace: seconds between SIGTERM and SIGKILL; a program that ends sooner is not waited for.

    Raises:
        CannotStart: the image has nothing to run, or its requirements cannot be installed.
    """
    runner = runner or registry.current()
    stop = stop or StopRequest()
    begun = time.monotonic()
    running = runner.start(program, log)
    running.when_ended(stop.wake)
    stop.wait(max_seconds)
    because: Literal["exited", "timeout", "stopped"] = "exited"
    if stop.asked and running.alive():
        because = "stopped"
    elif running.wait(0) is None:
        because = "timeout"
    if because != "exited":
        running.signal_stop()
        if running.wait(grace if stop.grace is None else stop.grace) is None:
            running.kill()
    code = running.wait()
    assert code is not None
    return Outcome(code, because, time.monotonic() - begun, running.oom, running.lost)
