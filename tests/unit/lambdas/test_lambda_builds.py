"""explain_build says why a build failed, as far as it can be read; start_build neither waits nor repeats."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.exceptions import ClientError

from pipeline.lambdas.explain_build import handler as explain
from pipeline.lambdas.start_build import handler as start

BUILD = {
    "Id": "demo-dev-build:1",
    "BuildStatus": "FAILED",
    "Phases": [
        {"PhaseType": "SUBMITTED", "PhaseStatus": "SUCCEEDED"},
        {
            "PhaseType": "BUILD",
            "PhaseStatus": "FAILED",
            "Contexts": [{"StatusCode": "COMMAND_EXECUTION_ERROR", "Message": "exit status 2"}],
        },
        {"PhaseType": "COMPLETED"},
    ],
    "Logs": {"GroupName": "/aws/codebuild/demo-dev-build", "StreamName": "1"},
}


class Logs:
    """CloudWatch Logs as the function asks it: `answers` one after the other."""

    def __init__(self, *answers: list[str] | str) -> None:
        self.answers = list(answers)
        self.asked = 0

    def get_log_events(self, **request: Any) -> dict[str, Any]:
        assert request["logGroupName"] == "/aws/codebuild/demo-dev-build" and not request["startFromHead"]
        answer = self.answers[min(self.asked, len(self.answers) - 1)]
        self.asked += 1
        if isinstance(answer, str):
            raise ClientError({"Error": {"Code": answer, "Message": "no"}}, "GetLogEvents")
        return {"events": [{"message": message} for message in answer]}


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(explain, "PAUSE_SECONDS", 0)


def said(monkeypatch: pytest.MonkeyPatch, logs: Logs, build: dict[str, Any] = BUILD) -> str:
    monkeypatch.setattr(explain, "client", lambda _: logs)
    event = {"error": "States.TaskFailed", "cause": json.dumps({"Build": build})}
    text: str = explain.handler(event, None)["cause"]
    return text


def test_the_phase_its_context_and_the_last_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [f"line {number}\n" for number in range(40)]
    text = said(monkeypatch, Logs([*lines, "[Container] 2026/11/23 Phase complete: BUILD State: FAILED\n"]))
    first, *rest = text.splitlines()
    assert first == "build demo-dev-build:1 failed in BUILD: COMMAND_EXECUTION_ERROR: exit status 2"
    assert rest == [f"    line {number}" for number in range(25, 40)]


def test_it_waits_for_a_log_that_is_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    logs = Logs(
        "ResourceNotFoundException", ["half"], ["half", "the rest", "Phase complete: BUILD State: FAILED"]
    )
    assert said(monkeypatch, logs).endswith("    half\n    the rest")
    assert logs.asked == 3


def test_what_cannot_be_read_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "cannot be read" in said(monkeypatch, Logs("AccessDeniedException"))
    assert said(monkeypatch, Logs("ResourceNotFoundException")).endswith("exit status 2")
    stopped = {"Id": "b:1", "BuildStatus": "STOPPED"}
    assert said(monkeypatch, Logs([]), stopped) == "build b:1 was stopped"
    found = explain.handler({"error": "X", "cause": "not json"}, None)
    assert found == {"cause": "the image could not be built: X: not json"}


def test_a_functions_error_holds_the_build_too() -> None:
    cause = json.dumps({"errorType": "BuildEnded", "errorMessage": json.dumps({"Build": BUILD})})
    assert explain.build_of(cause) == BUILD == explain.build_of(json.dumps(BUILD))
    assert explain.build_of(json.dumps({"errorMessage": "Task timed out"})) == {}


class CodeBuild:
    """A project's builds; a build goes on by one status each time it is looked at."""

    def __init__(self, *statuses: str) -> None:
        self.statuses = list(statuses)
        self.builds: list[dict[str, Any]] = []

    def list_builds_for_project(self, projectName: str) -> dict[str, Any]:
        assert projectName == "demo-dev-build"
        return {"ids": [build["id"] for build in self.builds][::-1]}

    def batch_get_builds(self, ids: list[str]) -> dict[str, Any]:
        assert ids
        for build in self.builds:
            build["buildStatus"] = self.statuses.pop(0) if self.statuses else build["buildStatus"]
        return {"builds": self.builds}

    def start_build(self, **request: Any) -> dict[str, Any]:
        variables = request["environmentVariablesOverride"]
        build = {
            "id": f"demo-dev-build:{len(self.builds)}",
            "arn": "arn:aws:codebuild:eu-west-1:123456789012:build/demo-dev-build:0",
            "buildStatus": "IN_PROGRESS",
            "startTime": datetime(2026, 11, 23, tzinfo=UTC),
            "environment": {"environmentVariables": variables},
            "phases": [{"phaseType": "BUILD", "phaseStatus": "FAILED", "contexts": [{"statusCode": "X"}]}],
        }
        self.builds.append(build)
        return {"build": dict(build)}


EVENT = {
    "request": {
        "ProjectName": "demo-dev-build",
        "EnvironmentVariablesOverride": [{"Name": "IMAGE_TAG", "Value": "src-1", "Type": "PLAINTEXT"}],
    },
    "token": "20260301-01234567-0",
}


def test_it_is_asked_again_until_the_build_has_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    codebuild = CodeBuild("IN_PROGRESS", "SUCCEEDED")
    monkeypatch.setattr(start, "client", lambda _: codebuild)
    for _ in range(2):
        with pytest.raises(start.BuildRunning, match="demo-dev-build:0"):
            start.handler(EVENT, None)
    assert start.handler(EVENT, None)["id"] == "demo-dev-build:0"
    assert len(codebuild.builds) == 1, "a second try found the first one's build"
    with pytest.raises(start.BuildRunning, match="demo-dev-build:1"):
        start.handler({**EVENT, "token": "20260301-01234567-1"}, None)


def test_a_failed_build_is_an_error_and_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    codebuild = CodeBuild("FAILED")
    monkeypatch.setattr(start, "client", lambda _: codebuild)
    with pytest.raises(start.BuildRunning):
        start.handler(EVENT, None)
    with pytest.raises(start.BuildEnded) as ended:
        start.handler(EVENT, None)
    build = explain.build_of(json.dumps({"errorMessage": str(ended.value)}))
    assert build["BuildStatus"] == "FAILED" and explain.failed_phase(build) == ("BUILD", "X")
