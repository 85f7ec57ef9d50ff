"""What every runner takes and gives: the interface behind which processes and containers are peers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

Log = Callable[[str], None]  # one line of the program's output, without its newline


class CannotStart(Exception):
    """A program cannot be started, through its image's fault; the message says why."""


@dataclass(frozen=True)
class Program:
    """One program of an image, and what it sees.

    Args:
        name: what it is for people (`training job x`), kept with its process id.
        image: the image's content (Dockerfile, requirements.lock, programs), read-only to it.
        command: what the image is run with (`["train"]`), or the whole command when `entrypoint` is set.
        base: folder the program sees as /opt/ml, writable.
        scratch: empty folder of the runner's own, beside `base`; the program's TMPDIR and HOME are in it.
        environment: the container's variables; the runner adds PATH, HOME, TMPDIR and the image's ENV.
        read_only: paths below /opt/ml -> folders mounted there read-only (`/opt/ml/model` of an endpoint).
        entrypoint: true when `command` replaces the image's ENTRYPOINT instead of being its argument.
        network: false cuts the program off from every network, where the runner can.
        cores: how many processors it may use; 0 for all of this machine's.
        memory: bytes it may use, where the runner can hold it to that; 0 for all of this machine's.
        hosts: names by which it knows the hosts of its job, itself among them -> their addresses.
        network_of: a running program whose network it shares; for those cut off from every other.
    """

    name: str
    image: Path
    command: tuple[str, ...]
    base: Path
    scratch: Path
    environment: Mapping[str, str]
    read_only: Mapping[str, Path] = field(default_factory=dict)
    entrypoint: bool = False
    network: bool = True
    cores: int = 0
    memory: int = 0
    hosts: Mapping[str, str] = field(default_factory=dict)
    network_of: Running | None = None


class Running(Protocol):
    """A started program.

    Attributes:
        pid: of the process that stands for it on this machine.
        oom: once it ended: it was killed because it used up its memory.
        lost: once it ended: why its runner lost it, through no fault of the program's; else empty.
    """

    pid: int
    oom: bool
    lost: str

    def wait(self, timeout: float | None = None) -> int | None:
        """Its exit code (128+N for signal N) once it and its output have ended; None after `timeout` s."""

    def alive(self) -> bool:
        """Whether it still runs."""

    def signal_stop(self) -> None:
        """Send SIGTERM, as `docker stop` does; returns at once."""

    def kill(self) -> None:
        """SIGKILL it and everything it started; returns at once."""

    def when_ended(self, call: Callable[[], None]) -> None:
        """Call once it has ended (now, if it has), from any thread."""


class Runner(Protocol):
    """A way to run programs of images."""

    def describe(self, image: Path | None = None) -> str:
        """How programs (of that image) run here, for people: the runner's kind and how /opt/ml is given."""

    def can_isolate_network(self) -> bool:
        """Whether `network=False` can be honoured."""

    def can_name_hosts(self) -> bool:
        """Whether `hosts` can be honoured, so that several programs can be one job's hosts."""

    def workspace(self) -> Path:
        """A new empty folder for one program's files; whoever asked removes it."""

    def prepare(self, image: Path) -> None:
        """Make the image ready to run; raises EnvironmentBroken with the tool's own words."""

    def start(self, program: Program, log: Log) -> Running:
        """Start it; `log` gets each line of stdout and stderr, in order, from one thread."""
