"""SageMaker's side of the programs: folders under /opt/ml, configuration, the failure text, SIGTERM."""

from __future__ import annotations

import importlib
import json
import os
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

REASON_LIMIT = 1024
PROGRAM = Path(__file__).resolve().parent.parent
# The facts of the algorithm, which the local target lays into the image beside this package.
algorithms: Any = importlib.import_module(
    "algorithms" if (PROGRAM / "algorithms.py").exists() else "pipeline.algorithms"
)


class UserError(Exception):
    """The job or request cannot succeed as it was asked; the text is for the one who asked."""


class Stopped(Exception):
    """SageMaker asked the job to stop (SIGTERM); what was to be kept has been kept."""


class StopFlag:
    """Remembers SIGTERM, so that training ends between two rounds."""

    def __init__(self) -> None:
        self.is_set = False

    def install(self) -> None:
        signal.signal(signal.SIGTERM, lambda *_: setattr(self, "is_set", True))


def base() -> Path:
    """/opt/ml, or SAGEMAKER_BASE_DIR where it cannot be mounted."""
    return Path(os.environ.get("SAGEMAKER_BASE_DIR") or "/opt/ml")


def version() -> str:
    """Of the image of AWS's that this one stands for: `1.7-1`."""
    try:
        return (PROGRAM / "VERSION").read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        return str(algorithms.carried()["xgboost"]["versions"][-1])


def config(name: str) -> dict[str, Any]:
    """One of input/config's JSON files; {} when absent."""
    try:
        value = json.loads((base() / "input" / "config" / name).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    return value if isinstance(value, dict) else {}


def run(program: Callable[[], None]) -> int:
    """Run it, write why it failed where SageMaker reads it, and return the exit code (143: stopped)."""
    try:
        program()
    except Stopped as stop:
        print(f"stopped: {stop}", flush=True)
        return 128 + signal.SIGTERM
    except UserError as error:
        reason = str(error)
    except Exception as error:  # noqa: BLE001 - the reason must reach DescribeTrainingJob whatever it is
        traceback.print_exc()
        reason = f"{type(error).__name__}: {error}"
    else:
        return 0
    print(f"failed: {reason}", file=sys.stderr, flush=True)
    path = base() / "output" / "failure"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(reason[:REASON_LIMIT], encoding="utf-8")
    return 1


def leave(code: int) -> NoReturn:
    """End this program at once: XGBoost's threads of a broken cluster crash in Python's own, orderly end."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def processors() -> int:
    """Processors this program may use."""
    given = os.environ.get("SM_NUM_CPUS", "")
    mine = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(mine, int(given)) if given.isdigit() and int(given) else mine
