"""Build: which states there are, what they are asked for, and where the digest goes."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from pipeline.errors import DefinitionError
from pipeline.steps import view
from pipeline.steps.child import to_asl

Make = Callable[..., view.Settings]
BUILD = {"compute": "small", "image": "x", "arguments": {}, "timeout_minutes": 30, "queue_minutes": 10}
CODE = {
    "image": {
        "repository": "ml/demo",
        "tag": "src-0123456789abcdef",
        "context": "bucket/code/1.zip",
        "variables": {"IMAGE_TAG": "src-0123456789abcdef"},
    }
}


@pytest.fixture
def settings(settings_with: Make) -> view.Settings:
    made = json.loads(json.dumps(settings_with({"pipeline.build": BUILD})))
    return view.loads(json.dumps({**made, "code": CODE}))


def whole(settings: view.Settings, block: str | None = "Build") -> dict[str, Any]:
    from pipeline import steps

    train = steps.Train(settings)
    evaluate = steps.Evaluate(settings, train)
    return to_asl(
        steps.Pipeline(
            settings,
            [
                steps.CheckData(settings),
                steps.Reuse(settings, train, evaluate),
                *([getattr(steps, block)(settings)] if block else []),
                train,
                evaluate,
                steps.Gate(settings, train, evaluate),
                steps.Register(settings, train, evaluate),
                steps.Approve(settings),
                steps.Deploy(settings),
            ],
        )
    )["States"]


def caught(state: dict[str, Any], error: str) -> str:
    return next(str(catch["Next"]) for catch in state["Catch"] if error in catch["ErrorEquals"])


def test_every_job_takes_the_digest_that_the_registry_told(settings: view.Settings) -> None:
    states = whole(settings)
    text = json.dumps(states)
    assert "${ImageUri}" not in text
    assert states["Train"]["Parameters"]["AlgorithmSpecification"]["TrainingImage.$"] == "$.image.uri"
    assert states["Evaluate"]["Parameters"]["AppSpecification"]["ImageUri.$"] == "$.image.uri"
    for name in ("Register", "RegisterRejected"):
        request = states[name]["Parameters"]
        assert request["InferenceSpecification"]["Containers"][0]["Image.$"] == "$.image.uri"
        assert request["CustomerMetadataProperties"]["image.$"] == "$.image.uri"
    uri = "States.Format('123456789012.dkr.ecr.eu-west-1.amazonaws.com/ml/demo@{}', $.image.digest)"
    assert states["ImageFound"]["Parameters"]["uri.$"] == states["ImageBuilt"]["Parameters"]["uri.$"] == uri
    assert (states["ImageFound"]["Parameters"]["built"], states["ImageBuilt"]["Parameters"]["built"]) == (
        False,
        True,
    )


def test_it_builds_only_what_the_registry_lacks(settings: view.Settings) -> None:
    states = whole(settings)
    assert states["IsModelReusable"]["Default"] == "FindImage"
    find = states["FindImage"]
    assert find["Next"] == "ImageFound" and find["Parameters"]["ImageIds"] == [
        {"ImageTag": "src-0123456789abcdef"}
    ]
    assert caught(find, "Ecr.ImageNotFoundException") == "BuildImage"
    assert caught(find, "Ecr.RepositoryNotFoundException") == "ImageRepositoryMissing"
    build = states["BuildImage"]
    assert build["Resource"] == "arn:aws:states:::codebuild:startBuild.sync" and build["Next"] == "ReadDigest"
    assert build["Parameters"]["SourceLocationOverride"] == "bucket/code/1.zip"
    assert build["TimeoutSeconds"] > (30 + 10) * 60
    assert caught(build, "States.TaskFailed") == "ExplainBuild"
    assert states["ExplainBuild"]["Next"] == "BuildFailed" and states["BuildFailed"]["Next"] == "HasCause"
    assert caught(states["ExplainBuild"], "States.ALL") == "BuildFailedUnexplained"
    assert states["BuildFailedUnexplained"]["Parameters"]["Error"] == "BuildFailed"
    assert caught(states["ReadDigest"], "Ecr.ImageNotFoundException") == "ImageNotPushed"
    for name in ("ImageFound", "ImageBuilt"):
        assert states[name]["Next"] == "IsImageRunnable"
    runnable = states["IsImageRunnable"]
    assert (
        runnable["Default"] == "ImageNotRunnable" and runnable["Choices"][0]["Next"] == "IsTrainingReusable"
    )
    retried = [error for retry in build["Retry"] for error in retry["ErrorEquals"]]
    assert "CodeBuild.AccountLimitExceededException" in retried and "States.TaskFailed" not in retried


def test_a_function_may_start_it(settings: view.Settings) -> None:
    build = whole(settings, "BuildByLambda")["BuildImage"]
    payload = build["Parameters"]["Payload"]
    assert payload["request"] == whole(settings)["BuildImage"]["Parameters"]
    assert "RedriveCount" in payload["token.$"], "a redrive builds anew"
    running = next(retry for retry in build["Retry"] if retry["ErrorEquals"] == ["BuildRunning"])
    assert running["MaxAttempts"] * running["IntervalSeconds"] >= 2 * (30 + 10) * 60
    assert caught(build, "States.TaskFailed") == "ExplainBuild"


def test_settings_and_definition_have_to_agree(settings: view.Settings, settings_with: Make) -> None:
    with pytest.raises(DefinitionError, match="nothing builds"):
        whole(settings, None)
    with pytest.raises(DefinitionError, match=r"needs \[build\]"):
        whole(settings_with(), "Build")
