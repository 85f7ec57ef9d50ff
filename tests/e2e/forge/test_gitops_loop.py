"""The whole loop by `git push`: staging, a pull request, its merge, a release, a revert; CodeBuild beside it.

The repository's own workflows run on the local remote, under the roles of account.yaml.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import threading
import time
import zipfile
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import boto3
import pytest

from pipeline.local.codebuild import build
from pipeline.local.codebuild.spec import parse
from pipeline.local.forge import checkout
from tests.conftest import COPIED, REPOSITORY, Cli, copy_repository
from tests.e2e.forge.conftest import Forge

STAGING, PRODUCTION = "222222222222", "333333333333"
ALSO = (".github", "scripts", "docs", "Makefile", "README.md", "buildspec.yml", ".gitignore")


@pytest.fixture(scope="module")
def loop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loop]:
    root = copy_repository(tmp_path_factory.mktemp("loop") / "repository", only="iris")
    for name in ALSO:
        source = REPOSITORY / name
        shutil.copytree(source, root / name) if source.is_dir() else shutil.copy2(source, root / name)
    assert not set(ALSO) & set(COPIED)
    made = Loop(Forge(root), Cli(root))
    made.forge.git("init", "-q", "-b", "main")
    made.forge.git("add", "-A")
    made.forge.git("commit", "-q", "-m", "First")
    made.cli("local", "remote")
    made.cli("data", "iris", "put", "-e", "staging")
    yield made
    made.forge.settled()
    made.cli("local", "remote", "remove")
    made.cli("local", "down")


class Loop:
    """The repository, its remote, and AWS of the local target."""

    def __init__(self, forge: Forge, cli: Cli) -> None:
        self.forge, self.cli = forge, cli

    def aws(self, service: str, account: str) -> Any:
        env = json.loads(self.cli("local", "env", "--json").stdout)
        return boto3.client(
            service,
            endpoint_url=env["AWS_ENDPOINT_URL"],
            region_name=env["AWS_REGION"],
            aws_access_key_id=account,
            aws_secret_access_key="local",
        )

    def served(self, environment: str, account: str) -> dict[str, Any]:
        """DescribeModelPackage of what an endpoint serves."""
        sagemaker = self.aws("sagemaker", account)
        endpoint = sagemaker.describe_endpoint(EndpointName=f"iris-{environment}")
        assert endpoint["EndpointStatus"] == "InService"
        config = sagemaker.describe_endpoint_config(EndpointConfigName=endpoint["EndpointConfigName"])
        model = sagemaker.describe_model(ModelName=config["ProductionVariants"][0]["ModelName"])
        return dict(
            sagemaker.describe_model_package(ModelPackageName=model["PrimaryContainer"]["ModelPackageName"])
        )

    def bytes_of(self, package: dict[str, Any], account: str) -> bytes:
        url = package["InferenceSpecification"]["Containers"][0]["ModelDataUrl"]
        bucket, _, key = url.removeprefix("s3://").partition("/")
        return bytes(self.aws("s3", account).get_object(Bucket=bucket, Key=key)["Body"].read())

    def training_jobs(self) -> int:
        return len(self.aws("sagemaker", STAGING).list_training_jobs()["TrainingJobSummaries"])

    def run(self, name: str) -> dict[str, Any]:
        """The newest run of a workflow, which must have ended well."""
        found = self.forge.runs(name)[-1]
        assert found["conclusion"] == "success", self.forge.deliveries()
        return found

    def edit(self, pattern: str, replacement: str) -> None:
        file = self.forge.root / "pipeline/definitions/iris/settings.toml"
        text, count = re.subn(pattern, replacement, file.read_text(), count=1, flags=re.M)
        assert count == 1
        file.write_text(text)


def test_1_the_first_push_serves_staging(loop: Loop) -> None:
    loop.forge.push("main")
    loop.run("merge")
    package = loop.served("staging", STAGING)
    assert package["CustomerMetadataProperties"]["git_sha"] == loop.forge.git("rev-parse", "HEAD").strip()
    assert loop.training_jobs() == 1


def test_2_a_pull_request_shows_what_the_merge_would_do(loop: Loop) -> None:
    loop.forge.git("checkout", "-q", "-b", "faster")
    loop.edit(r"^learning_rate = 0.1", "learning_rate = 0.2")
    loop.forge.commit({}, "Learn faster")
    loop.forge.push("HEAD:refs/for/main")
    loop.run("pull request")
    (comment,) = loop.forge.home.store.comments(1)
    for part in ("learning_rate", "mermaid", "Rights", "cost", "Train", "accuracy"):
        assert re.search(part, comment["body"], re.I), part
    assert loop.training_jobs() == 1, "a pull request trains nothing"
    assert "learning_rate" in loop.cli("local", "remote", "pr", "show", "1").stdout


def digest_of(loop: Loop, name: str) -> str:
    """Of the plan in an artifact of the local remote."""
    found = [each for each in loop.forge.home.store.all("artifacts") if each["name"] == name][-1]
    content = loop.forge.home.store.archive(found["id"])
    assert content is not None
    with zipfile.ZipFile(BytesIO(content)) as archive:
        return str(json.loads(archive.read("plan.json"))["digest"])


def test_3_codebuild_plans_the_same(loop: Loop, tmp_path: Path) -> None:
    home = loop.forge.home
    head = loop.forge.git("rev-parse", "HEAD").strip()
    folder = tmp_path / "source"
    checkout.make(home.repository, head, folder)
    env = json.loads(loop.cli("local", "env", "--json").stdout)
    variables = {
        "PATH": os.environ["PATH"],
        "HOME": os.environ["HOME"],
        "AWS_ENDPOINT_URL": env["AWS_ENDPOINT_URL"],
        "AWS_ACCESS_KEY_ID": STAGING,
        "AWS_SECRET_ACCESS_KEY": "local",
        "AWS_REGION": "eu-west-1",
        "PIPELINE_TARGET": "aws",
        "PIPELINE_CI_ENVIRONMENT": "staging",
        "CODEBUILD_BUILD_ID": "ml-staging-pull-request:1",
        "CODEBUILD_BUILD_ARN": f"arn:aws:codebuild:eu-west-1:{STAGING}:build/ml-staging-pull-request:1",
        "CODEBUILD_INITIATOR": "GitHub-Hookshot/1",
        "CODEBUILD_SOURCE_REPO_URL": "https://github.com/local/ml.git",
        "CODEBUILD_RESOLVED_SOURCE_VERSION": head,
        "CODEBUILD_WEBHOOK_EVENT": "PULL_REQUEST_CREATED",
        "CODEBUILD_WEBHOOK_TRIGGER": "pr/1",
        "CODEBUILD_WEBHOOK_HEAD_REF": "refs/heads/faster",
        "CODEBUILD_WEBHOOK_BASE_REF": "refs/heads/main",
    }
    log: list[str] = []
    spec = parse((folder / "buildspec.yml").read_text())
    built = build.run(spec, folder, variables, log.append)
    checkout.remove(folder) if built.status != "SUCCEEDED" else None
    assert built.status == "SUCCEEDED", "\n".join(log)
    found = json.loads((folder / "build/ci/plan/iris/plan.json").read_text())
    assert found["digest"] == digest_of(loop, "plan-iris-staging")


def test_4_the_merge_applies_what_was_reviewed(loop: Loop) -> None:
    before = loop.served("staging", STAGING)["ModelPackageArn"]
    said = loop.cli("local", "remote", "pr", "merge", "1").stdout
    assert "the plan of pull request #1" in said
    loop.run("merge")
    package = loop.served("staging", STAGING)
    assert package["ModelPackageArn"] != before and loop.training_jobs() == 2
    assert package["CustomerMetadataProperties"]["pull_request"] in ("1", "#1")
    loop.forge.git("checkout", "-q", "main")
    loop.forge.git("pull", "-q", "local", "main")


def test_5_a_tag_brings_the_same_bytes_to_production(loop: Loop) -> None:
    loop.forge.git("tag", "-a", "v0.1.0", "-m", "First release")
    stop = threading.Event()

    def reviewer() -> None:
        while not stop.wait(1):
            if loop.cli("local", "remote", "approve", "production", code=None).returncode == 0:
                return

    thread = threading.Thread(target=reviewer)
    thread.start()
    try:
        loop.forge.push("v0.1.0")
    finally:
        stop.set()
        thread.join()
    loop.run("release")
    staging, production = loop.served("staging", STAGING), loop.served("production", PRODUCTION)
    assert loop.bytes_of(staging, STAGING) == loop.bytes_of(production, PRODUCTION)
    images = {
        each["InferenceSpecification"]["Containers"][0]["Image"].rpartition("@")[2]
        for each in (staging, production)
    }
    assert len(images) == 1
    assert loop.training_jobs() == 2, "a release trains nothing"
    chain = json.loads(loop.cli("trace", "iris-production", "--json").stdout)
    assert chain["whole"] and {"promoted from", "pull request"} <= {link["what"] for link in chain["links"]}


def test_6_a_revert_brings_the_earlier_model_back_without_training(loop: Loop) -> None:
    loop.forge.git("revert", "--no-edit", "-m", "1", "HEAD")
    began = time.monotonic()
    loop.forge.push("main")
    loop.run("merge")
    assert loop.served("staging", STAGING)["ModelPackageVersion"] == 1
    assert loop.training_jobs() == 2
    # Production still has what was released to it: that main went on is no drift.
    drift = loop.cli("drift", "iris", "-e", "production", "--json", "--detailed-exitcode")
    assert json.loads(drift.stdout)["drift"] == []
    # A machine with nothing else to do takes about a fifth of it; this only bounds what went wrong.
    assert time.monotonic() - began < 90


def test_7_the_docs_concern_nobody_and_hands_start_a_rollback(loop: Loop) -> None:
    executions = loop.aws("stepfunctions", STAGING)
    machine = f"arn:aws:states:eu-west-1:{STAGING}:stateMachine:iris-staging"
    before = len(executions.list_executions(stateMachineArn=machine)["executions"])
    loop.forge.commit({"docs/page.md": "words\n"}, "Docs")
    assert "no pipeline is concerned" in loop.forge.push("main")
    assert len(executions.list_executions(stateMachineArn=machine)["executions"]) == before
    fields = ("pipeline=iris", "environment=staging", "reason=to see it", "to=2")
    words = [word for field in fields for word in ("-f", field)]
    loop.cli("local", "remote", "dispatch", "rollback", *words)
    assert loop.served("staging", STAGING)["ModelPackageVersion"] == 2
    runs = json.loads(loop.cli("local", "remote", "runs", "--json").stdout)["runs"]
    log = loop.cli("local", "remote", "log", str(runs[-1]["id"])).stdout
    assert "rollback" in log and runs[-1]["conclusion"] == "success"
