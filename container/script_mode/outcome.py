"""How a program ends: well, failed with a reason that SageMaker shows, or stopped with its work kept."""

from __future__ import annotations

import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from types import FrameType

# SageMaker keeps the first 1,024 characters of the failure file and of a processing job's message.
REASON_LIMIT = 1024
STOPPED = 128 + signal.SIGTERM


class ProgramError(Exception):
    """The job cannot succeed; the text is for the one who started it. One line for each thing wrong."""


class Stopped(Exception):
    """SageMaker asked the job to stop (SIGTERM); what was to be kept has been kept."""


class StopFlag:
    """Remembers SIGTERM, so that work stops between two steps and not in the middle of one."""

    def __init__(self) -> None:
        self.is_set = False

    def install(self) -> None:
        """From now on SIGTERM sets the flag. In the main thread only."""
        signal.signal(signal.SIGTERM, self._on_signal)

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self.is_set = True

    def check(self) -> None:
        """Raise Stopped when SIGTERM has come."""
        if self.is_set:
            raise Stopped("stopped by SIGTERM")


def run_program(program: Callable[[], None], reason_file: Path) -> int:
    """Run the program; write why it failed where SageMaker reads it; return the exit code.

    0 well, 1 failed, 143 (128 + SIGTERM) stopped.
    """
    try:
        program()
    except Stopped as stop:
        print(f"stopped: {stop}", flush=True)
        return STOPPED
    except ProgramError as error:
        reason = str(error)
    except SystemExit as end:
        if end.code in (None, 0):
            return 0
        reason = end.code if isinstance(end.code, str) else f"the program ended with exit code {end.code}"
    except Exception as error:  # noqa: BLE001  the reason must reach DescribeTrainingJob whatever it is
        traceback.print_exc()
        reason = f"{type(error).__name__}: {error}"
    else:
        return 0
    print(f"failed: {reason}", file=sys.stderr, flush=True)
    reason_file.parent.mkdir(parents=True, exist_ok=True)
    reason_file.write_text(reason[:REASON_LIMIT], encoding="utf-8")
    return 1


def write_atomically(path: Path, content: str | bytes) -> None:
    """Write beside and rename: a reader, or a restart, never sees half a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.writing")
    beside.write_bytes(content.encode("utf-8") if isinstance(content, str) else content)
    beside.replace(path)
