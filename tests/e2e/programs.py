"""A container's programs as processes, on an instance set up as SageMaker sets it up; no engine, no AWS.

Used as `machine = Machine(tmp_path / "ml", CONTAINER, venvs.bin_of(CONTAINER / "requirements.lock"))`: put
the channels below `machine.data` and `machine.processing`, then `run("train")`, `pack()`, `run("evaluate")`
and `with serving(machine) as (endpoint, seen)`.
"""

from __future__ import annotations

import http.client
import json
import os
import shutil
import socket
import subprocess
import tarfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pipeline.image import context_files


class Machine:
    """One instance. Its /opt/ml is the folder `base`; the image's files lie in `program` beside it.

    `programs` is the bin folder of the container's environment. Hyperparameters are those of a pipeline's
    settings.toml; SageMaker gives each as text.
    """

    def __init__(
        self, base: Path, container: Path, programs: Path, hyperparameters: Mapping[str, Any] | None = None
    ) -> None:
        self.base = base
        self.image = base.parent / "program"
        for relative, path in context_files(container).items():
            (self.image / relative).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, self.image / relative)
        self.environment = {
            "PATH": f"{programs}:{os.environ['PATH']}",
            "SAGEMAKER_BASE_DIR": str(base),
            "PYTHONDONTWRITEBYTECODE": "1",
            "SM_NUM_CPUS": "1",
        }
        self.hyperparameters = {name: str(value) for name, value in (hyperparameters or {}).items()}
        # resourceconfig.json: the hosts of the job, and which this is; not written while empty.
        self.resources: dict[str, Any] = {}
        # The folders of the channels; `copytree` and `symlink_to` make a channel's own.
        self.data, self.processing = base / "input" / "data", base / "processing"
        for folder in (self.data, self.processing):
            folder.mkdir(parents=True, exist_ok=True)

    def start(self, program: str, **environment: str) -> subprocess.Popen[str]:
        """Both streams come as one, by the process's `stdout`; read it, or a full pipe stops the program."""
        config = self.base / "input" / "config"
        config.mkdir(parents=True, exist_ok=True)
        (config / "hyperparameters.json").write_text(json.dumps(self.hyperparameters))
        if self.resources:
            (config / "resourceconfig.json").write_text(json.dumps(self.resources))
        return subprocess.Popen(
            [str(self.image / program)],
            cwd=self.base,
            env=self.environment | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, program: str, code: int = 0, timeout: float = 280) -> str:
        """What a program printed that ended with this code; else the test fails, and no process is left."""
        process = self.start(program)
        try:
            out, _ = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            out, _ = process.communicate()
            raise AssertionError(f"{program} did not end in {timeout:.0f} s:\n{out}") from None
        assert process.returncode == code, out
        return out

    def pack(self) -> None:
        """What SageMaker does between training and processing: /opt/ml/model becomes model.tar.gz."""
        folder = self.processing / "model"
        folder.mkdir(parents=True, exist_ok=True)
        with tarfile.open(folder / "model.tar.gz", "w:gz") as tar:
            for path in sorted((self.base / "model").iterdir()):
                tar.add(path, path.name)

    def evaluation(self) -> dict[str, Any]:
        """The report that `evaluate` wrote."""
        report: dict[str, Any] = json.loads(self.read("processing/evaluation/evaluation.json"))
        return report

    def read(self, name: str) -> str:
        return (self.base / name).read_text()

    @property
    def failure(self) -> str:
        """Why training failed, as SageMaker would say it; empty when it did not."""
        path = self.base / "output" / "failure"
        return path.read_text() if path.exists() else ""


class Endpoint:
    """A running `serve`."""

    def __init__(self, process: subprocess.Popen[str], port: int) -> None:
        self.process = process
        self.port = port

    def call(
        self, method: str, path: str, body: bytes | None = None, **headers: str
    ) -> tuple[int, str, bytes]:
        """Status, content type and body. `Content_Type="text/csv"` is the header Content-Type."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(
                method, path, body, {name.replace("_", "-"): value for name, value in headers.items()}
            )
            response = connection.getresponse()
            return response.status, response.headers.get("Content-Type", ""), response.read()
        finally:
            connection.close()

    def ping(self) -> int:
        """Status of /ping; 0 when nothing listens yet."""
        try:
            return self.call("GET", "/ping")[0]
        except OSError:
            return 0


@contextmanager
def serving(
    machine: Machine, until: tuple[int, ...] = (200,), seconds: float = 30, **environment: str
) -> Iterator[tuple[Endpoint, list[int]]]:
    """Start `serve`, wait for a status of /ping or its end, end it at last. Gives what /ping said."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = machine.start("serve", HOST="127.0.0.1", SAGEMAKER_BIND_TO_PORT=str(port), **environment)
    endpoint, seen = Endpoint(process, port), [0]
    try:
        deadline = time.monotonic() + seconds
        while seen[-1] not in until and process.poll() is None and time.monotonic() < deadline:
            status = endpoint.ping()
            if status != seen[-1]:
                seen.append(status)
            time.sleep(0.01)
        yield endpoint, seen
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate(timeout=10)
