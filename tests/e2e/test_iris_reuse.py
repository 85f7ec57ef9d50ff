"""What was made is not made again: a revert, other sizes, a killed run, a waiting approval, a named model."""

from __future__ import annotations

import json
import os
import subprocess
import time
from typing import Any

import pytest

from tests.e2e.conftest import Iris

SETTINGS = "pipeline/definitions/iris/settings.toml"
DATE = "2026-03-02"
# The goal for an earlier model to serve again after a revert, from the apply on.
BACK_SECONDS = 15


def git(iris: Iris, *arguments: str) -> str:
    who = {
        "GIT_AUTHOR_NAME": "t",
        "GIT_AUTHOR_EMAIL": "t@t",
        "GIT_COMMITTER_NAME": "t",
        "GIT_COMMITTER_EMAIL": "t@t",
    }
    kept = {k: v for k, v in os.environ.items() if not k.startswith("GIT_")}
    done = subprocess.run(
        ["git", *arguments], cwd=iris.root, env={**kept, **who}, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


def jobs(iris: Iris) -> set[str]:
    """Names of all jobs there ever were."""
    sagemaker = iris.client("sagemaker")
    found = set()
    for page in sagemaker.get_paginator("list_training_jobs").paginate():
        found |= {f"training {job['TrainingJobName']}" for job in page["TrainingJobSummaries"]}
    for page in sagemaker.get_paginator("list_processing_jobs").paginate():
        found |= {f"processing {job['ProcessingJobName']}" for job in page["ProcessingJobSummaries"]}
    return found


def serving(iris: Iris) -> dict[str, Any]:
    """Endpoint config, model and version behind the endpoint."""
    sagemaker = iris.client("sagemaker")
    name = iris.endpoint()["EndpointConfigName"]
    config = sagemaker.describe_endpoint_config(EndpointConfigName=name)
    model = sagemaker.describe_model(ModelName=config["ProductionVariants"][0]["ModelName"])
    arn = model["PrimaryContainer"]["ModelPackageName"]
    package = sagemaker.describe_model_package(ModelPackageName=arn)
    return {"config": config, "arn": arn, "package": package}


def output(iris: Iris) -> dict[str, Any]:
    """What the last execution ended with."""
    machines = iris.client("stepfunctions")
    arn = machine(iris)
    newest = machines.list_executions(stateMachineArn=arn, maxResults=1)["executions"][0]
    return json.loads(machines.describe_execution(executionArn=newest["executionArn"])["output"])


def machine(iris: Iris) -> str:
    return next(
        m["stateMachineArn"]
        for m in iris.client("stepfunctions").list_state_machines()["stateMachines"]
        if m["name"] == "iris-dev"
    )


def apply(iris: Iris) -> None:
    iris.cli("apply", "iris", "--yes")


def test_a_revert_brings_the_earlier_model_back_without_a_job(iris: Iris) -> None:
    earlier = serving(iris)
    git(iris, "init", "-q", "-b", "main")
    (iris.root / ".gitignore").write_text(".pipeline/\n__pycache__/\n")
    git(iris, "add", ".")
    git(iris, "commit", "-qm", "first")
    git(iris, "checkout", "-qb", "faster")
    iris.edit(SETTINGS, r"^learning_rate = 0\.1$", "learning_rate = 0.2")
    git(iris, "commit", "-qam", "learn faster")
    git(iris, "checkout", "-q", "main")
    git(iris, "merge", "-q", "--no-ff", "-m", "merge", "faster")
    apply(iris)
    out = iris.run(DATE)
    assert "Train runs: nothing completed is of this fingerprint" in out
    merged = serving(iris)
    assert merged["arn"] != earlier["arn"]
    metadata = merged["package"]["CustomerMetadataProperties"]
    assert metadata["git_sha"] == git(iris, "rev-parse", "HEAD")

    before = jobs(iris)
    git(iris, "revert", "-m", "1", "--no-edit", "HEAD")
    begun = time.monotonic()
    apply(iris)
    out = iris.run(DATE)
    seconds = time.monotonic() - begun
    now = serving(iris)
    assert now["arn"] == earlier["arn"]
    assert now["config"]["EndpointConfigName"] != earlier["config"]["EndpointConfigName"]
    assert jobs(iris) == before
    assert (
        "Train, Evaluate skipped: model version 1 of the same data, code and parameters was approved" in out
    )
    # Other work on this machine is not what is measured.
    assert seconds < BACK_SECONDS * max(1, os.getloadavg()[0] / (os.cpu_count() or 1))
    print(f"the earlier model served {seconds:.1f} s after the revert")
    assert "setosa" in str(iris.answers())
    reuse = output(iris)["reuse"]
    assert reuse["model"]["reuse"] and reuse["training"]["reuse"] and reuse["evaluation"]["reuse"]
    assert "last run: Train, Evaluate skipped: model version 1" in iris.cli("status", "iris").stdout
    assert "NothingNew" in iris.run(DATE), "it is done with, as if it had just been trained"


def test_another_size_deploys_the_same_model_and_another_machine_for_training_nothing(iris: Iris) -> None:
    before, made = serving(iris), jobs(iris)
    iris.edit(
        "pipeline.toml",
        r"^\[environments\.dev\]$",
        "[environments.dev.endpoint]\ninstance_count = 2\n\n[environments.dev]",
    )
    apply(iris)
    assert "skipped" in iris.run(DATE)
    after = serving(iris)
    assert after["arn"] == before["arn"] and jobs(iris) == made
    assert after["config"]["ProductionVariants"][0]["InitialInstanceCount"] == 2
    iris.edit("pipeline.toml", r"^max_runtime_seconds = 3600$", "max_runtime_seconds = 3000")
    apply(iris)
    assert "NothingNew" in iris.run(DATE)


def test_another_gate_judges_the_old_evaluation_and_force_makes_everything_anew(iris: Iris) -> None:
    before, made = serving(iris), jobs(iris)
    iris.edit(SETTINGS, r"^minimum = 0\.88$", "minimum = 0.87")
    apply(iris)
    out = iris.run(DATE)
    assert "Train skipped: training job iris-dev-20260301-" in out
    assert "Evaluate skipped: processing job iris-dev-20260301-" in out
    after = serving(iris)
    assert {name for name in jobs(iris) - made if "-c-" not in name} == set()
    assert after["arn"] != before["arn"], "what another gate let through is another version"
    containers = [found["package"]["InferenceSpecification"]["Containers"][0] for found in (before, after)]
    assert containers[0]["ModelDataUrl"] == containers[1]["ModelDataUrl"]
    assert "Train, Evaluate run: FORCE was given" in iris.run(DATE, "--force")
    assert "last run: forced, without newer data: already trained on" in iris.cli("status", "iris").stdout
    assert len(jobs(iris) - made) >= 2


def test_a_run_that_was_stopped_goes_on_where_it_was(iris: Iris) -> None:
    """Trained, then stopped before the evaluation ended: only the evaluation is made."""
    date = iris.day(8)
    follower = iris.cli.start("run", "iris", "--date", date, "--follow")
    deadline = time.monotonic() + 60
    machines = iris.client("stepfunctions")
    entered = False
    while not entered:
        assert time.monotonic() < deadline
        time.sleep(0.01)
        running = machines.list_executions(stateMachineArn=machine(iris), statusFilter="RUNNING")[
            "executions"
        ]
        if running:
            history = machines.get_execution_history(executionArn=running[0]["executionArn"], maxResults=1000)
            names = [e.get("stateEnteredEventDetails", {}).get("name") for e in history["events"]]
            entered = "Evaluate" in names
    # By the API: the command line takes longer to start than this evaluation to end.
    machines.stop_execution(executionArn=running[0]["executionArn"])
    follower.communicate(timeout=60)
    made = jobs(iris)
    out = iris.run(date)
    assert "Train skipped: training job iris-dev-20260308-" in out
    assert "Evaluate runs: nothing completed is of this fingerprint" in out
    assert not [name for name in jobs(iris) - made if name.startswith("training")]


def test_a_model_whose_artifact_is_gone_is_made_again(iris: Iris) -> None:
    date = iris.day(9)
    iris.run(date)
    url = serving(iris)["package"]["InferenceSpecification"]["Containers"][0]["ModelDataUrl"]
    bucket, _, key = url.removeprefix("s3://").partition("/")
    iris.client("s3").delete_object(Bucket=bucket, Key=key)
    iris.client("ssm").delete_parameter(Name="/ml/iris-dev/watermark")
    out = iris.run(date)
    assert "Train runs: " in out and "its artifact s3://" in out
    assert "setosa" in str(iris.answers())


def test_a_named_model_is_deployed_and_one_that_makes_no_sense_is_refused(iris: Iris) -> None:
    """As promotion and rollback do."""
    made, group = jobs(iris), "iris-dev"
    packages = iris.client("sagemaker").list_model_packages(
        ModelPackageGroupName=group, ModelApprovalStatus="Approved", SortBy="CreationTime"
    )["ModelPackageSummaryList"]
    arn = next(p["ModelPackageArn"] for p in packages if p["ModelPackageArn"].endswith("/2"))
    mark = iris.client("ssm").get_parameter(Name="/ml/iris-dev/watermark")["Parameter"]["Value"]
    found = started(iris, {"ModelPackageArn": arn, "Why": "rollback: too slow"})
    assert found["status"] == "SUCCEEDED", found
    assert serving(iris)["arn"] == arn and jobs(iris) == made
    assert iris.client("ssm").get_parameter(Name="/ml/iris-dev/watermark")["Parameter"]["Value"] == mark
    assert "an existing model: rollback: too slow" in iris.cli("status", "iris").stdout
    for package, why in (
        ({"ModelPackageArn": arn.replace("/2", "/999")}, "does not exist"),
        ({"ModelPackageArn": arn.replace("iris-dev/2", "other/2")}, "no version of this pipeline's group"),
        ("v1", "must be an object"),
    ):
        refused = started(iris, package)
        assert (refused["status"], refused["error"]) == ("FAILED", "BadPackage")
        assert why in refused["cause"]
    assert serving(iris)["arn"] == arn


def started(iris: Iris, package: Any) -> dict[str, Any]:
    """An execution with PACKAGE, at its end."""
    machines = iris.client("stepfunctions")
    arn = machines.start_execution(stateMachineArn=machine(iris), input=json.dumps({"PACKAGE": package}))[
        "executionArn"
    ]
    deadline = time.monotonic() + 60
    while (found := machines.describe_execution(executionArn=arn))["status"] == "RUNNING":
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return found


@pytest.mark.parametrize("decision", ["approve"])
def test_a_model_that_waits_is_asked_about_again_without_training(iris: Iris, decision: str) -> None:
    iris.edit(
        "pipeline.toml",
        r"^\[environments\.dev\]$",
        '[environments.dev.approval]\nmode = "manual"\n\n[environments.dev]',
    )
    apply(iris)
    date = iris.day(11)
    first = iris.cli.start("run", "iris", "--date", date, "--follow")
    name = waiting(iris)
    iris.cli("run", "iris", "--execution", name, "--stop")
    first.communicate(timeout=60)
    made = jobs(iris)
    again = iris.cli.start("run", "iris", "--date", date, "--follow")
    assert waiting(iris) != name
    iris.cli(decision, "iris")
    out, err = again.communicate(timeout=60)
    assert again.returncode == 0, out + err
    assert "waits for approval" in err and "SUCCEEDED" in err
    assert jobs(iris) == made
    assert serving(iris)["package"]["ModelApprovalStatus"] == "Approved"


def waiting(iris: Iris) -> str:
    """The name of the execution that waits for somebody to decide."""
    machines = iris.client("stepfunctions")
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        for running in machines.list_executions(stateMachineArn=machine(iris), statusFilter="RUNNING")[
            "executions"
        ]:
            events = machines.get_execution_history(executionArn=running["executionArn"], maxResults=1000)[
                "events"
            ]
            if events[-1]["type"] == "TaskSubmitted" and any(
                e.get("stateEnteredEventDetails", {}).get("name") == "RequestApproval" for e in events
            ):
                return str(running["name"])
        time.sleep(0.05)
    raise AssertionError("nothing waits for approval")
