"""Concurrency groups: one runs, one waits (or all, in their order), as GitHub does it and act does not.

A group is a folder. Who runs holds its lock file, which the kernel takes back when the process dies; who
waits has a ticket in it.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import psutil

from pipeline.local.forge.places import next_number, read, write

_PAUSE_SECONDS = 0.1


class Superseded(Exception):
    """A newer run wants the group: of those that wait, only the last one goes on. The text names it."""


class Held:
    """The right to run in a group, until it is given back or the process ends."""

    def __init__(self, file: IO[str] | None) -> None:
        self._file = file

    def release(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def __enter__(self) -> Held:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


NONE = Held(None)


def acquire(
    groups: Path,
    name: str,
    who: str,
    *,
    all_wait: bool = False,
    waiting: Callable[[str], None] = lambda _: None,
    given_up: Callable[[], bool] = lambda: False,
) -> Held:
    """Wait until `who` may run in the group `name` (case counts for nothing); "" is no group.

    Args:
        groups: the folder of all groups.
        all_wait: `queue: max`; otherwise a newer one takes the place of the one that waits.
        waiting: told once, who runs.
        given_up: asked while waiting.

    Raises:
        Superseded: a newer one took the place, or `given_up` said so.
    """
    if not name:
        return NONE
    folder = groups / hashlib.sha256(name.lower().encode()).hexdigest()[:24]
    number = next_number(folder / "tickets")
    ticket = folder / "tickets" / str(number)
    write(ticket / "ticket.json", {"who": who, "pid": os.getpid(), "all_wait": all_wait})
    told = False
    try:
        while True:
            older, newer = _others(folder / "tickets", number)
            if newer and not all_wait:
                raise Superseded(f"{newer[-1]['who']} is newer and waits for {name} in its place")
            held = None if older else _lock(folder, who)
            if held is not None:
                return held
            if given_up():
                raise Superseded("cancelled while it waited")
            if not told:
                running = read(folder / "running.json") or {}
                waiting(f"{name}: {running.get('who', 'another run')} is in it")
                told = True
            time.sleep(_PAUSE_SECONDS)
    finally:
        (ticket / "ticket.json").unlink(missing_ok=True)
        ticket.rmdir()


def running(groups: Path, name: str) -> str:
    """Who runs in the group, or ""."""
    folder = groups / hashlib.sha256(name.lower().encode()).hexdigest()[:24]
    held = _lock(folder, "") if folder.is_dir() else NONE
    if held is not None:
        held.release()
        return ""
    return str((read(folder / "running.json") or {}).get("who", ""))


def _others(tickets: Path, mine: int) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Those that wait before and after, of living processes, oldest first."""
    older: list[dict[str, Any]] = []
    newer: list[dict[str, Any]] = []
    for folder in sorted(tickets.iterdir(), key=lambda path: int(path.name)):
        ticket = read(folder / "ticket.json") if int(folder.name) != mine else None
        if ticket and psutil.pid_exists(ticket["pid"]):
            (older if int(folder.name) < mine else newer).append(ticket)
    # Without a queue of all, only the newest waits, so nobody waits for those it takes the place of.
    return [t for t in older if t["all_wait"]], newer


def _lock(folder: Path, who: str) -> Held | None:
    folder.mkdir(parents=True, exist_ok=True)
    file = (folder / "lock").open("a+")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    if who:
        write(folder / "running.json", {"who": who, "pid": os.getpid()})
    return Held(file)
