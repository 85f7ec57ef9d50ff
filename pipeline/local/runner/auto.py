"""The runner that the server uses: for each image the one that can run it, chosen as `choice` says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from pipeline.local import options
from pipeline.local.runner import choice
from pipeline.local.runner.container import ContainerRunner, Reference
from pipeline.local.runner.model import CannotStart, Log, Program, Runner, Running
from pipeline.local.runner.process import ProcessRunner


class AutoRunner:
    """A container for an image that was built, where an engine answers; else a process. See `model.Runner`.

    Args:
        state: the server's state folder.
        reference: the image of a snapshot folder in the registry, None when it was never pushed.
    """

    def __init__(self, state: Path, reference: Callable[[Path], Reference | None]) -> None:
        self._reference = reference
        # Images of built-in algorithms were never built by anybody: they are folders of ours.
        self._algorithms = state / "builtin"
        self._processes = ProcessRunner(state)
        self._containers = ContainerRunner(state, choice.engine, reference)

    def describe(self, image: Path | None = None) -> str:
        if image is not None:
            return self._for(image).describe(image)
        if choice.engine() is not None or choice.kind() == options.CONTAINER:
            return self._containers.describe()
        return f"{self._processes.describe()} ({choice.why_processes()})"

    def can_isolate_network(self) -> bool:
        return choice.engine() is not None or self._processes.can_isolate_network()

    def can_name_hosts(self) -> bool:
        return choice.engine() is not None or self._processes.can_name_hosts()

    def workspace(self) -> Path:
        return self._processes.workspace()

    def discard_leftovers(self) -> None:
        """Remove what an earlier server left."""
        self._containers.discard_leftovers()
        self._processes.discard_leftovers()

    def prepare(self, image: Path) -> None:
        self._for(image).prepare(image)

    def start(self, program: Program, log: Log) -> Running:
        return self._for(program.image).start(program, log)

    def _for(self, image: Path) -> Runner:
        if image.parent == self._algorithms:
            return self._processes
        pushed = self._reference(image) is not None
        if pushed and choice.engine() is not None:
            return self._containers
        if choice.kind() == options.CONTAINER:
            why = "no container engine answers" if pushed else "the image was never built: apply again"
            raise CannotStart(f"the container runner was asked for, and {why}")
        if pushed and not any(image.iterdir()):
            raise CannotStart(
                "the image is in the registry only, its source is not here: an engine has to run it"
            )
        return self._processes
