"""Stand-ins for what Glue works with: a role that may do everything, and a Spark that does as it is told."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Callable
from typing import Any

from pipeline.local.api import validation
from pipeline.local.glue import service
from pipeline.local.glue.spark.model import Ended, SparkJob
from pipeline.local.glue.store import Scope

SCOPE = Scope("111122223333", "eu-west-1")
WELL = Ended(0, "", 0.1, 10, False)


class Running:
    """A run of the stub Spark: ends when it is told to, or is stopped."""

    pid = 0

    def __init__(self, job: SparkJob) -> None:
        self.job = job
        self.stopped = 0
        self._ended = threading.Event()
        self._how: Ended | None = None

    def end(self, how: Ended = WELL) -> None:
        self._how = self._how or how
        self._ended.set()

    def wait(self, timeout: float | None = None) -> Ended | None:
        return self._how if self._ended.wait(timeout) else None

    def stop(self, grace: float = 5.0) -> Ended:  # noqa: ARG002
        self.stopped += 1
        # A script may catch SIGTERM and leave as if all was well.
        self.end(WELL)
        assert self._how
        return self._how


class Spark:
    """The stub: what was started, in order. `at_start` is called with each run."""

    def __init__(self) -> None:
        self.runs: list[Running] = []
        self.told: list[Any] = []
        self.at_start: Callable[[Running], None] = lambda _: None
        self.lines: Callable[[str, str], None] = lambda *_: None

    def launch(self, job: SparkJob, on_output: Callable[[str, str], None]) -> Running:
        run = Running(job)
        self.lines = on_output
        self.runs.append(run)
        self.at_start(run)
        return run

    def started(self, count: int = 1) -> Running:
        until = time.monotonic() + 5
        while len(self.runs) < count:
            assert time.monotonic() < until, "no run was started"
            time.sleep(0.005)
        return self.runs[count - 1]


class Session:
    """Stands in for role.Session: S3 that has everything, logs that are kept."""

    refuses: Exception | None = None
    logs: dict[tuple[str, str], list[str]] = {}

    def __init__(self, scope: Any, given: str, job_arn: str) -> None:  # noqa: ARG002
        if self.refuses:
            raise self.refuses

    def client(self, service: str) -> Any:
        return _Logs(self.logs) if service == "logs" else _S3()

    def variables(self) -> dict[str, str]:
        return {"AWS_ACCESS_KEY_ID": "of-the-role"}


class _Logs:
    def __init__(self, kept: dict[tuple[str, str], list[str]]) -> None:
        self._kept = kept
        self.exceptions = self

    ResourceNotFoundException = ResourceAlreadyExistsException = KeyError

    def create_log_stream(self, **_: Any) -> None: ...

    def put_log_events(self, logGroupName: str, logStreamName: str, logEvents: list[Any]) -> None:
        self._kept.setdefault((logGroupName, logStreamName), []).extend(e["message"] for e in logEvents)


class _S3:
    def get_object(self, Bucket: str, Key: str) -> Any:  # noqa: ARG002
        from botocore.exceptions import ClientError

        if Key.startswith("absent"):
            raise ClientError(
                {
                    "Error": {"Code": "NoSuchKey", "Message": "The specified key does not exist."},
                    "ResponseMetadata": {"HTTPStatusCode": 404},
                },
                "GetObject",
            )
        return {"Body": io.BytesIO()}


class Glue:
    """The service, as a caller whom nobody weighs."""

    def __init__(self, spark: Spark) -> None:
        self.spark = spark

    def __call__(self, operation: str, **request: Any) -> dict[str, Any]:
        response = service.call(operation, request, SCOPE)
        assert validation.faults("glue", operation, response) == []
        return response

    def job(self, name: str = "j", **more: Any) -> str:
        command = {"Name": "glueetl", "ScriptLocation": "s3://b/code.py"}
        given = {"WorkerType": "G.1X", "NumberOfWorkers": 2, "Command": command, **more}
        self("CreateJob", Name=name, Role="role", **given)
        return name

    def start(self, name: str = "j", **more: Any) -> str:
        return str(self("StartJobRun", JobName=name, **more)["JobRunId"])

    def state(self, run: str, name: str = "j") -> dict[str, Any]:
        found: dict[str, Any] = self("GetJobRun", JobName=name, RunId=run)["JobRun"]
        return found

    def until(self, run: str, *states: str, name: str = "j") -> dict[str, Any]:
        limit = time.monotonic() + 5
        while True:
            found = self.state(run, name)
            if found["JobRunState"] in states:
                return found
            assert time.monotonic() < limit, found
            time.sleep(0.005)
