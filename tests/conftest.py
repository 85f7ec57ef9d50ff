"""Shared fixtures: a copy of the repository with a local target of its own, and the real CLI on it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import pytest

# Tests are about one runner at a time: processes, unless a test says otherwise (tests/e2e/containers). An
# engine that this machine happens to have plays no part.
os.environ["PIPELINE_LOCAL_RUNNER"] = "process"
os.environ["DOCKER_HOST"] = "unix:///nonexistent/docker.sock"
os.environ.pop("PIPELINE_BASE_IMAGE", None)

REPOSITORY = Path(__file__).resolve().parent.parent
COPIED = (
    "pipeline.toml",
    "pipeline",
    "container",
    "glue_scripts",
    "cloudformation",
    "requirements.lock",
    "pyproject.toml",
)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """With several workers a module stays on one, for its fixtures; all of one engine's modules too."""
    from xdist.scheduler import LoadFileScheduling

    class ByModule(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            module = nodeid.split("::", 1)[0]
            # Engines mount and unmount all the time, and one test looks at all mounts.
            engine = module.startswith("tests/e2e/containers/") or module.endswith("test_runner_programs.py")
            return "engine" if engine else module

    return ByModule(config, log)


def copy_repository(to: Path, *, only: str = "") -> Path:
    """Copy what a clone would hold of the product (not tests, caches or state) into `to`.

    Args:
        only: the one pipeline whose definition is copied: what holds for one need not train them all.
    """
    ignore = shutil.ignore_patterns("__pycache__", "*.pyc", ".pipeline")
    to.mkdir(parents=True, exist_ok=True)
    for name in COPIED:
        source = REPOSITORY / name
        if source.is_dir():
            shutil.copytree(source, to / name, ignore=ignore)
        elif source.exists():
            shutil.copy2(source, to / name)
    if only:
        for folder in (to / "pipeline" / "definitions").iterdir():
            if folder.is_dir() and folder.name != only:
                shutil.rmtree(folder)
    return to


def client(service: str, variables: Mapping[str, str]) -> Any:
    """A plain boto3 client of the target and the account that `pipeline local env` names."""
    return boto3.client(
        service,
        endpoint_url=variables["AWS_ENDPOINT_URL"],
        region_name=variables["AWS_REGION"],
        aws_access_key_id=variables["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=variables["AWS_SECRET_ACCESS_KEY"],
    )


@dataclass
class Cli:
    """The real command line, run in a folder of its own."""

    root: Path
    environment: dict[str, str] = field(default_factory=dict)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start a command and do not wait for it."""
        return subprocess.Popen(
            [sys.executable, "-m", "pipeline", *arguments],
            cwd=self.root,
            env={**self._clean(), **self.environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            # A shell that runs the tests in the background has SIGINT ignored, and that is inherited.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )

    def __call__(
        self, *arguments: str, code: int | None = 0, timeout: float = 240
    ) -> subprocess.CompletedProcess[str]:
        """Run a command to its end and assert its exit code (`code=None`: any)."""
        process = self.start(*arguments)
        try:
            out, err = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            out, err = process.communicate()
            pytest.fail(f"pipeline {' '.join(arguments)} took more than {timeout} s\n{out}\n{err}")
        if code is not None and process.returncode != code:
            pytest.fail(
                f"pipeline {' '.join(arguments)} ended with {process.returncode}, not {code}\n{out}\n{err}"
            )
        return subprocess.CompletedProcess(arguments, process.returncode, out, err)

    def variables(self, *options: str) -> dict[str, str]:
        """What points a program at this folder's local target; `-e` for another environment's account."""
        found: dict[str, str] = json.loads(self("local", "env", *options, "--json").stdout)
        return found

    def client(self, service: str, *options: str) -> Any:
        """A plain boto3 client of that target with the account's root credentials."""
        return client(service, self.variables(*options))

    @staticmethod
    def _clean() -> dict[str, str]:
        """This process's environment without what would point a command at AWS or at another target."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "PIPELINE_"))}
        runner = {"PIPELINE_LOCAL_RUNNER": os.environ["PIPELINE_LOCAL_RUNNER"]}
        # Samples are small, and several Sparks may run beside each other.
        runner["PIPELINE_LOCAL_GLUE_MEMORY_MB"] = "1024"
        return {**kept, **runner, "NO_COLOR": "1"}


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A fresh copy of the repository; no local target is started in it."""
    return copy_repository(tmp_path / "repository")


@pytest.fixture(scope="module")
def shared_repository(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """One copy for a whole test module; its local target, if any was started, is stopped at the end."""
    root = copy_repository(tmp_path_factory.mktemp("shared") / "repository")
    yield root
    Cli(root)("local", "down", code=None)


@pytest.fixture(scope="module")
def cli(shared_repository: Path) -> Cli:
    """The command line on the module's copy of the repository."""
    return Cli(shared_repository)
