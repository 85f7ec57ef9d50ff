"""Where an engine is looked for, and what is known of one: Docker, Docker Desktop, podman."""

from __future__ import annotations

import hashlib
import json
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pipeline.image import engine as engines


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A home without an engine; its path is short, as a socket's has to be."""
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    monkeypatch.delenv("DOCKER_CONTEXT", raising=False)
    monkeypatch.delenv("DOCKER_CONFIG", raising=False)
    with tempfile.TemporaryDirectory(prefix="h") as folder:
        monkeypatch.setenv("HOME", folder)
        monkeypatch.setenv("XDG_RUNTIME_DIR", f"{folder}/run")
        yield Path(folder)


def listen(path: Path) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(path))
    return f"unix://{path}"


def test_what_was_said_plainly_is_the_only_one(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listen(home / ".docker/run/docker.sock")
    monkeypatch.setenv("DOCKER_HOST", "tcp://10.0.0.1:2375")
    assert engines._addresses() == ["tcp://10.0.0.1:2375"]


def test_the_sockets_of_docker_desktop_rootless_docker_and_podman_are_known(home: Path) -> None:
    ours = [
        listen(home / ".docker/run/docker.sock"),
        listen(home / "run/docker.sock"),
        listen(home / "run/podman/podman.sock"),
    ]
    found = [each for each in engines._addresses() if str(home) in each]
    assert found == ours


def test_dockers_current_context_goes_before_the_sockets(home: Path) -> None:
    ours = listen(home / ".docker/run/docker.sock")
    folder = home / ".docker/contexts/meta" / hashlib.sha256(b"desktop-linux").hexdigest()
    folder.mkdir(parents=True)
    meta = {"Name": "desktop-linux", "Metadata": {}, "Endpoints": {"docker": {"Host": "unix:///desk.sock"}}}
    (folder / "meta.json").write_text(json.dumps(meta))
    (home / ".docker/config.json").write_text(json.dumps({"currentContext": "desktop-linux"}))
    found = engines._addresses()
    assert found[0] == "unix:///desk.sock" and ours in found


@pytest.mark.parametrize(
    ("url", "info", "expected"),
    [
        ("unix:///var/run/docker.sock", {"OperatingSystem": "Debian GNU/Linux 12"}, ""),
        ("unix:///u/.docker/run/docker.sock", {"OperatingSystem": "Docker Desktop"}, "virtual machine"),
        ("tcp://10.0.0.1:2375", {}, "another machine"),
        ("unix:///run/user/1/docker.sock", {"SecurityOptions": ["name=rootless"]}, "rootless"),
    ],
)
def test_an_engine_whose_network_is_not_ours_is_told(url: str, info: dict[str, Any], expected: str) -> None:
    found = engines._elsewhere(url, info)
    assert (expected in found) if expected else found == ""


@pytest.mark.parametrize(
    ("version", "info", "podman", "containerd"),
    [
        (
            {"Components": [{"Name": "Engine"}]},
            {"DriverStatus": [["Backing Filesystem", "extfs"]]},
            False,
            False,
        ),
        (
            {"Components": [{"Name": "Engine"}]},
            {"DriverStatus": [["driver-type", "io.containerd.snapshotter.v1"]]},
            False,
            True,
        ),
        ({"Components": [{"Name": "Podman Engine"}]}, {"DriverStatus": None}, True, False),
    ],
)
def test_what_builds_depend_on_is_asked_once(
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
    version: dict[str, Any],
    info: dict[str, Any],
    podman: bool,
    containerd: bool,
) -> None:
    import docker

    client = SimpleNamespace(
        info=lambda: info, version=lambda: {"Version": "9", "Arch": "amd64", **version}, close=lambda: None
    )
    monkeypatch.setattr(docker, "from_env", lambda **_: client)
    found = engines._answering(listen(home / "e.sock"))
    assert found is not None
    assert (found.podman, found.containerd_images) == (podman, containerd)
    assert str(found).startswith("podman 9" if podman else "engine 9")
