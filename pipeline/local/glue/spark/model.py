"""What is given to run a Glue script on Spark, and what comes back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

# stream ("output" or "error"), one line without its newline; called in order from threads of the run
OnOutput = Callable[[str, str], None]
OUTPUT, ERROR = "output", "error"


class SparkUnavailable(Exception):
    """Spark cannot run on this machine as that Glue version has it; the message says what to install."""


@dataclass(frozen=True)
class Environment:
    """What a Glue version's scripts run in on this machine, ready to use.

    Attributes:
        glue_version: `5.1`
        spark: version of Spark and pyspark
        python: the interpreter of the venv with pyspark
        java: the `java` program
        jar: our S3 file system, compiled
    """

    glue_version: str
    spark: str
    python: Path
    java: Path
    jar: Path


@dataclass(frozen=True)
class SparkJob:
    """One run of one script.

    Args:
        run_id: the Glue run's id.
        job_name: the Glue job's name.
        script_uri: `s3://bucket/key.py`.
        extra_py_files: `s3://` addresses of zips and modules for the script's path.
        arguments: what the script gets as `--key value`, keys with their dashes.
        glue_version: `5.1`.
        cores: of Spark's master, `local[cores]`.
        memory_mb: the driver's heap, which is all of Spark here.
        folder: the run's own, empty or absent; Spark's scratch is in it. The caller removes it.
        environment: variables of the job's role: AWS_* credentials, region, AWS_ENDPOINT_URL.
    """

    run_id: str
    job_name: str
    script_uri: str
    extra_py_files: Sequence[str]
    arguments: Mapping[str, str]
    glue_version: str
    cores: int
    memory_mb: int
    folder: Path
    environment: Mapping[str, str] = field(repr=False)  # holds secrets


@dataclass(frozen=True)
class Ended:
    """How a run ended.

    Attributes:
        exit_code: 0 when it did what it should; 128+N when signal N ended it.
        error_message: empty when well; else one line, as Glue's ErrorMessage has it.
        seconds: from start to end.
        peak_mb: most memory that its processes held together (resident).
        oom: it failed for want of memory.
    """

    exit_code: int
    error_message: str
    seconds: float
    peak_mb: int
    oom: bool


class SparkRun(Protocol):
    """A run that was started.

    Attributes:
        pid: of the process that stands for all of the run's.
    """

    @property
    def pid(self) -> int: ...

    def wait(self, timeout: float | None = None) -> Ended | None:
        """How it ended, once all its output was given; None when it still runs after `timeout` seconds."""

    def stop(self, grace: float = 5.0) -> Ended:
        """SIGTERM, after `grace` seconds SIGKILL to all its processes; how it ended. Twice is no error."""
