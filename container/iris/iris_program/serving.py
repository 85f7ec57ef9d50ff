"""The HTTP server behind an endpoint: /ping is 200 once the model is loaded, /invocations answers.

Environment: SAGEMAKER_BIND_TO_PORT (8080), HOST (0.0.0.0), MAX_REQUEST_BYTES (6,291,456: InvokeEndpoint's).
Until the model is loaded /ping is 503. A model that cannot be loaded ends the process with exit code 1 and
the reason in the log: the health check fails either way, and so at once, with a reason, not after minutes.
SIGTERM: no new connections, open requests are answered, exit 0; SageMaker sends SIGKILL 30 s later.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import threading
import time
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any

import uvicorn

from . import formats
from .contract import Folders, ProgramError
from .formats import RequestError

# botocore's model of InvokeEndpoint: Body is at most this many bytes.
DEFAULT_MAX_REQUEST_BYTES = 6_291_456
# Under SageMaker's 30 s between SIGTERM and SIGKILL.
DRAIN_SECONDS = 25
# Beyond this many rows a prediction leaves the event loop, so that /ping is not kept waiting.
ROWS_IN_LOOP = 256
# SageMaker starts containers as root. Where the image has this user, requests are handled as it.
UNPRIVILEGED_USER = "iris-serve"

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


def log(event: str, **facts: Any) -> None:
    """One JSON line on standard output, from where it goes to the endpoint's log group."""
    print(json.dumps({"event": event, **facts}), flush=True)


class App:
    """The ASGI application. `predict` is None until the model is loaded: rows -> probabilities of each."""

    def __init__(self, max_request_bytes: int) -> None:
        self.max_request_bytes = max_request_bytes
        self.predict: Callable[[list[formats.Row]], list[list[float]]] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        started = time.perf_counter()
        facts: dict[str, Any] = {}
        try:
            status, content_type, body, headers = await self._answer(scope, receive, facts)
        except RequestError as error:
            status, content_type, headers = error.status, formats.JSON, []
            body = json.dumps({"error": str(error)}).encode()
            facts["error"] = str(error)
        except Exception as error:  # noqa: BLE001  one failing request must not take the server down
            status, content_type, headers = 500, formats.JSON, []
            body = b'{"error": "internal error; the reason is in the log of the endpoint"}'
            facts["error"] = f"{type(error).__name__}: {error}"
        await send(
            {
                "type": "http.response.start",
                "status": status,
                "headers": [
                    (b"content-type", content_type.encode()),
                    (b"content-length", str(len(body)).encode()),
                    *headers,
                ],
            }
        )
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})
        # Health checks come every few seconds; a good one is no news.
        if scope["path"] != "/ping" or status not in (200, 503):
            milliseconds = round((time.perf_counter() - started) * 1000, 3)
            log(
                "request", method=scope["method"], path=scope["path"], status=status, ms=milliseconds, **facts
            )

    async def _answer(
        self, scope: Scope, receive: Receive, facts: dict[str, Any]
    ) -> tuple[int, str, bytes, list[tuple[bytes, bytes]]]:
        method, path = scope["method"], scope["path"]
        allowed = {"/ping": ("GET", "HEAD"), "/invocations": ("POST",)}.get(path)
        if allowed is None:
            raise RequestError(404, f"{path} is not served; /ping and /invocations are")
        if method not in allowed:
            body = json.dumps({"error": f"{path} takes {' or '.join(allowed)}, not {method}"}).encode()
            return 405, formats.JSON, body, [(b"allow", ", ".join(allowed).encode())]
        if self.predict is None:
            raise RequestError(503, "the model is being loaded")
        if path == "/ping":
            return 200, formats.JSON, b'{"status": "healthy"}', []
        headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
        reader = formats.choose_reader(headers.get(b"content-type", ""))
        content_type, writer = formats.choose_writer(headers.get(b"accept", ""))
        rows = reader(formats.decode(await self._body(headers, receive)))
        facts["rows"] = len(rows)
        if len(rows) <= ROWS_IN_LOOP:
            return 200, content_type, writer(self.predict(rows)).encode(), []
        predict = self.predict
        return 200, content_type, await asyncio.to_thread(lambda: writer(predict(rows)).encode()), []

    async def _body(self, headers: dict[bytes, str], receive: Receive) -> bytes:
        """The request's body. Raises RequestError 413 beyond the limit, 400 when the caller went away."""
        declared = headers.get(b"content-length", "0")
        parts: list[bytes] = []
        size = int(declared) if declared.isdigit() else 0
        received = 0
        while size <= self.max_request_bytes and received <= self.max_request_bytes:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise RequestError(400, "the connection closed before the body was complete")
            part = message.get("body", b"")
            received += len(part)
            parts.append(part)
            if not message.get("more_body"):
                break
        if max(size, received) > self.max_request_bytes:
            raise RequestError(413, f"the body is over {self.max_request_bytes} bytes")
        return b"".join(parts)


def make_predict(folder: Path) -> Callable[[list[formats.Row]], list[list[float]]]:
    """Load the model; return rows -> probabilities. Raises ProgramError when it cannot be loaded."""
    import numpy as np

    from .contract import available_processors
    from .model import load

    booster = load(folder).booster

    def predict(rows: list[formats.Row]) -> list[list[float]]:
        features = np.array(rows, dtype=np.float64)
        # Threads cost more than they bring until there are thousands of rows.
        count = 1 if len(rows) < 4096 else available_processors()
        result: list[list[float]] = booster.predict(
            features, num_threads=count, validate_features=False
        ).tolist()
        return result

    # The first call sets up LightGBM's predictor; better now than in the first request.
    predict([[5.0, 3.0, 4.0, 1.0]])
    return predict


def drop_privileges(user: str = UNPRIVILEGED_USER) -> None:
    """Go on as an unprivileged user, where this is root and the image has that user."""
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        return
    import pwd

    try:
        account = pwd.getpwnam(user)
    except KeyError:
        return
    os.setgroups([])
    os.setgid(account.pw_gid)
    os.setuid(account.pw_uid)


def main() -> int:
    """Serve until SIGTERM; return the exit code."""
    environ = os.environ
    try:
        port = int(environ.get("SAGEMAKER_BIND_TO_PORT") or 8080)
        limit = int(environ.get("MAX_REQUEST_BYTES") or DEFAULT_MAX_REQUEST_BYTES)
    except ValueError as error:
        log("failed", reason=f"SAGEMAKER_BIND_TO_PORT and MAX_REQUEST_BYTES must be whole numbers: {error}")
        return 1
    app = App(limit)
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            host=environ.get("HOST") or "0.0.0.0",  # the port is published by SageMaker, not by us
            port=port,
            access_log=False,
            log_level="warning",
            lifespan="off",
            server_header=False,
            date_header=False,
            # SageMaker keeps connections to the container open; closing them early would lose requests.
            timeout_keep_alive=75,
            timeout_graceful_shutdown=DRAIN_SECONDS,
        )
    )
    failures: list[str] = []

    def load_model() -> None:
        started = time.perf_counter()
        folder = Folders.from_environment().model
        try:
            predict = make_predict(folder)
            drop_privileges()
        except Exception as error:  # noqa: BLE001  whatever it was, the server must end and say so
            failures.append(
                str(error) if isinstance(error, ProgramError) else f"{type(error).__name__}: {error}"
            )
            log("failed", reason=failures[0])
            server.should_exit = True
            return
        app.predict = predict
        log("ready", port=port, load_seconds=round(time.perf_counter() - started, 3))

    # For signals that come before uvicorn has its own handlers, and for the one that it raises again once
    # drained: without a handler the process would end by the signal and not with 0.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: setattr(server, "should_exit", True))
    loading = threading.Thread(target=load_model, name="load-model", daemon=True)
    loading.start()
    try:
        server.run()
    except SystemExit as error:
        # uvicorn's way to say that the port could not be bound; it has logged why.
        return int(error.code or 1)
    # Stopped while loading: an interpreter must not end under a thread that is inside LightGBM.
    loading.join(timeout=5)
    if failures:
        return 1
    log("stopped")
    return 0
