"""SageMaker's folders and configuration files, and the SM_* variables that scripts know them by.

The variables are those that the SageMaker training toolkit documents for its containers
(aws/sagemaker-training-toolkit, ENVIRONMENT_VARIABLES.md). What is set already stays: SageMaker, and whoever
runs a script by hand, has the last word.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .outcome import ProgramError


@dataclass(frozen=True)
class Folders:
    """Where SageMaker puts things in and takes things out: /opt/ml, or SAGEMAKER_BASE_DIR."""

    base: Path

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] | None = None) -> Folders:
        """/opt/ml, or SAGEMAKER_BASE_DIR where /opt/ml cannot be mounted."""
        environ = os.environ if environ is None else environ
        return cls(Path(environ.get("SAGEMAKER_BASE_DIR") or "/opt/ml"))

    @property
    def config(self) -> Path:
        return self.base / "input" / "config"

    @property
    def data(self) -> Path:
        """One folder a channel."""
        return self.base / "input" / "data"

    @property
    def model(self) -> Path:
        return self.base / "model"

    @property
    def output(self) -> Path:
        return self.base / "output"

    @property
    def checkpoints(self) -> Path:
        """Where SageMaker keeps what is to survive an interruption (CheckpointConfig's LocalPath)."""
        return self.base / "checkpoints"

    @property
    def failure(self) -> Path:
        """Its text becomes a training job's FailureReason."""
        return self.output / "failure"

    @property
    def message(self) -> Path:
        """Its text becomes a processing job's ExitMessage."""
        return self.output / "message"

    @property
    def processing(self) -> Path:
        return self.base / "processing"

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


def variables(
    folders: Folders, hyperparameters: Mapping[str, Any], arguments: list[str], program: str
) -> dict[str, str]:
    """The SM_* variables of a training job. Raises ProgramError for configuration that cannot be read."""
    channels = folders.read_config("inputdataconfig.json")
    resources = folders.read_config("resourceconfig.json")
    # Without the configuration, as with a bare `docker run`, what lies there are the channels.
    if not channels and folders.data.is_dir():
        channels = {path.name: {} for path in sorted(folders.data.iterdir()) if path.is_dir()}
    hosts = resources.get("hosts") or ["algo-1"]
    found: dict[str, Any] = {
        "MODEL_DIR": str(folders.model),
        "OUTPUT_DIR": str(folders.output),
        "OUTPUT_DATA_DIR": str(folders.output / "data"),
        "INPUT_DIR": str(folders.base / "input"),
        "INPUT_CONFIG_DIR": str(folders.config),
        "CHANNELS": sorted(channels),
        "HPS": dict(hyperparameters),
        "HOSTS": hosts,
        "CURRENT_HOST": resources.get("current_host") or hosts[0],
        "NETWORK_INTERFACE_NAME": resources.get("network_interface_name") or "eth0",
        "NUM_CPUS": available_processors(),
        "NUM_GPUS": 0,
        "LOG_LEVEL": 20,
        "USER_ARGS": arguments,
        "USER_ENTRY_POINT": f"{program}.py",
        "MODULE_NAME": program,
        "RESOURCE_CONFIG": resources,
        "INPUT_DATA_CONFIG": channels,
        **{f"CHANNEL_{name.upper()}": str(folders.data / name) for name in channels},
        **{f"HP_{name.upper()}": value for name, value in hyperparameters.items()},
    }
    return {f"SM_{name}": value if isinstance(value, str) else _json(value) for name, value in found.items()}


def _json(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def available_processors() -> int:
    """Processors this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def threads(environ: Mapping[str, str] | None = None) -> int:
    """Threads to use: as many as the processors given, fewer where SM_NUM_CPUS or OMP_NUM_THREADS say so."""
    environ = os.environ if environ is None else environ
    limits = [available_processors()]
    for name in ("SM_NUM_CPUS", "OMP_NUM_THREADS"):
        value = environ.get(name, "").strip()
        if value.isdigit() and int(value) > 0:
            limits.append(int(value))
    return min(limits)
