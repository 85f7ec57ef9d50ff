"""The docker of a build: without an engine ours, which refuses by name what it cannot do; else the real."""

from __future__ import annotations

import base64
import os
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from pipeline.local import snapshots
from pipeline.local.codebuild import engine
from pipeline.local.codebuild.docker import command
from pipeline.local.runner import choice

HOST = "123456789012.dkr.ecr.eu-west-1.amazonaws.com"
NAME = f"{HOST}/ml/demo:src-1"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A build's home, and a container folder beside it that is where the build is."""
    folder = tmp_path / "src"
    folder.mkdir()
    (folder / "Dockerfile").write_text("FROM base\nCOPY train /opt/program/\nRUN exit 1\n")
    (folder / "train").write_text("#!/bin/sh\n")
    (folder / "train").chmod(0o755)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(folder)
    return tmp_path / "home"


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[str, str, bytes]]]:
    """(method, path, body) of what a registry was asked that lets in whoever says AWS:good."""
    asked: list[tuple[str, str, bytes]] = []

    class Registry(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            asked.append((self.command, self.path, body))
            good = self.headers["Authorization"] == "Basic " + base64.b64encode(b"AWS:good").decode()
            said = b"" if good else b'{"errors": [{"code": "DENIED", "message": "not you"}]}'
            self.send_response((202 if self.command == "POST" else 201) if good else 403)
            self.send_header("Location", "/v2/uploads/1?state=x")
            self.send_header("Content-Length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

        do_GET = do_POST = do_PUT = _answer

        def log_message(self, format: str, *args: object) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Registry)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_address[1]}")
    yield asked
    server.shutdown()


def login(password: str) -> int:
    return command.main(["login", "--username", "AWS", "--password", password, f"https://{HOST}"])


@pytest.mark.usefixtures("home")
def test_a_folder_is_pushed_as_the_image_that_apply_would_make_known(
    registry: list[tuple[str, str, bytes]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert login("good") == 0
    assert command.main(["build", "--build-arg", "A=b", "-t", "demo", "."]) == 0
    assert command.main(["tag", "demo:latest", NAME]) == 0
    # What was built is pushed, whatever has become of the folder.
    manifest, layer, config = snapshots.manifest_of(Path.cwd())
    (Path.cwd() / "train").write_text("changed")
    assert command.main(["push", NAME]) == 0
    out = capsys.readouterr().out
    assert "RUN exit 1\n ---> not run" in out and "src-1: digest: sha256:" in out
    puts = [(path.partition("?")[0], body) for method, path, body in registry if method == "PUT"]
    assert [body for _, body in puts] == [layer, config, manifest]
    assert puts[-1][0] == "/v2/ml/demo/manifests/src-1"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["run", "--rm", "base"], "docker run needs a container engine"),
        (["buildx", "build", "."], "docker buildx needs a container engine"),
        ([], "build, tag, push, login"),
        (["build", "--squash", "."], "unrecognized arguments: --squash"),
        (["build", "-"], "- is no folder"),
        (["build", "-f", "Other", "."], "open Other: no such file"),
        (["push", NAME], "An image does not exist locally with the tag"),
        (["push", "docker.io/me/demo:1"], "docker.io is not the account's registry"),
        (["tag", "nothing", "x"], "does not exist locally with the tag: nothing:latest"),
    ],
)
@pytest.mark.usefixtures("home", "registry")
def test_what_it_cannot_do_is_refused_by_name(
    capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    assert command.main(arguments) == 1
    assert said in capsys.readouterr().err


@pytest.mark.usefixtures("home", "registry")
def test_nobody_pushes_without_a_login_that_the_registry_takes(capsys: pytest.CaptureFixture[str]) -> None:
    command.main(["build", "-t", NAME, "."])
    assert command.main(["push", NAME]) == 1
    assert "no basic auth credentials" in capsys.readouterr().err
    assert login("bad") == 1
    assert "denied: not you" in capsys.readouterr().err
    assert command.main(["push", NAME]) == 1


class Engine:
    url = "unix:///run/docker.sock"


@pytest.mark.parametrize("there", [True, False])
def test_which_docker_a_build_finds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, there: bool) -> None:
    monkeypatch.setattr(choice, "engine", lambda: Engine() if there else None)
    machine, own = tmp_path / "usr", tmp_path / "own"
    for folder in (machine, own):
        folder.mkdir()
    (machine / "docker").write_text('#!/bin/sh\nprintf "%s\\n" "$@" "$DOCKER_HOST"\n')
    (machine / "docker").chmod(0o755)
    variables = engine.install(own, str(machine))
    environment = {
        **variables,
        "PATH": f"{own}:{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "AWS_ENDPOINT_URL": "http://127.0.0.1:4566",
    }
    done = subprocess.run(
        ["docker", "run", f"{HOST}/ml/demo:1"], env=environment, capture_output=True, text=True, check=False
    )
    if there:
        assert done.stdout.split() == ["run", "127.0.0.1:4566/ml/demo:1", Engine.url], done.stderr
    else:
        assert done.returncode == 1 and "docker run needs a container engine" in done.stderr
