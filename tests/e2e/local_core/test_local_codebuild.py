"""Builds on the local target: sources, phases, variables, artifacts, cache, ends of all kinds, as a role."""

from __future__ import annotations

import io
import json
import textwrap
import time
import zipfile
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.e2e.local_core.conftest import ACCOUNT, REGION, Target, until

BUCKET = "builds"
LOGS = {
    "Effect": "Allow",
    "Action": ["logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"],
    "Resource": "*",
}
READ = {"Effect": "Allow", "Action": "s3:GetObject*", "Resource": f"arn:aws:s3:::{BUCKET}/source/*"}
WRITE = {
    "Effect": "Allow",
    "Action": ["s3:PutObject", "s3:GetObject"],
    "Resource": [f"arn:aws:s3:::{BUCKET}/kept/*", f"arn:aws:s3:::{BUCKET}/cache/*"],
}
LOOK = {
    "Effect": "Allow",
    "Action": ["ssm:GetParameter", "secretsmanager:GetSecretValue"],
    "Resource": "*",
}


class Builds:
    """CodeBuild as a user has it."""

    def __init__(self, target: Target, role: str) -> None:
        self.target, self.role, self.client = target, role, target.client("codebuild")

    def project(self, name: str, buildspec: str, **more: Any) -> None:
        given = {
            "source": {"type": "NO_SOURCE", "buildspec": textwrap.dedent(buildspec)},
            "artifacts": {"type": "NO_ARTIFACTS"},
            "environment": {
                "type": "LINUX_CONTAINER",
                "image": "aws/codebuild/amazonlinux-x86_64-standard:5.0",
                "computeType": "BUILD_GENERAL1_SMALL",
            },
            "serviceRole": self.role,
            **more,
        }
        self.client.create_project(name=name, **given)

    def run(self, name: str, **overrides: Any) -> dict[str, Any]:
        """A build to its end."""
        build = self.client.start_build(projectName=name, **overrides)["build"]
        assert build["buildStatus"] == "IN_PROGRESS"
        return self.ended(build["id"])

    def ended(self, identity: str) -> dict[str, Any]:
        def build() -> dict[str, Any]:
            found: dict[str, Any] = self.client.batch_get_builds(ids=[identity])["builds"][0]
            return found

        until(lambda: build()["buildComplete"], seconds=60)
        return build()

    def log(self, build: dict[str, Any]) -> str:
        pages = self.target.client("logs").filter_log_events(
            logGroupName=build["logs"]["groupName"], logStreamNames=[build["logs"]["streamName"]]
        )
        return "\n".join(event["message"] for event in pages["events"])


@pytest.fixture(scope="module")
def builds(target: Target) -> Builds:
    target.client("s3").create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
    return Builds(target, target.role("builder", "codebuild", LOGS, READ, WRITE, LOOK))


def status_of(build: dict[str, Any]) -> dict[str, str]:
    return {phase["phaseType"]: phase.get("phaseStatus", "") for phase in build["phases"]}


def said(build: dict[str, Any]) -> str:
    return " ".join(
        f"{context.get('statusCode', '')} {context.get('message', '')}".strip()
        for phase in build["phases"]
        for context in phase.get("contexts", [])
    ).strip()


def test_a_build_from_its_source_to_its_artifacts(builds: Builds) -> None:
    s3 = builds.target.client("s3")
    spec = """\
        version: 0.2
        env:
          variables: {GREETING: of the buildspec, OWN: own}
          parameter-store: {LEVEL: /build/level}
          secrets-manager: {WORD: "build/word:key"}
          exported-variables: [VERSION]
        phases:
          install:
            commands: [export VERSION=1.2.3]
          build:
            commands:
              - mkdir -p out && echo "$GREETING $OWN $LEVEL $WORD $VERSION" > out/told
              - cat "$CODEBUILD_SRC_DIR/data/part" >> out/told
              - ./script
              - test -f held/kept && echo "there is a cache" || echo "no cache yet"
              - mkdir -p held && echo held > held/kept
              - env | sort
        artifacts:
          base-directory: out
          files: ['**/*']
        cache:
          paths: ['held/**/*']
        """
    builds.target.client("ssm").put_parameter(Name="/build/level", Value="seven", Type="SecureString")
    builds.target.client("secretsmanager").create_secret(
        Name="build/word", SecretString=json.dumps({"key": "sesame"})
    )
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("buildspec.yml", textwrap.dedent(spec))
        archive.writestr("data/part", "a part\n")
        script = zipfile.ZipInfo("script")
        script.external_attr = 0o755 << 16
        archive.writestr(script, "#!/bin/sh\necho run as a program\n")
    s3.put_object(Bucket=BUCKET, Key="source/s.zip", Body=packed.getvalue())
    builds.project(
        "whole",
        "",
        source={"type": "S3", "location": f"{BUCKET}/source/s.zip"},
        artifacts={"type": "S3", "location": BUCKET, "path": "kept", "name": "it", "packaging": "ZIP"},
        cache={"type": "S3", "location": f"{BUCKET}/cache"},
    )
    variables = [{"name": "GREETING", "value": "of the request", "type": "PLAINTEXT"}]
    build = builds.run("whole", environmentVariablesOverride=variables)
    assert build["buildStatus"] == "SUCCEEDED", (said(build), builds.log(build))
    assert list(status_of(build)) == [
        *("SUBMITTED", "QUEUED", "PROVISIONING", "DOWNLOAD_SOURCE", "INSTALL", "BUILD"),
        *("UPLOAD_ARTIFACTS", "FINALIZING", "COMPLETED"),
    ]
    assert build["exportedEnvironmentVariables"] == [{"name": "VERSION", "value": "1.2.3"}]
    assert build["artifacts"]["location"] == f"arn:aws:s3:::{BUCKET}/kept/it"
    kept = s3.get_object(Bucket=BUCKET, Key="kept/it")["Body"].read()
    with zipfile.ZipFile(io.BytesIO(kept)) as archive:
        told = archive.read("told").decode()
    assert told == "of the request own seven sesame 1.2.3\na part\n"
    log = builds.log(build)
    assert "run as a program" in log and "no cache yet" in log
    # Nothing of the server's own environment is there, and its Python is not the build's.
    assert f"CODEBUILD_BUILD_ID={build['id']}" in log and "CODEBUILD_BUILD_NUMBER=1" in log
    assert "PIPELINE_" not in log and "AWS_SESSION_TOKEN=" in log
    again = builds.run("whole")
    assert "there is a cache" in builds.log(again)
    assert again["buildNumber"] == 2
    assert builds.client.list_builds_for_project(projectName="whole")["ids"] == [again["id"], build["id"]]


def test_a_failing_command_ends_the_build_and_is_named(builds: Builds) -> None:
    builds.project(
        "fails",
        """\
        version: 0.2
        phases:
          pre_build: {commands: [echo before, exit 3, echo never]}
          build: {commands: [echo never]}
          post_build: {commands: [echo never]}
        """,
    )
    build = builds.run("fails")
    assert build["buildStatus"] == "FAILED"
    assert status_of(build)["PRE_BUILD"] == "FAILED" and "BUILD" not in status_of(build)
    assert "COMMAND_EXECUTION_ERROR" in said(build) and "exit 3. Reason: exit status 3" in said(build)
    assert "never" not in builds.log(build).replace("Running command echo never", "")


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ({"type": "S3", "location": f"{BUCKET}/source/none.zip"}, "NoSuchKey|AccessDenied"),
        ({"type": "S3", "location": f"{BUCKET}/elsewhere/s.zip"}, "AccessDenied"),
        ({"type": "NO_SOURCE", "buildspec": "other.yml"}, "YAML_FILE_ERROR YAML file does not exist"),
        ({"type": "NO_SOURCE", "buildspec": "version: 0.2\nphases: {biuld: {}}"}, "unknown key 'biuld'"),
        ({"type": "GITHUB", "location": "https://github.com/a/b.git"}, "from S3 alone, not from GITHUB"),
    ],
)
def test_what_is_wrong_with_the_source_is_said(
    builds: Builds, source: dict[str, str], expected: str, request: pytest.FixtureRequest
) -> None:
    import re

    name = f"source-{abs(hash(request.node.name))}"
    builds.project(name, "", source=source)
    build = builds.run(name)
    assert build["buildStatus"] == "FAILED"
    assert status_of(build)["DOWNLOAD_SOURCE"] == "FAILED"
    assert re.search(expected, said(build)), said(build)


def test_stop_and_timeout_end_what_runs(builds: Builds) -> None:
    builds.project(
        "long",
        """\
        version: 0.2
        phases:
          build: {commands: [echo begun, sleep 600]}
          post_build: {commands: [echo after]}
        """,
    )
    build = builds.client.start_build(projectName="long")["build"]
    until(lambda: "begun" in _log_so_far(builds, build["id"]), seconds=30)
    began = time.monotonic()
    stopped = builds.client.stop_build(id=build["id"])["build"]
    assert time.monotonic() - began < 8
    assert stopped["buildStatus"] == "STOPPED" and stopped["buildComplete"]
    assert status_of(stopped)["BUILD"] == "STOPPED" and "POST_BUILD" not in status_of(stopped)
    # Stopped once more, it stays what it is.
    assert builds.client.stop_build(id=build["id"])["build"]["buildStatus"] == "STOPPED"


def _log_so_far(builds: Builds, identity: str) -> str:
    try:
        return builds.log(builds.client.batch_get_builds(ids=[identity])["builds"][0])
    except ClientError:
        return ""


def test_a_role_that_cannot_be_assumed_or_may_not_write(builds: Builds) -> None:
    builds.project(
        "unknown",
        "version: 0.2\nphases: {build: {commands: [echo x]}}",
        serviceRole=f"arn:aws:iam::{ACCOUNT}:role/nobody",
    )
    build = builds.run("unknown")
    assert status_of(build)["PROVISIONING"] == "FAILED"
    assert "not authorized to perform: sts:AssumeRole" in said(build)
    builds.project(
        "narrow",
        "version: 0.2\nphases: {build: {commands: [echo x > x]}}\nartifacts: {files: [x]}",
        serviceRole=builds.target.role("narrow", "codebuild", LOGS),
        artifacts={"type": "S3", "location": BUCKET, "path": "kept", "name": "no"},
    )
    build = builds.run("narrow")
    assert status_of(build)["UPLOAD_ARTIFACTS"] == "FAILED" and "AccessDenied" in said(build)
    inside = builds.run(
        "narrow", buildspecOverride="version: 0.2\nphases: {build: {commands: ['aws s3 ls']}}"
    )
    assert inside["buildStatus"] == "FAILED" and "AccessDenied" in builds.log(inside)


def test_the_same_token_is_the_same_build(builds: Builds) -> None:
    builds.project("token", "version: 0.2\nphases: {build: {commands: [echo x]}}")
    first = builds.client.start_build(projectName="token", idempotencyToken="t1")["build"]["id"]
    assert builds.client.start_build(projectName="token", idempotencyToken="t1")["build"]["id"] == first
    with pytest.raises(ClientError, match="other parameters"):
        builds.client.start_build(projectName="token", idempotencyToken="t1", timeoutInMinutesOverride=7)
    builds.ended(first)
    with pytest.raises(ClientError, match="ResourceNotFoundException"):
        builds.client.start_build(projectName="none")


def test_a_state_machine_waits_for_a_build_and_stops_it(builds: Builds) -> None:
    target, states = builds.target, builds.target.client("stepfunctions")
    builds.project(
        "step",
        'version: 0.2\nphases: {build: {commands: ["test $FAIL = no", "sleep $NAP"]}}',
    )
    project = f"arn:aws:codebuild:{REGION}:{ACCOUNT}:project/step"
    rule = f"arn:aws:events:{REGION}:{ACCOUNT}:rule/StepFunctionsGetEventForCodeBuildStartBuildRule"
    role = target.role(
        "machine",
        "states",
        {
            "Effect": "Allow",
            "Action": ["codebuild:StartBuild", "codebuild:StopBuild", "codebuild:BatchGetBuilds"],
            "Resource": project,
        },
        {
            "Effect": "Allow",
            "Action": ["events:PutTargets", "events:PutRule", "events:DescribeRule"],
            "Resource": rule,
        },
    )
    variables = [
        {"Name": "FAIL", "Value.$": "$.fail", "Type": "PLAINTEXT"},
        {"Name": "NAP", "Value.$": "$.nap", "Type": "PLAINTEXT"},
    ]
    definition = {
        "StartAt": "Build",
        "States": {
            "Build": {
                "Type": "Task",
                "Resource": "arn:aws:states:::codebuild:startBuild.sync",
                "Parameters": {"ProjectName": "step", "EnvironmentVariablesOverride": variables},
                "End": True,
            }
        },
    }
    arn = states.create_state_machine(name="step", definition=json.dumps(definition), roleArn=role)[
        "stateMachineArn"
    ]

    def run(**given: str) -> str:
        execution: str = states.start_execution(stateMachineArn=arn, input=json.dumps(given))["executionArn"]
        return execution

    def over(execution: str) -> dict[str, Any]:
        until(lambda: states.describe_execution(executionArn=execution)["status"] != "RUNNING", seconds=60)
        found: dict[str, Any] = states.describe_execution(executionArn=execution)
        return found

    well = over(run(fail="no", nap="0"))
    assert well["status"] == "SUCCEEDED", well.get("cause")
    assert json.loads(well["output"])["Build"]["BuildStatus"] == "SUCCEEDED"
    badly = over(run(fail="yes", nap="0"))
    assert badly["error"] == "States.TaskFailed"
    cause = json.loads(badly["cause"])["Build"]
    assert cause["BuildStatus"] == "FAILED" and cause["CurrentPhase"] == "COMPLETED"
    long = run(fail="no", nap="600")
    newest = lambda: builds.client.list_builds_for_project(projectName="step")["ids"]  # noqa: E731
    until(lambda: len(newest()) == 3, seconds=30)
    states.stop_execution(executionArn=long)
    assert builds.ended(newest()[0])["buildStatus"] == "STOPPED"


def test_a_build_under_way_when_the_target_dies_does_not_read_as_running(builds: Builds) -> None:
    import os
    import signal

    builds.project("orphan", "version: 0.2\nphases: {build: {commands: [sleep 613]}}")
    build = builds.client.start_build(projectName="orphan")["build"]["id"]
    until(lambda: _sleeping(613), seconds=30)
    os.kill(builds.target.up.pid, signal.SIGKILL)
    until(lambda: not _sleeping(613), seconds=10)
    builds.target.again()
    builds.client = builds.target.client("codebuild")
    found = builds.ended(build)
    assert found["buildStatus"] == "FAULT" and "the local target was stopped" in said(found)


def _sleeping(seconds: int) -> bool:
    import psutil

    return any(p.info["cmdline"] == ["sleep", str(seconds)] for p in psutil.process_iter(["cmdline"]))
