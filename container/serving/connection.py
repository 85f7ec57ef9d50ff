"""One HTTP/1.1 connection: parsed by httptools (llhttp), answered in order, each phase limited in time.

Phases and what ends them
    idle      no request begun          idle_seconds, then closed
    head      a request line or header  head_seconds, HEAD_BYTES; 408, 414, 431
    body      a body that is coming     body_seconds, max_body; 408, 413
    busy      the model works           lane.py's limit; 504
    unread    the peer takes no answer  body_seconds, then aborted
    closing   the last answer is sent   LINGER_SECONDS of discarded input: a reset would lose the answer
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from typing import TYPE_CHECKING

import httptools

from .answers import Answer, refusal

if TYPE_CHECKING:
    from .worker import Worker

HEAD_BYTES = 64 * 1024
URL_BYTES = 8 * 1024
LINGER_SECONDS = 2.0
# Requests of one connection read ahead of their answers.
PIPELINE = 16
IDLE, HEAD, BODY, CLOSING = range(4)
NEVER = float("inf")


class Request:
    """One whole request. headers: names in small letters, the last of a name; started: perf_counter()."""

    __slots__ = (
        "answered",
        "body",
        "connection",
        "headers",
        "keep",
        "method",
        "old",
        "refused",
        "started",
        "url",
    )

    def __init__(
        self, connection: Connection, method: bytes, url: bytes, headers: dict[bytes, bytes]
    ) -> None:
        self.connection = connection
        self.method = method
        self.url = url
        self.headers = headers
        self.body = b""
        self.keep = self.old = self.answered = False
        self.refused: Answer | None = None
        self.started = 0.0


class Connection(asyncio.Protocol):
    """The protocol of one client. Everything happens in the worker's event loop."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._settings = worker.settings
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport
        self._waiting: deque[Request] = deque()
        self._busy: Request | None = None
        self._phase = IDLE
        self.deadline = NEVER
        self.gone = False
        self._ended = False  # the peer sends no more
        self._unread = False  # the peer takes no more, for now
        self._held = False  # too many requests wait: nothing is read
        self._fed = 0
        self._url = b""
        self._headers: dict[bytes, bytes] = {}
        self._head_size = 0
        self._parts: list[bytes] = []
        self._size = 0

    # --- asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]  # uvloop's is no asyncio.Transport by name
        self.deadline = self._worker.now + self._settings.idle_seconds
        if not self._worker.admit(self):
            self._refuse(refusal(503, "too many connections", ("Retry-After", "1")))

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self.gone = True
        self._waiting.clear()
        self._worker.dismiss(self)

    def data_received(self, data: bytes) -> None:
        if self._phase == CLOSING:
            return
        self._fed += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            # The request was answered as the plain HTTP it also is; what follows is not HTTP any more.
            self._close()
        except httptools.HttpParserCallbackError as error:
            self._worker.log.event("error", error=f"{type(error).__name__}: {error.__context__!r}")
            self._refuse(refusal(500, "internal error; the reason is in the log of the endpoint"))
        except httptools.HttpParserError as error:
            self._refuse(refusal(400, f"not an HTTP request: {error}"))
        else:
            if self._fed > HEAD_BYTES and self._phase <= HEAD:
                self._refuse(refusal(431, f"the head is over {HEAD_BYTES} bytes"))
            elif self._phase == BODY and self._fed > 8 * self._settings.max_body + HEAD_BYTES:
                self._refuse(refusal(400, "the body's chunks are too small"))

    def eof_received(self) -> bool:
        self._ended = True
        # A peer may close its half and wait for what it asked for.
        return self._busy is not None or bool(self._waiting)

    def pause_writing(self) -> None:
        self._unread = True
        self.deadline = self._worker.now + self._settings.body_seconds
        self._hold()

    def resume_writing(self) -> None:
        self._unread = False
        self._go_on()

    # --- the parser's side

    def on_url(self, url: bytes) -> None:
        if self._phase == IDLE:
            self._phase = HEAD
            self._url, self._headers = url, {}
            self._head_size = self._size = 0
            self.deadline = self._worker.now + self._settings.head_seconds
        elif self._phase == HEAD:
            self._url += url
        if len(self._url) > URL_BYTES:
            self._refuse(refusal(414, f"the URL is over {URL_BYTES} bytes"))

    def on_header(self, name: bytes, value: bytes) -> None:
        self._head_size += len(name) + len(value) + 4
        if self._head_size > HEAD_BYTES:
            self._refuse(refusal(431, f"the head is over {HEAD_BYTES} bytes"))
        elif self._phase == HEAD:  # else a trailer: it cannot change what was decided by the head
            self._headers[name.lower()] = value

    def on_headers_complete(self) -> None:
        if self._phase == CLOSING:
            return
        self._phase = BODY
        self._fed = 0
        headers = self._headers
        length = headers.get(b"content-length")
        if length is not None and int(length) > self._settings.max_body:
            self._refuse(refusal(413, f"the body is over {self._settings.max_body} bytes"))
            return
        self.deadline = self._worker.now + self._settings.body_seconds
        has_body = length is not None or b"transfer-encoding" in headers
        if b"upgrade" in headers and has_body and self._parser.should_upgrade():
            # The parser takes the body for the other protocol's; without one it is a plain request.
            self._refuse(refusal(400, "a request with a body cannot be an upgrade; HTTP/1.1 is served"))
            return
        waits = b"expect" in headers and headers[b"expect"].lower() == b"100-continue"
        if waits and not self._waiting and self._busy is None:
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, body: bytes) -> None:
        self._size += len(body)
        if self._phase == CLOSING:
            return
        if self._size > self._settings.max_body:
            self._refuse(refusal(413, f"the body is over {self._settings.max_body} bytes"))
            return
        self._parts.append(body)

    def on_message_complete(self) -> None:
        if self._phase == CLOSING:
            return
        self._phase = IDLE
        self._fed = 0
        parser, parts = self._parser, self._parts
        request = Request(self, parser.get_method(), self._url, self._headers)
        if parts:
            request.body = parts[0] if len(parts) == 1 else b"".join(parts)
            self._parts = []
        request.old = parser.get_http_version() == "1.0"
        request.keep = parser.should_keep_alive() and not parser.should_upgrade()
        request.started = time.perf_counter()
        if b"host" not in self._headers and not request.old:
            request.refused = refusal(400, "a request of HTTP/1.1 needs a Host header")
            request.keep = False
        if self._busy is None:
            self._start(request)
        else:
            self._waiting.append(request)
            if len(self._waiting) >= PIPELINE:
                self._held = True
                self.deadline = NEVER
                self._hold()

    # --- answers

    def finish(self, request: Request, answer: Answer) -> None:
        """The answer that was not there at once. A second one to the same request is left out."""
        if request.answered:
            return
        self._busy = None
        self._write(request, answer)
        while self._waiting and self._busy is None and not self.gone:
            self._start(self._waiting.popleft())
        if self._held and len(self._waiting) < PIPELINE:
            self._held = False
            self._go_on()

    def sweep(self, now: float) -> None:
        """Every half second: end the phase that takes too long."""
        if now < self.deadline:
            return
        if self._phase == CLOSING or self._unread:
            self._transport.abort()
        elif self._phase == IDLE:
            self._close()
        else:
            what = "head" if self._phase == HEAD else "body"
            self._refuse(refusal(408, f"the request's {what} did not come in time"))

    def drain(self) -> None:
        """Close if nothing was asked; else after the answer."""
        if self._phase == IDLE and self._busy is None and not self._waiting:
            self._transport.close()  # no answer is on its way that a reset could lose

    def abort(self) -> None:
        """Close at once, whatever is open."""
        self._transport.abort()

    def _start(self, request: Request) -> None:
        answer = request.refused or self._worker.answer(request)
        if answer is None:
            self._busy = request
            self._set_deadline()
        else:
            self._write(request, answer)

    def _write(self, request: Request, answer: Answer) -> None:
        request.answered = True
        worker = self._worker
        if self.gone or self._transport.is_closing():
            worker.record(request, Answer(499, "", b"", (), "the caller went away"))
            return
        status, content_type, body, headers, _ = answer
        keep = request.keep and not worker.draining
        if status == 200 and keep and not headers and not request.old:
            head = worker.heads.get(content_type) or worker.head(content_type)
            head = b"%b%d\r\n\r\n" % (head, len(body))
        else:
            head = worker.full_head(answer, "keep-alive" if keep and request.old else "" if keep else "close")
        if request.method == b"HEAD":
            body = b""
        if len(body) < 65536:
            self._transport.write(head + body)
        else:
            self._transport.write(head)
            self._transport.write(body)
        worker.record(request, answer)
        if not keep or (self._ended and not self._waiting):
            self._close()
        elif self._phase == IDLE:
            self.deadline = worker.now + self._settings.idle_seconds

    def _refuse(self, answer: Answer) -> None:
        """An answer that ends the connection: after it, what the peer sends cannot be told apart any more."""
        if self._phase == CLOSING:
            return
        request = Request(self, b"", self._url if self._phase != IDLE else b"", self._headers)
        request.refused, request.started = answer, time.perf_counter()
        self._parts = []
        if self._busy is None:
            self._write(request, answer)
        else:
            self._phase = CLOSING
            self.deadline = NEVER
            self._waiting.append(request)

    def _close(self) -> None:
        """Send what was written, then close; discard meanwhile what still comes."""
        if self._busy is not None:
            return  # the answer that is to come does it
        self._phase = CLOSING
        self._waiting.clear()
        self.deadline = self._worker.now + LINGER_SECONDS
        if self._ended or not self._transport.can_write_eof():
            self._transport.close()
            return
        self._transport.write_eof()
        if self._held and not self._unread:
            self._transport.resume_reading()

    def _hold(self) -> None:
        if not self.gone and not self._transport.is_closing():
            self._transport.pause_reading()

    def _go_on(self) -> None:
        if not self._held and not self._unread and not self.gone and not self._transport.is_closing():
            self._set_deadline()
            self._transport.resume_reading()

    def _set_deadline(self) -> None:
        settings, now = self._settings, self._worker.now
        if self._unread:
            self.deadline = now + settings.body_seconds
        elif self._phase == CLOSING:
            self.deadline = now + LINGER_SECONDS
        elif self._phase == IDLE:
            self.deadline = NEVER if self._busy is not None else now + settings.idle_seconds
        else:
            self.deadline = now + (settings.head_seconds if self._phase == HEAD else settings.body_seconds)
