"""[algorithm]: what is carried, and what AWS's image would refuse, told before anything runs."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from pipeline import algorithms
from pipeline.settings.algorithm_problems import algorithm_problems
from pipeline.settings.tuning_problems import tuning_problems

PIPELINE: dict[str, Any] = {
    "algorithm": {"name": "xgboost", "version": "3.0-5"},
    "hyperparameters": {
        "num_round": 100,
        "objective": "reg:squarederror",
        "learning_rate": 0.1,
        "eval_metric": "mae,rmse",
        "early_stopping_rounds": 5,
        "save_model_on_termination": True,
    },
    "data": {
        "channels": {
            "train": {"prefix": "a"},
            "validation": {"prefix": "b"},
            "raw": {"prefix": "c", "use": "evaluate", "content_type": "image/png"},
        }
    },
}


def problems(change: Callable[[dict[str, Any]], Any] | None = None) -> list[str]:
    given = copy.deepcopy(PIPELINE)
    if change:
        change(given)
    return [f"{'.'.join(map(str, key))}: {what} ({hint})" for key, what, hint in algorithm_problems(given)]


def test_what_aws_takes_is_no_problem() -> None:
    assert problems() == []
    assert list(algorithm_problems({"hyperparameters": {"anything": "goes"}})) == []


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (
            lambda p: p["algorithm"].update(name="linear-learner"),
            "algorithm.name: the built-in algorithm 'linear-learner' is not carried "
            "(carried: xgboost (1.7-1, 3.0-5)",
        ),
        (
            lambda p: p["algorithm"].update(version="0.90-2"),
            "algorithm.version: xgboost 0.90-2 is not carried",
        ),
        (lambda p: p["hyperparameters"].pop("num_round"), "hyperparameters: the hyperparameter num_round is"),
        (lambda p: p["hyperparameters"].update(num_rounds=3), "(did you mean 'num_round'?)"),
        (lambda p: p["hyperparameters"].update(eta=0.3), "hyperparameters.learning_rate: is the same as eta"),
        (
            lambda p: p["hyperparameters"].update(max_depth=2.5),
            "hyperparameters.max_depth: '2.5' is no whole",
        ),
        (lambda p: p["hyperparameters"].update(subsample=0), "hyperparameters.subsample: 0 is out of range"),
        (
            lambda p: p["hyperparameters"].update(booster="tree"),
            "hyperparameters.booster: 'tree' is not allowed",
        ),
        (
            lambda p: p["hyperparameters"].update(objective="reg:l2"),
            "hyperparameters.objective: 'reg:l2' is not",
        ),
        (lambda p: p["hyperparameters"].update(objective="multi:softmax"), "multi:softmax needs num_class"),
        (
            lambda p: p["hyperparameters"].update(eval_metric="rmse,acc"),
            "'acc' is no metric (allowed: accuracy",
        ),
        (lambda p: p["hyperparameters"].update(eval_metric="auc"), "auc is of binary: and rank: objectives"),
        (
            lambda p: p["hyperparameters"].update(eval_metric="rmse@1"),
            "only error, map, ndcg take a threshold",
        ),
        (lambda p: p["hyperparameters"].pop("eval_metric"), "stops early only by an eval_metric"),
        (lambda p: p["data"]["channels"].pop("validation"), "stops early only by a channel 'validation'"),
        (lambda p: p["data"]["channels"].pop("train"), "data.channels: xgboost trains on a channel 'train'"),
        (
            lambda p: p["data"]["channels"]["raw"].update(use="train"),
            "data.channels.raw: xgboost knows no channel 'raw'",
        ),
        (
            lambda p: p["data"]["channels"]["train"].update(content_type="application/json"),
            "data.channels.train.content_type: xgboost does not read application/json",
        ),
        (
            lambda p: p.update(metrics=[{"name": "a", "regex": "(b)"}]),
            "metrics: xgboost brings its own metrics",
        ),
        (
            lambda p: p.update(tuning={"ranges": {"eta": {"min": 0.1, "max": 3}}}),
            "tuning.ranges.eta.max: 3 is out of range (allowed: a number from 0 to 1)",
        ),
    ],
)
def test_what_aws_would_refuse_is_told(change: Callable[[dict[str, Any]], Any], expected: str) -> None:
    found = problems(change)
    assert any(expected in each for each in found), found


def test_a_search_may_look_at_the_algorithms_own_metrics() -> None:
    tuning = {"objective": {"metric": "validation:rmse"}, "ranges": {}}
    assert list(tuning_problems({**PIPELINE, "tuning": tuning})) == []
    tuning["objective"] = {"metric": "rmse"}
    assert any(
        "'rmse' is not one of" in what for _, what, _ in tuning_problems({**PIPELINE, "tuning": tuning})
    )


def test_metric_definitions_fit_into_a_request_and_find_their_values() -> None:
    import re

    found = {each["Name"]: each["Regex"] for each in algorithms.metric_definitions("xgboost")}
    assert len(found) <= 40  # of MetricDefinitionList in botocore's model
    line = "[7]#011train-rmse:1.5#011validation-rmse:2.25#011validation-aft-nloglik:3e-05"
    values = {name: match[1] for name, regex in found.items() if (match := re.search(regex, line))}
    assert values == {"train:rmse": "1.5", "validation:rmse": "2.25", "validation:aft-nloglik": "3e-05"}
