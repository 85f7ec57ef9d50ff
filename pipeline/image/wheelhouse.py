"""The wheels that a container's lock pins, fetched outside of the build, so that the build needs no network.

One folder per content of the lock and machine, in the user's cache: never in the container's folder, whose
content is the image's address. Every wheel's hash is checked twice: here, and by pip in the build.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from pipeline import caches
from pipeline.errors import ApplyError
from pipeline.image import lock as locks

LOCK = "requirements.lock"
# Debian 12, which the official Python images stand on, has glibc 2.36; a wheel may ask for less.
GLIBC_MINOR = 36
MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}
_TAIL_LINES = 8


def cache() -> Path:
    """The wheels' folder in the user's cache."""
    return caches.folder("wheels")


def ensure(folder: Path, architecture: str) -> list[Path]:
    """The wheels of the lock in `folder`, downloaded once; sorted. None of them without a hashed lock.

    Args:
        architecture: in Docker's words (amd64).

    Raises:
        ApplyError: a wheel cannot be had, or is not the one that was pinned.
    """
    path = folder / LOCK
    if not path.is_file():
        return []
    lock, machine = locks.read(path), MACHINES.get(architecture, architecture)
    pins = lock.on_linux(machine)
    if not pins or not all(pin.hashes for pin in pins):
        return []
    key = hashlib.sha256(path.read_bytes() + f"\0{lock.python} {machine}".encode()).hexdigest()[:24]
    place = cache() / key
    if not place.is_dir():
        cache().mkdir(parents=True, exist_ok=True)
        with (cache() / f"{key}.lock").open("w") as guard:
            # Two builds of one lock download it once.
            fcntl.flock(guard, fcntl.LOCK_EX)
            if not place.is_dir():
                _fetch(pins, lock.python, machine, place, str(path))
    return sorted(place.glob("*.whl"))


def _fetch(pins: Sequence[locks.Pin], python: str, machine: str, place: Path, where: str) -> None:
    temporary = Path(tempfile.mkdtemp(prefix="fetching-", dir=place.parent))
    try:
        # Markers are weighed here, for the image's platform: pip would weigh them for this machine's.
        requirements = temporary / "requirements.txt"
        requirements.write_text("".join(_line(pin) for pin in pins), encoding="utf-8")
        wheels = temporary / "wheels"
        wheels.mkdir()
        _run(_command(requirements, wheels, python, machine), where)
        wheels.rename(place)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _line(pin: locks.Pin) -> str:
    hashes = "".join(f" --hash=sha256:{digest}" for digest in pin.hashes)
    return f"{pin.name}=={pin.version}{hashes}\n"


def _command(requirements: Path, wheels: Path, python: str, machine: str) -> list[str]:
    if importlib.util.find_spec("pip"):
        pip = [sys.executable, "-m", "pip"]
    else:
        pip = [sys.executable, "-m", "uv", "tool", "run", "pip"]
    platforms = [f"manylinux_2_{minor}_{machine}" for minor in range(GLIBC_MINOR, 4, -1)]
    platforms += [f"{old}_{machine}" for old in ("manylinux2014", "manylinux2010", "manylinux1", "linux")]
    command = [*pip, "download", "--quiet", "--disable-pip-version-check", "--no-deps", "--require-hashes"]
    command += ["--only-binary=:all:", "--dest", str(wheels), "--requirement", str(requirements)]
    command += ["--implementation", "cp", "--python-version", python]
    for abi in (f"cp{python.replace('.', '')}", "abi3", "none"):
        command += ["--abi", abi]
    for platform in platforms:
        command += ["--platform", platform]
    return command


def _run(command: Sequence[str], where: str) -> None:
    # Credentials are not an installer's business.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
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
    if done.returncode == 0:
        return
    tail = "\n".join(done.stdout.strip().splitlines()[-_TAIL_LINES:])
    hint = (
        "is the package index reachable? A pin without a wheel for Linux cannot be used: nothing is compiled"
    )
    with contextlib.suppress(OSError):
        if shutil.disk_usage(cache()).free < 100_000_000:
            hint = f"the disk is full: make room under {cache()}"
    raise ApplyError(f"the wheels cannot be downloaded:\n{tail}", where=where, hint=hint)
