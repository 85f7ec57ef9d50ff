"""What CreateHyperParameterTuningJob refuses, in AWS's words where they are known."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.local.sagemaker import tuning_job_checks as checks
from pipeline.local.sagemaker import tuning_job_request, validation
from pipeline.local.sagemaker.errors import SageMakerError
from pipeline.local.sagemaker.store import Scope, store

SCOPE = Scope("111122223333", "eu-west-1")
GOOD: dict[str, Any] = {
    "HyperParameterTuningJobName": "h",
    "HyperParameterTuningJobConfig": {
        "Strategy": "Bayesian",
        "HyperParameterTuningJobObjective": {"Type": "Maximize", "MetricName": "accuracy"},
        "ResourceLimits": {"MaxNumberOfTrainingJobs": 4, "MaxParallelTrainingJobs": 2},
        "ParameterRanges": {
            "ContinuousParameterRanges": [{"Name": "rate", "MinValue": "0.001", "MaxValue": "1"}]
        },
    },
    "TrainingJobDefinition": {
        "StaticHyperParameters": {"depth": "3"},
        "AlgorithmSpecification": {
            "TrainingImage": "111122223333.dkr.ecr.eu-west-1.amazonaws.com/ml/x:1",
            "TrainingInputMode": "File",
            "MetricDefinitions": [{"Name": "accuracy", "Regex": "accuracy=(.*);"}],
        },
        "RoleArn": "arn:aws:iam::111122223333:role/training",
        "OutputDataConfig": {"S3OutputPath": "s3://b/out"},
        "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
        "StoppingCondition": {"MaxRuntimeInSeconds": 60},
    },
}


def changed(change: Callable[[dict[str, Any], dict[str, Any]], None]) -> dict[str, Any]:
    request = copy.deepcopy(GOOD)
    change(request["HyperParameterTuningJobConfig"], request["TrainingJobDefinition"])
    return request


def integer(low: str, high: str, **more: str) -> dict[str, Any]:
    return {"IntegerParameterRanges": [{"Name": "leaves", "MinValue": low, "MaxValue": high, **more}]}


def continuous(low: str, high: str, scaling: str) -> dict[str, Any]:
    given = {"Name": "rate", "MinValue": low, "MaxValue": high, "ScalingType": scaling}
    return {"ContinuousParameterRanges": [given]}


def test_the_model_of_botocore_and_our_checks_take_a_good_request() -> None:
    checks.check(validation.check("CreateHyperParameterTuningJob", GOOD))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda _c, d: d["AlgorithmSpecification"].update(MetricDefinitions=[]),
            "A metric is required for this hyperparameter tuning job objective. Provide a metric in the "
            "metric definitions.",
        ),
        (
            lambda c, _d: c.update(ParameterRanges=integer("1", "3")),
            "You don't have enough combinations of hyperparameter ranges. The total number of hyperparameter "
            "combinations for the provided ranges [3.0] must be equal or greater than the value of "
            "MaxNumberOfJobs, [4]. Provide additional ranges.",
        ),
        (lambda c, _d: c.update(ParameterRanges=continuous("0", "1", "Logarithmic")), "greater than 0"),
        (lambda c, _d: c.update(ParameterRanges=continuous("0", "1", "ReverseLogarithmic")), "0<=x<1.0"),
        (
            lambda c, _d: c.update(ParameterRanges=integer("1", "9", ScalingType="ReverseLogarithmic")),
            "0<=x<1.0",
        ),
        (lambda c, _d: c.update(ParameterRanges=integer("1.5", "9")), "MinValue '1.5' .* is not an integer"),
        (
            lambda c, _d: c.update(ParameterRanges=continuous("2", "1", "Linear")),
            "less than or equal to MaxValue",
        ),
        (lambda c, _d: c.update(ParameterRanges={}), "At least one hyperparameter range"),
        (lambda _c, d: d["StaticHyperParameters"].update(rate="1"), "both static and in a range"),
        (lambda c, _d: c.update(Strategy="Hyperband"), "MaxResource must be provided"),
        (
            lambda c, _d: c.update(Strategy="Hyperband", TrainingJobEarlyStoppingType="Auto"),
            "TrainingJobEarlyStoppingType must be OFF to use Hyperband",
        ),
        (
            lambda c, _d: c.update(StrategyConfig={"HyperbandStrategyConfig": {"MaxResource": 3}}),
            "only be provided when the strategy is Hyperband",
        ),
        (lambda c, _d: c.update(Strategy="Grid"), "Only categorical parameters"),
        (
            lambda c, _d: c["ResourceLimits"].pop("MaxNumberOfTrainingJobs"),
            "MaxNumberOfTrainingJobs, Max.* required",
        ),
        (
            lambda c, _d: c.update(
                TuningJobCompletionCriteria={"ConvergenceDetected": {"CompleteOnConvergence": "Enabled"}}
            ),
            "ConvergenceDetected is not supported by the local target",
        ),
    ],
)
def test_refusals(change: Callable[[dict[str, Any], dict[str, Any]], None], message: str) -> None:
    request = changed(change)
    if "combinations" in message or message.startswith("A metric"):
        with pytest.raises(SageMakerError) as found:
            checks.check(validation.check("CreateHyperParameterTuningJob", request))
        assert found.value.message == message
        return
    with pytest.raises(SageMakerError, match=message):
        checks.check(validation.check("CreateHyperParameterTuningJob", request))


def test_hyperband_infers_its_resource_from_the_epochs() -> None:
    def change(config: dict[str, Any], definition: dict[str, Any]) -> None:
        config["Strategy"] = "Hyperband"
        definition["StaticHyperParameters"]["epochs"] = "12"

    found = checks.resource_of(changed(change))
    assert found is not None and (found.least, found.most) == (1, 12)


def test_the_training_job_is_one_that_create_training_job_takes() -> None:
    request = copy.deepcopy(GOOD)
    request["TrainingJobDefinition"]["CheckpointConfig"] = {"S3Uri": "s3://b/checkpoints/"}
    record = {**request, "TrainingJobDefinition": tuning_job_request.definition_of(request)}
    made = tuning_job_request.training_request(record, "h-001-0123abcd", {"rate": "0.5"})
    validation.check("CreateTrainingJob", made)
    assert made["HyperParameters"] == {"_tuning_objective_metric": "accuracy", "depth": "3", "rate": "0.5"}
    assert made["CheckpointConfig"]["S3Uri"] == "s3://b/checkpoints/h-001-0123abcd"


def test_flexible_instances_take_the_first_of_their_order() -> None:
    first = {"InstanceType": "ml.c5.xlarge", "InstanceCount": 1, "VolumeSizeInGB": 3}
    second = {"InstanceType": "ml.m5.xlarge", "InstanceCount": 1, "VolumeSizeInGB": 4}
    given = {"InstanceConfigs": [first, second], "AllocationStrategy": "Prioritized"}
    assert tuning_job_request.resources({"HyperParameterTuningResourceConfig": given}) == first


@pytest.fixture
def parent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.setattr(store, "_root", tmp_path)
    monkeypatch.setattr(store, "_kinds", {})
    record = {
        **copy.deepcopy(GOOD),
        "TrainingJobDefinition": tuning_job_request.definition_of(GOOD),
        "HyperParameterTuningJobStatus": "Completed",
        "Jobs": [],
    }
    store.put(SCOPE, "hyper-parameter-tuning-job", "parent", record)
    return record


def warm(request: dict[str, Any], name: str = "parent") -> dict[str, Any]:
    parents = [{"HyperParameterTuningJobName": name}]
    return request | {
        "WarmStartConfig": {"ParentHyperParameterTuningJobs": parents, "WarmStartType": "TransferLearning"}
    }


def test_a_parent_that_fits(parent: dict[str, Any]) -> None:
    checks.check_parents(warm(GOOD), SCOPE)

    def static_now_tuned(config: dict[str, Any], definition: dict[str, Any]) -> None:
        definition["StaticHyperParameters"] = {}
        config["ParameterRanges"]["IntegerParameterRanges"] = [
            {"Name": "depth", "MinValue": "1", "MaxValue": "9"}
        ]

    checks.check_parents(warm(changed(static_now_tuned)), SCOPE)
    assert parent


def test_parents_that_do_not_fit(parent: dict[str, Any]) -> None:
    with pytest.raises(SageMakerError, match="nobody does not exist"):
        checks.check_parents(warm(GOOD, "nobody"), SCOPE)
    more = changed(lambda _c, d: d["StaticHyperParameters"].update(extra="1"))
    with pytest.raises(SageMakerError, match=r"must remain the same .* 2 in parent, 3 now"):
        checks.check_parents(warm(more), SCOPE)
    other = changed(lambda c, _d: c["HyperParameterTuningJobObjective"].update(Type="Minimize"))
    with pytest.raises(SageMakerError, match="objective metric of the tuning job must be the same"):
        checks.check_parents(warm(other), SCOPE)
    as_integer = {"IntegerParameterRanges": [{"Name": "rate", "MinValue": "1", "MaxValue": "9"}]}
    kind = changed(lambda c, _d: c.update(ParameterRanges=as_integer))
    with pytest.raises(SageMakerError, match="type of the hyperparameter rate must not change"):
        checks.check_parents(warm(kind), SCOPE)
    store.put(
        SCOPE,
        "hyper-parameter-tuning-job",
        "parent",
        parent | {"HyperParameterTuningJobStatus": "InProgress"},
    )
    with pytest.raises(SageMakerError, match="must be in a terminal state"):
        checks.check_parents(warm(GOOD), SCOPE)
