"""A local target of this folder's own, with the clients and roles its tests need."""

from __future__ import annotations

import io
import json
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

from pipeline.local import down, ensure_up

ACCOUNT = "123456789012"
REGION = "eu-west-1"


class Aws:
    """The account's root user at a local target."""

    def __init__(self, endpoint_url: str) -> None:
        self.endpoint_url = endpoint_url
        self._count = 0

    def client(self, service: str) -> Any:
        return boto3.client(
            service,
            region_name=REGION,
            endpoint_url=self.endpoint_url,
            aws_access_key_id=ACCOUNT,
            aws_secret_access_key="any",
            config=Config(inject_host_prefix=False, retries={"total_max_attempts": 1}),
        )

    def name(self, prefix: str) -> str:
        self._count += 1
        return f"{prefix}-{self._count}"

    def role(self, *statements: dict[str, Any], service: str = "states") -> str:
        """A role that the service can assume and that may do what the statements say."""
        iam, name = self.client("iam"), self.name("role")
        trust = {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Effect": "Allow",
                    "Principal": {"Service": f"{service}.amazonaws.com"},
                    "Action": "sts:AssumeRole",
                }
            ],
        }
        arn = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]
        if statements:
            policy = {"Version": "2012-10-17", "Statement": list(statements)}
            iam.put_role_policy(RoleName=name, PolicyName="may", PolicyDocument=json.dumps(policy))
        return str(arn)

    def machine(self, definition: dict[str, Any], role: str, **more: Any) -> str:
        created = self.client("stepfunctions").create_state_machine(
            name=self.name("machine"), definition=json.dumps(definition), roleArn=role, **more
        )
        return str(created["stateMachineArn"])

    def start(self, machine: str, data: Any = None, **more: Any) -> str:
        started = self.client("stepfunctions").start_execution(
            stateMachineArn=machine, input=json.dumps({} if data is None else data), **more
        )
        return str(started["executionArn"])

    def ended(self, execution: str, seconds: float = 20) -> dict[str, Any]:
        """Wait for an execution's end; its description."""
        sfn, until = self.client("stepfunctions"), time.monotonic() + seconds
        while True:
            described: dict[str, Any] = sfn.describe_execution(executionArn=execution)
            if described["status"] != "RUNNING":
                return described
            assert time.monotonic() < until, f"{execution} still runs after {seconds} s"
            time.sleep(0.03)

    def run(self, definition: dict[str, Any], role: str, data: Any = None) -> dict[str, Any]:
        return self.ended(self.start(self.machine(definition, role), data))

    def history(self, execution: str, **more: Any) -> list[dict[str, Any]]:
        pages = self.client("stepfunctions").get_paginator("get_execution_history")
        found = pages.paginate(executionArn=execution, **more)
        return [event for page in found for event in page["events"]]

    def function(self, source: str) -> str:
        """A Lambda function with the source as handler.py; its ARN."""
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            archive.writestr("handler.py", source)
        created = self.client("lambda").create_function(
            FunctionName=self.name("function"),
            Runtime="python3.11",
            Role=self.role(service="lambda"),
            Handler="handler.handler",
            Code={"ZipFile": packed.getvalue()},
            Timeout=30,
        )
        return str(created["FunctionArn"])


@pytest.fixture(scope="session")
def states_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("states")


@pytest.fixture(scope="session")
def aws(states_root: Path) -> Iterator[Aws]:
    yield Aws(ensure_up(states_root).endpoint_url)
    down(states_root)


@pytest.fixture(scope="session")
def admin(aws: Aws) -> str:
    """A role for state machines that may do anything."""
    return aws.role({"Effect": "Allow", "Action": "*", "Resource": "*"})
