"""Which programs run, kept on disk as well, so that none outlives the server unseen.

The kernel ends them with the server where it can (launch.py). The record on disk is for where it
cannot: process id and start time, because an id alone may by now belong to somebody else.
"""

from __future__ import annotations

import contextlib
import json
import threading
from pathlib import Path
from typing import Protocol

import psutil

from pipeline.local.runner.model import Runner

_FOLDER = "processes"


class _Known(Protocol):
    pid: int
    name: str

    def kill(self) -> None: ...

    def wait(self, timeout: float | None = None) -> int | None: ...


_guard = threading.Lock()
_known: dict[int, _Known] = {}
_state: Path | None = None
_runner: Runner | None = None


def use(runner: Runner, state: Path) -> None:
    """Run programs with `runner` from here on and keep their records under `state`."""
    global _runner, _state
    _runner, _state = runner, state


def current() -> Runner:
    """The runner in use; the process runner of the server's own state folder when none was set."""
    if _runner is None:
        from pipeline.local import context
        from pipeline.local.runner.process import ProcessRunner

        use(ProcessRunner(context.state_dir()), context.state_dir())
    assert _runner is not None
    return _runner


def remember(process: _Known) -> None:
    """Record a started program."""
    with _guard:
        _known[process.pid] = process
    if _state is None:
        return
    with contextlib.suppress(psutil.NoSuchProcess):
        record = {
            "pid": process.pid,
            "started": psutil.Process(process.pid).create_time(),
            "name": process.name,
        }
        folder = _state / _FOLDER
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{process.pid}.json").write_text(json.dumps(record), encoding="utf-8")
    if process.wait(0) is not None:  # ended before it was recorded: nobody else will remove the record
        forget(process)


def forget(process: _Known) -> None:
    """Strike out a program that has ended."""
    with _guard:
        _known.pop(process.pid, None)
    if _state is not None:
        (_state / _FOLDER / f"{process.pid}.json").unlink(missing_ok=True)


def stop_all(timeout: float = 5.0) -> None:
    """Kill every program this server started and wait for their ends."""
    with _guard:
        processes = list(_known.values())
    for process in processes:
        process.kill()
    for process in processes:
        process.wait(timeout)


def kill_orphans(state: Path) -> list[str]:
    """Kill what an earlier server left running; their names."""
    killed = []
    for path in sorted((state / _FOLDER).glob("*.json")):
        with _guard:
            if path.stem.isdigit() and int(path.stem) in _known:
                continue
        with contextlib.suppress(ValueError, KeyError, OSError, psutil.Error):
            record = json.loads(path.read_text(encoding="utf-8"))
            process = psutil.Process(int(record["pid"]))
            if abs(process.create_time() - float(record["started"])) < 0.05:
                family = [*process.children(recursive=True), process]
                for member in family:
                    with contextlib.suppress(psutil.NoSuchProcess):
                        member.kill()
                psutil.wait_procs(family, timeout=5)
                killed.append(str(record["name"]))
        path.unlink(missing_ok=True)
    return killed
