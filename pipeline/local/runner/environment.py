"""The Python environment of an image: a venv of its requirements.lock, made once and kept.

One folder per content of the lock and interpreter in the user's cache, for all clones. A lock file makes
two jobs that start together build it once; a marker written last makes a half-built one (power cut,
SIGKILL) rebuild instead of being used.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.util
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from pipeline.local.runner import wheels
from pipeline.local.runner.model import CannotStart

LOCK = "requirements.lock"
MARKER = ".complete"
_TAIL_LINES = 12


class EnvironmentBroken(CannotStart):
    """An image's requirements could not be installed; the text is the installer's own last words."""


def key(image: Path) -> str:
    """What the environment depends on: the lock's bytes, the interpreter and the platform."""
    lock = image / LOCK
    content = lock.read_bytes() if lock.exists() else b""
    about = (
        f"{platform.python_implementation()} {platform.python_version()} {sys.platform} {platform.machine()}"
    )
    return hashlib.sha256(about.encode() + b"\0" + content).hexdigest()[:24]


def ensure(image: Path, environments: Path) -> Path:
    """The image's environment folder (`bin/python3` in it), built if need be, once even when asked twice.

    Raises:
        EnvironmentBroken: the requirements cannot be installed.
    """
    folder = environments / key(image)
    if (folder / MARKER).exists():
        return folder
    environments.mkdir(parents=True, exist_ok=True)
    with (environments / f"{folder.name}.lock").open("w") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)
        if (folder / MARKER).exists():
            return folder
        shutil.rmtree(folder, ignore_errors=True)
        try:
            _build(image, folder)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        (folder / MARKER).write_text(f"{sys.executable}\n", encoding="utf-8")
    return folder


def _build(image: Path, folder: Path) -> None:
    lock = image / LOCK
    uv = [sys.executable, "-m", "uv"] if importlib.util.find_spec("uv") else None
    python = str(folder / "bin" / "python")
    if uv:
        _run([*uv, "venv", "--quiet", "--no-project", "--python", sys.executable, str(folder)])
    else:
        _run([sys.executable, "-m", "venv", str(folder)])
    if not lock.exists():
        return
    text = lock.read_text(encoding="utf-8")
    if not any(line.strip() and not line.lstrip().startswith("#") for line in text.splitlines()):
        return
    if uv:
        install(uv, python, lock)
        return
    hashes = ["--require-hashes"] if "--hash=" in text else []
    command = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    _run([*command, *hashes, "-r", str(lock)])


def install(uv: list[str], python: str, lock: Path, *options: str) -> None:
    """Install what a lock says into the environment of `python`, with uv and from where pip would find it.

    Raises EnvironmentBroken.
    """
    text = lock.read_text(encoding="utf-8")
    hashes = ["--require-hashes"] if "--hash=" in text else []
    links = [word for place in wheels.find_links() for word in ("--find-links", place)]
    command = [*uv, "pip", "install", "--quiet", "--python", python, *hashes, *options]
    try:
        _run([*command, *links, "-r", str(lock)])
    except EnvironmentBroken as error:
        only = wheels.for_cpu(text)
        if not only:
            raise
        with tempfile.TemporaryDirectory() as scratch:
            first = Path(scratch) / "requirements.lock"
            first.write_text(only, encoding="utf-8")
            try:
                _run([*command, "--no-deps", "--torch-backend", "cpu", "-r", str(first)])
            except EnvironmentBroken as other:
                raise EnvironmentBroken(f"{error}\nPyTorch's own index: {other}") from None
        # What is there by now is not looked for again.
        _run([*command, *links, "-r", str(lock)])


def _run(command: list[str]) -> None:
    # Only what an installer needs (proxies, indexes, caches): the credentials and the interpreter
    # settings of the server are not its business.
    own = ("AWS_", "PYTHON", "VIRTUAL_ENV", "UV_PROJECT")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(own)}
    # As pip does: a company's own certificates are in the system's store.
    environment.setdefault("UV_SYSTEM_CERTS", "true")
    done = subprocess.run(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode != 0:
        tail = "\n".join(done.stdout.strip().splitlines()[-_TAIL_LINES:])
        raise EnvironmentBroken(tail or f"{command[0]} ended with exit code {done.returncode}")
