"""What the tests need of whoever starts programs: processes and containers are peers behind it."""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

Log = Callable[[str], None]  # one line of the program's output, without its newline

# `nobody` of Debian and of most base images: owns nothing.
UNPRIVILEGED = 65534


@dataclass(frozen=True)
class Launch:
    """One program of the image under test, and what it is to see.

    Args:
        command: the image's argument, as in `docker run IMAGE train`.
        base: the folder it sees as /opt/ml, writable.
        environment: its variables, besides the image's own.
        read_only_model: /opt/ml/model is mounted read-only.
        network: false cuts it off from every network.
        first: it is process 1 of its container, for which signals have no default effect.
        user: the user id it runs as, None for the image's own.
        port: where it is expected to listen; 0 for a program that does not.
    """

    command: tuple[str, ...]
    base: Path
    environment: Mapping[str, str]
    read_only_model: bool = False
    network: bool = False
    first: bool = True
    user: int | None = None
    port: int = 0


class Unreachable(OSError):
    """Nothing accepts connections there (yet)."""


class Process(Protocol):
    """A started program. `close` must be called, whatever happened."""

    @property
    def refused(self) -> str:
        """Why the program could not be executed at all; empty when it could."""

    @property
    def unable(self) -> str:
        """What could not be given after all, through no fault of the program's; empty as a rule."""

    @property
    def notes(self) -> str:
        """What the launcher could not give quite as asked; empty as a rule."""

    def wait(self, timeout: float | None) -> int | None:
        """Its exit code (128+N for signal N), None while it runs after `timeout` seconds."""

    def alive(self) -> bool:
        """Whether it runs."""

    def terminate(self) -> None:
        """Send SIGTERM to it; returns at once."""

    def connect(self, port: int) -> socket.socket:
        """A connection to the port inside. Raises Unreachable."""

    def ports(self) -> list[int]:
        """TCP ports it listens on, where that can be seen."""

    def changed(self) -> list[str] | None:
        """Files it made or changed outside /opt/ml, once it has ended; None where that cannot be seen."""

    def close(self) -> None:
        """Kill what is left and remove what was made for it."""


class Launcher(Protocol):
    """A way to run the programs of the image under test."""

    def describe(self) -> str:
        """How programs run, for people."""

    def prepare(self) -> None:
        """Make the image ready to run; raises PipelineError in the tool's own words."""

    def lacks(self, launch: Launch) -> str:
        """What of `launch` cannot be given here, and why; empty when all of it can."""

    def port(self, *, network: bool) -> int:
        """A port to tell a server with or without a network: another one than SageMaker's default."""

    def workspace(self) -> Path:
        """A folder for the tests' files, on this machine; the caller removes it."""

    def start(self, launch: Launch, log: Log) -> Process:
        """Start it; `log` gets each line of its output, from one thread."""

    def close(self) -> None:
        """Remove what was made for all of them."""
