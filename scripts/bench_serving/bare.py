"""The limit of Python: a bare protocol on uvloop and httptools, LightGBM's fast call, no contract at all."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import Any

import httptools
import uvloop

sys.path.insert(0, os.environ["BENCH_PROGRAM"])
from iris_program import formats
from iris_program.scoring import Scorer

scorer = Scorer(Path(os.environ["SAGEMAKER_BASE_DIR"], "model"))


class Bare(asyncio.Protocol):
    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.parser = httptools.HttpRequestParser(self)
        self.parts: list[bytes] = []

    def data_received(self, data: bytes) -> None:
        self.parser.feed_data(data)

    def on_body(self, body: bytes) -> None:
        self.parts.append(body)

    def on_message_complete(self) -> None:
        body = b"".join(self.parts).decode()
        self.parts.clear()
        row = formats.quick_row(body)
        rows = [scorer.row(row)] if row else scorer.rows(formats.read_csv(body)) if body else []
        made = formats.write_csv(rows) if rows else b""
        self.transport.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/csv\r\nContent-Length: %d\r\n\r\n%b" % (len(made), made)
        )


async def main() -> None:
    server = await asyncio.get_running_loop().create_server(
        Bare, "127.0.0.1", int(os.environ["SAGEMAKER_BIND_TO_PORT"])
    )
    await server.serve_forever()


uvloop.run(main())
