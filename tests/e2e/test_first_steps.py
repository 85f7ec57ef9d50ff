"""The first hour of somebody new, on machines that are not ours: what a stranger meets."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY, Cli

# A user namespace that allows no further ones stands for a kernel that gives none (macOS, hardened Linux).
NO_NAMESPACES = 'for kind in user mnt pid net; do echo 0 > /proc/sys/user/max_${kind}_namespaces; done; "$@"'


def without_namespaces(cli: Cli, *arguments: str, code: int = 0) -> str:
    """Run a command, and so a local target that it starts, where no namespaces can be made."""
    masked = [
        "unshare",
        "-Ur",
        "sh",
        "-ec",
        NO_NAMESPACES,
        "sh",
        sys.executable,
        "-m",
        "pipeline",
        *arguments,
    ]
    done = subprocess.run(
        masked, cwd=cli.root, env=cli._clean(), capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture
def masked(cli: Cli) -> Iterator[Cli]:
    if not shutil.which("unshare"):
        pytest.skip("needs unshare")
    probe = ["unshare", "-Ur", "sh", "-ec", NO_NAMESPACES, "sh", "true"]
    if subprocess.run(probe, capture_output=True, check=False).returncode:
        pytest.skip("this machine lets nobody make a user namespace")
    cli("local", "down")
    yield cli
    cli("local", "down")


def test_iris_runs_where_the_kernel_gives_no_namespaces_and_it_is_said(masked: Cli) -> None:
    up = without_namespaces(masked, "local", "up")
    said = "network isolation  NOT enforced: this machine's kernel gives no network namespaces"
    assert said in up
    assert said in masked("local", "status").stdout
    masked("apply", "iris", "--yes")
    masked("data", "iris", "put", "--date", "2026-05-01")
    masked("run", "iris", "--date", "2026-05-02", "--follow")
    assert "setosa" in masked("invoke", "iris").stdout
    for step in ("Train", "Evaluate", "endpoint"):
        log = masked("logs", "iris", step).stdout
        assert "local target: EnableNetworkIsolation is not enforced" in log, step


def test_isolation_can_be_enforced_instead(masked: Cli) -> None:
    up = without_namespaces(masked, "local", "up", "--isolation", "enforce")
    assert "network isolation  refused: this machine's kernel gives no network namespaces" in up
    masked("apply", "iris", "--yes")
    masked("data", "iris", "put", "--date", "2026-05-02", "--shuffle-labels", "3")
    run = masked("run", "iris", "--date", "2026-05-03", "--follow", code=1)
    assert "EnableNetworkIsolation on this machine" in run.stdout + run.stderr


def test_a_running_target_with_other_options_is_told_and_not_used(masked: Cli) -> None:
    masked("local", "up")
    refused = masked("local", "up", "--isolation", "enforce", code=3)
    assert "runs with PIPELINE_LOCAL_ISOLATION=best-effort, not enforce" in refused.stderr
    strict = Cli(masked.root, {"PIPELINE_LOCAL_ISOLATION": "enforce"})
    assert "not enforce" in strict("status", "iris", code=3).stderr
    wrong = Cli(masked.root, {"PIPELINE_LOCAL_ISOLATION": "yes"})
    assert "PIPELINE_LOCAL_ISOLATION: unknown value 'yes'" in wrong("status", "iris", code=2).stderr
    assert "not 1" in masked("local", "up", "--realistic", code=3).stderr


def test_a_venv_left_half_made_is_made_whole(tmp_path: Path) -> None:
    """Ctrl-C while `python -m venv` ran left one without pip, which no further `make` could mend."""
    for name in ("Makefile", "pyproject.toml", "README.md", "LICENSE", "scripts", "requirements.lock"):
        source = REPOSITORY / name
        shutil.copytree(source, tmp_path / name) if source.is_dir() else shutil.copy2(source, tmp_path / name)
    (tmp_path / "pipeline").mkdir()
    # Enough to see it whole: what installs the rest, and the package itself.
    blocks = re.split(r"^(?=[a-z])", (tmp_path / "requirements.lock").read_text(), flags=re.M)
    kept = [block for block in blocks if block.startswith(("uv==", "setuptools=="))]
    (tmp_path / "requirements.lock").write_text("".join(kept))
    venv = tmp_path / ".venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", venv], check=True)
    for again in (False, True):
        made = subprocess.run(
            ["make", "venv", f"PYTHON={sys.executable}"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert made.returncode == 0, made.stdout + made.stderr
        assert ("Making .venv" in made.stdout) is not again
    assert (venv / "bin" / "pipeline").exists()
    none = subprocess.run(
        ["make", "venv", "PYTHON=python0"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert none.returncode != 0
    assert "error: there is no python0" in none.stderr


def test_in_a_sandbox_one_command_is_enough(repository: Path) -> None:
    fresh = Cli(repository)
    try:
        told = fresh("run", "iris").stderr
        assert "iris-dev is not deployed, and this is a sandbox: applying" in told
        assert "there was no data: put the sample" in told
        assert "SUCCEEDED" in told
        assert "setosa" in fresh("invoke", "iris").stdout
        again = fresh("run", "iris").stderr
        assert "applying" not in again and "put the sample" not in again and "NothingNew" in again
        # Elsewhere nothing is made that nobody has looked at.
        refused = fresh("run", "iris", "-e", "staging", code=1).stderr
        assert "iris-staging is not deployed here" in refused
    finally:
        fresh("local", "down", code=None)
