"""One serve process as the router sees it: a loopback port, kept-alive connections, a count of requests.

Everything but `healthy` belongs to the event loop. The HTTP client is written for this one purpose:
one request at a time on a connection, whole bodies, HTTP/1.1, no redirects. A general client costs more
than most models take to answer.
"""

from __future__ import annotations

import asyncio
import socket

from pipeline.local.sagemaker.netns import Connector

MAX_BODY = 6 * 1024 * 1024
_IDLE = 32
_HEAD = 64 * 1024


class NoAnswer(Exception):
    """The process cannot be reached, or ended before it answered.

    Args:
        unsent: whether the request certainly never reached it.
    """

    def __init__(self, why: str, *, unsent: bool = False) -> None:
        super().__init__(why)
        self.unsent = unsent


class TooLarge(Exception):
    """The answer is larger than SageMaker passes on."""


class Answer:
    """Status, headers (names in small letters) and body of a response."""

    __slots__ = ("body", "headers", "status")

    def __init__(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body


class _Connection(asyncio.Protocol):
    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self._waiter: asyncio.Future[Answer] | None = None
        self._buffer = bytearray()
        self._head: tuple[int, dict[str, str], int] | None = None
        self.reusable = True
        self.closed = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def send(self, request: bytes) -> asyncio.Future[Answer]:
        assert self.transport is not None
        self._waiter = asyncio.get_running_loop().create_future()
        self._buffer.clear()
        self._head = None
        self.transport.write(request)
        return self._waiter

    @property
    def silent(self) -> bool:
        """Whether not one byte of the current answer has come."""
        return not self._buffer and self._head is None

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        try:
            answer = self._parse(ended=False)
        except (ValueError, TooLarge) as error:
            self._fail(error if isinstance(error, TooLarge) else NoAnswer(str(error)))
            return
        if answer is not None:
            self._finish(answer)

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True
        if self._waiter is None or self._waiter.done():
            return
        try:
            answer = self._parse(ended=True)
        except (ValueError, TooLarge):
            answer = None
        if answer is not None:
            self._finish(answer)
        else:
            self._fail(NoAnswer(str(exc) if exc else "the connection was closed"))

    def _finish(self, answer: Answer) -> None:
        if answer.headers.get("connection", "").lower() == "close":
            self.reusable = False
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(answer)

    def _fail(self, error: Exception) -> None:
        self.reusable = False
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(error)
        self.close()

    def close(self) -> None:
        self.closed = True
        if self.transport is not None:
            self.transport.abort()

    def _parse(self, *, ended: bool) -> Answer | None:
        if self._head is None and not self._read_head():
            return None
        assert self._head is not None
        status, headers, start = self._head
        if len(self._buffer) - start > MAX_BODY + 65536:
            raise TooLarge
        if "chunked" in headers.get("transfer-encoding", "").lower():
            body = _unchunk(self._buffer, start)
        elif "content-length" in headers:
            size = int(headers["content-length"])
            if size > MAX_BODY:
                raise TooLarge
            body = bytes(self._buffer[start : start + size]) if len(self._buffer) - start >= size else None
        elif status in (204, 304):
            body = b""
        else:
            self.reusable = False
            body = bytes(self._buffer[start:]) if ended else None
        return None if body is None else Answer(status, headers, body)

    def _read_head(self) -> bool:
        end = self._buffer.find(b"\r\n\r\n")
        while end >= 0:
            lines = self._buffer[:end].decode("latin-1").split("\r\n")
            version, _, rest = lines[0].partition(" ")
            if not version.startswith("HTTP/1."):
                raise ValueError(f"not an HTTP answer: {lines[0][:80]!r}")
            status = int(rest[:3])
            if status >= 200:
                pairs = (line.split(":", 1) for line in lines[1:] if ":" in line)
                self._head = (status, {name.strip().lower(): value.strip() for name, value in pairs}, end + 4)
                return True
            del self._buffer[: end + 4]  # an interim answer, such as 100 Continue
            end = self._buffer.find(b"\r\n\r\n")
        if len(self._buffer) > _HEAD:
            raise ValueError("the answer's head does not end")
        return False


def _unchunk(buffer: bytearray, start: int) -> bytes | None:
    """The body of a chunked answer, None while its last chunk is missing."""
    parts: list[bytes] = []
    at = start
    while True:
        end = buffer.find(b"\r\n", at)
        if end < 0:
            return None
        size = int(bytes(buffer[at:end]).split(b";", 1)[0], 16)
        at = end + 2
        if size == 0:
            # Trailers, if any, end with an empty line.
            done = buffer.startswith(b"\r\n", at) or buffer.find(b"\r\n\r\n", at) >= 0
            return b"".join(parts) if done else None
        if len(buffer) < at + size + 2:
            return None
        parts.append(bytes(buffer[at : at + size]))
        at += size + 2


class Backend:
    """One serve process.

    Args:
        instance: its instance id, for logs.
        port: on 127.0.0.1.
    """

    def __init__(self, instance: str, port: int) -> None:
        self.instance = instance
        self.port = port
        self.healthy = False
        self.inflight = 0
        # Set when the process has no network: the way into its own.
        self.connector: Connector | None = None
        self._idle: list[_Connection] = []

    def socket(self, seconds: float) -> socket.socket:
        """A new connection to the process, for a thread. Raises OSError."""
        if self.connector is not None:
            connected = self.connector.connect(self.port)
        else:
            connected = socket.create_connection(("127.0.0.1", self.port), timeout=seconds)
        connected.settimeout(seconds)
        return connected

    async def request(self, head: bytes, body: bytes, seconds: float) -> Answer:
        """Send one request and wait for the whole answer.

        Raises:
            NoAnswer: unreachable, or ended while answering.
            TimeoutError: no whole answer in `seconds`.
            TooLarge: the answer exceeds SageMaker's limit.
        """
        message = head + body
        async with asyncio.timeout(seconds):
            while self._idle:
                connection = self._idle.pop()
                if connection.closed:
                    continue
                try:
                    return await self._exchange(connection, message)
                except NoAnswer:
                    # A server may close an idle connection just as it is used again: take another,
                    # unless it had begun to answer.
                    if not connection.silent:
                        raise
            return await self._exchange(await self._connect(), message)

    async def _connect(self) -> _Connection:
        loop = asyncio.get_running_loop()
        try:
            if self.connector is not None:
                made = await loop.run_in_executor(None, self.connector.connect, self.port)
                made.setblocking(False)
                _, connection = await loop.create_connection(_Connection, sock=made)
            else:
                _, connection = await loop.create_connection(_Connection, "127.0.0.1", self.port)
        except OSError as error:
            raise NoAnswer(str(error), unsent=True) from None
        return connection

    async def _exchange(self, connection: _Connection, message: bytes) -> Answer:
        try:
            answer = await connection.send(message)
        except BaseException:
            # Also when the caller gave up: an answer still to come must not meet the next request.
            connection.close()
            raise
        if connection.reusable and not connection.closed and len(self._idle) < _IDLE:
            self._idle.append(connection)
        else:
            connection.close()
        return answer
