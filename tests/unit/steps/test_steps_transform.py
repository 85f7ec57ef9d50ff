"""Transform and Together: what a Glue run is told, what branches leave, and where failure and skips lead."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest

from pipeline.errors import DefinitionError
from pipeline.render.recipes import recipes
from pipeline.settings.model import Channel
from pipeline.steps import view
from pipeline.steps.child import to_asl

Make = Callable[..., view.Settings]
CHANGES: dict[str, Any] = {
    "pipeline.data.channels": {
        "raw-ones": Channel(prefix="input-raw", use="transform").model_dump(),
        "train": Channel(made_by="features").model_dump(),
        "vectors": Channel(made_by="vectors").model_dump(),
        "held-out": Channel(made_by="features", use="evaluate").model_dump(),
    },
    "pipeline.transforms": {
        name: {
            "script": f"demo/{name}.py",
            "program": None,
            "reads": ["raw-ones"],
            "arguments": {"SHARE": 0.5, "SHUFFLE": True},
            "quality": {},
        }
        for name in ("features", "vectors")
    },
    "code": {
        "scripts": {name: f"s3://b/code/{name}.py" for name in ("features", "vectors")},
        "library": "s3://b/code/common.zip",
    },
}


@pytest.fixture
def settings(settings_with: Make) -> view.Settings:
    return settings_with(CHANGES)


def whole(settings: view.Settings, middle: Callable[[Any, Any], list[Any]] | None = None) -> dict[str, Any]:
    """A pipeline with both transforms at once, or with what `middle` makes of them."""
    from pipeline import steps

    features, vectors = steps.Transform(settings, "features"), steps.Transform(settings, "vectors")
    train = steps.Train(settings)
    evaluate = steps.Evaluate(settings, train)
    between = middle(features, vectors) if middle else [steps.Together(settings, [features], [vectors])]
    blocks = [
        steps.CheckData(settings),
        steps.Reuse(settings, features, vectors, train, evaluate),
        *between,
        train,
        evaluate,
        steps.Gate(settings, train, evaluate),
        steps.Register(settings, train, evaluate),
        steps.Deploy(settings),
    ]
    return to_asl(steps.Pipeline(settings, blocks))


def branches(asl: dict[str, Any], name: str = "Together") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = asl["States"][name]["Branches"]
    return found


def test_a_run_is_told_its_code_its_channels_and_its_own_place(settings: view.Settings) -> None:
    task = branches(whole(settings))[0]["States"]["Features"]
    assert task["Resource"] == "arn:aws:states:::glue:startJobRun.sync"
    assert task["Parameters"] == {
        "JobName": "demo-dev-features",
        "Arguments": {
            "--FINGERPRINT.$": "$.run.fingerprints.features",
            "--GLUE_VERSION": "5.1",
            "--OUTPUT_PATH.$": "States.Format('{}/features', $.run.output_prefix)",
            "--QUALITY": "{}",
            "--RAW_ONES_PATH.$": "$.run.channels['raw-ones'].uri",
            "--SHARE": "0.5",
            "--SHUFFLE": "true",
            "--extra-py-files": "s3://b/code/common.zip",
            "--scriptLocation": "s3://b/code/features.py",
        },
    }
    # The job's own limit, and the time until its workers are there.
    assert task["TimeoutSeconds"] == 60 * 60 + 900
    place = branches(whole(settings))[0]["States"]["FeaturesOutput"]
    assert place["ResultPath"] == "$.transforms.features"
    assert place["Parameters"]["output.$"] == task["Parameters"]["Arguments"]["--OUTPUT_PATH.$"]


def test_channels_that_a_transform_makes_are_its_manifests(settings: view.Settings) -> None:
    states = whole(settings)["States"]
    inputs = {
        c["ChannelName"]: c["DataSource"]["S3DataSource"]
        for c in states["Train"]["Parameters"]["InputDataConfig"]
    }
    assert inputs["train"]["S3DataType"] == "ManifestFile"
    assert (
        inputs["train"]["S3Uri.$"] == "States.Format('{}/manifests/train.json', $.transforms.features.output)"
    )
    held_out = states["Evaluate"]["Parameters"]["ProcessingInputs"][1]["S3Input"]
    assert held_out["S3DataType"] == "ManifestFile"
    assert "manifests/held-out.json" in held_out["S3Uri.$"]


def test_a_failure_of_a_branch_fails_the_run_by_its_own_name(settings: view.Settings) -> None:
    asl = whole(settings)
    together = asl["States"]["Together"]
    assert together["Catch"] == [{"ErrorEquals": ["States.ALL"], "Next": "HasCause", "ResultPath": "$.error"}]
    for branch in branches(asl):
        for state in branch["States"].values():
            leads = [state.get("Next"), state.get("Default"), *(c["Next"] for c in state.get("Choices", []))]
            assert set(filter(None, leads)) <= set(branch["States"])
    assert "States.TaskFailed" not in json.dumps(branches(asl))


def test_each_branch_skips_what_exists(settings: view.Settings) -> None:
    first, second = branches(whole(settings))
    gateway = first["States"]["IsFeaturesReusable"]
    assert first["StartAt"] == "IsFeaturesReusable"
    assert gateway["Default"] == "Features"
    assert gateway["Choices"][0]["Variable"] == "$.reuse.features.reuse"
    assert first["States"][gateway["Choices"][0]["Next"]]["End"] is True
    assert second["StartAt"] == "IsVectorsReusable"


def test_what_branches_made_is_merged_and_the_rest_dropped(settings: view.Settings) -> None:
    states = whole(settings)["States"]
    assert states["Together"]["ResultPath"] == "$.together"
    merged = states["Together"]["ResultSelector"]["transforms.$"]
    assert merged == "States.JsonMerge($[0].transforms, $[1].transforms, false)"
    assert states["MergeTogether"]["InputPath"] == "$.together.transforms"
    assert states["MergeTogether"]["ResultPath"] == "$.transforms"


def test_a_raw_step_may_follow_in_a_branch(settings: view.Settings) -> None:
    from pipeline import steps
    from pipeline.steps.block import Failure, call

    publish = call("Publish", "ssm", "putParameter", {"Name": "/x", "Value.$": "$.transforms.vectors.output"})
    publish.retries = []
    asl = whole(settings, lambda a, b: [steps.Together(settings, [a], [b, publish])])
    second = branches(asl)[1]["States"]
    assert second["IsVectorsReusable"]["Choices"][0]["Next"] == "Publish"
    assert second["Publish"]["Retry"] and second["Publish"]["End"] is True

    lonely = Failure("NothingToPublish", "there is nothing")
    failing = whole(settings, lambda a, b: [steps.Together(settings, [a], [b, lonely])])
    # It fails the branch, and with it the whole: no state may lead out of a branch.
    ends = branches(failing)[1]["States"]["NothingToPublishInTogether"]
    assert (ends["Type"], ends["ErrorPath"]) == ("Fail", "$.error.Error")


def test_one_after_another_needs_no_merge(settings: view.Settings) -> None:
    states = whole(settings, lambda a, b: [a, b])["States"]
    assert states["FeaturesOutput"]["Next"] == "IsVectorsReusable"
    assert states["IsFeaturesReusable"]["Choices"][0]["Next"] == "IsVectorsReusable"
    assert "Together" not in states


def test_the_longest_branch_counts_for_the_time_limit(settings: view.Settings) -> None:
    together = whole(settings)["TimeoutSeconds"]
    one_by_one = whole(settings, lambda a, b: [a, b])["TimeoutSeconds"]
    assert one_by_one - together == 60 * 60 + 900


def test_blocks_that_jump_cannot_stand_in_a_branch(settings: view.Settings) -> None:
    from pipeline import steps

    with pytest.raises(DefinitionError, match="Train cannot stand inside Together"):
        steps.Together(settings, [steps.Transform(settings, "features")], [steps.Train(settings)])
    with pytest.raises(DefinitionError, match="two branches"):
        steps.Together(settings, [steps.Transform(settings, "features")])


def test_a_transform_that_settings_do_not_name(settings: view.Settings) -> None:
    from pipeline import steps

    with pytest.raises(ValueError, match="no transform 'fetures'; it has: features, vectors"):
        steps.Transform(settings, "fetures")


def steps_of(asl: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {step["name"]: step for step in recipes(asl)["steps"]}


def test_fingerprints_follow_the_data_through_the_transforms(settings: view.Settings) -> None:
    found = steps_of(whole(settings))
    assert found["features"]["channels"] == ["raw-ones"]
    assert found["features"]["after"] == []
    assert found["features"]["image"] is False
    assert found["train"]["channels"] == []
    assert found["train"]["after"] == ["features", "vectors"]
    assert found["evaluate"]["after"] == ["features", "train"]


@pytest.mark.parametrize(
    ("change", "counts"),
    [
        ({"code.scripts": {"features": "s3://b/code/2.py", "vectors": "s3://b/code/vectors.py"}}, True),
        ({"code.library": "s3://b/code/other.zip"}, True),
        ({"environment.transform.glue_version": "5.0"}, True),
        ({"environment.transform.workers": 10}, False),
        ({"environment.transform.worker_type": "G.2X"}, False),
        ({"environment.transform.timeout_minutes": 5}, False),
        # Another account's bucket.
        (
            {
                "code.library": "s3://other/code/common.zip",
                "code.scripts": {n: f"s3://other/code/{n}.py" for n in ("features", "vectors")},
            },
            False,
        ),
    ],
)
def test_what_counts_into_a_transform(settings_with: Make, change: dict[str, Any], counts: bool) -> None:
    before = steps_of(whole(settings_with(CHANGES)))["features"]["recipe"]
    after = steps_of(whole(settings_with(copy.deepcopy({**CHANGES, **change}))))["features"]["recipe"]
    assert (before != after) is counts


def test_an_argument_of_one_transform_is_not_the_others(settings_with: Make) -> None:
    changed = json.loads(json.dumps(CHANGES))
    changed["pipeline.transforms"]["vectors"]["arguments"]["SHARE"] = 0.6
    before, after = steps_of(whole(settings_with(CHANGES))), steps_of(whole(settings_with(changed)))
    assert before["features"] == after["features"]
    assert before["vectors"]["recipe"] != after["vectors"]["recipe"]


def test_find_reusable_is_told_the_glue_jobs(settings: view.Settings) -> None:
    jobs = whole(settings)["States"]["FindReusable"]["Parameters"]["Payload"]["jobs"]
    assert jobs[0] == {
        "fingerprint": "features",
        "result": "features",
        "kind": "transform",
        "model": "",
        "output": "",
        "within": "transforms",
        "name": "demo-dev-features",
    }
    # What pipelines without transforms say stays as it was.
    assert set(jobs[2]) == {"fingerprint", "result", "kind", "model", "output"}
