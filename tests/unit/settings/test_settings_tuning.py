"""[tuning]: an objective that is measured, ranges of hyperparameters, strategies, what belongs to them."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
from pydantic import ValidationError

from pipeline.settings.tuning import Tuning
from pipeline.settings.tuning_problems import tuning_problems

PIPELINE: dict[str, Any] = {
    "hyperparameters": {"rate": 0.1, "depth": 3, "kind": "plain"},
    "metrics": [{"name": "accuracy", "regex": "a=(.*)"}],
    "tuning": {
        "objective": {"metric": "accuracy"},
        "ranges": {
            "rate": {"min": 0.001, "max": 0.5, "scale": "logarithmic"},
            "depth": {"min": 2, "max": 9},
            "kind": {"values": ["plain", "fancy"]},
        },
    },
}
Change = Callable[[dict[str, Any]], Any]


def problems(change: Change | None = None, **pipeline: Any) -> list[str]:
    given = copy.deepcopy({**PIPELINE, **pipeline})
    if change:
        change(given["tuning"])
    return [f"{'.'.join(map(str, key))}: {what}" for key, what, _ in tuning_problems(given)]


def test_what_fits_together_is_no_problem_and_typed() -> None:
    assert problems() == []
    assert list(tuning_problems({})) == []
    tuning = Tuning.model_validate(PIPELINE["tuning"])
    assert {name: each.kind for name, each in tuning.ranges.items()} == {
        "rate": "continuous",
        "depth": "integer",
        "kind": "categorical",
    }
    assert tuning.strategy == "bayesian" and tuning.max_jobs == 10


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda t: t["objective"].update(metric="loss"), "tuning.objective.metric: 'loss' is not one of"),
        (lambda t: t.update(max_jobs=2, max_parallel_jobs=3), "tuning.max_parallel_jobs: 3 at the same time"),
        (
            lambda t: t["ranges"].update(other={"min": 1, "max": 2}),
            "tuning.ranges.other: 'other' is no hyper",
        ),
        (lambda t: t["ranges"]["depth"].update(min=9), "tuning.ranges.depth.min: min 9 is not below max 9"),
        (lambda t: t["ranges"]["depth"].pop("max"), "tuning.ranges.depth: a range needs min and max"),
        (lambda t: t["ranges"]["rate"].update(min=0.0), "tuning.ranges.rate.scale: a logarithm needs values"),
        (lambda t: t["ranges"]["kind"].update(min=1), "tuning.ranges.kind.min: values are given: min has no"),
        (
            lambda t: t["ranges"]["kind"].update(values=["a", "a"]),
            "tuning.ranges.kind.values: a value is there",
        ),
        (
            lambda t: t["ranges"]["depth"].update(scale="reverse-logarithmic"),
            "tuning.ranges.depth.scale: whole numbers have no reverse",
        ),
        (
            lambda t: t["ranges"]["rate"].update(scale="reverse-logarithmic", max=1.0),
            "tuning.ranges.rate.scale: it needs 0 <= x < 1",
        ),
        (lambda t: t.update(strategy="hyperband"), "tuning.hyperband: Hyperband must know how many epochs"),
        (
            lambda t: t.update(strategy="hyperband", early_stopping=True, hyperband={"max_resource": 9}),
            "tuning.early_stopping: Hyperband stops jobs in its own way",
        ),
        (
            lambda t: t.update(strategy="hyperband", hyperband={"min_resource": 5, "max_resource": 3}),
            "tuning.hyperband.min_resource: 5 is above max_resource = 3",
        ),
        (lambda t: t.update(hyperband={"max_resource": 9}), 'tuning.hyperband: strategy = "bayesian"'),
        (lambda t: t.update(strategy="grid"), "tuning.ranges.rate: a grid knows only values"),
    ],
)
def test_what_is_impossible(change: Change, expected: str) -> None:
    found = problems(change)
    assert any(each.startswith(expected) for each in found), found


def test_hyperband_reads_the_epochs_among_the_hyperparameters() -> None:
    hyperparameters = {**PIPELINE["hyperparameters"], "epochs": 9}
    assert problems(lambda t: t.update(strategy="hyperband"), hyperparameters=hyperparameters) == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"strategy": "genetic"},
        {"max_jobs": 0},
        {"warm_start": {"parents": []}},
        {"warm_start": {"parents": ["a_b"]}},
        {"ranges": {}},
        {"objective": {"metric": "accuracy", "type": "highest"}},
    ],
)
def test_values_that_are_none(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Tuning.model_validate({**PIPELINE["tuning"], **wrong})
