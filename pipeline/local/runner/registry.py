"""Which programs run, and with which runner.

The kernel ends them with the server where it can (launch.py). Where it cannot, the record on disk is
what the next server finds them by (pipeline.local.processes).
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Protocol

from pipeline.local import processes
from pipeline.local.runner.model import Runner


class _Known(Protocol):
    pid: int
    name: str

    def kill(self) -> None: ...

    def wait(self, timeout: float | None = None) -> int | None: ...


_guard = threading.Lock()
_known: dict[int, _Known] = {}
_records: Path | None = None
_runner: Runner | None = None


def use(runner: Runner, records: Path) -> None:
    """Run programs with `runner` from here on, noting them in the folder `records`."""
    global _runner, _records
    records.mkdir(parents=True, exist_ok=True)
    _runner, _records = runner, records


def current() -> Runner:
    """The runner in use; one of the server's own state folder when none was set."""
    with _guard:
        return _current()


def _current() -> Runner:
    if _runner is None:
        from pipeline.local import context
        from pipeline.local.registry.pulls import reference
        from pipeline.local.runner.auto import AutoRunner

        runner = AutoRunner(context.state_dir(), reference)
        runner.discard_leftovers()
        use(runner, context.paths().processes)
    assert _runner is not None
    return _runner


def remember(process: _Known) -> None:
    """Record a started program."""
    with _guard:
        _known[process.pid] = process
    if _records is not None:
        processes.record(_records, process.pid, process.name)
    if process.wait(0) is not None:  # ended before it was recorded: nobody else will remove the record
        forget(process)


def forget(process: _Known) -> None:
    """Strike out a program that has ended."""
    with _guard:
        _known.pop(process.pid, None)
    if _records is not None:
        processes.forget(_records, process.pid)


def stop_all(timeout: float = 5.0) -> None:
    """Kill every program this server started and wait for their ends."""
    with _guard:
        running = list(_known.values())
    for process in running:
        process.kill()
    for process in running:
        process.wait(timeout)
