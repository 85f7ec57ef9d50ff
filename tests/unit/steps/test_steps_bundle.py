"""A transform by a program of the container, and Bundle: what the jobs are told, and who takes the bundle."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from pipeline.render.recipes import recipes
from pipeline.settings.model import Channel
from pipeline.settings.transforms import Transform
from pipeline.steps import view
from pipeline.steps.child import to_asl

Make = Callable[..., view.Settings]
FEATURES = {
    "program": "preprocess",
    "reads": ["raw"],
    "arguments": {"LABEL": "sales", "SHARE": 0.2, "ON": True},
}
CHANNELS = {
    "raw": Channel(prefix="input-raw", use="transform").model_dump(),
    "train": Channel(made_by="features").model_dump(),
    "test": Channel(made_by="features", use="evaluate").model_dump(),
}


def made(settings_with: Make, **transforms: dict[str, Any]) -> view.Settings:
    given = {
        name: json.loads(Transform.model_validate(each).model_dump_json())
        for name, each in transforms.items()
    }
    return settings_with({"pipeline.data.channels": CHANNELS, "pipeline.transforms": given})


@pytest.fixture
def settings(settings_with: Make) -> view.Settings:
    return made(settings_with, features=FEATURES)


def whole(settings: view.Settings) -> dict[str, Any]:
    from pipeline import steps

    features = steps.Transform(settings, "features")
    train = steps.Train(settings)
    model = steps.Bundle(settings, train, features)
    evaluate = steps.Evaluate(settings, model)
    blocks = [
        steps.CheckData(settings),
        steps.Reuse(settings, features, train, model, evaluate),
        features,
        train,
        model,
        evaluate,
        steps.Gate(settings, model, evaluate),
        steps.Register(settings, model, evaluate),
        steps.Deploy(settings),
    ]
    return to_asl(steps.Pipeline(settings, blocks))


def states(asl: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = asl["States"]
    return found


def test_a_program_gets_its_channels_as_folders_and_its_arguments(settings: view.Settings) -> None:
    task = states(whole(settings))["Features"]
    assert task["Resource"] == "arn:aws:states:::sagemaker:createProcessingJob.sync"
    given = task["Parameters"]
    assert given["AppSpecification"] == {
        "ImageUri": "${ImageUri}",
        "ContainerEntrypoint": ["/opt/program/preprocess"],
        "ContainerArguments": ["--LABEL", "sales", "--SHARE", "0.2", "--ON", "true"],
    }
    (raw,) = given["ProcessingInputs"]
    assert raw["S3Input"]["LocalPath"] == "/opt/ml/processing/raw"
    assert raw["S3Input"]["S3Uri.$"] == "$.run.channels['raw'].uri"
    (output,) = given["ProcessingOutputConfig"]["Outputs"]
    assert output["S3Output"]["LocalPath"] == "/opt/ml/processing/output"
    assert output["S3Output"]["S3Uri.$"] == "States.Format('{}/features', $.run.output_prefix)"
    assert output["S3Output"]["S3UploadMode"] == "EndOfJob", "nothing half-made is ever read"
    assert given["RoleArn"] == "${ProcessingRoleArn}" and given["NetworkConfig"]["EnableNetworkIsolation"]
    assert {"Key": "fingerprint", "Value.$": "$.run.fingerprints.features"} in given["Tags"]
    assert task["ResultPath"] == "$.transforms.features"
    assert task["ResultSelector"]["output.$"] == "$.ProcessingOutputConfig.Outputs[0].S3Output.S3Uri"


def test_training_and_evaluation_read_the_programs_folders(settings: view.Settings) -> None:
    found = states(whole(settings))
    (channel,) = found["Train"]["Parameters"]["InputDataConfig"]
    assert channel["DataSource"]["S3DataSource"] == {
        "S3DataDistributionType": "FullyReplicated",
        "S3DataType": "S3Prefix",
        "S3Uri.$": "States.Format('{}/train/', $.transforms.features.output)",
    }
    inputs = {i["InputName"]: i["S3Input"] for i in found["Evaluate"]["Parameters"]["ProcessingInputs"]}
    assert inputs["test"]["S3Uri.$"] == "States.Format('{}/test/', $.transforms.features.output)"


def test_what_is_evaluated_is_the_bundle_that_is_registered(settings: view.Settings) -> None:
    found = states(whole(settings))
    bundle = found["Bundle"]["Parameters"]
    inputs = {i["InputName"]: i["S3Input"]["S3Uri.$"] for i in bundle["ProcessingInputs"]}
    assert inputs == {
        "model": "$.training.ModelArtifacts.S3ModelArtifacts",
        "features": "States.Format('{}/model/', $.transforms.features.output)",
    }
    artifact = "$.bundle.ModelArtifacts.S3ModelArtifacts"
    evaluated = {
        i["InputName"]: i["S3Input"]["S3Uri.$"] for i in found["Evaluate"]["Parameters"]["ProcessingInputs"]
    }
    assert evaluated["model"] == artifact
    for name in ("Register", "RegisterRejected"):
        package = found[name]["Parameters"]
        assert package["InferenceSpecification"]["Containers"][0]["ModelDataUrl.$"] == artifact
        known = package["CustomerMetadataProperties"]
        assert known["training_job.$"] == "$.training.TrainingJobName"
        assert known["bundle_job.$"] == "$.bundle.ProcessingJobName"
        assert known["train_fingerprint.$"] == "$.run.fingerprints.train"
    # Where models are, in a place no other run has: whoever may read a model may read this one.
    uri = bundle["ProcessingOutputConfig"]["Outputs"][0]["S3Output"]["S3Uri.$"]
    assert "/output-model/{}/multiclass/demo-dev-{}-bundle'" in uri
    assert uri.endswith(", $.run.date, $.run.run_id)")


def test_each_is_found_again_by_a_fingerprint_of_its_own(settings: view.Settings) -> None:
    asl = whole(settings)
    jobs = {job["result"]: job for job in states(asl)["FindReusable"]["Parameters"]["Payload"]["jobs"]}
    assert jobs["features"]["kind"] == "program" and jobs["features"]["within"] == "transforms"
    assert (jobs["bundle"]["kind"], jobs["bundle"]["model"], jobs["bundle"]["after"]) == (
        *("bundle", "training", "features"),
    )
    assert jobs["evaluation"]["model"] == "bundle"
    steps = {step["name"]: step for step in recipes(asl)["steps"]}
    assert {name: step["after"] for name, step in steps.items()} == {
        "features": [],
        "train": ["features"],
        "bundle": ["features", "train"],
        "evaluate": ["bundle", "features"],
    }
    assert steps["features"]["channels"] == ["raw"] and steps["features"]["image"]


def test_another_argument_is_another_recipe(settings_with: Make, settings: view.Settings) -> None:
    other = made(settings_with, features={**FEATURES, "arguments": {"LABEL": "price"}})
    prints = [{s["name"]: s["recipe"] for s in recipes(whole(each))["steps"]} for each in (settings, other)]
    assert [name for name in prints[0] if prints[0][name] != prints[1][name]] == ["features"]


def test_a_run_without_instances_waits_and_names_are_its_own(settings_with: Make) -> None:
    from pipeline import steps

    settings = made(settings_with, features=FEATURES, more={**FEATURES, "program": "more"})
    names = [
        states(to_asl(steps.Pipeline(settings, [steps.Transform(settings, name)])))[name.title()][
            "Parameters"
        ]["ProcessingJobName.$"]
        for name in ("features", "more")
    ]
    assert names[0] != names[1].replace("more_attempts", "features_attempts")
    found = states(whole(settings))
    for name in ("Features", "Bundle"):
        assert f"Lacks{name}Capacity" in found


def test_what_belongs_to_glue_is_refused_for_a_program(settings_with: Make, settings: view.Settings) -> None:
    from pipeline import steps

    features = steps.Transform(settings, "features")
    with pytest.raises(ValueError, match="reads the reports of Glue jobs; features"):
        steps.QualityGate(settings, features)
    with pytest.raises(ValueError, match="has no manifest"):
        steps.publish(settings, features, "train")
    glue = made(settings_with, features={"script": "demo/features.py", "reads": ["raw"]})
    glue = view.loads(
        json.dumps({**glue, "code": {"scripts": {"features": "s3://b/1.py"}, "library": "s3://b/2.zip"}})
    )
    with pytest.raises(ValueError, match="is a Glue job"):
        steps.Bundle(glue, steps.Train(glue), steps.Transform(glue, "features"))
