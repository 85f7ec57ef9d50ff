"""Transforms in a plan: what the next run skips of them, what they cost, and what is uploaded."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest

from pipeline import cost
from pipeline.cost.prices import Price, Prices
from pipeline.plan import desired, skips
from pipeline.plan.model import ImageAction
from pipeline.plan.skips import Forecast
from pipeline.render.model import LambdaPackage

SYNC = "arn:aws:states:::{}.sync"
NEW = {"new": True, "date": "2026-11-21", "reason": "the data differs"}
THERE = ImageAction("ml/x", "src-1", "sha256:aa", "u", "reuse", "it is there")
BUILT = ImageAction("ml/x", "src-2", how="build", why="not in the registry")


def glue(name: str, following: str = "") -> dict[str, Any]:
    return {
        "Type": "Task",
        "Resource": SYNC.format("glue:startJobRun"),
        "Parameters": {"JobName": f"x-dev-{name}"},
        "ResultPath": f"$.transforms.{name}",
        **({"Next": following} if following else {"End": True}),
    }


def job(name: str, kind: str, within: str = "") -> dict[str, str]:
    return {"fingerprint": name, "result": name, "kind": kind, "within": within}


ASL: dict[str, Any] = {
    "StartAt": "Find",
    "States": {
        "Find": {
            "Type": "Task",
            "Resource": "arn:aws:states:::lambda:invoke",
            "Parameters": {
                "Payload": {
                    "jobs": [
                        job("features", "transform", "transforms"),
                        job("vectors", "transform", "transforms"),
                        job("training", "training"),
                    ]
                }
            },
            "Next": "Together",
        },
        "Together": {
            "Type": "Parallel",
            "Branches": [
                {"StartAt": "Features", "States": {"Features": glue("features")}},
                {"StartAt": "Vectors", "States": {"Vectors": glue("vectors")}},
            ],
            "Next": "Train",
        },
        "Train": {
            "Type": "Task",
            "Resource": SYNC.format("sagemaker:createTrainingJob"),
            "ResultPath": "$.training",
            "Next": "Done",
        },
        "Done": {"Type": "Succeed"},
    },
}
JOB = {"WorkerType": "G.2X", "NumberOfWorkers": 5, "Timeout": 60, "Name": "x-dev-features"}


def does(said: Forecast, image: ImageAction = THERE) -> dict[str, tuple[str, str]]:
    return {step.step: (step.does, step.why) for step in skips.steps(ASL, image, said)}


def test_each_transform_is_skipped_for_its_own_reason() -> None:
    reuse = {
        "model": {"reuse": False},
        "features": {"reuse": True, "why": "Glue run jr_1 had the same"},
        "vectors": {"reuse": False, "why": "no Glue run"},
        "training": {"reuse": False, "why": "nothing completed"},
    }
    said = does(Forecast(NEW, reuse))
    assert said["Features"] == ("skip", "Glue run jr_1 had the same")
    assert said["Vectors"] == ("run", "no Glue run")
    assert list(said)[2:5] == ["Features", "Vectors", "Train"]


def test_a_new_image_makes_no_transform_anew() -> None:
    said = does(Forecast(NEW), BUILT)
    assert said["Features"][0] == "depends" and "no part of it" in said["Features"][1]
    assert said["Train"][0] == "run"


def test_offline_what_changes_is_made_anew_and_what_follows_it() -> None:
    changed = {"features": True, "vectors": False, "training": False, "gate": False}
    said = does(Forecast(recipes=changed))
    assert said["Features"] == ("run", "what it is made of changes")
    assert said["Vectors"][0] == "depends"
    assert said["Train"] == ("run", "a step before it changes")
    built = does(Forecast(recipes=dict.fromkeys(changed, False)), BUILT)
    assert built["Features"][0] == "depends" and built["Train"][0] == "run"


def template(**more: Any) -> dict[str, Any]:
    machine = {
        "Type": "AWS::StepFunctions::StateMachine",
        "Properties": {"DefinitionString": json.dumps(ASL)},
    }
    return {"Resources": {"M": machine, "J": {"Type": "AWS::Glue::Job", "Properties": {**JOB, **more}}}}


def features(took: cost.Duration | None, prices: Prices, **more: Any) -> cost.Line:
    used = cost.usage(template(**more))
    durations = {"Features": took} if took else {}
    return next(line for line in cost.estimate(used, prices, durations).lines if line.what == "Features")


PRICES = Prices("somewhere", {"dpu_hour": Price(0.5, "list", "2026-01-01")})


@pytest.mark.parametrize(
    ("seconds", "usd"),
    # Five workers of two DPUs; a run of less than a minute is billed as one.
    [(720, 10 * 0.2 * 0.5), (60, 10 / 60 * 0.5), (20, 10 / 60 * 0.5)],
)
def test_a_glue_run_costs_its_dpus_by_the_second(seconds: float, usd: float) -> None:
    line = features(cost.Duration(seconds, "as jr_1 took"), PRICES)
    assert line.high == pytest.approx(usd) and line.low == pytest.approx(usd)


def test_what_nobody_measured_is_at_most_its_time_limit() -> None:
    line = features(None, PRICES)
    assert (line.low, line.high) == (0.0, pytest.approx(10 * 0.5))


@pytest.mark.parametrize(("prices", "worker"), [(Prices("x"), "G.2X"), (PRICES, "Z.9X")])
def test_without_a_price_it_is_unknown_and_not_nothing(prices: Prices, worker: str) -> None:
    line = features(cost.Duration(60, ""), prices, WorkerType=worker)
    assert line.high is None


def test_the_table_has_a_dpu_hour_where_one_is_published() -> None:
    price = cost.of("us-east-1").find("dpu_hour")
    assert price is not None and price.source.startswith("https://aws.amazon.com/glue/pricing/")


def test_an_object_is_uploaded_once_whoever_uses_it() -> None:
    script = b"print()"
    rendered = SimpleNamespace(
        lambdas=(LambdaPackage("gate", b"zip"),),
        scripts=(
            LambdaPackage("features", script, ".py"),
            LambdaPackage("vectors", script, ".py"),
            LambdaPackage("common", b"library"),
        ),
        context=None,
    )
    settings: Any = SimpleNamespace(artifact_bucket="b")
    found = desired.uploads(settings, rendered)  # type: ignore[arg-type]
    assert [upload.what for upload in found] == ["gate", "Glue: features", "Glue: common"]
    assert found[1].key.endswith(".py")
