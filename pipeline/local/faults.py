"""Faults to be injected, each for so many times: kept in a file, since one process asks and another strikes.

`pipeline local fault KIND` writes one down; the server takes it when something of its kind comes by. What
follows is what AWS does: the same statuses, the same words. docs/how-to/survive-faults.md says them all.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from pipeline.local import context

FILE = "faults.json"

# Kind -> what happens, for people.
KINDS = {
    "spot-loss": "the spot instances of a training job are taken away while it trains; it begins again",
    "no-spot": "no spot instances come free for a training job until MaxWaitTimeInSeconds is over",
    "capacity": "there are no instances for a job: it fails with CapacityError",
    "quota": "creating a job or an endpoint is refused with ResourceLimitExceeded",
    "image-pull": "a job's image cannot be pulled",
    "endpoint-capacity": "there are no instances for a deployment: InsufficientInstanceCapacity",
    "endpoint-memory": "a deployment's containers are killed for their memory as they start",
    "endpoint-memory-serving": "a container that serves is killed for its memory",
}


@dataclass(frozen=True)
class Fault:
    """One fault that waits.

    Args:
        kind: of KINDS.
        prefix: of the names that it strikes; empty for any.
        times: how often it still strikes.
        after: of `spot-loss`: seconds of training before the instances are taken away.
        gone: of `spot-loss`: seconds until others come; negative for never.
        checkpointed: of `spot-loss`: not before something of a checkpoint was uploaded.
        missed: the last thing that it was taken for and did not meet, and why; for people.
    """

    kind: str
    prefix: str = ""
    times: int = 1
    after: float = 0.0
    gone: float = 0.0
    checkpointed: bool = False
    missed: str = ""


def add(folder: Path, fault: Fault) -> None:
    """Write a fault down, behind those that wait. `folder` is the target's state folder."""
    _edit(folder, lambda waiting: [*waiting, fault])


def waiting(folder: Path) -> list[Fault]:
    """Those that have not struck yet, oldest first."""
    with _held(folder):
        return _read(folder)


def clear(folder: Path) -> list[Fault]:
    """Forget all; what there was."""
    there = waiting(folder)
    _edit(folder, lambda _: [])
    return there


def take(kind: str, name: str, folder: Path | None = None) -> Fault | None:
    """The oldest fault of a kind that strikes `name`, which counts as one time; None if there is none."""
    folder = folder or context.state_dir()
    if not (folder / FILE).exists():
        return None  # the usual case costs no lock
    with _held(folder):
        there = _read(folder)
        for number, fault in enumerate(there):
            if fault.kind == kind and name.startswith(fault.prefix):
                left = [replace(fault, times=fault.times - 1)] if fault.times > 1 else []
                _write(folder, there[:number] + left + there[number + 1 :])
                return fault
    return None


def put_back(fault: Fault, missed: str, folder: Path | None = None) -> None:
    """A fault that was taken has struck nothing: it waits again, and says what it missed."""

    def change(there: list[Fault]) -> list[Fault]:
        # The others of its times may still stand there, as a fault with fewer of them.
        for number, other in enumerate(there):
            if replace(other, times=0, missed="") == replace(fault, times=0, missed=""):
                again = replace(other, times=other.times + 1, missed=missed)
                return [*there[:number], again, *there[number + 1 :]]
        return [replace(fault, times=1, missed=missed), *there]

    _edit(folder or context.state_dir(), change)


def _edit(folder: Path, change: Callable[[list[Fault]], list[Fault]]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with _held(folder):
        _write(folder, change(_read(folder)))


@contextlib.contextmanager
def _held(folder: Path) -> Iterator[None]:
    if not folder.is_dir():
        yield
        return
    with (folder / f"{FILE}.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _read(folder: Path) -> list[Fault]:
    try:
        return [Fault(**each) for each in json.loads((folder / FILE).read_text(encoding="utf-8"))]
    except FileNotFoundError:
        return []


def _write(folder: Path, faults: list[Fault]) -> None:
    if not faults:
        (folder / FILE).unlink(missing_ok=True)
        return
    part = folder / f"{FILE}.part"
    part.write_text(json.dumps([asdict(each) for each in faults], indent=1), encoding="utf-8")
    part.replace(folder / FILE)
