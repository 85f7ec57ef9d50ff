"""A make_sample.py that plain `python` runs, without what it needs, says in one line how to run it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

DEFINITIONS = Path(__file__).resolve().parents[3] / "pipeline" / "definitions"
SCRIPTS = [
    p for p in sorted(DEFINITIONS.glob("*/make_sample.py")) if "dependencies = []" not in p.read_text()
]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.parent.name)
def test_without_its_dependencies_it_names_the_command(script: Path, tmp_path: Path) -> None:
    # -I -S: the standard library alone.
    command = [sys.executable, "-I", "-S", str(script), "--out", str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: No module named ") and f"uv run --script {script}" in line
