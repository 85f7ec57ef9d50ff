"""One run from its role to its end: what it may, what it starts, until it ends or must."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pipeline.local import context, roles
from pipeline.local.glue import capacity, job_run_status, role, script
from pipeline.local.glue.job_run_status import STATE
from pipeline.local.glue.store import Record, Scope
from pipeline.local.sagemaker.jobs import transfer
from pipeline.local.sagemaker.jobs.failure import JobFailed
from pipeline.local.sagemaker.jobs.logs import LogStream
from pipeline.local.sagemaker.jobs.worker import LiveJob

if TYPE_CHECKING:
    # Imported when a run needs it: the server starts without it, and many never run Spark.
    from pipeline.local.glue import spark

log = logging.getLogger(__name__)
OUTPUT, ERROR = "output", "error"  # a run's streams, as the runner names them
OUTPUT_GROUP, ERROR_GROUP = "/aws-glue/jobs/output", "/aws-glue/jobs/error"
# Seconds. Nothing of a run is worth waiting for: what it writes counts once its files are closed.
GRACE = 5.0
_MINUTE = 60.0
_TOLD_AFTER = 2.0  # until a run that makes Spark's environment first says so
_LOOK = 0.1  # between two looks at a run: a stop is obeyed within that time


def folder(run_id: str) -> Path:
    """Where a run's files are while it is at work."""
    return context.paths().temporary / "glue" / run_id


class JobRunWork:
    """The work of one run's thread.

    Args:
        live: its handle.
        job: the job as it was when the run was started.
        record: the run as it was started.
    """

    def __init__(self, live: LiveJob, scope: Scope, job: Record, record: Record) -> None:
        self.live, self.scope, self.job, self.record = live, scope, job, record
        self.folder = folder(record["Id"])

    def run(self) -> None:
        """All of it; raises JobFailed, or leaves the record in its final state."""
        session = self._assumed()
        logs = session.client("logs")
        streams = {
            OUTPUT: LogStream(logs, OUTPUT_GROUP, self.record["Id"]),
            ERROR: LogStream(logs, ERROR_GROUP, self.record["Id"]),
        }
        try:
            ended = self._spark(session, streams)
        finally:
            # Who sees that the run is over finds all that it has said.
            for stream in streams.values():
                stream.close()
            transfer.remove(self.folder)
        self._conclude(ended)

    def _assumed(self) -> role.Session:
        try:
            return role.Session(self.scope, self.job["Role"], self.scope.arn(f"job/{self.job['Name']}"))
        except roles.RoleNotAssumable as error:
            raise JobFailed(
                f"JobName:{self.job['Name']} and JobRunId:{self.record['Id']} failed to execute with "
                f"exception Role {error.role_arn} should be given assume role permissions for Glue Service. "
                f"({error.why})"
            ) from None

    def _spark(self, session: role.Session, streams: dict[str, LogStream]) -> spark.Ended | None:
        """Start the script and wait: how it ended, or None if it was not started at all."""
        try:
            running = self._launched(session, streams)
        except JobFailed as error:
            streams[ERROR].write(error.reason)
            raise
        return self._wait(running) if running else None

    def _launched(self, session: role.Session, streams: dict[str, LogStream]) -> spark.SparkRun | None:
        from pipeline.local.glue import spark

        code = script.of(self.job, self.record)
        script.require(session.client("s3"), code)
        got = capacity.here(self.record["WorkerType"], self.record["NumberOfWorkers"])
        streams[ERROR].write(f"local target: {got.told}")
        version = self.record["GlueVersion"]
        try:
            with _telling(streams[ERROR], version):
                spark.prepare(version)
            if not self._enter():
                return None
            self.folder.mkdir(parents=True, exist_ok=True)
            return spark.launch(
                spark.SparkJob(
                    run_id=self.record["Id"],
                    job_name=self.job["Name"],
                    script_uri=code.uri,
                    extra_py_files=code.extra_py_files,
                    arguments=code.arguments,
                    glue_version=version,
                    cores=got.cores,
                    memory_mb=got.memory_mb,
                    folder=self.folder,
                    environment=session.variables(),
                ),
                lambda stream, line: streams[stream].write(line),
            )
        except spark.SparkUnavailable as error:
            raise JobFailed(f"LAUNCH ERROR | {error}") from None

    def _enter(self) -> bool:
        """The run's time begins, unless it is being stopped."""
        entered = False

        def change(record: Record) -> None:
            nonlocal entered
            entered = record[STATE] == "STARTING"
            if entered:
                job_run_status.running(record)

        self.live.still_wanted()
        self.live.edit(change)
        return entered

    def _wait(self, running: spark.SparkRun) -> spark.Ended:
        self.because: Literal["ended", "timeout", "stopped"] = "ended"
        until = time.monotonic() + self.record["Timeout"] * _MINUTE
        while True:
            ended = running.wait(_LOOK)
            if ended is not None:
                return ended
            if self.live.stop.asked or time.monotonic() >= until:
                self.because = "stopped" if self.live.stop.asked else "timeout"
                return running.stop(GRACE if self.live.stop.grace is None else self.live.stop.grace)

    def _conclude(self, ended: spark.Ended | None) -> None:
        self.live.still_wanted()
        if ended is None or self.live.stop.asked:
            self.live.edit(_stopped)
        elif self.because == "timeout":
            minutes = self.record["Timeout"]
            told = (
                f"Job run timed out: it ran longer than {minutes} {'minute' if minutes == 1 else 'minutes'}."
            )
            self.live.edit(lambda record: _unless_stopping(record, "TIMEOUT", told))
        elif ended.exit_code == 0 and not ended.error_message and not ended.oom:
            self.live.edit(lambda record: _unless_stopping(record, "SUCCEEDED"))
        else:
            raise JobFailed(ended.error_message or f"Command failed with exit code {ended.exit_code}")


@contextmanager
def _telling(stream: LogStream, version: str) -> Iterator[None]:
    """Say what takes so long, if it does: the first run of a Glue version makes its environment."""
    told = f"local target: making the environment of Glue {version}; the first time takes minutes"
    slow = threading.Timer(_TOLD_AFTER, lambda: stream.write(told))
    slow.daemon = True
    slow.start()
    try:
        yield
    finally:
        slow.cancel()


def _unless_stopping(record: Record, state: str, message: str = "") -> None:
    """End so, unless a stop was asked for meanwhile: what is being stopped never ends otherwise."""
    if record[STATE] == "STOPPING":
        _stopped(record)
    else:
        job_run_status.end(record, state, message)


def _stopped(record: Record) -> None:
    if record[STATE] != "STOPPING":  # a job that is deleted stops its runs without BatchStopJobRun
        job_run_status.stopping(record)
    job_run_status.end(record, "STOPPED")
