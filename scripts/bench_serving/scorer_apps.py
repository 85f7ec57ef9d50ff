"""iris's own scorer and formats behind other servers: what the server alone makes of the difference."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, os.environ["BENCH_PROGRAM"])
from iris_program import formats
from iris_program.scoring import Scorer

scorer = Scorer(Path(os.environ["SAGEMAKER_BASE_DIR"], "model"))
HEADERS = [("content-type", "text/csv")]


def answer(body: bytes) -> bytes:
    text = body.decode()
    row = formats.quick_row(text)
    return formats.write_csv([scorer.row(row)] if row is not None else scorer.rows(formats.read_csv(text)))


async def asgi(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] != "http":
        return
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    made = answer(body) if scope["path"] == "/invocations" else b"\n"
    headers = [(b"content-type", b"text/csv"), (b"content-length", str(len(made)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": made})


async def rsgi(scope: Any, protocol: Any) -> None:
    made = answer(await protocol()) if scope.path == "/invocations" else b"\n"
    protocol.response_bytes(200, HEADERS, made)
