"""From a request to an answer: the routes, the user's functions, and what each failure becomes."""

from __future__ import annotations

import json
import traceback
from typing import TYPE_CHECKING, NamedTuple

from .errors import RequestError

if TYPE_CHECKING:
    from .connection import Request
    from .log import Log
    from .plugin import Plugin

JSON = "application/json"
CONTENT_TYPE, ACCEPT = b"content-type", b"accept"


class Answer(NamedTuple):
    """A response. headers: further ones, names as they are to be written."""

    status: int
    content_type: str
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()
    error: str | None = None


def refusal(status: int, text: str, *headers: tuple[str, str]) -> Answer:
    """An error as the caller sees it: JSON with the text."""
    return Answer(status, JSON, json.dumps({"error": text}).encode(), headers, text)


def invoke(plugin: Plugin, request: Request, log: Log) -> Answer:
    """The user's answer to one request, or what their failure becomes. Raises nothing."""
    headers = request.headers
    content_type, accept = headers.get(CONTENT_TYPE), headers.get(ACCEPT)
    try:
        made = plugin.answer(
            request.body,
            None if content_type is None else content_type.decode("latin-1"),
            None if accept is None else accept.decode("latin-1"),
            headers,
        )
    except (Exception, SystemExit) as error:  # noqa: BLE001  one failing request must not take the server down
        return failure(error, log)
    if made.headers is None:
        return Answer(200, made.content_type, made.body)
    return Answer(made.status, made.content_type, made.body, tuple(made.headers.items()))


def failure(error: BaseException, log: Log) -> Answer:
    """What an exception of the user's functions becomes; one that is nobody's answer goes to the log."""
    if isinstance(error, RequestError):
        return refusal(error.status, str(error))
    status = getattr(error, "status_code", None)
    if isinstance(status, int) and 400 <= status <= 599:
        return refusal(status, str(getattr(error, "message", error)))
    # Never to the caller: a traceback tells of paths and data.
    log.event("error", error=f"{type(error).__name__}: {error}", traceback=traceback.format_exception(error))
    return refusal(500, "internal error; the reason is in the log of the endpoint")
