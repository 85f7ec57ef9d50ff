"""A build that must end now: whoever asks, its shells are killed, and the phase says why."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from pipeline.local.codebuild.shell import Shell

STOPPED, TIMED_OUT = "STOPPED", "TIMED_OUT"


class Interrupt:
    """Shared by the thread that carries a build out and by whoever may end it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._shells: set[Shell] = set()
        self.why = ""

    def ask(self, why: str) -> None:
        """End the build: STOPPED or TIMED_OUT. The first reason holds."""
        with self._lock:
            self.why = self.why or why
            shells = list(self._shells)
        for shell in shells:
            shell.kill()

    @contextmanager
    def over(self, shell: Shell) -> Iterator[Shell]:
        """Let `ask` reach a shell while it is used."""
        with self._lock:
            self._shells.add(shell)
            late = bool(self.why)
        try:
            if late:
                shell.kill()
            yield shell
        finally:
            with self._lock:
                self._shells.discard(shell)
