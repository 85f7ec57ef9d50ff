"""The container runner: an image's program in a container of the engine on this machine.

As on SageMaker, the program is process 1 of its container and runs as the image's user, /opt/ml is
mounted, and memory and processors are those of the instance type. Containers use this machine's network,
where the AWS endpoint is, or none at all. Each carries a label with this server's state folder: whatever
happened to an earlier server, its containers are found and removed.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import signal
import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.image.engine import Engine, reason
from pipeline.local import leftovers, processes
from pipeline.local.runner import memory, registry
from pipeline.local.runner.lines import Lines
from pipeline.local.runner.model import CannotStart, Log, Program

if TYPE_CHECKING:
    from docker.models.containers import Container

logger = logging.getLogger("pipeline.local.runner")
LABEL_NAME = "pipeline.local.name"


@dataclass(frozen=True)
class Reference:
    """An image in the registry, and how the engine gets at it.

    Args:
        name: `<host>/<repository>@sha256:<digest>`.
    """

    name: str
    auth_config: dict[str, str] = field(repr=False)


class RunningContainer:
    """A started container; `model.Running` says what each method does."""

    def __init__(
        self, container: Container, output: Any, program: Program, log: Log, strays: set[str]
    ) -> None:
        self._container = container
        self.identity = str(container.id)
        self._strays = strays
        self.name = program.name
        self.oom = False
        self.lost = ""
        self._memory = program.memory
        self._lines = Lines(log)
        self._output = output
        self._ended = threading.Event()
        self._guard = threading.Lock()
        self._calls: list[Callable[[], None]] = []
        self._code: int | None = None
        container.reload()
        self.pid = int(container.attrs["State"]["Pid"])
        self._started = processes.start_time(self.pid) if self.pid else None
        self._record = memory.record(self.pid) if self.pid else None

    def follow(self) -> None:
        """Begin to read its output and to wait for its end."""
        threading.Thread(target=self._follow, name=f"follow-{self.name}", daemon=True).start()

    def _follow(self) -> None:
        code = 128 + signal.SIGKILL
        try:
            for chunk in self._output:
                self._lines.feed(chunk)
            killed = memory.killed(self._record)
            # Without a limit: a program may close its output and go on for hours.
            code = int(self._container.wait(timeout=None)["StatusCode"])
            self._container.reload()
            self.oom = killed or bool(self._container.attrs["State"]["OOMKilled"])
        except Exception as error:  # noqa: BLE001 - whatever it was, the program must not stay "running"
            self.lost = f"the container engine went away while it ran ({reason(error)[:200]})"
            logger.warning("%s: %s", self.name, self.lost)
            self._kill_process()
        if self.oom:
            limit = f"its instance type has {self._memory / 2**30:.1f} GiB" if self._memory else "of memory"
            self._lines.feed(f"The container was killed: out of memory ({limit})\n".encode())
        self._lines.end()
        # After this its name and its files are free.
        if not leftovers.remove_container(self._container):
            self._strays.add(str(self._container.id))
        self._code = code
        registry.forget(self)
        with self._guard:
            self._ended.set()
            calls = list(self._calls)
        for call in calls:
            call()

    def _kill_process(self) -> None:
        """An engine that was killed leaves its containers running, with nobody to end them."""
        if self.pid and self._started is not None and processes.is_alive(self.pid, self._started):
            with contextlib.suppress(OSError):
                os.kill(self.pid, signal.SIGKILL)

    def wait(self, timeout: float | None = None) -> int | None:
        return self._code if self._ended.wait(timeout) else None

    def alive(self) -> bool:
        if self._ended.is_set():
            return False
        return self._started is None or processes.is_alive(self.pid, self._started)

    def signal_stop(self) -> None:
        self._signal("SIGTERM")

    def kill(self) -> None:
        self._signal("SIGKILL")

    def _signal(self, name: str) -> None:
        try:
            self._container.kill(signal=name)
        except Exception as error:  # noqa: BLE001 - it has ended, or the engine has, which `_follow` sees
            logger.debug("%s: %s: %s", self.name, name, error)

    def when_ended(self, call: Callable[[], None]) -> None:
        with self._guard:
            if not self._ended.is_set():
                self._calls.append(call)
                return
        call()


class ContainerRunner:
    """Runs programs in containers; `model.Runner` says what each method does.

    Args:
        state: the server's state folder.
        engine: the engine that answers now, None when none does.
        reference: the image of a snapshot folder, None when it is in no registry.
    """

    def __init__(
        self,
        state: Path,
        engine: Callable[[], Engine | None],
        reference: Callable[[Path], Reference | None],
    ) -> None:
        self._state = state
        self._running = state / "running"
        self._engine = engine
        self._reference = reference
        # Containers that an engine kept when it went away, for it to remove when it is back.
        self._strays: set[str] = set()

    def describe(self, image: Path | None = None) -> str:  # noqa: ARG002 - the same for all
        engine = self._engine()
        return f"container runner, {engine or 'no engine answers'}"

    def can_isolate_network(self) -> bool:
        return True

    def can_name_hosts(self) -> bool:
        return True

    def workspace(self) -> Path:
        self._running.mkdir(parents=True, exist_ok=True)
        return Path(tempfile.mkdtemp(dir=self._running))

    def discard_leftovers(self) -> None:
        """Remove the containers and workspaces of an earlier server."""
        leftovers.remove(self._state)
        shutil.rmtree(self._running, ignore_errors=True)

    def prepare(self, image: Path) -> None:
        engine, reference = self._have(image)
        from docker.errors import DockerException, ImageNotFound
        from requests import RequestException

        try:
            try:
                engine.client.images.get(reference.name)
            except ImageNotFound:
                said = _pull(engine, reference)
                if said:
                    raise CannotStart(f"the image {reference.name} cannot be pulled: {said}") from None
        except (DockerException, RequestException) as error:
            raise CannotStart(f"the image {reference.name} cannot be pulled: {reason(error)}") from None

    def start(self, program: Program, log: Log) -> RunningContainer:
        self.prepare(program.image)
        engine, reference = self._have(program.image)
        from docker.errors import DockerException
        from requests import RequestException

        leftovers.note(self._state, engine.url)
        self._sweep(engine)
        _open_up(program.base)
        try:
            container = engine.client.containers.create(**self._arguments(program, reference))
        except (DockerException, RequestException) as error:
            raise CannotStart(f"the container cannot be made: {reason(error)}") from None
        try:
            # Attached before it runs: no line is lost, and the engine keeps no copy of them.
            output = container.attach(stdout=True, stderr=True, stream=True, logs=False)
            container.start()
            running = RunningContainer(container, output, program, log, self._strays)
        except (DockerException, RequestException) as error:
            leftovers.remove_container(container)
            raise CannotStart(reason(error)) from None
        if running.pid and os.geteuid() == 0:
            registry.remember(running)
        running.follow()
        return running

    def _sweep(self, engine: Engine) -> None:
        for identity in list(self._strays):
            self._strays.discard(identity)
            try:
                engine.client.api.remove_container(identity, v=True, force=True)
            except Exception as error:  # noqa: BLE001 - it is gone, or `leftovers` finds it
                logger.debug("container %s: %s", identity, error)

    def _have(self, image: Path) -> tuple[Engine, Reference]:
        engine, reference = self._engine(), self._reference(image)
        if engine is None:
            raise CannotStart(
                "no container engine answers (DOCKER_HOST, the docker context, the usual sockets)"
            )
        if reference is None:
            raise CannotStart("the image is in no registry: it was never built")
        return engine, reference

    def _arguments(self, program: Program, reference: Reference) -> dict[str, Any]:
        volumes = {str(program.base): {"bind": "/opt/ml", "mode": "rw"}}
        for target, source in program.read_only.items():
            (program.base / Path(target).relative_to("/opt/ml")).mkdir(parents=True, exist_ok=True)
            volumes[str(source)] = {"bind": target, "mode": "ro"}
        command = list(program.command)
        arguments: dict[str, Any] = {
            "image": reference.name,
            "command": command,
            "environment": dict(program.environment),
            "volumes": volumes,
            "labels": {leftovers.LABEL: str(self._state), LABEL_NAME: program.name},
            "network_mode": "host" if program.network else "none",
            "log_config": {"type": "none"},
            "stdin_open": False,
            "detach": True,
        }
        if isinstance(program.network_of, RunningContainer):
            # With the network come its names.
            arguments["network_mode"] = f"container:{program.network_of.identity}"
        elif program.hosts:
            arguments["extra_hosts"] = dict(program.hosts)
        if program.entrypoint:
            arguments |= {"entrypoint": command[:1], "command": command[1:]}
        if program.cores and program.cores < (os.cpu_count() or 1):
            arguments["nano_cpus"] = program.cores * 10**9
        if program.memory and program.memory < _machine_memory():
            # Swap beyond it would only make it slow; SageMaker has none.
            arguments |= {"mem_limit": program.memory, "memswap_limit": program.memory}
        return arguments


def _pull(engine: Engine, reference: Reference) -> str:
    """Fetch the image; the error, if any: pulls, too, tell it in their stream."""
    error = ""
    events = engine.client.api.pull(
        reference.name, auth_config=reference.auth_config, stream=True, decode=True
    )
    for event in events:
        error = str(event.get("error") or error)
    return " ".join(error.split())


def _machine_memory() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _open_up(base: Path) -> None:
    """Let an image's own user write where SageMaker lets it: the server's umask is not the program's."""
    for folder, _, _ in os.walk(base):
        with contextlib.suppress(OSError):
            Path(folder).chmod(0o777)
