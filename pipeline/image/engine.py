"""The container engine of this machine: Docker's, or whatever speaks its API (podman).

Looked for as docker itself does: DOCKER_HOST, else the current docker context, else the usual sockets.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.errors import TargetError

if TYPE_CHECKING:
    from docker import DockerClient

# An engine on this machine answers at once, or not at all.
PING_SECONDS = 5
# A build step, or a layer on its way, may be silent for long.
CALL_SECONDS = 900


@dataclass(frozen=True)
class Engine:
    """An engine that answered.

    Args:
        client: docker's client, whose calls may last `CALL_SECONDS`.
        url: where it answers.
        version: its own.
        architecture: of the images it builds, in Docker's words (amd64, arm64).
        elsewhere: why its network and files are not this machine's; empty when they are.
        podman: whether it is podman, which has no BuildKit behind Docker's API.
        containerd_images: whether it keeps images in containerd, in the form that they are pushed in.
    """

    client: DockerClient
    url: str
    version: str
    architecture: str
    elsewhere: str
    podman: bool = False
    containerd_images: bool = False

    def __str__(self) -> str:
        return f"{'podman' if self.podman else 'engine'} {self.version} at {self.url}"


def find() -> Engine | None:
    """The first engine that answers, or None."""
    for url in _addresses():
        engine = _answering(url)
        if engine is not None:
            return engine
    return None


def _addresses() -> list[str]:
    given = os.environ.get("DOCKER_HOST")
    if given:
        return [given]  # what was said plainly is not second-guessed
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    sockets = [
        Path("/var/run/docker.sock"),
        Path.home() / ".docker/run/docker.sock",
        *([Path(runtime, "docker.sock"), Path(runtime, "podman/podman.sock")] if runtime else []),
        Path("/run/podman/podman.sock"),
    ]
    found = [f"unix://{path}" for path in sockets if path.is_socket()]
    return list(dict.fromkeys([*_context(), *found]))


def _context() -> list[str]:
    """The current docker context's address, if somebody set one."""
    if not (Path.home() / ".docker/config.json").exists():
        return []
    from docker.context import ContextAPI
    from docker.errors import DockerException

    try:
        context = ContextAPI.get_current_context()
    except (DockerException, OSError, ValueError, KeyError):
        return []
    return [str(context.Host)] if context is not None and context.Host else []


def _answering(url: str) -> Engine | None:
    import docker
    import requests
    from docker.errors import DockerException

    if url.startswith("unix://") and not Path(url.removeprefix("unix://")).is_socket():
        return None  # the usual case, told without importing half of urllib3's exceptions
    try:
        environment = {**os.environ, "DOCKER_HOST": url}
        quick = docker.from_env(version="auto", timeout=PING_SECONDS, environment=environment)
        info, version = quick.info(), quick.version()
        quick.close()
        client = docker.from_env(version="auto", timeout=CALL_SECONDS, environment=environment)
    except (DockerException, requests.RequestException, OSError, ValueError):
        return None
    podman = any("Podman" in str(each.get("Name")) for each in version.get("Components") or [])
    containerd = ["driver-type", "io.containerd.snapshotter.v1"] in (info.get("DriverStatus") or [])
    elsewhere = _elsewhere(url, info)
    return Engine(client, url, str(version["Version"]), str(version["Arch"]), elsewhere, podman, containerd)


def _elsewhere(url: str, info: dict[str, Any]) -> str:
    if not url.startswith("unix://"):
        return "it runs on another machine"
    if "Docker Desktop" in str(info.get("OperatingSystem", "")):
        return "Docker Desktop runs containers in a virtual machine"
    if any("rootless" in str(option) for option in info.get("SecurityOptions") or []):
        return "it is rootless, and its network is its own"
    return ""


@contextmanager
def spoken(doing: str, engine: Engine) -> Iterator[None]:
    """Within it, an engine that goes away or refuses is a TargetError that says so."""
    import requests
    from docker.errors import APIError, DockerException

    try:
        yield
    except APIError as error:
        raise TargetError(f"the engine refused while {doing}: {reason(error)}", where=str(engine)) from error
    except (DockerException, requests.RequestException, OSError) as error:
        raise TargetError(
            f"the engine went away while {doing}: {error}",
            where=str(engine),
            hint="start it again (see `docker info`), then run the same command: what was done is kept",
        ) from error


def reason(error: Exception) -> str:
    """What the engine said, in one line."""
    return " ".join(str(getattr(error, "explanation", None) or error).split())
