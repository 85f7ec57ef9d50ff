"""The first hour of somebody new, on machines that are not ours: what a stranger meets."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.conftest import Cli

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
