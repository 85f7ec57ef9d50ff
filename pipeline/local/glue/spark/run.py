"""Starts a run's driver in processes of its own, follows it, and says how it ended."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import threading
import time
from pathlib import Path

import psutil
from botocore.exceptions import BotoCoreError, ClientError

from pipeline.local import processes
from pipeline.local.glue.spark import command
from pipeline.local.glue.spark.driver import cause
from pipeline.local.glue.spark.environment import prepare
from pipeline.local.glue.spark.model import ERROR, OUTPUT, Ended, OnOutput, SparkJob, SparkRun
from pipeline.local.runner import mount
from pipeline.local.runner.process import read_lines, spawn

_LOOK_SECONDS = 0.5  # how often the processes' memory is looked at
_OOM_LINE = "Terminating due to java.lang.OutOfMemoryError"
_MEGABYTE = 1 << 20
_FOLDERS = ("home", "tmp", "conf", "spark", "work", "code")  # a run's own, gone when it has ended


class CannotFetch(Exception):
    """A file of the job can't be had from S3; the text is the cause."""


def launch(job: SparkJob, on_output: OnOutput) -> SparkRun:
    """Start `job`; `on_output` gets its lines as they come, each stream in order.

    A script or library that can't be fetched is a run that failed, as on Glue. The run's scratch is
    removed at its end.

    Raises:
        SparkUnavailable: as `prepare`.
    """
    environment = prepare(job.glue_version)
    for name in _FOLDERS:
        (job.folder / name).mkdir(parents=True, exist_ok=True)
    try:
        script, path = fetch(job)
    except CannotFetch as error:
        on_output(ERROR, str(error))
        _clear(job.folder)
        return _Failed(str(error))
    conf = job.folder / "conf"
    (conf / "spark-defaults.conf").write_text(
        command.properties(command.settings(job, environment)), encoding="utf-8"
    )
    (conf / "log4j2.properties").write_text(command.LOGGING, encoding="utf-8")
    kept = {name: os.environ[name] for name in (processes.OWNER_VARIABLE,) if name in os.environ}
    orders = command.orders(job, environment, script)
    popen = spawn(
        lambda: subprocess.Popen(
            mount.launch_command(orders),
            env=command.variables(job, environment, path, kept),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
    )
    return _Running(popen, job, on_output)


def fetch(job: SparkJob) -> tuple[Path, list[Path]]:
    """Download the script and its libraries with the job's role: the script, and what to put on its path.

    Raises:
        CannotFetch: one of them can't be had.
    """
    import boto3  # not before a run needs it: the server imports this module at its start

    variables = job.environment
    client = boto3.client(
        "s3",
        endpoint_url=variables.get("AWS_ENDPOINT_URL_S3") or variables.get("AWS_ENDPOINT_URL"),
        region_name=variables.get("AWS_REGION") or variables.get("AWS_DEFAULT_REGION"),
        aws_access_key_id=variables.get("AWS_ACCESS_KEY_ID"),
        aws_secret_access_key=variables.get("AWS_SECRET_ACCESS_KEY"),
        aws_session_token=variables.get("AWS_SESSION_TOKEN"),
    )
    code = job.folder / "code"
    script, path = None, []
    for number, uri in enumerate([job.script_uri, *job.extra_py_files]):
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        name = key.rpartition("/")[2]
        if not uri.startswith("s3://") or not name:
            raise CannotFetch(f"{uri} is not the s3:// address of a file")
        place = code / str(number) / name
        place.parent.mkdir(exist_ok=True)
        try:
            client.download_file(bucket, key, str(place))
        except ClientError as error:
            told = error.response.get("Error", {})
            why = "NoSuchKey" if told.get("Code") in ("404", "NoSuchKey") else told.get("Code", "")
            if why == "403":  # of a HEAD, which has no body to say more
                why = "AccessDenied"
            raise CannotFetch(
                f"Error downloading from S3: bucket {bucket}, key {key}: {why} (s3:GetObject)"
            ) from error
        except BotoCoreError as error:
            raise CannotFetch(f"Error downloading from S3: bucket {bucket}, key {key}: {error}") from error
        if number == 0:
            script = place
        else:
            path.append(place.parent if name.endswith(".py") else place)
    assert script is not None
    return script, path


def _clear(folder: Path) -> None:
    for name in _FOLDERS:
        shutil.rmtree(folder / name, ignore_errors=True)


class _Failed:
    """A run that ended before any process was started."""

    def __init__(self, why: str) -> None:
        self.pid = 0
        self._ended = Ended(exit_code=1, error_message=why, seconds=0.0, peak_mb=0, oom=False)

    def wait(self, timeout: float | None = None) -> Ended | None:  # noqa: ARG002 - it has ended
        return self._ended

    def stop(self, grace: float = 5.0) -> Ended:  # noqa: ARG002 - it has ended
        return self._ended


class _Running:
    """The launcher's process and the threads that follow it; `model.SparkRun` says what each method does."""

    def __init__(self, popen: subprocess.Popen[bytes], job: SparkJob, on_output: OnOutput) -> None:
        self.pid = popen.pid
        self._popen = popen
        self._job = job
        self._on_output = on_output
        self._began = time.monotonic()
        self._peak = 0
        self._seen: set[psutil.Process] = set()
        self._oom_line = ""
        self._over = threading.Event()
        self._result: Ended | None = None
        self._ended = threading.Event()
        threading.Thread(target=self._follow, name=f"spark-{job.run_id}", daemon=True).start()

    def _follow(self) -> None:
        streams = [
            threading.Thread(target=self._read, args=(OUTPUT,), daemon=True),
            threading.Thread(target=self._read, args=(ERROR,), daemon=True),
            threading.Thread(target=self._measure, daemon=True),
        ]
        for thread in streams:
            thread.start()
        code = self._popen.wait()
        self._over.set()
        if code < 0:  # the launcher itself was killed, so nobody ended what it had started
            for process in self._seen:
                with contextlib.suppress(psutil.Error):
                    process.kill()
        for thread in streams:
            thread.join()
        code = 128 - code if code < 0 else code
        message, oom = self._why(code)
        self._result = Ended(code, message, time.monotonic() - self._began, self._peak // _MEGABYTE, oom)
        _clear(self._job.folder)
        self._ended.set()

    def _read(self, stream: str) -> None:
        pipe = self._popen.stdout if stream == OUTPUT else self._popen.stderr
        assert pipe is not None

        def line(text: str) -> None:
            if text.startswith(_OOM_LINE):
                self._oom_line = text
            self._on_output(stream, text)

        with pipe:
            read_lines(pipe, line)

    def _measure(self) -> None:
        while not self._over.wait(_LOOK_SECONDS):
            total = 0
            with contextlib.suppress(psutil.Error):
                self._seen.update(psutil.Process(self.pid).children(recursive=True))
            for process in list(self._seen):
                try:
                    total += process.memory_info().rss
                except psutil.Error:
                    self._seen.discard(process)
            self._peak = max(self._peak, total)

    def _why(self, code: int) -> tuple[str, bool]:
        """The cause of a failure and whether it is want of memory."""
        if code == 0:
            return "", False
        if self._oom_line:
            text = self._oom_line.partition("java.lang.")[2].strip()
            return f"{text} (the driver has {self._job.memory_mb} MB)", True
        report = self._job.folder / "conf" / command.REPORT
        try:
            told = json.loads(report.read_text(encoding="utf-8"))
            return str(told["cause"]), bool(told["oom"])
        except (OSError, ValueError, KeyError):
            if code > 128:
                return cause.of_signal("driver", code - 128), False
            return f"the driver ended with exit code {code} and left no word", False

    def wait(self, timeout: float | None = None) -> Ended | None:
        return self._result if self._ended.wait(timeout) else None

    def stop(self, grace: float = 5.0) -> Ended:
        self._signal(signal.SIGTERM)
        if not self._ended.wait(grace):
            # The launcher kills all that is below it when it is told so.
            self._signal(signal.SIGUSR1)
            if not self._ended.wait(5):
                self._signal(signal.SIGKILL)
        self._ended.wait()
        assert self._result is not None
        return self._result

    def _signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._popen.send_signal(number)
