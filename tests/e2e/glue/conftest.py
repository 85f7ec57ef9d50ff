"""A local target for a test module's Glue runs, with a role that may use one bucket and write logs."""

from __future__ import annotations

import json
import textwrap
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import psutil
import pytest
from botocore.config import Config

from pipeline.local import LocalTarget, down, ensure_up

ACCOUNT, REGION, BUCKET, SECRET = "111122223333", "eu-west-1", "glue-data", "glue-secret"
ENDS = ("SUCCEEDED", "FAILED", "STOPPED", "TIMEOUT", "ERROR")
ALLOWED = [
    {"Effect": "Allow", "Action": "s3:*Object", "Resource": f"arn:aws:s3:::{BUCKET}/*"},
    {"Effect": "Allow", "Action": "s3:ListBucket", "Resource": f"arn:aws:s3:::{BUCKET}"},
    {"Effect": "Allow", "Action": "logs:*", "Resource": "arn:aws:logs:*:*:log-group:/aws-glue/*"},
]
SPARK = """
import sys
from awsglue.context import GlueContext
from awsglue.utils import getResolvedOptions
from pyspark.context import SparkContext
spark = GlueContext(SparkContext.getOrCreate()).spark_session
"""


@dataclass
class Runs:
    """The target of one folder: its account's clients, and jobs on it."""

    root: Path
    up: LocalTarget
    scripts: dict[str, str] = field(default_factory=dict)
    _clients: dict[str, Any] = field(default_factory=dict)

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

    def role(self, name: str, service: str, *statements: dict[str, Any]) -> str:
        principal = {"Service": f"{service}.amazonaws.com"}
        trust = {"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"}
        made = self.client("iam").create_role(
            RoleName=name, AssumeRolePolicyDocument=json.dumps({"Statement": [trust]})
        )
        policy = {"Version": "2012-10-17", "Statement": list(statements)}
        self.client("iam").put_role_policy(RoleName=name, PolicyName="own", PolicyDocument=json.dumps(policy))
        return str(made["Role"]["Arn"])

    def script(self, name: str, text: str, *, spark: bool = True) -> str:
        """Put a script, by its name; where it is."""
        body = (SPARK if spark else "") + textwrap.dedent(text)
        self.client("s3").put_object(Bucket=BUCKET, Key=f"code/{name}.py", Body=body.encode())
        return f"s3://{BUCKET}/code/{name}.py"

    def start(self, script: str, *, timeout: int = 5, job: str = "job", **arguments: str) -> str:
        """Start a run of a script that was put; its id."""
        given = {"--scriptLocation": f"s3://{BUCKET}/code/{script}.py"}
        given |= {f"--{name}": value for name, value in arguments.items()}
        started = self.client("glue").start_job_run(JobName=job, Arguments=given, Timeout=timeout)
        return str(started["JobRunId"])

    def state(self, run: str, job: str = "job") -> dict[str, Any]:
        found: dict[str, Any] = self.client("glue").get_job_run(JobName=job, RunId=run)["JobRun"]
        return found

    def ended(self, run: str, seconds: float = 150) -> dict[str, Any]:
        """The run once it is over."""
        self.until(lambda: self.state(run)["JobRunState"] in ENDS, seconds)
        return self.state(run)

    def until(self, true: Callable[[], Any], seconds: float = 60) -> Any:
        limit = time.monotonic() + seconds
        while not (found := true()):
            assert time.monotonic() < limit, "not in time"
            time.sleep(0.1)
        return found

    def keys(self, prefix: str) -> list[str]:
        found = self.client("s3").list_objects_v2(Bucket=BUCKET, Prefix=prefix).get("Contents", [])
        return [each["Key"] for each in found]

    def lines(self, run: str, stream: str = "output") -> list[str]:
        events = self.client("logs").get_log_events(
            logGroupName=f"/aws-glue/jobs/{stream}", logStreamName=run, startFromHead=True
        )["events"]
        return [event["message"] for event in events]

    def processes(self, run: str) -> list[psutil.Process]:
        """All of a run's processes, wherever they hang."""
        found = []
        for process in psutil.process_iter():
            try:
                if process.status() != psutil.STATUS_ZOMBIE and run in " ".join(process.cmdline()):
                    found.append(process)
            except psutil.Error:
                continue
        return found


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runs]:
    """A target whose runs have a heap of 700 MiB, one job, and the bucket that its role may use."""
    root = tmp_path_factory.mktemp("glue")
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("PIPELINE_LOCAL_GLUE_MEMORY_MB", "700")
        made = Runs(root, ensure_up(root))
        try:
            for bucket in (BUCKET, SECRET):
                made.client("s3").create_bucket(
                    Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION}
                )
            made.client("glue").create_job(
                Name="job",
                Role=made.role("glue-role", "glue", *ALLOWED),
                Command={"Name": "glueetl", "ScriptLocation": f"s3://{BUCKET}/code/none.py"},
                GlueVersion="5.1",
                WorkerType="G.1X",
                NumberOfWorkers=2,
                ExecutionProperty={"MaxConcurrentRuns": 6},
            )
            yield made
        finally:
            down(root)
