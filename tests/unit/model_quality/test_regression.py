"""Measures of a regression against their definitions, and of a baseline beside them."""

from __future__ import annotations

import numpy as np
import pytest
from model_quality import regression

LABELS = np.array([1.0, 2.0, 4.0, 7.0, 11.0])
PREDICTED = np.array([1.5, 2.0, 3.0, 8.0, 10.0])
BASELINE = np.full(5, 5.0)


def test_the_metrics_are_those_of_their_definitions() -> None:
    found = regression.report(LABELS, PREDICTED, BASELINE, "store_mean")
    own = {name: entry["value"] for name, entry in found["regression_metrics"].items()}
    errors = PREDICTED - LABELS
    assert own["mae"] == pytest.approx(np.abs(errors).mean())
    assert own["mse"] == pytest.approx((errors**2).mean())
    assert own["rmse"] == pytest.approx(np.sqrt((errors**2).mean()))
    assert own["r2"] == pytest.approx(1 - (errors**2).sum() / ((LABELS - LABELS.mean()) ** 2).sum())
    other = {name: entry["value"] for name, entry in found["baseline_metrics"].items()}
    assert other["r2_store_mean"] == pytest.approx(0)
    assert other["rmse_store_mean"] == pytest.approx(LABELS.std())
    assert other["rmse_over_store_mean"] == pytest.approx(1 - own["rmse"] / LABELS.std())


def test_a_metric_that_is_a_mean_is_the_mean_of_its_rows() -> None:
    rows = regression.by_row(LABELS, PREDICTED)
    metrics = regression.report(LABELS, PREDICTED, BASELINE, "store_mean")["regression_metrics"]
    assert {name: column.mean() for name, column in rows.items()} == {
        name: pytest.approx(metrics[name]["value"]) for name in ("mae", "mse", "r2")
    }


def test_the_deviation_is_that_of_the_mean_over_many_rows() -> None:
    dice = np.random.default_rng(3)
    labels = dice.normal(size=2000)
    predicted = labels + dice.normal(scale=0.5, size=2000)
    found = regression.report(labels, predicted, np.zeros(2000), "nothing")["regression_metrics"]["mse"]
    errors = (predicted - labels) ** 2
    assert found["standard_deviation"] == pytest.approx(errors.std() / np.sqrt(2000), rel=0.1)
    again = regression.report(labels, predicted, np.zeros(2000), "nothing")["regression_metrics"]["mse"]
    assert found == again, "the same rows give the same report"


def test_labels_that_are_all_the_same_give_numbers_all_the_same() -> None:
    same = np.ones(4)
    assert "r2" not in regression.by_row(same, PREDICTED[:4])
    found = regression.report(same, PREDICTED[:4], same, "mean")
    assert found["regression_metrics"]["r2"]["value"] == 0, "there is nothing to explain"
    assert found["baseline_metrics"]["rmse_over_mean"]["value"] == 0
    assert all(np.isfinite(entry["value"]) for group in found.values() for entry in group.values())
