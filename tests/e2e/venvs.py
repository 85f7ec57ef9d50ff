"""Environments made from locks, kept under .pipeline/cache/test-venvs so that only the first run installs."""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

from pipeline.local.runner import environment

ROOT = Path(__file__).resolve().parents[2]


def bin_of(lock: Path) -> Path:
    """The bin folder of a venv with exactly what the lock says."""
    key = hashlib.sha256(lock.read_bytes() + sys.version.encode()).hexdigest()[:16]
    venvs = ROOT / ".pipeline" / "cache" / "test-venvs"
    venvs.mkdir(parents=True, exist_ok=True)
    venv = venvs / key
    with (venvs / f"{key}.lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        if not (venv / "complete").exists():
            shutil.rmtree(venv, ignore_errors=True)
            uv = [sys.executable, "-m", "uv"]
            subprocess.run([*uv, "venv", "-q", "--python", sys.executable, str(venv)], check=True)
            environment.install(uv, str(venv / "bin" / "python"), lock, "--only-binary", ":all:")
            (venv / "complete").touch()
    return venv / "bin"
