"""The linters find nothing in our workflows, and each of them would."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
BIN = Path(sys.executable).parent
W = ".github/workflows"
FAULTS = {
    # linter that must notice -> (file, what stands there, a fault instead)
    "actionlint": (f"{W}/merge.yml", "needs: [affected, apply, provenance]", "needs: [affected, aply]"),
    "zizmor": (f"{W}/rollback.yml", '--reason "$REASON"', "--reason '${{ inputs.reason }}'"),
    "check-jsonschema": (f"{W}/release.yml", "timeout-minutes: 15", "timeout-minutes: soon"),
    "yamllint": (f"{W}/ci.yml", "name: ci\n", "name: ci   \n"),
}


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["scripts/lint-workflows"],
        cwd=folder,
        env={**os.environ, "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The workflows and what lints them, with this venv's tools."""
    shutil.copytree(ROOT / ".github", tmp_path / ".github")
    (tmp_path / "scripts").mkdir()
    shutil.copy2(ROOT / "scripts/lint-workflows", tmp_path / "scripts")
    shutil.copy2(ROOT / ".yamllint", tmp_path)
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv/bin").symlink_to(BIN)
    # actionlint looks for the repository it is in.
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    return tmp_path


def test_no_linter_finds_anything(copy: Path) -> None:
    done = lint(copy)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("linter", FAULTS)
def test_every_linter_would(copy: Path, linter: str) -> None:
    file, old, new = FAULTS[linter]
    path = copy / file
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new, 1))
    done = lint(copy)
    assert done.returncode != 0
    # What it is noticed by is in the text: each has its own way of saying so.
    marks = {
        "actionlint": "aply",
        "zizmor": "template-injection",
        "check-jsonschema": "soon",
        "yamllint": "trailing",
    }
    assert marks[linter] in done.stdout + done.stderr


def test_make_lint_runs_them() -> None:
    assert "run scripts/lint-workflows" in (ROOT / "scripts/lint").read_text()
