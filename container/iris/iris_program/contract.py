"""SageMaker's side of the programs: folders, configuration files, failure texts, signals, processors.

Folders are under /opt/ml, or under SAGEMAKER_BASE_DIR where /opt/ml cannot be mounted.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

# SageMaker keeps the first 1,024 characters of the failure file and of a processing job's message.
REASON_LIMIT = 1024


class ProgramError(Exception):
    """The job cannot succeed; the text is for the one who started it. One line for each thing wrong."""


class Stopped(Exception):
    """SageMaker asked the job to stop (SIGTERM); what was to be kept has been kept."""


@dataclass(frozen=True)
class Folders:
    """Where SageMaker puts things in and takes things out."""

    base: Path

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] | None = None) -> Folders:
        """/opt/ml, or SAGEMAKER_BASE_DIR."""
        environ = os.environ if environ is None else environ
        return cls(Path(environ.get("SAGEMAKER_BASE_DIR") or "/opt/ml"))

    @property
    def config(self) -> Path:
        return self.base / "input" / "config"

    @property
    def model(self) -> Path:
        return self.base / "model"

    @property
    def checkpoints(self) -> Path:
        return self.base / "checkpoints"

    @property
    def failure(self) -> Path:
        """Its text becomes a training job's FailureReason."""
        return self.base / "output" / "failure"

    @property
    def message(self) -> Path:
        """Its text becomes a processing job's ExitMessage."""
        return self.base / "output" / "message"

    @property
    def processing(self) -> Path:
        return self.base / "processing"

    def channel(self, name: str, environ: Mapping[str, str] | None = None) -> Path:
        """Folder of an input channel: SM_CHANNEL_<NAME> where it is set, else input/data/<name>."""
        environ = os.environ if environ is None else environ
        given = environ.get(f"SM_CHANNEL_{name.upper()}")
        return Path(given) if given else self.base / "input" / "data" / name

    def read_config(self, name: str) -> dict[str, Any]:
        """One of input/config's JSON files, {} when absent. Raises ProgramError unless it is an object."""
        path = self.config / name
        try:
            value = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            raise ProgramError(f"{path}: {error}") from error
        if not isinstance(value, dict):
            raise ProgramError(f"{path}: an object is expected, not {type(value).__name__}")
        return value


def check_channels(folders: Folders, wanted: tuple[str, ...]) -> None:
    """Raise ProgramError, all reasons at once, unless every wanted channel can be read as files of CSV."""
    config = folders.read_config("inputdataconfig.json")
    problems = []
    for name in wanted:
        channel = config.get(name, {})
        if config and name not in config:
            problems.append(f"channel {name!r} is missing; the job has {', '.join(sorted(config))}")
            continue
        mode = channel.get("TrainingInputMode", "File")
        if mode not in ("File", "FastFile"):
            problems.append(f"channel {name!r} comes in {mode} mode; File and FastFile are read")
        content_type = (channel.get("ContentType") or "text/csv").split(";")[0].strip().lower()
        if content_type not in ("text/csv", "csv"):
            problems.append(f"channel {name!r} has content type {content_type}; text/csv is read")
    hosts = folders.read_config("resourceconfig.json").get("hosts", [])
    if len(hosts) > 1:
        problems.append(f"{len(hosts)} instances were given; this program trains on one")
    if problems:
        raise ProgramError("\n".join(problems))


def threads(rows: int, environ: Mapping[str, str] | None = None) -> int:
    """Threads worth using: not more than the processors given, nor one for fewer than 10,000 rows.

    OpenMP threads beyond that fight over small data and cost more than they bring.
    """
    environ = os.environ if environ is None else environ
    limits = [max(1, rows // 10_000)]
    for name in ("SM_NUM_CPUS", "OMP_NUM_THREADS"):
        value = environ.get(name, "").strip()
        if value.isdigit() and int(value) > 0:
            limits.append(int(value))
    limits.append(available_processors())
    return min(limits)


def available_processors() -> int:
    """Processors this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class StopFlag:
    """Remembers SIGTERM, so that work stops between two steps and not in the middle of one."""

    def __init__(self) -> None:
        self.is_set = False

    def install(self) -> None:
        signal.signal(signal.SIGTERM, self._on_signal)

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self.is_set = True

    def check(self) -> None:
        """Raise Stopped when SIGTERM has come."""
        if self.is_set:
            raise Stopped("stopped by SIGTERM")


def run_program(program: Callable[[Folders], None], reason_file: Callable[[Folders], Path]) -> int:
    """Run the program; write why it failed where SageMaker reads it; return the exit code.

    0 well, 1 failed, 143 (128 + SIGTERM) stopped.
    """
    folders = Folders.from_environment()
    try:
        program(folders)
    except Stopped as stop:
        print(f"stopped: {stop}", flush=True)
        return 128 + signal.SIGTERM
    except ProgramError as error:
        reason = str(error)
    except Exception as error:  # noqa: BLE001  the reason must reach DescribeTrainingJob whatever it is
        traceback.print_exc()
        reason = f"{type(error).__name__}: {error}"
    else:
        return 0
    print(f"failed: {reason}", file=sys.stderr, flush=True)
    path = reason_file(folders)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(reason[:REASON_LIMIT], encoding="utf-8")
    return 1


def write_atomically(path: Path, text: str) -> None:
    """Write beside and rename: a reader, or a restart, never sees half a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.writing")
    beside.write_text(text, encoding="utf-8")
    beside.replace(path)
