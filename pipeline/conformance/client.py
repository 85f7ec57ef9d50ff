"""HTTP as SageMaker speaks it to a container: one request on a connection made inside, or several on one."""

from __future__ import annotations

import http.client
import time
from collections.abc import Mapping
from dataclasses import dataclass

from pipeline.conformance.launching import Process


class NoAnswer(Exception):
    """The connection was refused, closed or silent; the text says which."""


@dataclass(frozen=True)
class Answer:
    """Status, headers (names in small letters), body, and how long it took in seconds."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    seconds: float

    def __str__(self) -> str:
        text = self.body[:120].decode("utf-8", errors="replace").strip()
        return f"{self.status}" + (f" ({text})" if text else "")


class Connection:
    """One connection, used for one request after the other until it is closed."""

    def __init__(self, process: Process, port: int, timeout: float) -> None:
        try:
            socket = process.connect(port)
        except OSError as error:
            raise NoAnswer(f"no connection to port {port}: {error}") from None
        socket.settimeout(timeout)
        self._http = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
        self._http.sock = socket
        # A new connection would not be inside: none may be made behind our back.
        self._http.auto_open = 0

    def send(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """One request and its answer. Raises NoAnswer."""
        started = time.monotonic()
        try:
            self._http.request(method, path, body=body, headers=dict(headers or {}))
        except (ConnectionError, http.client.HTTPException) as error:
            # A server may answer and close before it has read all of a large body: see what it said.
            if isinstance(error, http.client.HTTPException):
                raise NoAnswer(f"{method} {path}: {_said(error)}") from None
        except OSError as error:
            raise NoAnswer(f"{method} {path}: {_said(error)}") from None
        try:
            response = self._http.getresponse()
            content = response.read()
        except (OSError, http.client.HTTPException) as error:
            raise NoAnswer(f"{method} {path}: {_said(error)}") from None
        named = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, named, content, time.monotonic() - started)

    def close(self) -> None:
        """Close it."""
        self._http.close()


def ask(
    process: Process,
    port: int,
    method: str,
    path: str,
    *,
    timeout: float,
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
) -> Answer:
    """One request on a connection of its own. Raises NoAnswer."""
    connection = Connection(process, port, timeout)
    try:
        return connection.send(method, path, body, headers)
    finally:
        connection.close()


def _said(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, http.client.RemoteDisconnected):
        return "the connection was closed without an answer"
    return str(error) or type(error).__name__
