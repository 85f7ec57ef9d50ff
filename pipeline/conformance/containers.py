"""Images of a container engine, for the tests: `launching.Launcher` says what each method does.

Containers get what SageMaker gives: /opt/ml from this machine, `train` or `serve` as argument, no capability
more than the engine's default. The one way in is made inside their network namespace where this machine lets
us (root, the engine is here), else through a published port.
"""

from __future__ import annotations

import contextlib
import os
import re
import socket
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from pipeline.conformance.launching import Launch, Log, Unreachable
from pipeline.errors import CheckError, TargetError
from pipeline.image import engine as engines

_PORT = 18099
_LABEL = "pipeline.conformance-test"
# Written by every container's start, or by Python itself: nobody's results.
_NO_RESULT = ("/tmp", "/var/tmp", "/run", "/dev", "/proc", "/sys", "/root/.cache", "/opt/ml")
_STARTING_SECONDS = 30
# How runc tells that the kernel could not execute a program it had found: a last line, and an exit code 1.
_NOT_EXECUTED = re.compile(
    r"^(?:exec \S+|standard_init_linux\.go:\d+: exec user process caused):? \"?"
    r"(no such file or directory|exec format error|permission denied)\"?$"
)


class Inside(Protocol):
    """Connections to 127.0.0.1 in a container's network namespace."""

    def connect(self, port: int) -> socket.socket: ...

    def close(self) -> None: ...


class ContainerLauncher:
    """Runs an image's programs as containers.

    Args:
        image: its name, as the engine knows it.
        inside: makes connections in the network namespace of a process id.
    """

    def __init__(self, image: str, inside: Callable[[int], Inside]) -> None:
        engine = engines.find()
        if engine is None:
            raise TargetError(
                "no container engine answers",
                where=os.environ.get("DOCKER_HOST", ""),
                hint='start Docker, or on a bare Debian machine: eval "$(.ci/engine up)"',
            )
        self._engine = engine
        self._image = image
        self._inside = inside
        self._enters = os.geteuid() == 0 and not engine.elsewhere
        self._bridge = bool(engine.client.networks.list(names=["bridge"]))

    def close(self) -> None:
        """Let the engine go."""
        self._engine.client.close()

    def describe(self) -> str:
        return f"containers of {self._image} ({self._engine})"

    def prepare(self) -> None:
        from docker.errors import ImageNotFound

        try:
            self._engine.client.images.get(self._image)
        except ImageNotFound:
            raise CheckError(
                f"the engine has no image {self._image}",
                where=str(self._engine),
                hint=f"docker pull {self._image}, or docker build -t {self._image} FOLDER",
            ) from None

    def lacks(self, launch: Launch) -> str:
        if not launch.network and launch.command[-1:] == ("serve",) and not self._enters:
            return "a container without a network can be reached by root on the engine's own machine only"
        if not launch.first:
            return "the program of a container is its process 1 always"
        return ""

    def port(self, *, network: bool) -> int:
        if network and not self._bridge:
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                return int(probe.getsockname()[1])
        return _PORT

    def workspace(self) -> Path:
        folder = Path(tempfile.mkdtemp(prefix="pipeline-container-"))
        folder.chmod(0o755)
        return folder

    def start(self, launch: Launch, log: Log) -> Container:
        from docker.errors import APIError

        variables = dict(launch.environment)
        network = "none"
        if launch.network:
            network = "bridge" if self._bridge else "host"
        if network == "host":
            variables.setdefault("HOST", "127.0.0.1")
        volumes = [f"{launch.base}:/opt/ml"]
        if launch.read_only_model:
            volumes.append(f"{launch.base / 'model'}:/opt/ml/model:ro")
        publish = network == "bridge" and launch.port and not self._enters
        with engines.spoken("starting a container", self._engine):
            created = self._engine.client.containers.create(
                self._image,
                command=list(launch.command),
                environment=variables,
                volumes=volumes,
                network_mode=network,
                user=str(launch.user) if launch.user is not None else None,
                ports={f"{launch.port}/tcp": ("127.0.0.1", 0)} if publish else None,
                labels={_LABEL: "1"},
            )
        refused = ""
        try:
            created.start()
        except APIError as error:
            refused = f"`{launch.command[-1]}` cannot be executed: {engines.reason(error)}"
        return Container(created, log, refused, self._inside if self._enters and network != "host" else None)


class Container:
    """A program that ContainerLauncher started; `launching.Process` says what each method does."""

    def __init__(
        self, container: Any, log: Log, refused: str, inside: Callable[[int], Inside] | None
    ) -> None:
        self.refused = refused
        self.unable = ""
        self.notes = ""
        self._last = ""
        self._container = container
        self._make_inside = inside
        self._inside: Inside | None = None
        self._code: int | None = 127 if refused else None
        self._closed = False
        self._ended = threading.Event()
        self._pid = 0
        if refused:
            self._ended.set()
            return
        container.reload()
        self._pid = int(container.attrs["State"].get("Pid") or 0)
        self._host = container.attrs["HostConfig"]["NetworkMode"] == "host"
        self._follower = threading.Thread(target=self._follow, args=(log,), daemon=True)
        self._follower.start()
        threading.Thread(target=self._wait, daemon=True).start()

    def _follow(self, log: Log) -> None:
        rest = b""

        def tell(line: bytes) -> None:
            self._last = line.decode("utf-8", errors="replace")
            log(self._last)

        with contextlib.suppress(Exception):  # the container, or the engine, is gone: so are its lines
            for chunk in self._container.logs(stream=True, follow=True):
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    tell(line)
        if rest:
            tell(rest)

    def _wait(self) -> None:
        try:
            self._code = int(self._container.wait()["StatusCode"])
        except Exception:  # noqa: BLE001 - it was removed, or the engine is gone: it runs no more
            self._code = 137
        self._follower.join(5.0)
        said = _NOT_EXECUTED.match(self._last)
        if said and self._code == 1:
            self.refused = f"the program cannot be executed: {said[1]} (of it, or of its interpreter)"
        self._ended.set()

    def wait(self, timeout: float | None) -> int | None:
        return self._code if self._ended.wait(timeout) else None

    def alive(self) -> bool:
        return not self._ended.is_set()

    def terminate(self) -> None:
        with contextlib.suppress(Exception):  # it has ended meanwhile
            self._container.kill("SIGTERM")

    def connect(self, port: int) -> socket.socket:
        if not self.alive():
            raise Unreachable("the container has ended")
        try:
            if self._make_inside is not None:
                if self._inside is None:
                    self._inside = self._make_inside(self._pid)
                return self._inside.connect(port)
            if self._host:
                return socket.create_connection(("127.0.0.1", port), timeout=2.0)
            return socket.create_connection(("127.0.0.1", self._published(port)), timeout=2.0)
        except OSError as error:
            raise Unreachable(str(error)) from None

    def _published(self, port: int) -> int:
        self._container.reload()
        places = self._container.ports.get(f"{port}/tcp")
        if not places:
            raise Unreachable(f"port {port} is not published")
        return int(places[0]["HostPort"])

    def ports(self) -> list[int]:
        if self._make_inside is None or not self._pid:
            return []
        try:
            tables = [
                Path(f"/proc/{self._pid}/net/{name}").read_text(encoding="ascii") for name in ("tcp", "tcp6")
            ]
        except OSError:
            return []
        rows = [line.split() for table in tables for line in table.splitlines()[1:]]
        return sorted({int(row[1].rpartition(":")[2], 16) for row in rows if row[3] == "0A"})

    def changed(self) -> list[str] | None:
        found = []
        for entry in self._container.diff() or []:
            path = str(entry["Path"])
            if entry["Kind"] != 2 and not path.endswith((".pyc", "__pycache__")):
                found.append(path)
        # A folder is named for what is in it, too: leave only the innermost.
        inner = [path for path in found if not any(other.startswith(path + "/") for other in found)]
        return [path for path in inner if not path.startswith(_NO_RESULT) and not _is_mount_point(path)]

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        if self._inside is not None:
            self._inside.close()
        with contextlib.suppress(Exception):  # whatever it says, nothing more can be done about it
            self._container.remove(force=True, v=True)
        self._ended.wait(_STARTING_SECONDS)


def _is_mount_point(path: str) -> bool:
    """Folders that the engine makes for its own mounts: /opt/ml, and the likes of /etc/hosts."""
    return path in ("/opt", "/etc")
