"""A worker process: an event loop, its connections, and the model behind them."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import socket
import sys
import time
import traceback
from email.utils import formatdate
from http import HTTPStatus
from json import dumps
from pathlib import Path

from . import metrics, plugin, users
from .answers import JSON, Answer, refusal
from .board import CONNECTIONS, READY, STARTING, STATE, Board
from .connection import Connection, Request
from .errors import LoadError
from .lane import Lane
from .log import Log
from .settings import Settings

try:
    import uvloop
except ImportError:  # not made for this platform
    uvloop = None

LOAD_FAILED, STUCK = 3, 4
SWEEP_SECONDS = 0.5
# What was already on its way when SIGTERM came is answered.
LAST_CALL_SECONDS = 0.05
_METHODS = {
    "/ping": (b"GET", b"HEAD"),
    "/invocations": (b"POST",),
    "/execution-parameters": (b"GET", b"HEAD"),
    "/metrics": (b"GET", b"HEAD"),
}
_REASONS = {status.value: status.phrase for status in HTTPStatus}


class Worker:
    """Serves on an open socket until SIGTERM, or until the supervisor is gone.

    Args:
        at: the worker's number, its slot on the board.
        listening: the socket that all workers share.
        tell: file descriptor on which the supervisor reads one line: `ready`, or why the model cannot load.
        lifeline: file descriptor that is at its end once the supervisor has died.
    """

    def __init__(
        self, at: int, settings: Settings, board: Board, listening: socket.socket, tell: int, lifeline: int
    ) -> None:
        self.settings, self.board, self.slot = settings, board, board.slots[at]
        self.log = Log(self.slot)
        self.draining = False
        self.heads: dict[str, bytes] = {}
        self._at, self._listening, self._tell, self._lifeline = at, listening, tell, lifeline
        self._connections: set[Connection] = set()
        self._code = 0
        self._loop = uvloop.new_event_loop() if uvloop else asyncio.new_event_loop()
        self.now = self._loop.time()
        self._parameters = dumps(settings.execution_parameters()).encode()
        self._server: asyncio.AbstractServer | None = None
        self._lane: Lane | None = None
        self._ended = asyncio.Event()

    def run(self) -> int:
        """The exit code: 0 drained, LOAD_FAILED, STUCK."""
        asyncio.set_event_loop(self._loop)
        self.slot.view[STATE] = STARTING
        self._loop.run_until_complete(self._run())
        metrics.write(self.log)
        self.log.flush()
        return self._code

    async def _run(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            self._loop.add_signal_handler(number, self.drain)
        # The supervisor blocked them until there was somebody to hear them.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM, signal.SIGINT})
        self._loop.add_reader(self._lifeline, self._orphaned)
        self._sweep()
        self._lane = Lane(
            self._loop, self.settings, self.slot, self.log, self._load, self._loaded, self._stuck
        )
        self._server = await self._loop.create_server(lambda: Connection(self), sock=self._listening)
        await self._ended.wait()

    # --- requests

    def answer(self, request: Request) -> Answer | None:
        """The answer to any request; None when the model will give it later."""
        url = request.url
        path = "/invocations" if url == b"/invocations" else _path(url)
        methods = _METHODS.get(path)
        if methods is None:
            return refusal(404, f"{path[:200]} is not served; {', '.join(_METHODS)} are")
        if request.method not in methods:
            allowed = ", ".join(method.decode() for method in methods)
            told = f"{path} takes {allowed}, not {request.method.decode('latin-1')}"
            return refusal(405, told, ("Allow", allowed))
        assert self._lane is not None
        if path == "/invocations":
            return self._lane.call(request)
        if path == "/ping":
            if self.board.healthy and not self.draining:
                return Answer(200, JSON, b'{"status": "healthy"}')
            return refusal(
                503, "the model is being loaded" if self._lane.plugin is None else "not all workers live"
            )
        if path == "/metrics":
            return Answer(200, "text/plain; version=0.0.4", self.board.metrics().encode())
        return Answer(200, JSON, self._parameters)

    def record(self, request: Request, answer: Answer) -> None:
        """Count and log a request that was answered."""
        seconds = time.perf_counter() - request.started
        url, status = request.url, answer.status
        is_invocation = url == b"/invocations"
        if is_invocation:
            self.slot.count(status, seconds, len(request.body), len(answer.body))
        wanted = self.settings.access_log
        if wanted == "off" or (wanted == "errors" and status < 400):
            return
        if is_invocation and status == 200 and b"x-amzn-sagemaker-inference-id" not in request.headers:
            self.log.put(
                f'{{"event": "request", "time": {time.time():.3f}, "method": "POST", "path": "/invocations", '
                f'"status": 200, "ms": {seconds * 1000:.3f}, "bytes_in": {len(request.body)}, '
                f'"bytes_out": {len(answer.body)}, "worker": {self._at}}}\n'
            )
        # Health checks come every few seconds; a good one is no news.
        elif status not in (200, 503) or not url.startswith(b"/ping"):
            facts = {"error": answer.error} if answer.error else {}
            inference_id = request.headers.get(b"x-amzn-sagemaker-inference-id")
            if inference_id is not None:
                facts["inference_id"] = inference_id.decode("latin-1")
            self.log.event(
                "request",
                method=request.method.decode("latin-1"),
                path=_path(url)[:200],
                status=status,
                ms=round(seconds * 1000, 3),
                bytes_in=len(request.body),
                bytes_out=len(answer.body),
                worker=self._at,
                **facts,
            )

    def head(self, content_type: str) -> bytes:
        """All of a good answer's head but the length; made once a second, for the date."""
        made = (
            f"HTTP/1.1 200 OK\r\nDate: {formatdate(usegmt=True)}\r\n"
            f"Content-Type: {_clean(content_type)}\r\nContent-Length: "
        ).encode("latin-1", "replace")
        if len(self.heads) < 64:
            self.heads[content_type] = made
        return made

    def full_head(self, answer: Answer, connection: str) -> bytes:
        """A whole head, for whatever is not quite usual."""
        lines = [
            f"HTTP/1.1 {answer.status} {_REASONS.get(answer.status, 'Status')}",
            f"Date: {formatdate(usegmt=True)}",
            f"Content-Type: {_clean(answer.content_type)}",
            *(f"{_clean(name)}: {_clean(value)}" for name, value in answer.headers),
            f"Content-Length: {len(answer.body)}",
            *([f"Connection: {connection}"] if connection else []),
        ]
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1", "replace")

    # --- connections

    def admit(self, connection: Connection) -> bool:
        """Take note of a new connection; False when there are too many."""
        self._connections.add(connection)
        self.slot.view[CONNECTIONS] = len(self._connections)
        return len(self._connections) <= self.settings.max_connections

    def dismiss(self, connection: Connection) -> None:
        self._connections.discard(connection)
        self.slot.view[CONNECTIONS] = len(self._connections)
        if self.draining and not self._connections:
            self._end()

    def _sweep(self) -> None:
        self.now = self._loop.time()
        self.slot.beat()
        self.heads.clear()
        metrics.write(self.log)
        for connection in list(self._connections):
            connection.sweep(self.now)
        if self._lane is not None:
            self._lane.sweep()
        self._loop.call_later(SWEEP_SECONDS, self._sweep)

    # --- beginning and end

    def _load(self) -> plugin.Plugin:
        settings = self.settings
        program_dir = Path(sys.argv[0]).resolve().parent
        made = plugin.load(settings.program, settings.model_dir, program_dir, settings.default_accept)
        users.become(settings.user)
        # What the model is made of need not be looked through at each collection.
        gc.collect()
        gc.freeze()
        return made

    def _loaded(self, made: plugin.Plugin | BaseException) -> None:
        if isinstance(made, BaseException):
            known = isinstance(made, LoadError)
            reason = str(made) if known else f"{type(made).__name__}: {made}"
            if not known:
                self.log.event("error", error=reason, traceback=traceback.format_exception(made))
            self._say(reason.replace("\n", "; ") or "the model cannot be loaded")
            self._code = LOAD_FAILED
            self._end()
            return
        self.slot.view[STATE] = READY
        self._say("ready")

    def _say(self, text: str) -> None:
        os.write(self._tell, text.encode("utf-8", "replace")[:4000] + b"\n")

    def _stuck(self) -> None:
        self.log.event("stuck", worker=self._at, seconds=self.settings.timeout)
        self._code = STUCK
        self.draining = True
        if self._server:
            self._server.close()
        # Time for the answers to go out; then the supervisor starts another.
        self._loop.call_later(0.5, self._end)

    def _orphaned(self) -> None:
        self._loop.remove_reader(self._lifeline)
        self.drain()

    def drain(self) -> None:
        """No new connection; open requests are answered; then, or when the grace period is over, the end."""
        if self.draining:
            return
        self.draining = True
        self._loop.call_later(LAST_CALL_SECONDS, self._close_idle)
        self._loop.call_later(self.settings.grace, self._give_up)

    def _close_idle(self) -> None:
        if self._server is not None:
            self._server.close()
        for connection in list(self._connections):
            connection.drain()
        if not self._connections:
            self._end()

    def _give_up(self) -> None:
        self.log.event("cut_off", worker=self._at, connections=len(self._connections))
        for connection in list(self._connections):
            connection.abort()
        self._end()

    def _end(self) -> None:
        # An interpreter must not end under a thread that is inside a library's start.
        if self._code == 0 and self._lane is not None:
            self._lane.join(5)
        self._ended.set()


def _path(url: bytes) -> str:
    """The path of a request target, also of one in absolute form."""
    path = url.partition(b"?")[0]
    if not path.startswith(b"/") and b"://" in path:
        path = b"/" + path.partition(b"://")[2].partition(b"/")[2]
    return path.decode("latin-1")


def _clean(value: str) -> str:
    """A header's name or value without what would end it early."""
    return "".join(char for char in str(value) if char >= " " and char != "\x7f")
