"""A local target with a container of tiny programs, and the requests that run them."""

from __future__ import annotations

import io
import itertools
import json
import os
import tarfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import psutil
import pytest
from botocore.config import Config

from pipeline.image.fingerprint import source_tag
from pipeline.local import LocalTarget, down, ensure_up

ACCOUNT = "111122223333"
REGION = "eu-west-1"
BUCKET = "jobs-data"
ALLOWED = [
    {"Effect": "Allow", "Action": ["s3:GetObject", "s3:PutObject"], "Resource": f"arn:aws:s3:::{BUCKET}/*"},
    {"Effect": "Allow", "Action": "s3:ListBucket", "Resource": f"arn:aws:s3:::{BUCKET}"},
    {"Effect": "Allow", "Action": ["logs:*", "cloudwatch:PutMetricData", "ecr:*"], "Resource": "*"},
]
PROGRAM = '''#!/usr/bin/env python3
"""Does what the hyperparameter (or argument) `do` says."""
import json, os, pathlib, signal, subprocess, sys, time

ML = pathlib.Path(os.environ.get("SAGEMAKER_BASE_DIR", "/opt/ml"))
config = ML / "input/config/hyperparameters.json"
do = json.loads(config.read_text())["do"] if config.exists() else "".join(sys.argv[1:])
exec(do.replace("␤", chr(10)))
'''


@dataclass
class Jobs:
    """The target of one folder, and its account's clients."""

    root: Path
    up: LocalTarget
    role: str = ""
    image: str = ""
    _clients: dict[str, Any] = field(default_factory=dict)
    _count: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def client(self, service: str) -> Any:
        if service not in self._clients:
            self._clients[service] = boto3.client(
                service,
                endpoint_url=self.up.endpoint_url,
                region_name=REGION,
                aws_access_key_id=ACCOUNT,
                aws_secret_access_key="any",
                config=Config(retries={"total_max_attempts": 1}),
            )
        return self._clients[service]

    def again(self) -> None:
        """The server, as the next command would find or start it."""
        self.up = ensure_up(self.root)
        self._clients.clear()

    def make_role(self, name: str, *statements: dict[str, Any], service: str = "sagemaker") -> str:
        trust = {
            "Effect": "Allow",
            "Principal": {"Service": f"{service}.amazonaws.com"},
            "Action": "sts:AssumeRole",
        }
        iam = self.client("iam")
        made = iam.create_role(
            RoleName=name,
            AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trust]}),
        )
        policy = {"Version": "2012-10-17", "Statement": list(statements)}
        iam.put_role_policy(RoleName=name, PolicyName="own", PolicyDocument=json.dumps(policy))
        return str(made["Role"]["Arn"])

    def push(self, container: str) -> str:
        """The image URI of a container folder of the repository, by digest."""
        ecr = self.client("ecr")
        ecr.create_repository(repositoryName=f"ml/{container}")
        tag = source_tag(self.root / "container" / container)
        found = ecr.describe_images(repositoryName=f"ml/{container}", imageIds=[{"imageTag": tag}])
        digest = found["imageDetails"][0]["imageDigest"]
        return f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/ml/{container}@{digest}"

    def put(self, key: str, content: bytes | str) -> str:
        body = content.encode() if isinstance(content, str) else content
        self.client("s3").put_object(Bucket=BUCKET, Key=key, Body=body)
        return f"s3://{BUCKET}/{key}"

    def get(self, key: str) -> bytes:
        return bytes(self.client("s3").get_object(Bucket=BUCKET, Key=key)["Body"].read())

    def keys(self, prefix: str) -> list[str]:
        found = self.client("s3").list_objects_v2(Bucket=BUCKET, Prefix=prefix).get("Contents", [])
        return [each["Key"] for each in found]

    def unpacked(self, key: str) -> dict[str, bytes]:
        """The files of a tar.gz."""
        with tarfile.open(fileobj=io.BytesIO(self.get(key))) as tar:
            files = [member for member in tar.getmembers() if member.isfile()]
            return {member.name: tar.extractfile(member).read() for member in files}  # type: ignore[union-attr]

    # -- training ------------------------------------------------------------------------------

    def train(self, do: str, **changes: Any) -> str:
        """Start a training job whose program executes `do`; its name."""
        name = f"train-{next(self._count)}-{time.time_ns() % 10**9}"
        seconds = changes.pop("seconds", 60)
        request = {
            "TrainingJobName": name,
            "AlgorithmSpecification": {"TrainingImage": self.image, "TrainingInputMode": "File"}
            | changes.pop("algorithm", {}),
            "RoleArn": self.role,
            "HyperParameters": {"do": do.strip().replace("\n", "\u2424")},  # which take no newline
            "OutputDataConfig": {"S3OutputPath": f"s3://{BUCKET}/out"},
            "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
            "StoppingCondition": {"MaxRuntimeInSeconds": seconds},
        }
        self.client("sagemaker").create_training_job(**(request | changes))
        return name

    def trained(self, name: str, seconds: float = 30) -> dict[str, Any]:
        """Its description once it is over."""
        return self._over(
            lambda: self.client("sagemaker").describe_training_job(TrainingJobName=name),
            "TrainingJobStatus",
            seconds,
        )

    def channel(self, name: str, uri: str, kind: str = "S3Prefix", **changes: Any) -> dict[str, Any]:
        source = {"S3DataType": kind, "S3Uri": uri} | changes.pop("source", {})
        return {"ChannelName": name, "DataSource": {"S3DataSource": source}} | changes

    # -- processing ----------------------------------------------------------------------------

    def process(self, do: str, **changes: Any) -> str:
        """Start a processing job whose program executes `do`; its name."""
        name = f"process-{next(self._count)}-{time.time_ns() % 10**9}"
        request = {
            "ProcessingJobName": name,
            "AppSpecification": {
                "ImageUri": self.image,
                "ContainerEntrypoint": ["/opt/program/train"],
                "ContainerArguments": self._pieces(do.strip().replace("\n", "\u2424")),
            },
            "RoleArn": self.role,
            "ProcessingResources": {
                "ClusterConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1}
            },
            "StoppingCondition": {"MaxRuntimeInSeconds": changes.pop("seconds", 60)},
        }
        self.client("sagemaker").create_processing_job(**(request | changes))
        return name

    @staticmethod
    def _pieces(text: str) -> list[str]:
        """An argument holds 256 characters; there may be 100."""
        return [text[start : start + 250] for start in range(0, len(text) or 1, 250)]

    def processed(self, name: str, seconds: float = 30) -> dict[str, Any]:
        """Its description once it is over."""
        return self._over(
            lambda: self.client("sagemaker").describe_processing_job(ProcessingJobName=name),
            "ProcessingJobStatus",
            seconds,
        )

    def _over(self, describe: Any, status: str, seconds: float) -> dict[str, Any]:
        deadline = time.monotonic() + seconds
        while True:
            found: dict[str, Any] = describe()
            if found[status] not in ("InProgress", "Stopping"):
                return found
            assert time.monotonic() < deadline, found
            time.sleep(0.02)

    # -- logs and processes -----------------------------------------------------------------------

    def logged(self, name: str, kind: str = "Training") -> list[str]:
        """The lines of a job's one log stream."""
        logs, group = self.client("logs"), f"/aws/sagemaker/{kind}Jobs"
        streams = logs.describe_log_streams(logGroupName=group, logStreamNamePrefix=f"{name}/algo-1-")
        assert len(streams["logStreams"]) == 1
        stream = streams["logStreams"][0]["logStreamName"]
        found = logs.get_log_events(logGroupName=group, logStreamName=stream, startFromHead=True)
        return [event["message"] for event in found["events"]]

    def wait_for(self, name: str, line: str, kind: str = "Training", seconds: float = 15) -> None:
        """Until a job has logged a line: logs come while it runs."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                if line in self.logged(name, kind):
                    return
            except (AssertionError, self.client("logs").exceptions.ResourceNotFoundException):
                pass
            assert time.monotonic() < deadline, f"{name} did not log {line!r}"
            time.sleep(0.02)

    def children(self) -> list[str]:
        """Command lines of the server's descendants."""
        found = []
        for process in psutil.Process(self.up.pid).children(recursive=True):
            try:
                if process.status() != psutil.STATUS_ZOMBIE:
                    found.append(" ".join(process.cmdline()))
            except psutil.NoSuchProcess:
                continue
        return found


@pytest.fixture(scope="module")
def jobs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Jobs]:
    root = tmp_path_factory.mktemp("repository")
    folder = root / "container" / "tiny"
    folder.mkdir(parents=True)
    (folder / "train").write_text(PROGRAM)
    (folder / "train").chmod(0o755)
    before = os.environ.get("PIPELINE_LOCAL_STOP_GRACE")
    os.environ["PIPELINE_LOCAL_STOP_GRACE"] = "1"
    try:
        made = Jobs(root, ensure_up(root))
        made.client("s3").create_bucket(
            Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION}
        )
        made.role = made.make_role("job", *ALLOWED)
        made.image = made.push("tiny")
        yield made
    finally:
        down(root)
        if before is None:
            del os.environ["PIPELINE_LOCAL_STOP_GRACE"]
        else:
            os.environ["PIPELINE_LOCAL_STOP_GRACE"] = before
