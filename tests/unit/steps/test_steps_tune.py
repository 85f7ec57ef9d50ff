"""Tune in Train's place: the request SageMaker takes, what it leaves, what makes two searches the same."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from botocore.session import get_session
from botocore.validate import ParamValidator

from pipeline.names import TUNING_NAME, Names
from pipeline.render import permissions
from pipeline.render.recipes import recipes
from pipeline.settings.tuning import Tuning
from pipeline.steps import view
from pipeline.steps.child import to_asl

Make = Callable[..., view.Settings]
TUNING: dict[str, Any] = {
    "strategy": "bayesian",
    "objective": {"metric": "accuracy", "type": "maximize"},
    "max_jobs": 6,
    "max_parallel_jobs": 2,
    "early_stopping": True,
    "seed": 7,
    "target": 0.99,
    "warm_start": {"parents": ["demo-dev-before"], "type": "transfer"},
    "ranges": {
        "rate": {"min": 0.001, "max": 0.5, "scale": "logarithmic"},
        "rounds": {"min": 5, "max": 50},
        "objective": {"values": ["multiclass", "multiclassova"]},
    },
}


def whole(settings: view.Settings) -> dict[str, Any]:
    from pipeline import steps

    train = steps.Tune(settings) if settings.pipeline.tuning else steps.Train(settings)
    evaluate = steps.Evaluate(settings, train)
    blocks = [
        steps.Entrance(settings),
        steps.CheckData(settings),
        steps.Reuse(settings, train, evaluate),
        train,
        evaluate,
        steps.Gate(settings, train, evaluate),
        steps.Register(settings, train, evaluate),
        steps.Approve(settings),
        steps.Deploy(settings),
    ]
    return to_asl(steps.Pipeline(settings, blocks))


def tuned(settings_with: Make, **changes: Any) -> dict[str, Any]:
    return whole(settings_with({"pipeline.tuning": filled(changes.pop("tuning", {})), **changes}))


def filled(changes: dict[str, Any]) -> dict[str, Any]:
    """[tuning] as settings hold it, defaults and all."""
    return Tuning.model_validate({**TUNING, **changes}).model_dump(mode="json")


def plain(value: Any) -> Any:
    """A request with its paths as texts, for botocore."""
    if isinstance(value, dict):
        return {key.removesuffix(".$"): plain(each) for key, each in value.items()}
    return [plain(each) for each in value] if isinstance(value, list) else value


def test_the_request_is_what_botocore_takes(settings_with: Make) -> None:
    spot = {"environment.training.spot": True, "environment.training.max_wait_seconds": 900}
    for changes in ({}, spot):
        state = tuned(settings_with, **changes)["States"]["Tune"]
        assert state["Resource"].endswith(":sagemaker:createHyperParameterTuningJob.sync")
        shape = get_session().get_service_model("sagemaker").operation_model("CreateHyperParameterTuningJob")
        request = plain(state["Parameters"])
        request["TrainingJobDefinition"]["RoleArn"] = "arn:aws:iam::123456789012:role/training"
        report = ParamValidator().validate(request, shape.input_shape)
        assert not report.has_errors(), report.generate_report()
        definition = request["TrainingJobDefinition"]
        assert definition["StaticHyperParameters"] == {"verbose": "true"}
        assert "CheckpointConfig" not in definition
        assert definition["StoppingCondition"].get("MaxWaitTimeInSeconds") == (900 if changes else None)
        config = request["HyperParameterTuningJobConfig"]
        assert config["ParameterRanges"] == {
            "CategoricalParameterRanges": [{"Name": "objective", "Values": ["multiclass", "multiclassova"]}],
            "ContinuousParameterRanges": [
                {"Name": "rate", "MinValue": "0.001", "MaxValue": "0.5", "ScalingType": "Logarithmic"}
            ],
            "IntegerParameterRanges": [
                {"Name": "rounds", "MinValue": "5", "MaxValue": "50", "ScalingType": "Auto"}
            ],
        }
        assert config["HyperParameterTuningJobObjective"] == {"Type": "Maximize", "MetricName": "accuracy"}
        assert config["TrainingJobEarlyStoppingType"] == "Auto"
        assert request["WarmStartConfig"]["WarmStartType"] == "TransferLearning"


def test_it_leaves_what_train_leaves_and_tells_the_registry(settings_with: Make) -> None:
    states = tuned(settings_with)["States"]
    assert states["Tune"]["Next"] == "KeepTuning" and states["KeepTuning"]["Next"] == "DescribeBest"
    assert states["KeepTuning"]["ResultPath"] == "$.tuning"
    assert states["DescribeBest"]["ResultPath"] == states["Tune"]["ResultPath"] == "$.training"
    trained = whole(settings_with())["States"]["Train"]["ResultSelector"]
    assert states["DescribeBest"]["ResultSelector"] == trained
    metadata = states["Register"]["Parameters"]["CustomerMetadataProperties"]
    assert metadata["tuning_job.$"] == "$.tuning.HyperParameterTuningJobName"
    assert metadata["tuned.rate.$"] == "$.tuning.hyperparameters['rate']"
    without = whole(settings_with())["States"]["Register"]["Parameters"]["CustomerMetadataProperties"]
    assert not [key for key in without if key.startswith("tun")]


def test_it_is_found_again_as_a_tuning(settings_with: Make) -> None:
    payload = tuned(settings_with)["States"]["FindReusable"]["Parameters"]["Payload"]["jobs"]
    assert payload[0] == {
        "fingerprint": "train",
        "result": "training",
        "kind": "tuning",
        "model": "",
        "output": "",
        "name": "demo-dev",
    }


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({"max_jobs": 7}, False),
        ({"seed": 8}, False),
        ({"ranges": {**TUNING["ranges"], "rounds": {"min": 5, "max": 51}}}, False),
        ({"objective": {"metric": "accuracy", "type": "minimize"}}, False),
        ({"warm_start": None}, False),
        ({}, True),
    ],
)
def test_what_decides_a_search_is_in_its_fingerprint(
    settings_with: Make, change: dict[str, Any], same: bool
) -> None:
    def recipe(asl: dict[str, Any]) -> dict[str, Any]:
        return {step["name"]: step for step in recipes(asl)["steps"]}

    before, after = recipe(tuned(settings_with)), recipe(tuned(settings_with, tuning=change))
    assert (before["train"]["recipe"] == after["train"]["recipe"]) == same
    assert before["evaluate"]["after"] == ["train"]
    assert before["train"]["channels"] == ["train"] and before["train"]["image"]
    assert recipe(whole(settings_with()))["train"]["recipe"] != before["train"]["recipe"]


def test_another_instance_or_time_limit_is_the_same_search_and_another_regex_is_not(
    settings_with: Make,
) -> None:
    def train(asl: dict[str, Any]) -> str:
        return next(str(step["recipe"]) for step in recipes(asl)["steps"] if step["name"] == "train")

    own = train(tuned(settings_with))
    bigger = {
        "environment.training.instance_type": "ml.m5.xlarge",
        "environment.training.max_runtime_seconds": 60,
    }
    assert train(tuned(settings_with, **bigger)) == own
    regex = {"pipeline.metrics": [{"name": "accuracy", "regex": "other=(.*)"}]}
    assert train(tuned(settings_with, **regex)) != own


def test_the_state_machine_may_pass_the_training_role_and_stop_the_search(settings_with: Make) -> None:
    settings = settings_with({"pipeline.tuning": filled({})})
    statements = permissions.derive(whole(settings), Names.of(settings), [])
    text = json.dumps(statements)
    job = "arn:aws:sagemaker:eu-west-1:123456789012:hyper-parameter-tuning-job/demo-dev-*"
    for action in ("Create", "Describe", "Stop"):
        assert f"sagemaker:{action}HyperParameterTuningJob" in text
    assert job in text
    assert "StepFunctionsGetEventsForSageMakerTuningJobsRule" in text
    passed = [s for s in statements if s["Action"] == ["iam:PassRole"]]
    assert any({"Fn::GetAtt": ["TrainingRole", "Arn"]} in s["Resource"] for s in passed)


@pytest.mark.parametrize(
    ("pipeline", "environment", "expected"),
    [
        ("iris", "dev", "iris-dev"),
        ("big-mart-sales", "prod", "big-mart-sales-prod"),
        ("recommender", "production", "reco"),
    ],
)
def test_names_leave_room_for_a_tuning_jobs_own(pipeline: str, environment: str, expected: str) -> None:
    names = Names("ml", pipeline, environment, "123456789012", "eu-west-1")
    assert names.tuning.startswith(expected)
    assert names.tuning.endswith(f"-{environment}")
    assert len(names.tuning) <= TUNING_NAME
    other = Names("ml", f"{pipeline}-2", environment, "123456789012", "eu-west-1")
    assert other.tuning != names.tuning


def test_a_search_may_take_as_long_as_its_rounds(settings_with: Make) -> None:
    seconds = tuned(settings_with)["States"]["Tune"]["TimeoutSeconds"]
    assert seconds == 3 * (600 + 1800)
    assert (
        tuned(settings_with, tuning={"max_runtime_seconds": 1200})["States"]["Tune"]["TimeoutSeconds"] == 3000
    )
