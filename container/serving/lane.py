"""Where the user's functions run: one thread of the worker, one request at a time.

Scripts are written for a server that has one request at a time in a process, and libraries may insist on
the thread that loaded the model. So there is one thread for both; the loop stays free for /ping and for what
comes in. Calling quick models in the loop itself was measured, and was not cheaper (docs/decisions/0011).

With SERVING_BATCH_REQUESTS, requests that wait are predicted together, as one array.
"""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from .answers import Answer, failure, invoke, refusal
from .batches import answer_together
from .board import QUEUE, Slot

if TYPE_CHECKING:
    from .connection import Request
    from .log import Log
    from .plugin import Plugin
    from .settings import Settings

# Bodies that wait, together, as a multiple of the largest that is taken.
_WAITING_BODIES = 16


class Lane:
    """Requests to the user's functions.

    Args:
        load: makes the plugin; called first thing in the thread.
        loaded: called in the loop with the plugin, or the exception.
        stuck: called in the loop when a call takes longer than allowed and will not be waited for.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        settings: Settings,
        slot: Slot,
        log: Log,
        load: Callable[[], Plugin],
        loaded: Callable[[Plugin | BaseException], None],
        stuck: Callable[[], None],
    ) -> None:
        self._loop, self._settings, self._slot, self._log = loop, settings, slot, log
        self._load, self._loaded, self._stuck = load, loaded, stuck
        self._jobs: queue.SimpleQueue[Request] = queue.SimpleQueue()
        self._pending = 0
        self._pending_bytes = 0
        self._running: tuple[float, list[Request]] | None = None
        self._is_stuck = False
        self.plugin: Plugin | None = None
        self._thread = threading.Thread(target=self._work, name="model", daemon=True)
        self._thread.start()

    def call(self, request: Request) -> Answer | None:
        """The answer, or None when it will come through `request.connection.finish`."""
        if self.plugin is None:
            return refusal(503, "the model is being loaded", ("Retry-After", "1"))
        size = len(request.body)
        too_large = self._pending_bytes + size > _WAITING_BODIES * self._settings.max_body
        if self._is_stuck or self._pending >= self._settings.max_queue or (self._pending and too_large):
            return refusal(503, "too many requests are waiting", ("Retry-After", "1"))
        self._pending += 1
        self._pending_bytes += size
        self._slot.view[QUEUE] = self._pending
        self._jobs.put(request)
        return None

    def sweep(self) -> None:
        """Every half second: end what takes too long."""
        running = self._running
        if running is None or self._is_stuck or time.perf_counter() - running[0] < self._settings.timeout:
            return
        # A thread cannot be stopped: the caller is answered, and the process goes.
        self._is_stuck = True
        text = f"no answer from the model within {self._settings.timeout:g} s"
        for request in running[1]:
            request.connection.finish(request, refusal(504, text))
        while True:
            try:
                request = self._jobs.get_nowait()
            except queue.Empty:
                break
            request.connection.finish(request, refusal(503, "the model does not answer; try again"))
        self._stuck()

    def join(self, seconds: float) -> None:
        """Wait for the thread to come to rest, when the process is to end while the model loads."""
        deadline = time.monotonic() + seconds
        while self.plugin is None and self._thread.is_alive() and time.monotonic() < deadline:
            time.sleep(0.01)

    def _work(self) -> None:
        try:
            plugin = self._load()
        except BaseException as error:  # noqa: BLE001  whatever it was, the worker must end and say so
            self._loop.call_soon_threadsafe(self._loaded, error)
            return
        self.plugin = plugin
        self._loop.call_soon_threadsafe(self._loaded, plugin)
        while True:
            requests = self._next(plugin)
            self._running = (time.perf_counter(), requests)
            if len(requests) == 1:
                answers = [self._one(plugin, requests[0])]
            else:
                answers = answer_together(plugin, requests, self._log)
            self._running = None
            self._loop.call_soon_threadsafe(self._done, requests, answers)

    def _one(self, plugin: Plugin, request: Request) -> Answer:
        if time.perf_counter() - request.started > self._settings.timeout:
            return refusal(503, "the request waited too long for its turn")
        if request.connection.gone:
            return Answer(499, "text/plain", b"", (), "the caller went away")
        try:
            return invoke(plugin, request, self._log)
        except BaseException as error:  # noqa: BLE001  the thread must live
            return failure(error, self._log)

    def _next(self, plugin: Plugin) -> list[Request]:
        """The next request, or with batching those that wait or come within the window."""
        requests = [self._jobs.get()]
        most = self._settings.batch_requests
        if most and plugin.can_batch:
            deadline = time.monotonic() + self._settings.batch_seconds
            while len(requests) < most:
                try:
                    requests.append(self._jobs.get(timeout=max(0.0, deadline - time.monotonic())))
                except queue.Empty:
                    break
        return requests

    def _done(self, requests: list[Request], answers: list[Answer]) -> None:
        self._pending -= len(requests)
        self._pending_bytes -= sum(len(request.body) for request in requests)
        self._slot.view[QUEUE] = self._pending
        for request, answer in zip(requests, answers, strict=True):
            request.connection.finish(request, answer)
