"""Task tokens: the tasks that wait for SendTaskSuccess, SendTaskFailure or SendTaskHeartbeat."""

from __future__ import annotations

import secrets
import threading
import time
from dataclasses import dataclass, field
from typing import Any

from pipeline.local.states.cancel import Signal


@dataclass
class Waiting:
    """One task that waits. `outcome` is ("success", output) or ("failure", error, cause) once told."""

    signal: Signal = field(default_factory=Signal)
    outcome: tuple[Any, ...] | None = None
    beat: float = field(default_factory=time.monotonic)


class TokenError(Exception):
    """A call with a token that cannot be taken. `code` and `message` are the API's."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


_LENGTH = 64
_lock = threading.Lock()
_waiting: dict[str, Waiting] = {}


def issue() -> tuple[str, Waiting]:
    """A new token and the task behind it."""
    token, task = secrets.token_urlsafe(_LENGTH), Waiting()
    with _lock:
        _waiting[token] = task
    return token, task


def retire(token: str) -> None:
    """The task is over: later calls with its token fail as on AWS."""
    with _lock:
        _waiting.pop(token, None)


def find(token: Any) -> Waiting:
    """The task that waits behind a token; raises TokenError when there is none."""
    with _lock:
        task = _waiting.get(token) if isinstance(token, str) else None
    if task is not None and task.outcome is None:
        return task
    if isinstance(token, str) and len(token) >= _LENGTH:
        raise TokenError("TaskTimedOut", "Task Timed Out: 'Provided task does not exist anymore'")
    raise TokenError("InvalidToken", "Invalid Token: 'Invalid token'")


def succeed(token: Any, output: str) -> None:
    task = find(token)
    task.outcome = ("success", output)
    task.signal.finish()


def fail(token: Any, error: str | None, cause: str | None) -> None:
    task = find(token)
    task.outcome = ("failure", error, cause)
    task.signal.finish()


def beat(token: Any) -> None:
    """A heartbeat: the task's HeartbeatSeconds start anew."""
    task = find(token)
    task.beat = time.monotonic()
