"""query_training_metrics: by name, whatever the order; what is missing or no number names what there is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pipeline.lambdas.query_training_metrics import handler as query

NOW = datetime(2026, 11, 22, tzinfo=UTC)


def job(*metrics: tuple[str, float], name: str = "recommender-dev-1") -> dict[str, Any]:
    listed = [
        {"MetricName": metric, "Value": value, "Timestamp": NOW + timedelta(seconds=at)}
        for at, (metric, value) in enumerate(metrics)
    ]
    return {"TrainingJobName": name, "FinalMetricDataList": listed}


def test_the_name_counts_and_not_the_place() -> None:
    first = job(("train:accuracy", 0.99), ("validation:accuracy", 0.63))
    last = job(("validation:accuracy", 0.63), ("train:accuracy", 0.99))
    for found in (first, last):
        assert query.decide(found, ["validation:accuracy"], [])["metrics"] == {"validation:accuracy": 0.63}


def test_of_a_name_that_is_there_twice_the_latest_counts() -> None:
    found = job(("auc", 0.7), ("auc", 0.8))
    found["FinalMetricDataList"].reverse()
    assert query.decide(found, ["auc"], [])["metrics"] == {"auc": 0.8}


@pytest.mark.parametrize(
    ("metrics", "said"),
    [
        ([("roc_auc", 0.7), ("pr_auc", 0.8)], "no metric accuracy; it has pr_auc=0.8, roc_auc=0.7"),
        ([("accuracy", float("nan")), ("pr_auc", 0.8)], "accuracy is nan; it has accuracy=nan, pr_auc=0.8"),
        ([("accuracy", float("inf"))], "accuracy is inf"),
        ([], "no metric accuracy; it has none at all"),
    ],
)
def test_what_is_missing_or_no_number_is_an_error_that_says_what_there_is(
    metrics: list[tuple[str, float]], said: str
) -> None:
    with pytest.raises(query.MetricMissing, match="recommender-dev-1") as error:
        query.decide(job(*metrics), ["accuracy"], [])
    assert said in str(error.value)


def test_a_job_that_never_had_metrics_is_an_error_too() -> None:
    with pytest.raises(query.MetricMissing, match="none at all"):
        query.decide({"TrainingJobName": "j"}, ["accuracy"], [])


def test_rules_decide_each_by_its_own_metric() -> None:
    found = job(("accuracy", 0.63), ("loss", 0.5))
    kept = query.decide(
        found, [], [{"metric": "accuracy", "minimum": 0.6}, {"metric": "loss", "maximum": 0.5}]
    )
    assert kept["passed"]
    # The original's rule, which its own model never kept.
    broken = query.decide(found, ["loss"], [{"metric": "accuracy", "minimum": 0.9}])
    assert not broken["passed"]
    assert broken["reason"] == "accuracy 0.63 < minimum 0.9"
    assert broken["metrics"] == {"accuracy": 0.63, "loss": 0.5}


@pytest.mark.parametrize(("names", "rules"), [([], []), (["accuracy"], [{"metric": "accuracy"}])])
def test_asking_for_nothing_is_an_error(names: list[str], rules: list[dict[str, Any]]) -> None:
    with pytest.raises(ValueError, match=r"no metric was asked for|has no bound"):
        query.decide(job(("accuracy", 1.0)), names, rules)


def test_the_job_that_was_named_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    class SageMaker:
        def describe_training_job(self, TrainingJobName: str) -> dict[str, Any]:
            return job(("accuracy", 0.7), name=TrainingJobName)

    monkeypatch.setattr(query, "client", lambda service: {"sagemaker": SageMaker()}[service])
    result = query.handler({"training_job_name": "mine", "metrics": ["accuracy"]}, None)
    assert (result["training_job_name"], result["passed"]) == ("mine", True)
