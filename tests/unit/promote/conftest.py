"""A small repository under Git, and clients that answer what a test says, checked by botocore's models."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.stub import Stubber

from pipeline.aws import Clients, Target

Git = Callable[..., str]


class Stubbed:
    """Clients of one account whose services answer in the order of the test; parameters must be AWS's."""

    def __init__(self, account: str) -> None:
        self.clients = Clients(Target("aws", None, "eu-west-1", account), None)
        self._stubbers: dict[str, Stubber] = {}

    def __getattr__(self, service: str) -> Stubber:
        if service not in self._stubbers:
            client = boto3.client(
                service,
                region_name="eu-west-1",
                aws_access_key_id="a",
                aws_secret_access_key="b",
                config=Config(retries={"total_max_attempts": 1}),
            )
            self.clients.__dict__[service] = client
            self._stubbers[service] = Stubber(client)
            self._stubbers[service].activate()
        return self._stubbers[service]

    def done(self) -> None:
        for stubber in self._stubbers.values():
            stubber.assert_no_pending_responses()


@pytest.fixture
def staging() -> Iterator[Stubbed]:
    stubbed = Stubbed("222222222222")
    yield stubbed
    stubbed.done()


@pytest.fixture
def production() -> Iterator[Stubbed]:
    stubbed = Stubbed("333333333333")
    yield stubbed
    stubbed.done()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A commit on main."""
    root = tmp_path / "repository"
    container = root / "container" / "iris"
    container.mkdir(parents=True)
    (container / "Dockerfile").write_text("FROM x\n")
    (root / "pipeline.toml").write_text("a = 1\n")
    (root / "README.md").write_text("hello\n")
    _git(root)("init", "-q", "-b", "main")
    _git(root)("add", "-A")
    _git(root)("commit", "-qm", "One")
    return root


@pytest.fixture
def git(repository: Path) -> Git:
    return _git(repository)


def _git(root: Path) -> Git:
    def call(*arguments: str) -> str:
        who = ("-c", "user.name=R", "-c", "user.email=r@example.org", "-c", "commit.gpgSign=false")
        done = subprocess.run(
            ["git", "-C", str(root), *who, *arguments], check=True, capture_output=True, text=True
        )
        return done.stdout.strip()

    return call


def settings(root: Path, environment: str, account: str, approval: str = "automatic") -> Any:
    """As much of the settings of one environment as promotion reads."""
    return SimpleNamespace(
        root=root,
        name="iris",
        environment_name=environment,
        stack_name=f"iris-{environment}",
        artifact_bucket=f"ml-{account}-eu-west-1",
        project=SimpleNamespace(name="ml", base_image=None),
        environment=SimpleNamespace(
            account=account,
            region="eu-west-1",
            tags={},
            promote_from="staging",
            approval=SimpleNamespace(mode=approval),
            endpoint=SimpleNamespace(instance_type="ml.m5.xlarge"),
        ),
        pipeline=SimpleNamespace(container="iris", data=SimpleNamespace(prefix=""), transforms={}),
    )
