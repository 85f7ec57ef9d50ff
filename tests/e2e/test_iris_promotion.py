"""From staging to production by a tag, in two accounts: the same bytes, whatever is killed; and back."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest

from tests.conftest import Cli

STAGING, PRODUCTION = "222222222222", "333333333333"
FLOWER = "5.1,3.5,1.4,0.2"


@dataclass
class Shop:
    """The repository under Git, and both accounts of its local target."""

    cli: Cli
    endpoint: str

    @property
    def root(self) -> Path:
        return self.cli.root

    def git(self, *arguments: str) -> str:
        who = ("-c", "user.name=R. Leaser", "-c", "user.email=r@example.org")
        done = subprocess.run(
            ["git", "-C", str(self.root), *who, *arguments], check=True, capture_output=True, text=True
        )
        return done.stdout.strip()

    def release(self, tag: str) -> None:
        self.git("tag", "-a", tag, "-m", f"Release {tag}")

    def client(self, service: str, account: str) -> Any:
        return boto3.client(
            service,
            endpoint_url=self.endpoint,
            region_name="eu-west-1",
            aws_access_key_id=account,
            aws_secret_access_key="local",
        )

    def edit(self, path: str, pattern: str, replacement: str) -> None:
        file = self.root / path
        text, count = re.subn(pattern, replacement, file.read_text(), count=1, flags=re.M)
        assert count == 1, f"{pattern!r} is not in {path}"
        file.write_text(text)

    def deploy(self, environment: str) -> str:
        """Apply what is committed, and run; what the run said."""
        self.cli("apply", "iris", "-e", environment, "--yes")
        if not self.runs(STAGING, environment):
            self.cli("data", "iris", "put", "-e", environment, "--date", "2026-03-01")
        done = self.cli("run", "iris", "-e", environment, "--date", "2026-03-02")
        return done.stdout + done.stderr

    def packages(self, account: str, group: str) -> list[dict[str, Any]]:
        """The group's versions, newest first, described."""
        sagemaker = self.client("sagemaker", account)
        listed = sagemaker.list_model_packages(
            ModelPackageGroupName=group, SortBy="CreationTime", SortOrder="Descending"
        )["ModelPackageSummaryList"]
        return [sagemaker.describe_model_package(ModelPackageName=p["ModelPackageArn"]) for p in listed]

    def model(self, account: str, package: dict[str, Any]) -> bytes:
        bucket, key = self.place(package)
        found: bytes = self.client("s3", account).get_object(Bucket=bucket, Key=key)["Body"].read()
        return found

    @staticmethod
    def place(package: dict[str, Any]) -> tuple[str, str]:
        url = package["InferenceSpecification"]["Containers"][0]["ModelDataUrl"]
        bucket, _, key = url.removeprefix("s3://").partition("/")
        return bucket, key

    def runs(self, account: str, environment: str, **filters: Any) -> list[dict[str, Any]]:
        arn = f"arn:aws:states:eu-west-1:{account}:stateMachine:iris-{environment}"
        found = self.client("stepfunctions", account).list_executions(stateMachineArn=arn, **filters)
        return list(found["executions"])

    def answers(self, environment: str) -> str:
        done = self.cli("invoke", "iris", "-e", environment, "--body", FLOWER, "--json")
        return str(json.loads(done.stdout)["body"])

    def killed_at(self, *words: str) -> str:
        """Begin the promotion, and kill it with all it started when it says the words; what it had said."""
        process = self.cli.start("promote", "v0.1.0", "--no-follow")
        said: list[str] = []
        assert process.stderr is not None
        for line in process.stderr:
            said.append(line)
            if all(word in line for word in words):
                break
        process.kill()
        process.communicate()
        text = "".join(said)
        assert all(word in said[-1] for word in words), text
        return text


@pytest.fixture(scope="module")
def shop(cli: Cli) -> Shop:
    """iris, trained and served in staging, from a committed repository."""
    made = Shop(cli, json.loads(cli("local", "env", "--json").stdout)["AWS_ENDPOINT_URL"])
    (made.root / ".gitignore").write_text(".pipeline/\n__pycache__/\n")
    made.git("init", "-q", "-b", "main")
    made.git("add", "-A")
    made.git("commit", "-qm", "Sell flowers")
    made.deploy("staging")
    made.release("v0.1.0")
    return made


def test_what_is_no_release_is_refused_with_what_to_do(shop: Shop) -> None:
    shop.git("tag", "v0.0.1")
    shop.git("checkout", "-q", "-b", "side")
    shop.git("commit", "-q", "--allow-empty", "-m", "Not merged")
    shop.release("v0.0.2")
    shop.git("checkout", "-q", "main")
    for tag, why in (("v0.0.1", "lightweight"), ("v0.0.2", "not on main"), ("0.1", "not a release tag")):
        said = shop.cli("promote", tag, code=2).stderr
        assert why in said and "hint: " in said, said


def test_killed_at_every_step_and_begun_again_it_converges(shop: Shop) -> None:
    """The working tree is another one than the tag's: it is neither needed nor touched."""
    shop.edit("container/iris/train", r"\Z", "# not committed\n")
    before = shop.git("status", "--porcelain"), shop.git("worktree", "list")
    for step in (
        ("account stack", "create"),
        ("layers to copy",),
        ("pipeline stack", "create"),
        ("copying", "model.tar.gz"),
        ("copying", "evaluation.json"),
        ("started promotion",),
    ):
        shop.killed_at(*step)

    waits = shop.cli("promote", "v0.1.0", "--no-follow", "--json")
    (done,) = json.loads(waits.stdout)
    assert done["steps"] == {
        "account": "was there",
        "image": "was there",
        "stack": "applied from the tag",
        "artifact": "was there",
        "register": "was registered",
        "deploy": "was started",
    }
    assert done["approval"] == "PendingManualApproval", "production asks, as its settings say"
    assert len(shop.runs(PRODUCTION, "production")) == 1, "one run, however often it was begun"
    follower = shop.cli.start("promote", "v0.1.0", "--json")
    shop.cli("approve", "iris", "-e", "production")
    out, err = follower.communicate(timeout=120)
    assert follower.returncode == 0, out + err
    (done,) = json.loads(out)

    (package,) = shop.packages(PRODUCTION, "iris-production")
    (tested,) = shop.packages(STAGING, "iris-staging")
    assert package["ModelApprovalStatus"] == "Approved"
    facts = package["CustomerMetadataProperties"]
    assert (facts["promoted_tag"], facts["promoted_from"]) == ("v0.1.0", tested["ModelPackageArn"])
    assert facts["promoted_commit"] == shop.git("rev-parse", "v0.1.0^{commit}")
    ours, theirs = shop.model(PRODUCTION, package), shop.model(STAGING, tested)
    assert ours == theirs
    assert facts["model_sha256"] == done["model_sha256"] == hashlib.sha256(ours).hexdigest()
    image = package["InferenceSpecification"]["Containers"][0]["Image"]
    assert image.startswith(PRODUCTION)
    assert image.partition("@")[2] == facts["image"].partition("@")[2]
    assert image.partition("@")[2] in tested["InferenceSpecification"]["Containers"][0]["Image"]
    assert facts["evaluation_uri"].startswith(f"s3://ml-{PRODUCTION}-eu-west-1/iris-production/runs/")
    assert not shop.client("sagemaker", PRODUCTION).list_training_jobs()["TrainingJobSummaries"]
    assert "setosa" in shop.answers("production")

    assert (shop.git("status", "--porcelain"), shop.git("worktree", "list")) == before
    assert not list(Path(tempfile.gettempdir()).glob("pipeline-content-*"))
    shop.git("checkout", "-q", "container")


def test_again_it_does_nothing(shop: Shop) -> None:
    endpoint = shop.client("sagemaker", PRODUCTION).describe_endpoint(EndpointName="iris-production")
    runs = len(shop.runs(PRODUCTION, "production"))
    (done,) = json.loads(shop.cli("promote", "v0.1.0", "--json").stdout)
    assert done["steps"]["deploy"] == "serves already"
    assert (done["status"], done["endpoint_config"]) == ("serves", endpoint["EndpointConfigName"])
    assert len(shop.runs(PRODUCTION, "production")) == runs
    assert len(shop.packages(PRODUCTION, "iris-production")) == 1


def test_the_registry_takes_an_image_by_its_digest_alone(shop: Shop) -> None:
    ecr = shop.client("ecr", PRODUCTION)
    (found,) = ecr.describe_images(repositoryName="ml/iris")["imageDetails"]
    by_digest = [{"imageDigest": found["imageDigest"]}]
    manifest = ecr.batch_get_image(repositoryName="ml/iris", imageIds=by_digest)["images"][0]["imageManifest"]
    with pytest.raises(ecr.exceptions.ImageDigestDoesNotMatchException):
        ecr.put_image(repositoryName="ml/iris", imageManifest=manifest, imageDigest="sha256:" + "0" * 64)
    with pytest.raises(ecr.exceptions.ImageAlreadyExistsException):
        ecr.put_image(repositoryName="ml/iris", imageManifest=manifest, imageTag=found["imageTags"][0])


def test_what_was_not_tested_as_it_is_does_not_go_on(shop: Shop) -> None:
    """Replaced after the test, or rejected: refused, and production stays as it is."""
    (tested,) = shop.packages(STAGING, "iris-staging")
    bucket, key = shop.place(tested)
    s3, good = shop.client("s3", STAGING), shop.model(STAGING, tested)
    shop.release("v0.1.1")
    s3.put_object(Bucket=bucket, Key=key, Body=good + b"x")
    said = shop.cli("promote", "v0.1.1", code=4).stderr
    assert "replaced after it was tested" in said, said
    s3.put_object(Bucket=bucket, Key=key, Body=good)

    def approve(status: str) -> None:
        shop.client("sagemaker", STAGING).update_model_package(
            ModelPackageArn=tested["ModelPackageArn"],
            ModelApprovalStatus=status,
            ApprovalDescription="petals are not counted",
        )

    approve("Rejected")
    said = shop.cli("promote", "v0.1.1", code=4).stderr
    assert "Rejected: petals are not counted" in said, said
    approve("Approved")
    assert len(shop.packages(PRODUCTION, "iris-production")) == 1
    assert "v0.1.1" in shop.cli("promote", "v0.1.1", "--dry-run").stdout


def test_staging_serves_another_and_is_rolled_back(shop: Shop) -> None:
    shop.edit("pipeline/definitions/iris/settings.toml", "^num_boost_round = 100", "num_boost_round = 60")
    shop.git("commit", "-qam", "Boost less")
    shop.deploy("staging")
    worse = shop.git("rev-parse", "HEAD")
    said = shop.cli("promote", "v0.1.0", code=4).stderr
    assert f"staging serves version 2 made from commit {worse[:12]}" in said, said

    # A run under way would deploy over what is put back.
    shop.cli("data", "iris", "put", "-e", "staging", "--date", "2026-03-05")
    shop.cli("run", "iris", "-e", "staging", "--date", "2026-03-06", "--no-follow")
    (other,) = shop.runs(STAGING, "staging", statusFilter="RUNNING")
    jobs = len(shop.client("sagemaker", STAGING).list_training_jobs()["TrainingJobSummaries"])
    failures: list[BaseException] = []
    stop = threading.Event()

    def ask() -> None:
        runtime = shop.client("sagemaker-runtime", STAGING)
        while not stop.is_set():
            try:
                runtime.invoke_endpoint(EndpointName="iris-staging", ContentType="text/csv", Body=FLOWER)
            except Exception as error:  # noqa: BLE001 - any failure at all is what is asserted on
                failures.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        done = json.loads(shop.cli("rollback", "iris", "-e", "staging", "--reason", "wilts", "--json").stdout)
    finally:
        stop.set()
        thread.join()
    assert not failures
    assert (done["left"], done["now"], done["stopped"]) == (2, 1, [other["name"]])
    assert done["seconds"] < 15, done
    assert f"git revert {worse[:12]}" in done["git"]
    assert shop.runs(STAGING, "staging", statusFilter="RUNNING") == []
    after = shop.client("sagemaker", STAGING).list_training_jobs()["TrainingJobSummaries"]
    assert len(after) <= jobs + 1, "no job for the rollback itself"
    # The run that was stopped may have registered a version of its own by then.
    versions = {each["ModelPackageVersion"]: each for each in shop.packages(STAGING, "iris-staging")}
    assert versions[2]["CustomerMetadataProperties"]["rolled_back"].endswith("wilts")
    assert "v0.1.0" in shop.cli("promote", "v0.1.0", "--dry-run").stdout, "it serves what the tag says again"


def test_a_rollback_without_a_way_says_why(shop: Shop) -> None:
    said = shop.cli("rollback", "iris", "-e", "staging", "--to", "1", code=4).stderr
    assert "serves this version already" in said
    said = shop.cli("rollback", "iris", "-e", "staging", code=4).stderr
    assert "no other version has served before" in said, "not back to what was rolled back from"
    assert "no such version" in shop.cli("rollback", "iris", "-e", "staging", "--to", "9", code=4).stderr
    assert "its number or its ARN" in shop.cli("rollback", "iris", "--to", "first", code=2).stderr


def test_within_one_account_it_is_reused_by_fingerprint(shop: Shop) -> None:
    """A commit that changes no model: staging takes the one it has, and that is what the tag says."""
    shop.git("revert", "--no-edit", "HEAD")
    shop.edit("pipeline.toml", f'^account = "{PRODUCTION}"', f'account = "{STAGING}"')
    shop.edit("pipeline.toml", '^mode = "manual" .*', 'mode = "automatic"')
    shop.git("commit", "-qam", "Sell from one account, and ask nobody")
    said = shop.deploy("staging")
    assert "Train  " not in said, said
    shop.release("v0.2.0")
    (done,) = json.loads(shop.cli("promote", "v0.2.0", "--json").stdout)
    assert done["steps"]["image"] == "same registry"
    (package,) = shop.packages(STAGING, "iris-production")
    bucket, key = shop.place(package)
    assert (bucket, "iris-production-" in key) == (f"ml-{STAGING}-eu-west-1", True), "its own copy"
    first = shop.packages(STAGING, "iris-staging")[-1]
    assert shop.model(STAGING, package) == shop.model(STAGING, first)
    assert "setosa" in shop.answers("production")
