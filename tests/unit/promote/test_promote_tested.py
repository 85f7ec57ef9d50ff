"""Whether what an environment serves is what a tag says; which version served before."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import ExecutionError, SettingsError
from pipeline.promote import back, deploy, earlier, git_way, tested
from pipeline.promote.earlier import NoWayBack
from pipeline.promote.tags import Tag
from pipeline.promote.tested import NotTested
from tests.unit.promote.conftest import Git, Stubbed, settings

NOW = datetime(2026, 11, 22, tzinfo=UTC)
GROUP = "arn:aws:sagemaker:eu-west-1:222222222222:model-package/iris-staging"
MACHINE = "arn:aws:states:eu-west-1:222222222222:stateMachine:iris-staging"
IMAGE = "222222222222.dkr.ecr.eu-west-1.amazonaws.com/ml/iris@sha256:" + "a" * 64


def package(version: int = 1, status: str = "Approved", **facts: str) -> dict[str, Any]:
    """DescribeModelPackage of a version."""
    container = {"Image": IMAGE, "ModelDataUrl": "s3://b/output-model/m.tar.gz", "ModelDataETag": "e1"}
    return {
        "ModelPackageName": "x",
        "ModelPackageArn": f"{GROUP}/{version}",
        "ModelPackageVersion": version,
        "CreationTime": NOW,
        "ModelPackageStatus": "Completed",
        "ModelPackageStatusDetails": {"ValidationStatuses": []},
        "ModelApprovalStatus": status,
        "ApprovalDescription": "wilts",
        "InferenceSpecification": {"Containers": [container]},
        "CustomerMetadataProperties": facts or {"git_sha": "none"},
    }


def serves(aws: Stubbed, found: dict[str, Any], config: str = "c2", status: str = "InService") -> None:
    """The endpoint runs `config`, whose model was made from the version `found`."""
    endpoint = {
        "EndpointName": "iris-staging",
        "EndpointArn": "arn:aws:sagemaker:eu-west-1:222222222222:endpoint/iris-staging",
        "EndpointConfigName": config,
        "EndpointStatus": status,
        "CreationTime": NOW,
        "LastModifiedTime": NOW,
    }
    aws.sagemaker.add_response("describe_endpoint", endpoint, {"EndpointName": "iris-staging"})
    if status == "InService":
        behind(aws, found, config)


def behind(aws: Stubbed, found: dict[str, Any], config: str = "c2") -> None:
    arn = "arn:aws:sagemaker:eu-west-1:222222222222:x/y"
    variants = [{"VariantName": "All", "ModelName": "m"}]
    aws.sagemaker.add_response(
        "describe_endpoint_config",
        {
            "EndpointConfigName": config,
            "EndpointConfigArn": arn,
            "ProductionVariants": variants,
            "CreationTime": NOW,
        },
        {"EndpointConfigName": config},
    )
    model = {
        "ModelName": "m",
        "CreationTime": NOW,
        "ModelArn": arn,
        "PrimaryContainer": {"ModelPackageName": found["ModelPackageArn"]},
    }
    aws.sagemaker.add_response("describe_model", model, {"ModelName": "m"})
    aws.sagemaker.add_response(
        "describe_model_package", found, {"ModelPackageName": found["ModelPackageArn"]}
    )


def ran(aws: Stubbed, *runs: tuple[str, int, bool, int]) -> None:
    """Runs that succeeded, newest first: (config, "" for nothing new; version; PACKAGE given; minutes)."""
    listed, described = [], []
    for number, (config, version, given, minutes) in enumerate(runs):
        arn = f"{MACHINE.replace('stateMachine', 'execution')}:{number}"
        started = NOW - timedelta(minutes=minutes)
        listed.append(
            {
                "executionArn": arn,
                "stateMachineArn": MACHINE,
                "name": str(number),
                "status": "SUCCEEDED",
                "startDate": started,
            }
        )
        output: dict[str, Any] = {"run": {"new": bool(config)}}
        if config:
            output |= {
                "requested": {"EndpointConfigName": config},
                "endpoint": {"EndpointStatus": "InService"},
                "smoke": {"status": 200},
                "package": {"ModelPackageArn": f"{GROUP}/{version}"},
            }
        described.append(
            {
                "executionArn": arn,
                "stateMachineArn": MACHINE,
                "status": "SUCCEEDED",
                "startDate": started,
                "input": json.dumps({"PACKAGE": {}} if given else {}),
                "output": json.dumps(output),
            }
        )
    aws.stepfunctions.add_response("list_executions", {"executions": listed})
    for each in described:
        aws.stepfunctions.add_response("describe_execution", each, {"executionArn": each["executionArn"]})


def applied(aws: Stubbed, commit: str, minutes: int, times: int = 1) -> None:
    """staging's stack was last changed so many minutes ago, from this commit."""
    for _ in range(times):
        stack = {
            "StackName": "iris-staging",
            "StackId": "arn:aws:cloudformation:eu-west-1:222222222222:stack/iris-staging/1",
            "StackStatus": "UPDATE_COMPLETE",
            "CreationTime": NOW - timedelta(days=9),
            "LastUpdatedTime": NOW - timedelta(minutes=minutes),
            "Parameters": [{"ParameterKey": "GitSha", "ParameterValue": commit}],
        }
        aws.cloudformation.add_response("describe_stacks", {"Stacks": [stack]})


def test_what_a_workflow_given_by_hand_made_is_not_promoted(
    repository: Path, git: Git, staging: Stubbed
) -> None:
    sha = git("rev-parse", "HEAD")
    serves(staging, package(git_sha=sha, workflow_file="flow.json sha256:12"))
    with pytest.raises(NotTested, match=r"a workflow given by hand \(flow\.json sha256:12\)") as refused:
        look(repository, sha, staging)
    assert "bring the change into the definition" in refused.value.hint


def commits(root: Path, git: Git) -> tuple[str, str, str]:
    """One; a commit to the docs; one that changes what is deployed."""
    one = git("rev-parse", "HEAD")
    (root / "README.md").write_text("more\n")
    git("commit", "-qam", "Docs")
    docs = git("rev-parse", "HEAD")
    (root / "pipeline.toml").write_text("a = 2\n")
    git("commit", "-qam", "Settings")
    return one, docs, git("rev-parse", "HEAD")


def look(root: Path, commit: str, aws: Stubbed) -> tested.Tested:
    tag = Tag("v1.0.0", commit, "main", "R")
    return tested.find(root, tag, settings(root, "staging", "222222222222"), aws.clients)


def test_made_from_the_tags_content_is_what_the_tag_says(
    repository: Path, git: Git, staging: Stubbed
) -> None:
    one, docs, _ = commits(repository, git)
    serves(staging, package(git_sha=one))
    ran(staging, ("", 0, False, 1), ("c2", 1, False, 5))
    found = look(repository, docs, staging)
    assert (found.arn, found.repository, found.digest) == (f"{GROUP}/1", "ml/iris", "sha256:" + "a" * 64)
    assert found.etag == "e1" and found.execution.endswith(":1")
    assert f"made from commit {one[:12]}, which has the same content" in found.how


def test_another_content_is_refused_with_what_serves(repository: Path, git: Git, staging: Stubbed) -> None:
    one, _, two = commits(repository, git)
    serves(staging, package(git_sha=one))
    ran(staging, ("c2", 1, False, 5))
    applied(staging, one, 9, times=2)
    with pytest.raises(NotTested, match=f"staging serves version 1 made from commit {one[:12]}") as refused:
        look(repository, two, staging)
    assert f"staging itself is applied from {one[:12]}" in refused.value.what


def test_kept_by_its_fingerprint_it_is_what_the_tag_says(
    repository: Path, git: Git, staging: Stubbed
) -> None:
    """staging was applied from the tag, and a run after that found nothing to train."""
    one, _, two = commits(repository, git)
    serves(staging, package(git_sha=one))
    ran(staging, ("", 0, False, 1), ("c2", 1, False, 5))
    applied(staging, two, 3)
    assert "the same by fingerprint" in look(repository, two, staging).how


@pytest.mark.parametrize(
    "runs",
    [
        [("c2", 1, False, 5)],  # the run is older than the stack
        [("c2", 1, True, 1)],  # a rollback chose it, not the fingerprint
    ],
)
def test_a_stack_of_the_tag_alone_proves_nothing(
    repository: Path, git: Git, staging: Stubbed, runs: list[tuple[str, int, bool, int]]
) -> None:
    one, _, two = commits(repository, git)
    serves(staging, package(git_sha=one))
    ran(staging, *runs)
    applied(staging, two, 3, times=2)
    with pytest.raises(NotTested) as refused:
        look(repository, two, staging)
    assert "pipeline run iris -e staging" in refused.value.hint


def test_what_was_promoted_to_staging_counts_by_the_commit_of_its_tag(
    repository: Path, git: Git, staging: Stubbed
) -> None:
    one, _, two = commits(repository, git)
    serves(staging, package(git_sha=one, promoted_commit=two))
    ran(staging, ("c2", 1, True, 1))
    assert "promoted to here" in look(repository, two, staging).how


def test_uncommitted_changes_are_nobodys_content(repository: Path, git: Git, staging: Stubbed) -> None:
    one = git("rev-parse", "HEAD")
    serves(staging, package(git_sha=f"{one}-dirty"))
    ran(staging, ("c2", 1, False, 5))
    applied(staging, f"{one}-dirty", 9, times=2)
    with pytest.raises(NotTested, match="with changes that were never committed"):
        look(repository, one, staging)


def test_an_endpoint_in_motion_or_a_rejected_version_is_not_tested(
    repository: Path, staging: Stubbed
) -> None:
    serves(staging, package(), status="Updating")
    with pytest.raises(NotTested, match="Updating, not InService"):
        look(repository, "HEAD", staging)
    serves(staging, package(status="Rejected"))
    with pytest.raises(NotTested, match="Rejected: wilts"):
        look(repository, "HEAD", staging)


def test_without_the_run_that_deployed_it_its_smoke_test_is_not_known(
    repository: Path, git: Git, staging: Stubbed
) -> None:
    serves(staging, package(git_sha=git("rev-parse", "HEAD")))
    ran(staging, ("c1", 1, False, 5))
    with pytest.raises(NotTested, match="no run that succeeded has deployed c2"):
        look(repository, "HEAD", staging)


# --- after a deployment, and back


def test_an_endpoint_that_serves_another_is_a_failure_whatever_the_run_said(
    repository: Path, staging: Stubbed
) -> None:
    place = settings(repository, "staging", "222222222222")
    serves(staging, package(1))
    staging.s3.add_response("head_object", {"ETag": '"e1"', "ChecksumSHA256": "qqqq", "ContentLength": 3})
    with pytest.raises(ExecutionError, match=f"serves {GROUP}/1 .* requested was {GROUP}/2"):
        deploy.require(place, staging.clients, f"{GROUP}/2")
    serves(staging, package(1))
    staging.s3.add_response("head_object", {"ETag": '"e1"', "ChecksumSHA256": "qqqq", "ContentLength": 3})
    with pytest.raises(ExecutionError, match="sha256 aaaaaa"):
        deploy.require(place, staging.clients, f"{GROUP}/1", "b" * 64)


def test_a_machine_that_only_trains_is_not_started(repository: Path, staging: Stubbed) -> None:
    machine = {
        "stateMachineArn": MACHINE,
        "name": "iris-staging",
        "definition": '{"States": {"CheckData": {}}}',
        "roleArn": "arn:aws:iam::222222222222:role/r",
        "type": "STANDARD",
        "creationDate": NOW,
    }
    staging.stepfunctions.add_response("describe_state_machine", machine)
    with pytest.raises(Exception, match="has no state ReadPackage"):
        deploy.require_entrance(settings(repository, "staging", "222222222222"), staging.clients)


def test_the_same_version_is_deployed_once_at_a_time(repository: Path, staging: Stubbed) -> None:
    arn = f"{MACHINE.replace('stateMachine', 'execution')}:promotion-v1.0.0-3"
    running = {
        "executionArn": arn,
        "stateMachineArn": MACHINE,
        "name": "promotion-v1.0.0-3",
        "status": "RUNNING",
        "startDate": NOW,
    }
    staging.stepfunctions.add_response("list_executions", {"executions": [running]})
    given = json.dumps({"PACKAGE": {"ModelPackageArn": f"{GROUP}/3"}})
    described = {key: value for key, value in running.items() if key != "name"}
    staging.stepfunctions.add_response("describe_execution", {**described, "input": given})
    place = settings(repository, "staging", "222222222222")
    started = deploy.start(place, staging.clients, f"{GROUP}/3", "promotion v1.0.0", given=False)
    assert (started.name, started.attached) == ("promotion-v1.0.0-3", True)


def test_a_name_that_was_used_is_counted_on(repository: Path, staging: Stubbed) -> None:
    staging.stepfunctions.add_response("list_executions", {"executions": []})
    staging.stepfunctions.add_client_error("start_execution", "ExecutionAlreadyExists")
    wanted = {
        "PACKAGE": {
            "ModelPackageArn": f"{GROUP}/3",
            "Why": "rollback: (bad) petals",
            "Approval": "given",
            "Watermark": False,
        }
    }
    made = {"executionArn": "arn:aws:states:eu-west-1:222222222222:execution:a:b", "startDate": NOW}
    staging.stepfunctions.add_response(
        "start_execution",
        made,
        {"stateMachineArn": MACHINE, "name": "rollback-bad-petals-3-2", "input": json.dumps(wanted)},
    )
    place = settings(repository, "staging", "222222222222")
    assert not deploy.start(
        place, staging.clients, f"{GROUP}/3", "rollback: (bad) petals", given=True
    ).attached


def test_before_is_what_a_run_deployed_and_nobody_rolled_back(repository: Path, staging: Stubbed) -> None:
    place = settings(repository, "staging", "222222222222")
    ran(staging, ("c5", 5, False, 1), ("c4", 4, False, 2), ("c3", 3, False, 3), ("c2", 2, False, 4))
    for found in (package(4, rolled_back="2026: wilts"), package(3, "Rejected"), package(2)):
        staging.sagemaker.add_response("describe_model_package", found)
    how, found = earlier.before(place, staging.clients, package(5))
    assert (found["ModelPackageVersion"], how) == (2, "it served before, as c2")


def test_without_any_other_there_is_no_way_back(repository: Path, staging: Stubbed) -> None:
    ran(staging, ("c5", 5, False, 1))
    staging.sagemaker.add_response("list_model_packages", {"ModelPackageSummaryList": []})
    with pytest.raises(NoWayBack, match="no other version has served"):
        earlier.before(settings(repository, "staging", "222222222222"), staging.clients, package(5))


@pytest.mark.parametrize("to", ["first", "0", f"{GROUP}2/1", GROUP])
def test_what_is_no_version_of_this_pipeline_is_bad_input(
    repository: Path, staging: Stubbed, to: str
) -> None:
    with pytest.raises(SettingsError, match="is no version of iris-staging"):
        earlier.named(settings(repository, "staging", "222222222222"), staging.clients, to)


def test_a_version_that_is_not_whole_is_refused(staging: Stubbed) -> None:
    with pytest.raises(NoWayBack, match="serves this version already"):
        earlier.require(staging.clients, package(2), f"{GROUP}/2")
    with pytest.raises(NoWayBack, match="PendingManualApproval"):
        earlier.require(staging.clients, package(2, "PendingManualApproval"), "")
    staging.s3.add_client_error("head_object", "404", http_status_code=404)
    with pytest.raises(NoWayBack, match="artifact is gone"):
        earlier.require(staging.clients, package(2), "")
    staging.s3.add_response("head_object", {"ETag": '"e2"', "ContentLength": 1})
    with pytest.raises(NoWayBack, match="was replaced"):
        earlier.require(staging.clients, package(2), "")
    staging.s3.add_response("head_object", {"ETag": '"e1"', "ContentLength": 1})
    staging.ecr.add_client_error("describe_images", "ImageNotFoundException")
    with pytest.raises(NoWayBack, match="image is gone"):
        earlier.require(staging.clients, package(2), "")


def test_git_is_told_how_to_say_the_same(repository: Path, git: Git) -> None:
    one, _, two = commits(repository, git)
    place = settings(repository, "staging", "222222222222")

    def explain(left: str, now: str) -> str:
        done = back.RolledBack("iris", "staging", "", 2, "", 1, "", "", git_left=left, git_now=now)
        return git_way.explain(repository, place, done)

    assert f"git revert {two[:12]}" in explain(two, one)
    assert "there is nothing to revert" in explain(one, one)
    assert "not in this clone" in explain("0" * 40, one)
    git("checkout", "-q", "-b", "side", one)
    (repository / "pipeline.toml").write_text("a = 3\n")
    git("commit", "-qam", "Side")
    git("checkout", "-q", "main")
    git("merge", "-q", "--no-ff", "-X", "theirs", "-m", "Merge", "side")
    merged = git("rev-parse", "HEAD")
    assert f"git revert -m 1 {merged[:12]}" in explain(merged, two)
