"""The evaluation's measures, against values worked out by hand, and the shape SageMaker documents."""

from __future__ import annotations

import json

import numpy as np
import pytest
from model_quality import multiclass as metrics

NAMES = ("a", "b", "c")
# True a, a, b, b, c, c; predicted a, b, b, b, c, a.
LABELS = np.array([0, 0, 1, 1, 2, 2])
PREDICTED = np.array([0, 1, 1, 1, 2, 0])


def probabilities(predicted: np.ndarray, sure: float = 0.8) -> np.ndarray:
    rest = (1 - sure) / 2
    result = np.full((len(predicted), 3), rest)
    result[np.arange(len(predicted)), predicted] = sure
    return result


def test_the_confusion_matrix_has_true_rows_and_predicted_columns() -> None:
    assert metrics.confusion(LABELS, PREDICTED, 3).tolist() == [[1, 1, 0], [0, 2, 0], [1, 0, 1]]


def test_measures_of_each_class() -> None:
    measures = metrics.per_class(metrics.confusion(LABELS, PREDICTED, 3))
    assert measures["recall"].tolist() == [0.5, 1.0, 0.5]
    assert np.allclose(measures["precision"], [0.5, 2 / 3, 1.0])
    assert np.allclose(measures["f1"], [0.5, 0.8, 2 / 3])
    # F2 of b: 5 * p * r / (4 p + r) with p = 2/3, r = 1.
    assert np.isclose(measures["f2"][1], 5 * (2 / 3) / (8 / 3 + 1))


def test_a_class_never_predicted_counts_as_nought_and_not_as_nan() -> None:
    constant = metrics.overall(metrics.confusion(LABELS, np.zeros(6, dtype=int), 3))
    assert np.isclose(constant["accuracy"], 1 / 3)
    assert np.isclose(constant["weighted_precision"], 1 / 9)
    assert all(np.isfinite(value) for value in constant.values())


def test_the_report_has_sagemakers_shape() -> None:
    found = metrics.report(LABELS, probabilities(PREDICTED), NAMES)
    json.dumps(found, allow_nan=False)
    group = found["multiclass_classification_metrics"]
    measured = ("accuracy", *(f"weighted_{name}" for name in ("recall", "precision", "f0_5", "f1", "f2")))
    assert set(group) == {
        "confusion_matrix",
        *measured,
        *(f"{name}_best_constant_classifier" for name in measured),
    }
    assert group["confusion_matrix"]["2"] == {"0": 1, "1": 0, "2": 1}
    for name in measured:
        assert set(group[name]) == {"value", "standard_deviation"}
    assert group["accuracy"]["value"] == pytest.approx(4 / 6)
    assert group["accuracy_best_constant_classifier"]["value"] == pytest.approx(2 / 6)
    assert found["per_class_metrics"]["b"]["recall"]["value"] == 1.0
    expected = -(4 * np.log(0.8) + 2 * np.log(0.1)) / 6
    assert found["probability_metrics"]["log_loss"]["value"] == pytest.approx(expected)


def test_the_bootstraps_deviation_is_the_binomial_one_and_repeatable() -> None:
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 3, 200)
    predicted = np.where(rng.random(200) < 0.9, labels, (labels + 1) % 3)
    one = metrics.report(labels, probabilities(predicted), NAMES)
    entry = one["multiclass_classification_metrics"]["accuracy"]
    expected = np.sqrt(entry["value"] * (1 - entry["value"]) / 200)
    assert entry["standard_deviation"] == pytest.approx(expected, rel=0.1)
    assert one == metrics.report(labels, probabilities(predicted), NAMES)


def test_perfect_predictions_have_no_deviation() -> None:
    group = metrics.report(LABELS, probabilities(LABELS), NAMES)["multiclass_classification_metrics"]
    assert group["accuracy"] == {"value": 1.0, "standard_deviation": 0.0}


def test_a_probability_of_nought_has_a_finite_loss() -> None:
    assert np.isfinite(metrics.log_loss(np.array([0]), np.array([[0.0, 1.0, 0.0]]))).all()
