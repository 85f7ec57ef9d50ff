"""Start, find and stop the local target's server: one a repository, detached, on a loopback port."""

from __future__ import annotations

import contextlib
import fcntl
import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from pipeline.errors import TargetError
from pipeline.local import leftovers, options, processes
from pipeline.local.paths import StatePaths

HEALTH_PATH = "/_pipeline/health"
ABOUT_PATH = "/_pipeline/about"

_START_SECONDS = 60.0
_STOP_SECONDS = 20.0
_LOCK_SECONDS = 120.0
_LOG_BYTES = 10_000_000
_TAIL_LINES = 20


@dataclass(frozen=True)
class LocalTarget:
    """A server that answers."""

    endpoint_url: str
    pid: int
    state_dir: Path


@dataclass(frozen=True)
class Status:
    """What runs for a repository. `state`: running, starting (alive, does not answer yet) or stopped."""

    state: str
    endpoint_url: str | None
    pid: int | None
    started: float | None
    state_dir: Path
    log: Path
    processes: tuple[dict, ...]
    about: dict[str, Any]


class _Ended(TargetError):
    """The server that was waited for ended."""


def ensure_up(root: Path, given: Mapping[str, str] | None = None) -> LocalTarget:
    """The repository's server, started if need be. Two callers at once get the same one.

    Args:
        given: variables for the server (options.py), over those of this process's environment.

    Raises:
        TargetError: it did not start (the message ends with the tail of its log), or one with other
            options runs.
        SettingsError: an option's variable holds what it may not.
    """
    asked = options.wanted(given or {})
    paths = StatePaths.of(root)
    target = _answering(paths, asked)
    if target:
        return target
    paths.make()
    with _locked(paths):
        record = _read_record(paths)
        if record:
            # Alive: somebody else's start, or a moment of heavy load. Never start a second one.
            try:
                return _wait_ready(paths, record["pid"], None)
            except _Ended:
                pass  # it was on its way out, as after a kill; what it said is not about this start
        processes.kill_orphans(paths.processes)
        leftovers.remove(paths.folder)
        return _start(paths, asked)


def about(target: LocalTarget) -> dict[str, Any]:
    """What the server says of itself: `runner` and `network_isolation`, in words; empty if it is silent."""
    return _get(int(target.endpoint_url.rpartition(":")[2]), ABOUT_PATH, timeout=30) or {}


def status(root: Path) -> Status:
    """What runs now; starts nothing."""
    paths = StatePaths.of(root)
    record = _read_record(paths)
    if record is None:
        return Status("stopped", None, None, None, paths.folder, paths.log, (), {})
    answers = _health(record) is not None
    said = about(LocalTarget(record["endpoint_url"], record["pid"], paths.folder)) if answers else {}
    return Status(
        state="running" if answers else "starting",
        endpoint_url=record["endpoint_url"],
        pid=record["pid"],
        started=record["started"],
        state_dir=paths.folder,
        log=paths.log,
        processes=tuple(processes.recorded(paths.processes)),
        about=said,
    )


def down(root: Path) -> bool:
    """Stop the server and everything it started; keep the state. Returns whether anything ran."""
    paths = StatePaths.of(root)
    if not paths.folder.is_dir():
        return False
    with _locked(paths):
        return _stop(paths)


def reset(root: Path) -> None:
    """Stop the server and forget all state."""
    paths = StatePaths.of(root)
    if not paths.folder.is_dir():
        return
    with _locked(paths):
        _stop(paths)
        for entry in paths.folder.iterdir():
            if entry in (paths.lock, paths.port):
                continue
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            else:
                entry.unlink(missing_ok=True)


def log_tail(paths: StatePaths, lines: int = _TAIL_LINES, offset: int = 0) -> str:
    """The last lines of the server's log, from a byte offset on; empty when there is none."""
    try:
        with paths.log.open("rb") as stream:
            stream.seek(0, os.SEEK_END)
            # 300 bytes a line is generous for a log line; the split below cuts exactly.
            stream.seek(max(offset, stream.tell() - lines * 300))
            text = stream.read().decode("utf-8", "replace")
    except OSError:
        return ""
    return "\n".join(text.splitlines()[-lines:])


# -- inside the lock ---------------------------------------------------------------------------------


def _start(paths: StatePaths, asked: Mapping[str, str]) -> LocalTarget:
    if paths.log.exists() and paths.log.stat().st_size > _LOG_BYTES:
        paths.log.replace(paths.log.with_suffix(".log.1"))
    paths.server.unlink(missing_ok=True)
    try:
        port = int(paths.port.read_text())
    except (OSError, ValueError):
        port = 0
    with paths.log.open("ab") as log:
        offset = log.tell()
        server = subprocess.Popen(
            [sys.executable, "-m", "pipeline.local.server", "--root", str(paths.root), "--port", str(port)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=paths.root,
            env={**_server_environment(), **asked},
            start_new_session=True,
        )
    try:
        return _wait_ready(paths, server.pid, offset)
    except BaseException:
        # Interrupted or failed: leave no half-started server behind.
        with contextlib.suppress(psutil.Error):
            processes.kill([psutil.Process(server.pid)])
        processes.kill_orphans(paths.processes)
        raise


def _stop(paths: StatePaths) -> bool:
    record = _read_record(paths)
    if record:
        with contextlib.suppress(psutil.Error):
            server = psutil.Process(record["pid"])
            server.send_signal(signal.SIGTERM)
            try:
                server.wait(_STOP_SECONDS)
            except psutil.TimeoutExpired:
                server.kill()
                server.wait(_STOP_SECONDS)
    ended = processes.kill_orphans(paths.processes) + leftovers.remove(paths.folder)
    paths.server.unlink(missing_ok=True)
    return record is not None or ended > 0


def _wait_ready(paths: StatePaths, pid: int, log_offset: int | None) -> LocalTarget:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        record = _read_record(paths)
        if record and record["pid"] == pid and _health(record):
            return LocalTarget(record["endpoint_url"], pid, paths.folder)
        if processes.start_time(pid) is None:
            why = (
                f"the local target's server ended while it started\n{log_tail(paths, offset=log_offset or 0)}"
            )
            raise _Ended(why, where=str(paths.log), hint="mend what the log says, or: pipeline local reset")
        time.sleep(0.02)
    raise TargetError(
        f"its server (pid {pid}) does not answer after {_START_SECONDS:.0f} s\n{log_tail(paths)}",
        where=str(paths.log),
        hint="pipeline local down && pipeline local up",
    )


# -- facts ---------------------------------------------------------------------------------------------


def _answering(paths: StatePaths, asked: Mapping[str, str]) -> LocalTarget | None:
    record = _read_record(paths)
    health = _health(record) if record else None
    if record is None or health is None:
        return None
    for name, has in health.get("options", {}).items():
        if asked.get(name, has) != has:
            raise TargetError(
                f"the local target runs with {name}={has}, not {asked[name]}",
                where=record["endpoint_url"],
                hint="pipeline local down, then again",
            )
    return LocalTarget(record["endpoint_url"], record["pid"], paths.folder)


def _read_record(paths: StatePaths) -> dict[str, Any] | None:
    """Who serves, if that very process (pid and start time) still lives."""
    try:
        record = json.loads(paths.server.read_text())
        alive = processes.is_alive(int(record["pid"]), float(record["started"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return record if alive else None


def _health(record: dict[str, Any]) -> dict[str, Any] | None:
    """The server's own answer, if it is the server that the record names."""
    answer = _get(int(record["port"]), HEALTH_PATH, timeout=5)
    return answer if answer and answer.get("pid") == record["pid"] else None


def _get(port: int, path: str, timeout: float) -> dict[str, Any] | None:
    """A JSON object from the server's own pages; None when none comes."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        connection.request("GET", path)
        answer = json.loads(connection.getresponse().read())
    except (OSError, ValueError, http.client.HTTPException):
        return None
    finally:
        connection.close()
    return answer if isinstance(answer, dict) else None


def _server_environment() -> dict[str, str]:
    """The caller's environment without what would leak an AWS account or settings into the server."""
    foreign = ("AWS_", "MINISTACK_", "LOCALSTACK_")
    return {name: value for name, value in os.environ.items() if not name.startswith(foreign)}


@contextlib.contextmanager
def _locked(paths: StatePaths) -> Iterator[None]:
    """One start, stop or reset at a time; the kernel frees the lock when its holder dies."""
    with paths.lock.open("a") as stream:
        deadline = time.monotonic() + _LOCK_SECONDS
        while True:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise TargetError(
                        f"another command starts or stops the local target since {_LOCK_SECONDS:.0f} s",
                        where=str(paths.lock),
                        hint="wait for it to end, or end it",
                    ) from None
                time.sleep(0.02)
        yield
