#!/usr/bin/env python3
"""A model server for tests: answers the content of its model's answer.txt, or does what the body asks."""

import json
import os
import signal
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

BASE = Path(os.environ.get("SAGEMAKER_BASE_DIR", "/opt/ml"))
MODE = os.environ.get("MODE", "")


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def answer(self, status: int, body: str, **headers: str) -> None:
        data = body.encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(data)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(data)

    def do_GET(self) -> None:
        self.answer(500 if MODE == "sick" else 200, "")

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        verb, _, value = body.partition(":")
        if verb == "status":
            self.answer(int(value), "no such flower")
        elif verb == "sleep":
            time.sleep(float(value))
            self.answer(200, "slept")
        elif verb == "die":
            os._exit(3)
        elif verb == "pid":
            self.answer(200, str(os.getpid()) + "@" + os.environ["SAGEMAKER_BIND_TO_PORT"])
        elif verb == "big":
            self.answer(200, "x" * int(value))
        elif verb == "chunked":
            self.send_response(200)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for part in ("ab", "cde"):
                self.wfile.write(f"{len(part):x}\r\n{part}\r\n".encode())
                time.sleep(0.01)
            self.wfile.write(b"0\r\n\r\n")
        elif verb == "headers":
            more = {"X_Amzn_SageMaker_Custom_Attributes": "from-the-model"}
            self.answer(200, json.dumps(dict(self.headers)), **more)
        elif verb == "environ":
            self.answer(200, json.dumps(dict(os.environ)))
        elif verb == "network":
            import socket

            try:
                socket.create_connection(("127.0.0.1", int(value)), timeout=1).close()
                self.answer(200, "reached")
            except OSError as error:
                self.answer(200, f"refused: {error.strerror}")
        else:
            self.answer(200, (BASE / "model" / "answer.txt").read_text())

    def log_message(self, form: str, *args: object) -> None:
        """Only what matters."""


if MODE == "crash":
    sys.exit("the model cannot be loaded")
if MODE == "late":
    time.sleep(1)
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
print("serving", sys.argv[1:], flush=True)
address = (os.environ.get("HOST", "0.0.0.0"), int(os.environ["SAGEMAKER_BIND_TO_PORT"]))
ThreadingHTTPServer.request_queue_size = 64
ThreadingHTTPServer(address, Handler).serve_forever()
