"""trace, drift, orphans and expiry on a deployed iris: what is whole is told so, and each break is found."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Cli
from tests.e2e.conftest import Iris


def git(root: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=Ada", "-c", "user.email=ada@example.com"]
    done = subprocess.run(
        ["git", *identity, *arguments], cwd=root, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


@pytest.fixture(scope="module")
def shared_repository(shared_repository: Path) -> Path:
    """The module's copy, as a repository whose one commit came by a pull request."""
    (shared_repository / ".gitignore").write_text(".pipeline/\n__pycache__/\n")
    git(shared_repository, "init", "-q", "-b", "main")
    git(shared_repository, "add", "-A")
    git(shared_repository, "commit", "-q", "-m", "Iris (#7)")
    return shared_repository


def links(cli: Cli, code: int = 0) -> dict[str, dict[str, Any]]:
    """The chain by its links' names."""
    found = json.loads(cli("trace", "iris-dev", "--json", code=code).stdout)
    assert found["whole"] is (code == 0)
    return {link["what"]: link for link in found["links"]}


def drift(cli: Cli, code: int = 10) -> list[dict[str, str]]:
    done = cli("drift", "iris", "--json", "--detailed-exitcode", "--markdown", "drift.md", code=code)
    found: list[dict[str, str]] = json.loads(done.stdout)["drift"]
    return found


def test_every_link_is_verified_and_nothing_drifted(iris: Iris) -> None:
    found = links(iris.cli)
    assert {what: link["state"] for what, link in found.items()} == {
        **dict.fromkeys(
            (
                "endpoint",
                "endpoint config",
                "model",
                "model package",
                "artifact",
                "training job",
                "data",
                "image",
                "commit",
            ),
            "verified",
        ),
        # Nobody gave the run a number; only the commit's own words say it.
        "pull request": "unknown",
    }
    assert found["commit"]["value"] == git(iris.root, "rev-parse", "HEAD")
    assert found["pull request"]["value"] == "#7"
    assert drift(iris.cli, code=0) == []
    assert json.loads(iris.cli("orphans", "--json").stdout) == {"orphans": []}


def test_hands_are_seen(iris: Iris) -> None:
    aws = iris.client("lambda")
    before = aws.get_function_configuration(FunctionName="iris-dev-gate")["Timeout"]
    aws.update_function_configuration(FunctionName="iris-dev-gate", Timeout=before + 7)
    sagemaker = iris.client("sagemaker")
    weight = {"VariantName": "AllTraffic", "DesiredWeight": 3.0}
    sagemaker.update_endpoint_weights_and_capacities(
        EndpointName="iris-dev", DesiredWeightsAndCapacities=[weight]
    )
    sagemaker.get_waiter("endpoint_in_service").wait(EndpointName="iris-dev", WaiterConfig={"Delay": 1})
    found = drift(iris.cli)
    assert {(each["kind"], each["where"]) for each in found} == {
        ("by hand", "iris-dev/GateFunction"),
        ("endpoint", "iris-dev"),
    }, found
    assert "Timeout" in next(each["what"] for each in found if each["kind"] == "by hand")
    page = (iris.root / "drift.md").read_text()
    assert "weight 3, not 1" in page and page.count("\n| ") == 2

    aws.update_function_configuration(FunctionName="iris-dev-gate", Timeout=before)
    weight["DesiredWeight"] = 1.0
    sagemaker.update_endpoint_weights_and_capacities(
        EndpointName="iris-dev", DesiredWeightsAndCapacities=[weight]
    )
    sagemaker.get_waiter("endpoint_in_service").wait(EndpointName="iris-dev", WaiterConfig={"Delay": 1})
    assert drift(iris.cli, code=0) == []


def test_the_repository_moved_on(iris: Iris) -> None:
    settings = iris.root / "pipeline/definitions/iris/settings.toml"
    original = settings.read_text()
    iris.edit("pipeline/definitions/iris/settings.toml", r"^minimum = 0.88", "minimum = 0.89")
    try:
        assert {each["kind"] for each in drift(iris.cli)} == {"repository"}
    finally:
        settings.write_text(original)


def test_orphans_are_found_and_removed(iris: Iris) -> None:
    sagemaker = iris.client("sagemaker")
    tags = [{"Key": "project", "Value": "ml"}, {"Key": "environment", "Value": "dev"}]
    config = sagemaker.describe_endpoint_config(
        EndpointConfigName=sagemaker.describe_endpoint(EndpointName="iris-dev")["EndpointConfigName"]
    )
    sagemaker.create_endpoint_config(
        EndpointConfigName="gone-dev-20260101-01234567",
        ProductionVariants=config["ProductionVariants"],
        Tags=tags,
    )
    sagemaker.create_endpoint(
        EndpointName="gone-dev", EndpointConfigName="gone-dev-20260101-01234567", Tags=tags
    )
    sagemaker.get_waiter("endpoint_in_service").wait(EndpointName="gone-dev", WaiterConfig={"Delay": 1})
    found = json.loads(iris.cli("orphans", "--json", "--detailed-exitcode", code=10).stdout)["orphans"]
    assert [(each["kind"], each["name"]) for each in found] == [("endpoint", "gone-dev")], (
        "what was made within the hour may still be waited for"
    )
    iris.cli("orphans", "--delete", "--yes")
    # As on AWS an endpoint is Deleting for a while.
    sagemaker.get_waiter("endpoint_deleted").wait(EndpointName="gone-dev", WaiterConfig={"Delay": 1})
    assert "gone-dev" not in [e["EndpointName"] for e in sagemaker.list_endpoints()["Endpoints"]]
    assert sagemaker.describe_endpoint(EndpointName="iris-dev")["EndpointStatus"] == "InService"


def test_a_broken_link_is_named(iris: Iris) -> None:
    sagemaker, s3 = iris.client("sagemaker"), iris.client("s3")
    package = sagemaker.list_model_packages(ModelPackageGroupName="iris-dev")["ModelPackageSummaryList"][0]
    described = sagemaker.describe_model_package(ModelPackageName=package["ModelPackageArn"])
    url = described["InferenceSpecification"]["Containers"][0]["ModelDataUrl"]
    bucket, _, key = url.removeprefix("s3://").partition("/")
    original = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
    s3.put_object(Bucket=bucket, Key=key, Body=original + b"x")
    assert links(iris.cli, code=1)["artifact"]["state"] == "broken"
    s3.put_object(Bucket=bucket, Key=key, Body=original)

    # Data that was replaced since is no contradiction, and no proof.
    data = next(
        each["Key"] for each in s3.list_objects_v2(Bucket=bucket, Prefix="input-data-test/")["Contents"]
    )
    rows = s3.get_object(Bucket=bucket, Key=data)["Body"].read()
    s3.put_object(Bucket=bucket, Key=data, Body=rows + rows[-20:])
    found = links(iris.cli)
    assert found["data"]["state"] == "unknown" and "changed since" in found["data"]["proof"]
    s3.put_object(Bucket=bucket, Key=data, Body=rows)

    sagemaker.update_model_package(
        ModelPackageArn=package["ModelPackageArn"], ModelApprovalStatus="Rejected", ApprovalDescription="x"
    )
    assert links(iris.cli, code=1)["model package"]["state"] == "broken"


def test_what_nobody_used_for_long_enough_goes(iris: Iris) -> None:
    assert "nothing has expired" in iris.cli("down", "--expired", "--yes").stderr
    iris.edit("pipeline.toml", r"^\[environments\.dev\]$", "[environments.dev]\nttl_hours = 1")
    assert "may stand until" in iris.cli("down", "--expired", "--yes").stderr
    assert iris.endpoint()["EndpointStatus"] == "InService"
    assert "which pipeline?" in iris.cli("down", "--yes", code=2).stderr
