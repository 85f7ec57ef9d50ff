"""The gate before the training: what it asks, what it does with the answer, what the registry learns."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from pipeline import steps
from pipeline.render.recipes import recipes
from pipeline.settings.transforms import Transform
from pipeline.steps import view
from pipeline.steps.child import to_asl

Make = Callable[..., view.Settings]
DRIFT = {"psi": 0.2, "ignore": ["at"]}


@pytest.fixture
def made(settings_with: Make) -> Callable[..., view.Settings]:
    def make(quality: dict[str, Any]) -> view.Settings:
        transform = Transform.model_validate(
            {"script": "demo/features.py", "reads": ["raw"], "quality": quality}
        )
        channels = settings_with().pipeline.data.channels
        raw = {**channels["train"], "prefix": "input-raw", "use": "transform", "made_by": None}
        found: view.Settings = settings_with(
            {
                "pipeline.transforms": {"features": json.loads(transform.model_dump_json())},
                "pipeline.data.channels": {**channels, "raw": raw},
                "code": {"scripts": {"features": "s3://b/code/1.py"}, "library": "s3://b/code/2.zip"},
            }
        )
        return found

    return make


def asl_of(settings: view.Settings) -> dict[str, Any]:
    features = steps.Transform(settings, "features")
    train = steps.Train(settings)
    evaluate = steps.Evaluate(settings, train)
    blocks = [steps.CheckData(settings), features, steps.QualityGate(settings, features), train, evaluate,
              steps.Gate(settings, train, evaluate), steps.Register(settings, train, evaluate),
              steps.Deploy(settings)]  # fmt: skip
    asl: dict[str, Any] = to_asl(steps.Pipeline(settings, blocks))
    return asl


def test_only_data_that_passed_is_trained_on(made: Callable[..., view.Settings]) -> None:
    states = asl_of(made({"raw": {"minimum_rows": 5}}))["States"]
    assert states["QualityGate"]["Next"] == "DataPassed"
    choice = states["DataPassed"]
    assert choice["Choices"] == [
        {"Variable": "$.quality.passed", "BooleanEquals": True, "Next": "BeginTrain"}
    ]
    assert choice["Default"] == "NotifyDataRejected"
    told = states["NotifyDataRejected"]
    assert told["Next"] == "DataRejected"
    assert {c["Next"] for c in told["Catch"]} == {"DataRejected"}, "a message that fails changes nothing"
    assert states["DataRejected"] == {
        "Type": "Fail",
        "Error": "DataRejected",
        "CausePath": "$.quality.reason",
    }


def test_the_function_is_told_where_each_transform_left_its_report(
    made: Callable[..., view.Settings],
) -> None:
    states = asl_of(made({"train": {"drift": DRIFT}}))["States"]
    payload = states["QualityGate"]["Parameters"]["Payload"]
    assert payload["outputs"] == {"features.$": "$.transforms.features.output"}
    assert payload["fingerprints"] == {"features.$": "$.run.fingerprints.features"}
    assert payload["rules"] == {"features": {"train": {"psi": 0.2, "ignore": ["at"], "action": "stop"}}}
    assert "AreNotesToTell" not in states


def test_the_script_is_given_the_rules_but_not_those_of_drift(made: Callable[..., view.Settings]) -> None:
    rules = {"train": {"drift": DRIFT, "key": ["id"], "columns": {"a": {"minimum": 1}}}, "raw": {}}
    states = asl_of(made(rules))["States"]
    given = json.loads(states["Features"]["Parameters"]["Arguments"]["--QUALITY"])
    assert given == {"raw": {}, "train": {"key": ["id"], "columns": {"a": {"minimum": 1.0}}}}


def test_rules_of_drift_are_part_of_what_a_model_is_judged_by(made: Callable[..., view.Settings]) -> None:
    loose, strict = (recipes(asl_of(made({"train": {"drift": {"psi": psi}}}))) for psi in (0.2, 0.1))
    assert loose["gate"] != strict["gate"]
    assert loose["steps"] == strict["steps"], "nothing is made anew for them"


def test_the_registry_learns_what_data_a_model_was_made_of(made: Callable[..., view.Settings]) -> None:
    states = asl_of(made({"raw": {}}))["States"]
    kept = states["Register"]["Parameters"]["CustomerMetadataProperties"]
    assert kept["data_profile.$"] == "$.quality.profile"
    assert kept["data_quality_uri.$"] == "$.quality.report"
    assert kept["data_quality.$"] == "$.quality.summary"
    assert kept["git_sha.$"] == "$.run.provenance.git_sha", "and all it knew before"


def test_drift_that_is_only_told_goes_on_to_the_training(made: Callable[..., view.Settings]) -> None:
    states = asl_of(made({"train": {"drift": {**DRIFT, "action": "tell"}}}))["States"]
    onward = states["AreNotesToTell"]
    assert onward["Choices"] == [
        {"Variable": "$.quality.notes", "StringGreaterThan": "", "Next": "NotifyDataNotes"}
    ]
    assert states["NotifyDataNotes"]["Next"] == onward["Default"]
    assert states["DataPassed"]["Choices"][0]["Next"] == "AreNotesToTell"


def test_a_gate_without_transforms_is_refused(made: Callable[..., view.Settings]) -> None:
    with pytest.raises(ValueError, match="name one or more"):
        steps.QualityGate(made({}))
