"""The library of the Glue scripts on a real Spark: one session a module, folders instead of S3."""

from __future__ import annotations

import json
import os
import subprocess
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pipeline.local.glue import spark
from pipeline.local.glue.spark.command import SHIM

REPOSITORY = Path(__file__).resolve().parents[3]


@dataclass
class Ran:
    """A script's end and what it left below OUTPUT_PATH."""

    error: str
    output: str
    place: Path

    def read(self, name: str) -> Any:
        return json.loads((self.place / name).read_text())

    def check(self, frame: str, rule: str, column: str | None = None) -> dict[str, Any]:
        """The one result of a rule."""
        found = [
            check
            for check in self.read("quality.json")["frames"][frame]["checks"]
            if check["rule"] == rule and column in (None, check["column"])
        ]
        assert len(found) == 1, found
        one: dict[str, Any] = found[0]
        return one

    def rows(self, folder: str) -> list[dict[str, Any]]:
        """JSON lines."""
        parts = sorted((self.place / folder).glob("part-*"))
        return [json.loads(line) for part in parts for line in part.read_text().splitlines()]

    def lines(self, folder: str) -> list[str]:
        parts = sorted((self.place / folder).glob("part-*"))
        return [line for part in parts for line in part.read_text().splitlines()]


class Worker:
    """The process with the session."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def run(
        self,
        folder: Path,
        script: str,
        rules: dict[str, Any] | None = None,
        **arguments: str,
    ) -> Ran:
        """Run a script on the channels that lie in `folder`, with the contract's arguments."""
        place = folder / "out"
        given = {"JOB_NAME": "demo-dev-features", "OUTPUT_PATH": str(place), "FINGERPRINT": "f1"}
        given |= {f"{path.name.upper()}_PATH": f"{path}/" for path in folder.iterdir() if path.name != "out"}
        given |= {"QUALITY": json.dumps(rules)} if rules is not None else {}
        words = [word for name, value in {**given, **arguments}.items() for word in (f"--{name}", value)]
        request = {"script": textwrap.dedent(script), "arguments": words}
        assert self._process.stdin and self._process.stdout
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        return Ran(answer["error"], answer["output"], place)


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    environment = spark.prepare("5.1")
    process = subprocess.Popen(
        [str(environment.python), str(REPOSITORY / "tests" / "fixtures" / "spark_worker.py")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={
            "PATH": os.environ["PATH"],
            "HOME": os.environ["HOME"],
            "JAVA_HOME": str(environment.java.parent.parent),
            "PYSPARK_PYTHON": str(environment.python),
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONPATH": os.pathsep.join([str(REPOSITORY / "glue_scripts"), str(SHIM)]),
            "SPARK_LOCAL_IP": "127.0.0.1",
            "AWS_EC2_METADATA_DISABLED": "true",
        },
    )
    assert process.stdout and process.stdin
    assert process.stdout.readline() == "ready\n"
    yield Worker(process)
    process.stdin.close()
    process.wait(60)
