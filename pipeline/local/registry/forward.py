"""Hand an HTTP request on to the registry's process and its answer back, without holding either whole."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import h11

# What belongs to one connection, or is between docker and the front.
_NOT_PASSED = frozenset(
    {"host", "connection", "authorization", "content-length", "transfer-encoding", "expect"}
)
_CHUNK = 256 * 1024

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


class Broken(Exception):
    """The process ended or closed the connection before it had answered."""


class ClientGone(Exception):
    """Whoever asked has gone away: nobody waits for an answer."""


class Answer:
    """A whole answer; header names in small letters."""

    def __init__(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.status, self.headers, self.body = status, headers, body

    def kept(self) -> dict[str, str]:
        """The headers without those of the connection."""
        return {name: value for name, value in self.headers.items() if name not in _NOT_PASSED}


async def whole(port: int, method: str, path: str, headers: dict[str, str], body: bytes) -> Answer:
    """Ask and collect the answer. Raises Broken."""
    sent = False

    async def receive() -> dict[str, Any]:
        nonlocal sent
        assert not sent
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    found: dict[str, Any] = {"status": 0, "headers": {}}
    content = bytearray()

    async def send(event: dict[str, Any]) -> None:
        if event["type"] == "http.response.start":
            found["status"] = event["status"]
            found["headers"] = {name.decode(): value.decode("latin-1") for name, value in event["headers"]}
        else:
            content.extend(event.get("body", b""))

    await stream(port, method, path, {**headers, "content-length": str(len(body))}, receive, send)
    return Answer(found["status"], found["headers"], bytes(content))


async def stream(
    port: int,
    method: str,
    path: str,
    headers: dict[str, str],
    receive: Receive,
    send: Send,
    location: Callable[[str], str] = lambda given: given,
) -> None:
    """Ask with the body that `receive` gives, and give the answer to `send` as it comes.

    Args:
        location: turns the process's address of something into ours.

    Raises:
        Broken: it ended before its answer had begun. Later, the answer just ends too early, as the
            process's own would.
    """
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError as error:
        raise Broken(str(error)) from None
    begun = False

    async def told(event: dict[str, Any]) -> None:
        nonlocal begun
        begun = True
        await send(event)

    connection = h11.Connection(h11.CLIENT)
    try:
        await _ask(connection, writer, method, path, headers, receive)
        await _answer(connection, reader, told, location)
    except ClientGone:
        return
    except (OSError, h11.RemoteProtocolError) as error:
        if not begun:
            raise Broken(str(error)) from None
    finally:
        writer.close()


async def _ask(
    connection: h11.Connection,
    writer: asyncio.StreamWriter,
    method: str,
    path: str,
    headers: dict[str, str],
    receive: Receive,
) -> None:
    passed = [(name, value) for name, value in headers.items() if name not in _NOT_PASSED]
    if "content-length" in headers:
        passed.append(("content-length", headers["content-length"]))
    elif method in ("POST", "PUT", "PATCH"):
        passed.append(("transfer-encoding", "chunked"))
    passed += [("host", "registry"), ("connection", "close")]
    writer.write(connection.send(h11.Request(method=method, target=path, headers=passed)) or b"")
    while True:
        event = await receive()
        if event["type"] != "http.request":
            raise ClientGone
        if event.get("body"):
            writer.write(connection.send(h11.Data(data=event["body"])) or b"")
            await writer.drain()
        if not event.get("more_body"):
            writer.write(connection.send(h11.EndOfMessage()) or b"")
            await writer.drain()
            return


async def _answer(
    connection: h11.Connection, reader: asyncio.StreamReader, send: Send, location: Callable[[str], str]
) -> None:
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            connection.receive_data(await reader.read(_CHUNK))
        elif isinstance(event, h11.Response):
            await send(
                {
                    "type": "http.response.start",
                    "status": event.status_code,
                    "headers": _kept(event, location),
                }
            )
        elif isinstance(event, h11.Data):
            await send({"type": "http.response.body", "body": bytes(event.data), "more_body": True})
        elif isinstance(event, h11.EndOfMessage):
            await send({"type": "http.response.body", "body": b""})
            return
        elif isinstance(event, h11.ConnectionClosed):
            raise ConnectionError("it closed the connection")


def _kept(response: h11.Response, location: Callable[[str], str]) -> list[tuple[bytes, bytes]]:
    kept = []
    for name, value in response.headers:
        lower = name.lower()
        if lower == b"location":
            value = location(value.decode("latin-1")).encode("latin-1")
        if lower not in (b"connection", b"transfer-encoding", b"date", b"server"):
            kept.append((lower, value))
    return kept
