"""A real local target with one tiny serving image, and what tests of hosting do with it again and again."""

from __future__ import annotations

import io
import json
import os
import tarfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

from pipeline.image.fingerprint import source_tag
from pipeline.local import LocalTarget, down, ensure_up
from pipeline.local.runner import mount

ACCOUNT = "111122223333"
REGION = "eu-west-1"
BUCKET = "hosting-tests"
SERVE = (Path(__file__).parent / "tiny_serve.py").read_text(encoding="utf-8")
EVERYTHING = {"Effect": "Allow", "Action": "*", "Resource": "*"}


@dataclass
class Host:
    """The target, its clients, and short names for the common calls."""

    root: Path
    up: LocalTarget
    image: str = ""
    role: str = ""
    # Whether models can be cut off from the network here; then those of the tests are, where they need none.
    isolates: bool = field(default_factory=lambda: mount.cuts_networks(mount.isolation()))
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
                config=Config(retries={"total_max_attempts": 1}, max_pool_connections=20),
            )
        return self._clients[cached]

    @property
    def sm(self) -> Any:
        return self.client("sagemaker")

    def make_role(self, name: str, service: str | None, *statements: dict[str, Any]) -> str:
        """A role that trusts a service, or the account when there is none; its ARN."""
        principal = {"Service": f"{service}.amazonaws.com"} if service else {"AWS": ACCOUNT}
        trust = {"Statement": [{"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"}]}
        iam = self.client("iam")
        arn = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]
        policy = {"Version": "2012-10-17", "Statement": list(statements)}
        iam.put_role_policy(RoleName=name, PolicyName="own", PolicyDocument=json.dumps(policy))
        return str(arn)

    def assume(self, role: str) -> dict[str, str]:
        """Credentials of a role."""
        answer = self.client("sts").assume_role(RoleArn=role, RoleSessionName="test")
        return dict(answer["Credentials"])

    def artefact(self, answer: str) -> str:
        """A model.tar.gz in S3 that makes the tiny image answer this; its URL."""
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
            entry = tarfile.TarInfo("answer.txt")
            entry.size = len(answer)
            tar.addfile(entry, io.BytesIO(answer.encode()))
        self.client("s3").put_object(Bucket=BUCKET, Key=f"{answer}/model.tar.gz", Body=buffer.getvalue())
        return f"s3://{BUCKET}/{answer}/model.tar.gz"

    def model(self, name: str, answer: str | None = None, **more: Any) -> str:
        """A model whose container answers `answer` (its own name by default)."""
        environment = more.pop("Environment", {})
        self.sm.create_model(
            ModelName=name,
            ExecutionRoleArn=self.role,
            PrimaryContainer={
                "Image": self.image,
                "ModelDataUrl": self.artefact(answer or name),
                "Environment": environment,
            },
            **more,
        )
        return name

    def config(self, name: str, *models: str, weights: tuple[float, ...] = (), counts: int = 1) -> str:
        """A configuration with one variant a model, named like it."""
        self.sm.create_endpoint_config(
            EndpointConfigName=name,
            ProductionVariants=[
                {
                    "VariantName": each,
                    "ModelName": each,
                    "InstanceType": "ml.m5.large",
                    "InitialInstanceCount": counts,
                    "InitialVariantWeight": weights[i] if weights else 1.0,
                }
                for i, each in enumerate(models)
            ],
        )
        return name

    def serving(self, name: str, *models: str, **more: Any) -> str:
        """An endpoint in service with these models."""
        self.config(f"{name}-config", *models, **more)
        self.sm.create_endpoint(EndpointName=name, EndpointConfigName=f"{name}-config")
        described = self.settled(name)
        assert described["EndpointStatus"] == "InService", described
        return name

    def settled(self, name: str, seconds: float = 60) -> dict[str, Any]:
        """Describe it once its status is final."""
        return until(
            lambda: (
                d := self.sm.describe_endpoint(EndpointName=name),
                d["EndpointStatus"] not in ("Creating", "Updating", "RollingBack") and d,
            )[1],
            seconds,
        )

    def invoke(self, name: str, body: str = "x", **more: Any) -> dict[str, Any]:
        """InvokeEndpoint, with the body read."""
        answer = self.client("sagemaker-runtime").invoke_endpoint(EndpointName=name, Body=body, **more)
        return answer | {"Body": answer["Body"].read().decode()}

    def again(self) -> None:
        """Start the target again, as the next command would."""
        self.up = ensure_up(self.root)
        self._clients.clear()


class Load:
    """Requests without a pause from a few threads, while a block lasts."""

    def __init__(self, host: Host, endpoint: str, threads: int = 3) -> None:
        self.answers: Counter[str] = Counter()
        self.failures: list[str] = []
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, args=(host.client("sagemaker-runtime"), endpoint))
            for _ in range(threads)
        ]

    def _run(self, runtime: Any, endpoint: str) -> None:
        while not self._stop.is_set():
            try:
                body = runtime.invoke_endpoint(EndpointName=endpoint, Body="x")["Body"].read().decode()
                self.answers[body] += 1
            except Exception as error:  # noqa: BLE001 - whatever it is, the test must see it
                self.failures.append(repr(error))

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()


def until(probe: Callable[[], Any], seconds: float = 30) -> Any:
    """The first truthy answer of `probe`."""
    deadline = time.monotonic() + seconds
    while True:
        found = probe()
        if found:
            return found
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    root = tmp_path_factory.mktemp("hosting")
    folder = root / "container" / "tiny"
    folder.mkdir(parents=True)
    program = folder / "serve"
    program.write_text(SERVE, encoding="utf-8")
    program.chmod(0o755)
    # A container that never becomes healthy is given up after seconds, not minutes.
    os.environ["PIPELINE_LOCAL_PING_SECONDS"] = "6"
    try:
        made = Host(root, ensure_up(root))
        made.client("s3").create_bucket(
            Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION}
        )
        ecr = made.client("ecr")
        ecr.create_repository(repositoryName="ml/tiny")
        tag = source_tag(folder)
        found = ecr.describe_images(repositoryName="ml/tiny", imageIds=[{"imageTag": tag}])
        digest = found["imageDetails"][0]["imageDigest"]
        made.image = f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/ml/tiny@{digest}"
        made.role = made.make_role("model", "sagemaker", EVERYTHING)
        yield made
    finally:
        del os.environ["PIPELINE_LOCAL_PING_SECONDS"]
        down(root)
