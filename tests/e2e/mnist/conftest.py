"""The sample of mnist, and the environment of its container."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest

from pipeline.execution import sample as samples
from tests.e2e.venvs import ROOT, bin_of

CONTAINER = ROOT / "container" / "mnist"
HELPER = Path(__file__).with_name("parquet.py")


@pytest.fixture(scope="session")
def programs() -> Path:
    """The bin folder of a venv with exactly what the container's lock says."""
    return bin_of(CONTAINER / "requirements.lock")


@pytest.fixture(scope="session")
def sample() -> Path:
    """rawtrain, rawvalidation and rawtest, fetched once into the user's cache."""
    return samples.folder(SimpleNamespace(root=ROOT, name="mnist"), print)  # type: ignore[arg-type]


def helper(programs: Path, *arguments: object) -> str:
    """Run parquet.py in the container's venv."""
    done = subprocess.run(
        [programs / "python", HELPER, *map(str, arguments)],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": f"{CONTAINER}:{CONTAINER.parent}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
