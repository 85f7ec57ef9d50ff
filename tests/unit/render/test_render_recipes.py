"""Recipes: what of the state machine decides what is made, step by step, and what does not."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from pipeline.errors import DefinitionError
from pipeline.render.recipes import recipes

Machine = dict[str, Any]


def job(kind: str, result: str, parameters: Machine, fingerprint: str | None) -> Machine:
    tags: list[Machine] = [{"Key": "team", "Value": "flowers"}]
    if fingerprint:
        tags.append({"Key": "fingerprint", "Value.$": fingerprint})
    return {
        "Type": "Task",
        "Resource": f"arn:aws:states:::sagemaker:create{kind}Job.sync",
        "Parameters": {**parameters, "RoleArn": "${TrainingRoleArn}", "Tags": tags},
        "ResultPath": result,
    }


@pytest.fixture
def machine() -> Machine:
    train = {
        "TrainingJobName.$": "$.name",
        "AlgorithmSpecification": {"TrainingImage": "${ImageUri}", "MetricDefinitions": [{"Name": "a"}]},
        "HyperParameters": {"rounds": "10"},
        "InputDataConfig": [{"DataSource": {"S3DataSource": {"S3Uri.$": "$.run.channels['train-1'].uri"}}}],
        "ResourceConfig": {"InstanceCount": 1, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 10},
        "StoppingCondition": {"MaxRuntimeInSeconds": 60},
        "OutputDataConfig": {"S3OutputPath.$": "$.out"},
    }
    evaluate = {
        "AppSpecification": {"ImageUri": "${ImageUri}", "ContainerEntrypoint": ["/opt/program/evaluate"]},
        "ProcessingInputs": [
            {"S3Input": {"S3Uri.$": "$.training.ModelArtifacts.S3ModelArtifacts"}},
            {"S3Input": {"S3Uri.$": "$.run.channels['test'].uri"}},
        ],
        "ProcessingResources": {"ClusterConfig": {"InstanceCount": 1, "InstanceType": "ml.m5.large"}},
    }
    gate = {"Payload": {"rules": [{"metric": "accuracy", "minimum": 0.9}]}}
    config = {"EndpointConfigName.$": "$.c", "ProductionVariants": [{"InstanceType": "ml.m5.large"}]}
    sagemaker = "arn:aws:states:::sagemaker:"
    return {
        "States": {
            "Train": job("Training", "$.training", train, "$.run.fingerprints.train"),
            # Named so that it comes before what it builds on.
            "Assess": job("Processing", "$.evaluation", evaluate, "$.run.fingerprints.assess"),
            "Gate": {"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke", "Parameters": gate},
            "CreateModel": {
                "Type": "Task",
                "Resource": f"{sagemaker}createModel",
                "Parameters": {"ModelName.$": "$.m", "PrimaryContainer": {"ModelPackageName.$": "$.p"}},
            },
            "Config": {"Type": "Task", "Resource": f"{sagemaker}createEndpointConfig", "Parameters": config},
            "Scale": {
                "Type": "Task",
                "Resource": "arn:aws:states:::aws-sdk:applicationautoscaling:registerScalableTarget",
                "Parameters": {"MaxCapacity": 4},
            },
        }
    }


def parts(machine: Machine) -> dict[str, str]:
    found = recipes(machine)
    steps = {step["name"]: step["recipe"] for step in found["steps"]}
    return {**steps, "gate": found["gate"], "serving": found["serving"]}


def test_a_step_knows_its_channels_its_image_and_what_it_builds_on(machine: Machine) -> None:
    train, assess = recipes(machine)["steps"]
    assert (train["name"], train["channels"], train["after"]) == ("train", ["train-1"], [])
    assert (assess["name"], assess["channels"], assess["after"]) == ("assess", ["test"], ["train"])
    assert train["image"] and assess["image"]
    del machine["States"]["Train"]["Parameters"]["AlgorithmSpecification"]["TrainingImage"]
    assert not recipes(machine)["steps"][0]["image"]


def _set(path: str, value: Any) -> Callable[[Machine], None]:
    def change(machine: Machine) -> None:
        place: Any = machine["States"]
        *way, last = path.split("/")
        for part in way:
            place = place[int(part) if part.isdigit() else part]
        place[last] = value

    return change


@pytest.mark.parametrize(
    ("change", "differ"),
    [
        (_set("Train/Parameters/HyperParameters", {"rounds": "11"}), {"train"}),
        (_set("Train/Parameters/Environment", {"A": "b"}), {"train"}),
        (_set("Train/Parameters/ResourceConfig/InstanceCount", 2), {"train"}),
        (_set("Assess/Parameters/AppSpecification/ContainerEntrypoint", ["/other"]), {"assess"}),
        (_set("Gate/Parameters/Payload/rules/0/minimum", 0.95), {"gate"}),
        (_set("Config/Parameters/ProductionVariants/0/InstanceType", "ml.c5.large"), {"serving"}),
        (_set("CreateModel/Parameters/EnableNetworkIsolation", False), {"serving"}),
        (_set("Train/Parameters/EnableNetworkIsolation", False), {"train"}),
        (_set("Assess/Parameters/NetworkConfig", {"EnableNetworkIsolation": False}), {"assess"}),
        (_set("Scale/Parameters/MaxCapacity", 8), {"serving"}),
        # Where and how the same is made.
        (_set("Train/Parameters/ResourceConfig/InstanceType", "ml.c5.large"), set()),
        (_set("Train/Parameters/StoppingCondition/MaxRuntimeInSeconds", 90), set()),
        (_set("Train/Parameters/EnableManagedSpotTraining", True), set()),
        (_set("Train/Parameters/AlgorithmSpecification/MetricDefinitions", []), set()),
        (_set("Train/Parameters/TrainingJobName.$", "$.other"), set()),
        (_set("Train/Parameters/RoleArn", "arn:other"), set()),
        (_set("Train/Parameters/Tags/0/Value", "trees"), set()),
        (_set("Config/Parameters/EndpointConfigName.$", "$.other"), set()),
        (_set("Config/Parameters/Tags", [{"Key": "a", "Value": "b"}]), set()),
        # One's own image counts where the function knows its digest; AWS's counts here, wherever it lies.
        (_set("Train/Parameters/AlgorithmSpecification/TrainingImage", "1.dkr.aws/xgboost:3.0-5"), {"train"}),
    ],
)
def test_what_decides_and_what_does_not(
    machine: Machine, change: Callable[[Machine], None], differ: set[str]
) -> None:
    before, other = parts(machine), copy.deepcopy(machine)
    change(other)
    after = parts(other)
    assert {name for name in before if before[name] != after[name]} == differ


def test_a_job_without_the_tag_may_change_anything(machine: Machine) -> None:
    machine["States"]["Own"] = job("Processing", "$.own", {"Environment": {"A": "1"}}, None)
    before = parts(machine)
    machine["States"]["Own"]["Parameters"]["Environment"] = {"A": "2"}
    after = parts(machine)
    assert {name for name in before if before[name] != after[name]} == {"train", "assess", "gate"}


def test_a_job_that_has_another_fingerprint_is_no_part_of_the_recipe(machine: Machine) -> None:
    before = parts(machine)
    machine["States"]["Champion"] = job(
        "Processing", "$.old", {"Environment": {"A": "1"}}, "$.champion.print"
    )
    assert parts(machine) == before


def test_two_jobs_of_one_fingerprint_and_circles_are_refused(machine: Machine) -> None:
    twice = copy.deepcopy(machine)
    twice["States"]["Again"] = twice["States"]["Train"]
    with pytest.raises(DefinitionError, match="'train', the second is Again"):
        recipes(twice)
    machine["States"]["Train"]["Parameters"]["Environment"] = {"Report.$": "$.evaluation.report"}
    with pytest.raises(DefinitionError, match="circle: assess, train"):
        recipes(machine)
