"""Runs of scripts on real Spark against a real local target, by the runner alone (no Glue API)."""

from __future__ import annotations

import http.client
import itertools
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from pipeline.local import down, ensure_up
from pipeline.local.glue.spark import Ended, SparkJob, SparkRun, launch
from tests.e2e.local_core.conftest import ACCOUNT, REGION, Target

BUCKET = "lab"
ROLE_MAY = [
    {"Effect": "Allow", "Action": "s3:ListBucket", "Resource": f"arn:aws:s3:::{BUCKET}"},
    {
        "Effect": "Allow",
        "Action": ["s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload"],
        "Resource": [f"arn:aws:s3:::{BUCKET}/{prefix}/*" for prefix in ("code", "mine")],
    },
]


@dataclass
class Lab:
    """A target with a bucket and a role that may use code/ and mine/ in it."""

    target: Target
    folder: Path
    credentials: dict[str, str]
    endpoint: str = ""
    numbers: Iterator[int] = field(default_factory=itertools.count)

    @property
    def s3(self) -> Any:
        return self.target.client("s3")

    def start(
        self,
        script: str | None,
        *,
        arguments: dict[str, str] | None = None,
        extra: dict[str, bytes] | None = None,
    ) -> tuple[SparkRun, list[tuple[str, str]], Path]:
        """Start a script (None: one that is not there); the run, its lines as they come, its folder."""
        number = next(self.numbers)
        if script is not None:
            self.s3.put_object(Bucket=BUCKET, Key=f"code/{number}.py", Body=script.encode())
        for name, body in (extra or {}).items():
            self.s3.put_object(Bucket=BUCKET, Key=f"code/{name}", Body=body)
        lines: list[tuple[str, str]] = []
        job = SparkJob(
            run_id=f"jr_{number}",
            job_name="lab",
            script_uri=f"s3://{BUCKET}/code/{number}.py",
            extra_py_files=[f"s3://{BUCKET}/code/{name}" for name in extra or {}],
            arguments=arguments or {},
            glue_version="5.1",
            cores=2,
            memory_mb=512,
            folder=self.folder / str(number),
            environment={
                "AWS_ENDPOINT_URL": self.endpoint or self.target.up.endpoint_url,
                "AWS_REGION": REGION,
                "AWS_ACCESS_KEY_ID": self.credentials["AccessKeyId"],
                "AWS_SECRET_ACCESS_KEY": self.credentials["SecretAccessKey"],
                "AWS_SESSION_TOKEN": self.credentials["SessionToken"],
            },
        )
        return launch(job, lambda stream, line: lines.append((stream, line))), lines, job.folder

    def run(self, script: str | None, **more: Any) -> tuple[Ended, list[tuple[str, str]]]:
        """Run a script to its end."""
        run, lines, folder = self.start(script, **more)
        ended = run.wait(240)
        assert ended is not None, lines
        assert list(folder.iterdir()) == []  # its scratch went with it
        return ended, lines

    def keys(self, prefix: str) -> list[str]:
        """All keys below a prefix."""
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix)
        return [entry["Key"] for page in pages for entry in page.get("Contents", [])]


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    root = tmp_path_factory.mktemp("repository")
    target = Target(root, ensure_up(root))
    target.client("s3").create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
    arn = target.role("spark", "", *ROLE_MAY)
    session = target.client("sts").assume_role(RoleArn=arn, RoleSessionName="spark")
    assert arn.split(":")[4] == ACCOUNT
    yield Lab(target, tmp_path_factory.mktemp("runs"), session["Credentials"])
    down(root)


@dataclass
class Unsteady:
    """A way to S3 on which every so manieth request is answered 503, as a busy S3 does."""

    url: str
    asked: int = 0
    refused: int = 0


@pytest.fixture(scope="module")
def unsteady(lab: Lab) -> Iterator[Unsteady]:
    place = urlsplit(lab.target.up.endpoint_url).netloc
    state = Unsteady("")
    guard = threading.Lock()

    class Way(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _pass(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            with guard:
                state.asked += 1
                refuse = state.asked % 25 == 0
                state.refused += refuse
            if refuse:
                answer = b"<Error><Code>SlowDown</Code><Message>Reduce your request rate.</Message></Error>"
                self._answer(503, [], b"" if self.command == "HEAD" else answer)
                return
            connection = http.client.HTTPConnection(place)
            # The host that was signed stays.
            connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                connection.putheader(name, value)
            connection.endheaders(body)
            response = connection.getresponse()
            self._answer(response.status, response.getheaders(), response.read())
            connection.close()

        def _answer(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
            self.send_response(status)
            length = next((v for n, v in headers if n.lower() == "content-length"), None)
            for name, value in headers:
                if name.lower() not in (
                    "content-length",
                    "transfer-encoding",
                    "connection",
                    "date",
                    "server",
                ):
                    self.send_header(name, value)
            # A HEAD tells the length of what it does not send.
            self.send_header(
                "Content-Length", length if self.command == "HEAD" and length else str(len(body))
            )
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _pass

        def log_message(self, format: str, *args: object) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Way)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    state.url = f"http://127.0.0.1:{server.server_address[1]}"
    yield state
    server.shutdown()
    server.server_close()
