"""A serving stack with a script of the test's own, as a process on a free port, spoken to over sockets."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.e2e.venvs import ROOT, bin_of

HERE = Path(__file__).resolve().parent
SERVE = "#!/usr/bin/env python3\nimport sys\nfrom serving import main\nsys.exit(main())\n"
Headers = dict[str, str]


class Server:
    """A running stack. `log` is all that it printed so far."""

    def __init__(
        self,
        folder: Path,
        script: str,
        wrap: tuple[str, ...] = (),
        files: dict[str, str] | None = None,
        **variables: str,
    ) -> None:
        program = folder / "program"
        ignore = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / "container" / "serving", program / "serving", ignore=ignore)
        (program / "inference.py").write_text(script)
        (program / "serve").write_text(SERVE)
        (program / "serve").chmod(0o755)
        (folder / "ml" / "model").mkdir(parents=True)
        for name, text in (files or {}).items():  # of the model
            path = folder / "ml" / "model" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self._log = (folder / "log").open("wb")
        self.environment = {
            "PATH": f"{bin_of(HERE / 'requirements.lock')}:{os.environ['PATH']}",
            "SAGEMAKER_BASE_DIR": str(folder / "ml"),
            "SAGEMAKER_BIND_TO_PORT": str(self.port),
            "SAGEMAKER_MODEL_SERVER_WORKERS": "1",
            "HOST": "127.0.0.1",
            "PYTHONDONTWRITEBYTECODE": "1",
            **variables,
        }
        self.process = subprocess.Popen(
            [*wrap, str(program / "serve")],
            cwd=folder,
            env=self.environment,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    @property
    def log(self) -> str:
        return Path(self._log.name).read_text()

    def events(self, name: str) -> list[dict[str, Any]]:
        """The log's events of a name."""
        found = [json.loads(line) for line in self.log.splitlines() if line.startswith("{")]
        return [event for event in found if event["event"] == name]

    def wait(self, seen: Callable[[], Any], what: str, seconds: float = 15.0) -> Any:
        """What `seen` gives once it is true; fails with the log after `seconds`."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            found = seen()
            if found:
                return found
            time.sleep(0.02)
        raise AssertionError(f"{what} was not seen in {seconds} s; the log:\n{self.log[-3000:]}")

    def ready(self) -> Server:
        self.wait(lambda: self.ping() == 200 or self.process.poll() is not None, "a good /ping")
        assert self.process.poll() is None, self.log
        return self

    def request(
        self, method: str, path: str, body: Any = None, headers: Headers | None = None
    ) -> tuple[int, Headers, bytes]:
        """One request on a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            return answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()
        finally:
            connection.close()

    def invoke(
        self, body: bytes | str, content_type: str = "text/csv", accept: str = "", **headers: str
    ) -> tuple[int, Headers, bytes]:
        given = {"Content-Type": content_type, **({"Accept": accept} if accept else {}), **headers}
        return self.request("POST", "/invocations", body, given)

    def ping(self) -> int:
        try:
            return self.request("GET", "/ping")[0]
        except (OSError, http.client.HTTPException):
            return 0

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=10)

    def workers(self) -> list[psutil.Process]:
        """Its worker processes."""
        return [p for p in psutil.Process(self.process.pid).children() if p.status() != psutil.STATUS_ZOMBIE]

    def stop(self, number: int = signal.SIGTERM, seconds: float = 15.0) -> int:
        """End it; its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(seconds)

    def close(self) -> None:
        """Leave nothing behind, whatever a test left."""
        if self.process.poll() is None:
            tree = [
                psutil.Process(self.process.pid),
                *psutil.Process(self.process.pid).children(recursive=True),
            ]
            for each in tree:
                try:
                    each.kill()
                except psutil.NoSuchProcess:
                    continue
            self.process.wait(10)
        self._log.close()


def answers(data: bytes) -> list[tuple[int, bytes]]:
    """All HTTP answers of a connection's bytes: status and body. Fails where it is not HTTP to the end."""
    found = []
    while data:
        head, mark, data = data.partition(b"\r\n\r\n")
        assert mark, f"no whole head: {head[:200]!r}"
        line, *fields = head.split(b"\r\n")
        version, status, _ = line.split(b" ", 2)
        assert version == b"HTTP/1.1", line
        if status == b"100":
            continue
        headers = {name.lower(): value for name, value in (field.split(b": ", 1) for field in fields)}
        size = int(headers[b"content-length"])
        assert len(data) >= size, f"{len(data)} of {size} bytes of a body"
        found.append((int(status), data[:size]))
        data = data[size:]
    return found


def read_all(connection: socket.socket) -> bytes:
    """Everything until the peer closes, or resets."""
    parts = []
    try:
        while part := connection.recv(65536):
            parts.append(part)
    except ConnectionResetError:
        pass
    return b"".join(parts)


def post(body: bytes, *headers: str, path: str = "/invocations") -> bytes:
    """A request's bytes."""
    lines = [f"POST {path} HTTP/1.1", "Host: x", "Content-Type: text/csv", f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, *headers]).encode() + b"\r\n\r\n" + body


Start = Callable[..., Server]


def _starter() -> Iterator[Start]:
    made: list[Server] = []
    with tempfile.TemporaryDirectory(prefix="serving-") as folder:

        def start(script: str, **options: Any) -> Server:
            made.append(Server(Path(tempfile.mkdtemp(dir=folder)), script, **options))
            return made[-1]

        try:
            yield start
        finally:
            for server in made:
                server.close()


@pytest.fixture
def start() -> Iterator[Start]:
    """start(script, **variables): a server that is ended with the test."""
    yield from _starter()


@pytest.fixture(scope="module")
def start_module() -> Iterator[Start]:
    """The same, for servers that a whole module uses."""
    yield from _starter()
