"""The same answers from other servers, with NumPy and nothing of the contract: ASGI, RSGI and WSGI."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np

CLASSES = ("setosa", "versicolor", "virginica")
booster = lightgbm.Booster(model_file=Path(os.environ["SAGEMAKER_BASE_DIR"], "model", "model.txt"))
HEADERS = [("content-type", "text/csv")]


def answer(body: bytes) -> bytes:
    rows = np.array([line.split(b",") for line in body.split()], dtype=np.float64)
    found = booster.predict(rows, num_threads=1, validate_features=False)
    return "".join(
        f"{CLASSES[index]},{row[0]!r},{row[1]!r},{row[2]!r}\n"
        for index, row in zip(found.argmax(axis=1), found.tolist(), strict=True)
    ).encode()


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


def wsgi(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    made = answer(environ["wsgi.input"].read()) if environ["PATH_INFO"] == "/invocations" else b"\n"
    start_response("200 OK", [*HEADERS, ("content-length", str(len(made)))])
    return [made]
