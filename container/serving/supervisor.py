"""The first process: binds the port, forks the workers, replaces those that die, ends them all at SIGTERM.

It imports nothing of the user's and holds no thread, so that forking is safe at any time and cheap: the
server's own modules are loaded once and shared. As process 1 of a container it also takes the orphans.
"""

from __future__ import annotations

import contextlib
import gc
import os
import selectors
import signal
import socket
import sys
import time
from types import FrameType

from . import log
from .board import BEAT, CONNECTIONS, DEAD, QUEUE, RESTARTS, STATE, Board
from .errors import SettingsError
from .settings import Settings

# A worker that lived less than this did not die of a request; its successor waits longer each time.
YOUNG_SECONDS = 10.0
PAUSES = (0.0, 0.25, 0.5, 1.0, 2.0)
# Beyond the limit of one invocation: the event loop itself hangs.
HANGING_SECONDS = 5.0
# After the workers' own grace period.
KILL_SECONDS = 2.0


class _Child:
    """A worker as the supervisor sees it."""

    def __init__(self, at: int) -> None:
        self.at = at
        self.pid = 0
        self.tell = -1
        self.heard = b""
        self.started = 0.0
        self.quick_deaths = 0
        self.due = 0.0
        self.ready = False


class Supervisor:
    """The workers of one container."""

    def __init__(self, settings: Settings, listening: socket.socket) -> None:
        self._settings = settings
        self._listening = listening
        self._board = Board(settings.workers)
        self._children = [_Child(at) for at in range(settings.workers)]
        self._selector = selectors.DefaultSelector()
        self._lifeline = os.pipe()
        self._begun = time.monotonic()
        self._was_ready = False
        self._stopping = 0.0
        self._failed = False

    def run(self) -> int:
        """Until SIGTERM; the exit code."""
        wake, woken = socket.socketpair()
        for end in (wake, woken):
            end.setblocking(False)
        signal.set_wakeup_fd(woken.fileno(), warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD):
            signal.signal(number, self._on_signal)
        self._selector.register(wake, selectors.EVENT_READ, None)
        gc.freeze()
        while True:
            self._reap()
            now = time.monotonic()
            if self._stopping:
                if not any(child.pid for child in self._children):
                    break
                if now > self._stopping + self._settings.grace + KILL_SECONDS:
                    self._signal(signal.SIGKILL)
            else:
                self._start_due(now)
                self._kill_hanging(now)
            for key, _ in self._selector.select(self._wait(now)):
                if key.data is None:
                    with contextlib.suppress(BlockingIOError):
                        wake.recv(4096)
                else:
                    self._hear(key.data)
        if self._failed:
            return 1
        log.write("stopped")
        return 0

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        if number != signal.SIGCHLD:
            self._stop()

    def _stop(self) -> None:
        if not self._stopping:
            self._stopping = time.monotonic()
            self._listening.close()
            self._signal(signal.SIGTERM)

    def _signal(self, number: int) -> None:
        for child in self._children:
            if child.pid:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(child.pid, number)

    def _wait(self, now: float) -> float:
        due = [child.due - now for child in self._children if not child.pid and not self._stopping]
        return max(0.0, min([1.0, *due]))

    # --- workers

    def _start_due(self, now: float) -> None:
        for child in self._children:
            if not child.pid and child.due <= now and not self._stopping:
                self._start(child)

    def _start(self, child: _Child) -> None:
        heard, tell = os.pipe()
        child.started, child.ready, child.heard = time.monotonic(), False, b""
        slot = self._board.slots[child.at]
        slot.beat()
        # A signal between the fork and the worker's own handlers must not be lost.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
        pid = os.fork()
        if pid == 0:
            os.close(heard)
            self._work(child.at, tell)
        os.close(tell)
        os.set_blocking(heard, False)
        child.pid, child.tell = pid, heard
        self._selector.register(heard, selectors.EVENT_READ, child)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM, signal.SIGINT})

    def _work(self, at: int, tell: int) -> None:
        """In the child; never returns."""
        code = 1
        try:
            signal.set_wakeup_fd(-1)
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD):
                signal.signal(number, signal.SIG_DFL)
            os.close(self._lifeline[1])
            self._selector.close()
            for child in self._children:
                if child.pid:
                    os.close(child.tell)
            from .worker import Worker

            worker = Worker(at, self._settings, self._board, self._listening, tell, self._lifeline[0])
            code = worker.run()
        except BaseException as error:  # noqa: BLE001  it must not go on as a second supervisor
            log.write("error", error=f"{type(error).__name__}: {error}", worker=at)
        finally:
            # Not sys.exit: threads of libraries may run, and what the supervisor was about to do is not ours.
            os._exit(code)

    def _hear(self, child: _Child) -> None:
        try:
            data = os.read(child.tell, 8192)
        except BlockingIOError:
            return
        child.heard += data
        if b"\n" not in child.heard:
            if not data:
                self._selector.unregister(child.tell)
            return
        self._selector.unregister(child.tell)
        text = child.heard.decode("utf-8", "replace").partition("\n")[0]
        if text == "ready":
            child.ready = True
            if not self._was_ready and all(each.ready for each in self._children):
                self._was_ready = True
                log.write(
                    "ready",
                    port=self._settings.port,
                    workers=self._settings.workers,
                    threads=self._settings.threads,
                    load_seconds=round(time.monotonic() - self._begun, 3),
                )
        else:
            self._load_failed(text)

    def _load_failed(self, reason: str) -> None:
        """At the start this is the end: the health check would fail anyhow, and so at once, with a reason."""
        if self._failed or self._stopping:
            return
        log.write("failed", reason=reason)
        if not self._was_ready:
            self._failed = True
            self._stop()

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            for child in self._children:
                if child.pid == pid:
                    self._ended(child, os.waitstatus_to_exitcode(status))

    def _ended(self, child: _Child, code: int) -> None:
        if not child.heard and child.tell in self._selector.get_map():
            self._hear(child)  # its last words
        with contextlib.suppress(KeyError):
            self._selector.unregister(child.tell)
        os.close(child.tell)
        pid, child.pid = child.pid, 0
        view = self._board.slots[child.at].view
        view[STATE], view[CONNECTIONS], view[QUEUE] = DEAD, 0, 0
        if self._stopping:
            return
        now = time.monotonic()
        young = now - child.started < YOUNG_SECONDS
        child.quick_deaths = child.quick_deaths + 1 if young else 0
        pause = PAUSES[min(child.quick_deaths, len(PAUSES) - 1)]
        child.due = now + pause
        view[RESTARTS] += 1
        how = {"signal": signal.Signals(-code).name} if code < 0 else {"exit_code": code}
        log.write("worker_died", worker=child.at, pid=pid, **how, next_in_seconds=pause)
        if child.quick_deaths > len(PAUSES):
            log.write("failed", reason=f"worker {child.at} died {child.quick_deaths} times in a row")
            self._failed = True
            self._stop()

    def _kill_hanging(self, now: float) -> None:
        for child in self._children:
            silent = now - self._board.slots[child.at].view[BEAT]
            if child.ready and child.pid and silent > self._settings.timeout + HANGING_SECONDS:
                log.write("hanging", worker=child.at, pid=child.pid, seconds=round(silent, 1))
                with contextlib.suppress(ProcessLookupError):
                    os.kill(child.pid, signal.SIGKILL)


def bind(host: str, port: int) -> socket.socket:
    """The listening socket. Raises OSError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    made = socket.socket(family, socket.SOCK_STREAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        made.bind((host, port))
        made.listen(1024)
    except OSError:
        made.close()
        raise
    made.setblocking(False)
    return made


def main() -> int:
    """Read the environment, serve until SIGTERM; the exit code."""
    try:
        settings = Settings.read()
    except SettingsError as error:
        log.write("failed", reason=str(error))
        return 1
    try:
        listening = bind(settings.host, settings.port)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        log.write("failed", reason=f"{settings.host} port {settings.port}: {reason}")
        return 1
    os.environ.update(settings.thread_variables(os.environ))
    # Loaded before the forks: once, and shared.
    from . import worker  # noqa: F401

    sys.stdout.flush()
    return Supervisor(settings, listening).run()
