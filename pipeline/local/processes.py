"""Child processes that could outlive the server: recorded while they live, killed when it is gone.

A process is known by its pid *and* its start time, since the system gives pids out again. Besides the
records, every child inherits `OWNER_VARIABLE`, so that one started between two records is found too.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
from pathlib import Path

import psutil

from pipeline.local import commit

OWNER_VARIABLE = "PIPELINE_LOCAL_OWNER"

# Start times are computed from the boot time, which a clock correction shifts.
_START_TOLERANCE_SECONDS = 2.0


def start_time(pid: int) -> float | None:
    """When the process started, in seconds since the epoch; None when there is none (or a zombie)."""
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return None
        return process.create_time()
    except psutil.Error:
        return None


def is_alive(pid: int, started: float) -> bool:
    """Whether the process that had this pid at that time still runs."""
    now = start_time(pid)
    return now is not None and abs(now - started) <= _START_TOLERANCE_SECONDS


def record(folder: Path, pid: int, what: str) -> None:
    """Note a child that leads its own process group or session. `folder` is `StatePaths.processes`."""
    started = start_time(pid)
    if started is None:
        return
    commit.replace(folder / f"{pid}.json", json.dumps({"pid": pid, "started": started, "what": what}))


def forget(folder: Path, pid: int) -> None:
    """The child has ended and was waited for."""
    (folder / f"{pid}.json").unlink(missing_ok=True)


def recorded(folder: Path) -> list[dict]:
    """The records whose process still runs; records of ended ones are removed."""
    alive = []
    for path in sorted(folder.glob("*.json")):
        try:
            entry = json.loads(path.read_text())
            lives = is_alive(int(entry["pid"]), float(entry["started"]))
        except (OSError, ValueError, KeyError, TypeError):
            lives = False
        if lives:
            alive.append(entry)
        else:
            path.unlink(missing_ok=True)
    return alive


def orphans(folder: Path) -> list[psutil.Process]:
    """Processes that a server of this state folder left behind; call only when no server runs."""
    found: dict[int, psutil.Process] = {}
    for entry in recorded(folder):
        with contextlib.suppress(psutil.Error):
            process = psutil.Process(int(entry["pid"]))
            for each in (process, *process.children(recursive=True)):
                found[each.pid] = each
    owner = str(folder.parent)
    for process in psutil.process_iter():
        if process.pid in found or process.pid == os.getpid():
            continue
        with contextlib.suppress(psutil.Error, OSError):
            # A zombie's environment is empty, so it is no orphan to end.
            if process.environ().get(OWNER_VARIABLE) == owner:
                found[process.pid] = process
    return list(found.values())


def kill(found: list[psutil.Process], grace_seconds: float = 2.0) -> int:
    """End processes: SIGTERM, then SIGKILL to what remains. Returns how many were ended.

    psutil checks the start time before it signals, so a pid that was given out again is left alone.
    """
    for process in found:
        with contextlib.suppress(psutil.Error):
            process.send_signal(signal.SIGTERM)
    for process in _remaining(found, grace_seconds):
        with contextlib.suppress(psutil.Error):
            process.kill()
    _remaining(found, grace_seconds)
    return len(found)


def _remaining(found: list[psutil.Process], seconds: float) -> list[psutil.Process]:
    """Those that still run after so long. An orphan that nobody reaps has ended all the same."""
    deadline = time.monotonic() + seconds
    while True:
        psutil.wait_procs(found, timeout=0)  # reaps those that are our own children
        running = [
            process for process in found if start_time(process.pid) is not None and process.is_running()
        ]
        if not running or time.monotonic() > deadline:
            return running
        time.sleep(0.01)


def kill_orphans(folder: Path) -> int:
    """End whatever a dead server left behind and drop the records. Returns how many processes were ended."""
    if not folder.is_dir():
        return 0
    ended = 0
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        found = orphans(folder)
        if not found:
            break
        ended += kill(found)
    for path in folder.glob("*.json"):
        path.unlink(missing_ok=True)
    return ended
