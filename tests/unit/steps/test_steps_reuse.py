"""Entrance and Reuse: where a run may go instead of making what exists."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from pipeline.errors import DefinitionError
from pipeline.render.recipes import recipes
from pipeline.steps import view
from pipeline.steps.child import to_asl

Make = Callable[..., view.Settings]
MANUAL = {"environment.approval.mode": "manual"}


def whole(settings: view.Settings, *, without: tuple[str, ...] = ()) -> dict[str, Any]:
    """The state machine of all blocks but some."""
    from pipeline import steps

    train = steps.Train(settings)
    evaluate = steps.Evaluate(settings, train)
    blocks = {
        "Entrance": steps.Entrance(settings),
        "CheckData": steps.CheckData(settings),
        "Reuse": steps.Reuse(settings, train, evaluate),
        "Train": train,
        "Evaluate": evaluate,
        "Gate": steps.Gate(settings, train, evaluate),
        "Register": steps.Register(settings, train, evaluate),
        "Approve": steps.Approve(settings),
        "Deploy": steps.Deploy(settings),
    }
    chosen = [block for name, block in blocks.items() if name not in without]
    return to_asl(steps.Pipeline(settings, chosen))


def ways(states: dict[str, Any], name: str) -> dict[str, str]:
    """Where a Choice leads: what a rule compares with -> state; "" is the default."""
    state = states[name]
    found = {
        str(next(v for k, v in c.items() if k not in ("Variable", "Next"))): c["Next"]
        for c in state["Choices"]
    }
    return {**found, "": state["Default"]}


def test_a_named_model_goes_straight_to_its_deployment(settings_with: Make) -> None:
    asl = whole(settings_with())
    states = asl["States"]
    assert asl["StartAt"] == "IsPackageGiven"
    assert states["IsPackageGiven"]["Choices"][0]["Variable"] == "$.PACKAGE"
    assert ways(states, "IsPackageGiven") == {"True": "ReadPackage", "": "CheckData"}
    assert states["ReadPackage"]["Next"] == "GivenPackageIsApproved"
    assert ways(states, "GivenPackageIsApproved") == {"deploy": "CreateModel", "": "ApproveGiven"}
    assert states["ApproveGiven"]["Next"] == "CreateModel"
    asked = whole(settings_with(MANUAL))["States"]
    assert ways(asked, "GivenPackageIsApproved") == {
        "deploy": "CreateModel",
        "approve": "NotifyApproval",
        "": "ApproveGiven",
    }


def test_what_exists_is_used_and_what_does_not_is_made(settings_with: Make) -> None:
    states = whole(settings_with())["States"]
    assert states["NotifyStarted"]["Next"] == "FindReusable"
    assert states["FindReusable"]["OutputPath"] == "$.Payload", "the run's data with what was found"
    assert ways(states, "IsModelReusable") == {"deploy": "CreateModel", "": "IsTrainingReusable"}
    assert ways(states, "IsTrainingReusable") == {"True": "IsEvaluationReusable", "": "BeginTrain"}
    judged = states["Evaluate"]["Next"]
    assert ways(states, "IsEvaluationReusable") == {"True": judged, "": "BeginEvaluate"}
    asked = whole(settings_with(MANUAL))["States"]
    assert ways(asked, "IsModelReusable")["approve"] == "NotifyApproval"
    assert asked["FindReusable"]["Parameters"]["Payload"]["manual"] is True


def test_jobs_say_how_they_are_found_and_the_finder_is_told_the_same(settings_with: Make) -> None:
    asl = whole(settings_with())
    states = asl["States"]
    jobs = states["FindReusable"]["Parameters"]["Payload"]["jobs"]
    for job, state in zip(jobs, ("Train", "Evaluate"), strict=True):
        tag = {"Key": "fingerprint", "Value.$": f"$.run.fingerprints.{job['fingerprint']}"}
        assert tag in states[state]["Parameters"]["Tags"]
        assert states[state]["ResultPath"] == f"$.{job['result']}"
    names = [step["name"] for step in recipes(asl)["steps"]]
    assert names == ["train", "evaluate"]
    metadata = states["Register"]["Parameters"]["CustomerMetadataProperties"]
    for name in (*names, "model"):
        assert metadata[f"{name}_fingerprint.$"] == f"$.run.fingerprints.{name}"


def test_the_model_is_the_registered_version_however_it_came_there(settings_with: Make) -> None:
    states = whole(settings_with())["States"]
    container = states["CreateModel"]["Parameters"]["PrimaryContainer"]
    assert container["ModelPackageName.$"] == "$.package.ModelPackageArn"
    assert not {"Image", "ModelDataUrl", "ModelDataUrl.$"} & container.keys()
    assert ways(states, "IsDataDoneWith") == {"False": "CollectSuperseded", "": "CommitWatermark"}


def test_a_tag_of_the_settings_cannot_take_the_place_of_the_fingerprint(settings_with: Make) -> None:
    states = whole(settings_with({"environment.tags": {"Fingerprint": "mine"}}))["States"]
    keys = [tag["Key"].lower() for tag in states["Train"]["Parameters"]["Tags"]]
    assert keys.count("fingerprint") == 1


def test_without_reuse_and_entrance_everything_is_made_every_time(settings_with: Make) -> None:
    states = whole(settings_with(), without=("Reuse", "Entrance"))["States"]
    assert states["NotifyStarted"]["Next"] == "BeginTrain"
    assert not {"FindReusable", "ReadPackage", "IsTrainingReusable"} & states.keys()


@pytest.mark.parametrize(
    ("changes", "without", "said"),
    [
        ({}, ("Deploy",), "Entrance leads to Deploy"),
        ({}, ("Deploy", "Entrance"), "Reuse leads to Deploy"),
        (MANUAL, ("Approve",), "Entrance with manual approval leads to Approve"),
        (MANUAL, ("Approve", "Entrance"), "Reuse with manual approval leads to Approve"),
    ],
)
def test_a_way_to_a_block_that_is_not_there_is_refused(
    settings_with: Make, changes: dict[str, Any], without: tuple[str, ...], said: str
) -> None:
    with pytest.raises(DefinitionError, match=said):
        whole(settings_with(changes), without=without)


def test_a_block_without_a_job_cannot_be_reused(settings_with: Make) -> None:
    from pipeline.steps import Approve, Reuse

    settings = settings_with()
    with pytest.raises(ValueError, match="Approve has no job"):
        Reuse(settings, Approve(settings))


def test_another_kind_of_job_may_stand_before_training_and_be_skipped(settings_with: Make) -> None:
    """As a transformation of the data will: the training's fingerprint builds on it by itself."""
    from pipeline import steps
    from pipeline.steps.block import Block, Job
    from pipeline.steps.sdk import Task, integration_arn

    class Transform(Block):
        job = Job(fingerprint="transform", result="transformed", kind="transform")

        def __init__(self, settings: view.Settings) -> None:
            request = {"Source.$": "$.run.channels['train'].uri", "Tags": self.job.tags(settings)}
            resource = integration_arn("sagemaker:createTransformJob.sync")
            super().__init__(
                settings,
                [Task("Transform", resource=resource, parameters=request, result_path="$.transformed")],
            )

    settings = settings_with()
    transform, train = Transform(settings), steps.Train(settings, environment={"FROM": "x"})
    train.steps[1].amend({"Environment": {"FROM.$": "$.transformed.uri"}})
    blocks = [
        steps.CheckData(settings),
        steps.Reuse(settings, transform, train),
        transform,
        train,
        steps.Deploy(settings),
    ]
    asl = to_asl(steps.Pipeline(settings, blocks))
    assert ways(asl["States"], "IsTransformedReusable") == {"True": "IsTrainingReusable", "": "Transform"}
    made = recipes(asl)["steps"]
    assert [(step["name"], step["after"]) for step in made] == [("transform", []), ("train", ["transform"])]
    assert [step["image"] for step in made] == [False, True]
