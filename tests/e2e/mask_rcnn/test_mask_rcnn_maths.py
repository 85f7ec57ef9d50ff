"""container/mask_rcnn's sums and formats, checked in its own environment by maths.py."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.e2e.mask_rcnn.conftest import CONTAINER

CHECKS = Path(__file__).with_name("maths.py")
NAMES = re.findall(r"^def (check_\w+)", CHECKS.read_text(), re.MULTILINE)


@pytest.fixture(scope="module")
def outcomes(programs: Path, sample: Path) -> dict[str, str]:
    """Of each check, its traceback or nothing; PyTorch is started once for all."""
    done = subprocess.run(
        [programs / "python", CHECKS, sample],
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": f"{CONTAINER}:{CONTAINER.parent}",
            "OMP_NUM_THREADS": "1",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("name", NAMES)
def test_what_it_reckons(outcomes: dict[str, str], name: str) -> None:
    assert outcomes[name] == ""
