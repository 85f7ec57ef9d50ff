"""iris, deployed and trained once on a module's copy of the repository, with a Slack receiver beside it."""

from __future__ import annotations

import json
import re
import shutil
import textwrap
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.conftest import Cli, client


@dataclass
class Slack:
    """An incoming webhook on this machine that keeps what it is told."""

    url: str
    texts: list[str] = field(default_factory=list)

    def told(self, *parts: str) -> bool:
        """Whether one message holds all of `parts`."""
        return any(all(part in text for part in parts) for text in self.texts)


@pytest.fixture(scope="module")
def slack() -> Iterator[Slack]:
    texts: list[str] = []

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            texts.append(self.rfile.read(int(self.headers["Content-Length"])).decode())
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, format: str, *args: object) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield Slack(f"http://127.0.0.1:{server.server_address[1]}/", texts)
    server.shutdown()


@dataclass
class Iris:
    """The deployed pipeline and what a test asks of it."""

    cli: Cli
    slack: Slack
    variables: dict[str, str]

    @property
    def root(self) -> Path:
        return self.cli.root

    def client(self, service: str) -> Any:
        """A plain boto3 client with the account's root credentials."""
        return client(service, self.variables)

    def day(self, number: int, *, shuffle: int | None = None) -> str:
        """Put data for a fresh date and return the date to run with (the day after it)."""
        options = [] if shuffle is None else ["--shuffle-labels", str(shuffle)]
        self.cli("data", "iris", "put", "--date", f"2026-03-{number:02d}", *options)
        return f"2026-03-{number + 1:02d}"

    def run(self, date: str, *options: str, code: int = 0) -> str:
        """Run to the end, assert the exit code, and return what was printed."""
        done = self.cli("run", "iris", "--date", date, "--follow", *options, code=code)
        return done.stdout + done.stderr

    def endpoint(self) -> dict[str, Any]:
        return self.client("sagemaker").describe_endpoint(EndpointName="iris-dev")

    def answers(self) -> Any:
        """The endpoint's answer to one flower, through the command line."""
        return json.loads(self.cli("invoke", "iris", "--body", "5.1,3.5,1.4,0.2", "--json").stdout)

    def edit(self, path: str, pattern: str, replacement: str) -> None:
        """Replace in a file of the copied repository; the pattern must be there."""
        file = self.root / path
        text, count = re.subn(pattern, replacement, file.read_text(), count=1, flags=re.M)
        assert count == 1, f"{pattern!r} is not in {path}"
        file.write_text(text)

    @contextmanager
    def program(self, name: str, body: str, *, after_the_real_one: bool = False) -> Iterator[None]:
        """Put another program in place of `container/iris/<name>`, deployed, while the block lasts."""
        path = self.root / "container/iris" / name
        original = path.read_bytes()
        real = path.with_name(f"{name}_real")
        lines = ["#!/usr/bin/env python3", "import json, os, pathlib, signal, subprocess, sys, time"]
        lines.append("base = pathlib.Path(os.environ.get('SAGEMAKER_BASE_DIR', '/opt/ml'))")
        if after_the_real_one:
            shutil.copy2(path, real)
            lines.append(f"real = pathlib.Path(__file__).with_name('{real.name}')")
            lines.append("subprocess.run([real, *sys.argv[1:]], check=True)")
        path.write_text("\n".join([*lines, textwrap.dedent(body)]) + "\n")
        try:
            self.cli("apply", "iris", "--yes")
            yield
        finally:
            path.write_bytes(original)
            real.unlink(missing_ok=True)
            self.cli("apply", "iris", "--yes")

    def processes(self) -> list[psutil.Process]:
        """Every process that has to do with this copy of the repository."""
        found = []
        for process in psutil.process_iter():
            try:
                line = " ".join(process.cmdline())
                if str(self.root) in line or str(self.root) in process.cwd():
                    found.append(process)
            except psutil.Error:
                continue
        return found


@pytest.fixture(scope="module")
def iris(cli: Cli, slack: Slack) -> Iris:
    """iris applied and trained once, its endpoint in service."""
    cli("local", "up")
    variables = json.loads(cli("local", "env", "--json").stdout)
    deployed = Iris(cli, slack, variables)
    deployed.client("secretsmanager").create_secret(Name="ml/slack-webhook", SecretString=slack.url)
    cli("apply", "iris", "--yes")
    deployed.run(deployed.day(1))
    return deployed
