"""A real local target in an empty folder, and what tests of its core do with it again and again."""

from __future__ import annotations

import io
import json
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

from pipeline.local import LocalTarget, down, ensure_up

ACCOUNT = "111122223333"
REGION = "eu-west-1"


@dataclass
class Target:
    """The target of one folder. `root` holds its repository."""

    root: Path
    up: LocalTarget
    _clients: dict[tuple[str, str], Any] = field(default_factory=dict)

    def client(self, service: str, credentials: dict[str, str] | None = None) -> Any:
        """A boto3 client, by default of the account's root."""
        keys = credentials or {"AccessKeyId": ACCOUNT, "SecretAccessKey": "any"}
        cached = (service, keys["AccessKeyId"])
        if cached not in self._clients:
            self._clients[cached] = boto3.client(
                service,
                endpoint_url=self.up.endpoint_url,
                region_name=REGION,
                aws_access_key_id=keys["AccessKeyId"],
                aws_secret_access_key=keys["SecretAccessKey"],
                aws_session_token=keys.get("SessionToken"),
                config=Config(retries={"total_max_attempts": 2}),
            )
        return self._clients[cached]

    def again(self) -> None:
        """Start it again, as the next command would."""
        self.up = ensure_up(self.root)
        self._clients.clear()

    def role(self, name: str, service: str, *statements: dict[str, Any]) -> str:
        """A role that trusts a service, with these statements; its ARN."""
        principal = {"Service": f"{service}.amazonaws.com"} if service else {"AWS": ACCOUNT}
        trust = {
            "Version": "2012-10-17",
            "Statement": [{"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"}],
        }
        iam = self.client("iam")
        arn = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]
        if statements:
            policy = {"Version": "2012-10-17", "Statement": list(statements)}
            iam.put_role_policy(RoleName=name, PolicyName="own", PolicyDocument=json.dumps(policy))
        return str(arn)

    def function(self, name: str, source: str, role: str, **more: Any) -> None:
        """A Python function with one file, ready to be invoked."""
        client = self.client("lambda")
        client.create_function(
            FunctionName=name,
            Runtime="python3.11",
            Handler="handler.handler",
            Role=role,
            Code={"ZipFile": zipped({"handler.py": source})},
            **more,
        )
        until(lambda: client.get_function_configuration(FunctionName=name)["State"] == "Active")

    def invoke(self, name: str, event: Any = None) -> tuple[str | None, Any]:
        """(FunctionError, payload) of an invocation."""
        answer = self.client("lambda").invoke(FunctionName=name, Payload=json.dumps(event))
        return answer.get("FunctionError"), json.loads(answer["Payload"].read())


def zipped(files: dict[str, str]) -> bytes:
    """A zip with these files."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return buffer.getvalue()


def until(ready: Callable[[], Any], seconds: float = 10) -> Any:
    """Wait for something true and return it."""
    deadline = time.monotonic() + seconds
    while True:
        value = ready()
        if value or time.monotonic() > deadline:
            assert value, "it did not come true"
            return value
        time.sleep(0.02)


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Target]:
    """A target of its own, for tests that stop or kill it."""
    target = Target(tmp_path, ensure_up(tmp_path))
    yield target
    down(tmp_path)


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """One target for a module's tests."""
    root = tmp_path_factory.mktemp("repository")
    yield Target(root, ensure_up(root))
    down(root)
