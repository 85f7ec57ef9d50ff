"""Measures of a multiclass classifier, with the names and shape of SageMaker's model-quality report.

Pure: arrays in, dictionaries out. Shape of `multiclass_classification_metrics`: SageMaker Developer Guide,
"Model quality metrics". Standard deviations are of the bootstrap over the test rows.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

BETAS = {"f0_5": 0.5, "f1": 1.0, "f2": 2.0}
RESAMPLES = 1000
SMALLEST_PROBABILITY = 1e-15


def confusion(labels: Ints, predicted: Ints, classes: int) -> Ints:
    """(classes, classes) counts; row: true class, column: predicted class."""
    return np.bincount(labels * classes + predicted, minlength=classes * classes).reshape(classes, classes)


def _ratio(top: Floats, bottom: Floats) -> Floats:
    """top / bottom, and 0 where there is nothing to divide by (no such row, or none so predicted)."""
    return np.divide(top, bottom, out=np.zeros_like(top, dtype=np.float64), where=bottom > 0)


def per_class(matrices: Ints) -> dict[str, Floats]:
    """Each measure of each class. matrices: (..., classes, classes); results: (..., classes)."""
    hits = np.diagonal(matrices, axis1=-2, axis2=-1).astype(np.float64)
    recall = _ratio(hits, matrices.sum(axis=-1).astype(np.float64))
    precision = _ratio(hits, matrices.sum(axis=-2).astype(np.float64))
    measures = {"recall": recall, "precision": precision}
    for name, beta in BETAS.items():
        measures[name] = _ratio((1 + beta**2) * precision * recall, beta**2 * precision + recall)
    return measures


def overall(matrices: Ints) -> dict[str, Floats]:
    """accuracy and the class-weighted measures. matrices: (..., classes, classes); results: (...)."""
    rows = matrices.sum(axis=(-2, -1)).astype(np.float64)
    weights = matrices.sum(axis=-1) / rows[..., None]
    hits = np.diagonal(matrices, axis1=-2, axis2=-1).sum(axis=-1)
    weighted = {
        f"weighted_{name}": (value * weights).sum(axis=-1) for name, value in per_class(matrices).items()
    }
    return {"accuracy": hits / rows, **weighted}


def log_loss(labels: Ints, probabilities: Floats) -> Floats:
    """Loss of each row, in nats: minus the logarithm of the true class's probability."""
    of_class = probabilities[np.arange(len(labels)), labels]
    return -np.log(np.clip(of_class, SMALLEST_PROBABILITY, 1.0))


def by_row(labels: Ints, probabilities: Floats) -> dict[str, Floats]:
    """Outcome of each row for the measures that are the mean of such outcomes. Each result: (rows,)."""
    right = probabilities.argmax(axis=1) == labels
    return {"accuracy": right.astype(np.float64), "log_loss": log_loss(labels, probabilities)}


def report(labels: Ints, probabilities: Floats, names: tuple[str, ...], seed: int = 0) -> dict[str, Any]:
    """The whole report. labels: (rows,) in 0..classes-1; probabilities: (rows, classes)."""
    classes = len(names)
    rows = len(labels)
    predicted = probabilities.argmax(axis=1).astype(np.int64)
    constant = np.full(rows, np.bincount(labels, minlength=classes).argmax(), dtype=np.int64)
    resamples = np.random.default_rng(seed).integers(0, rows, size=(RESAMPLES, rows))

    def matrices_of(guess: Ints) -> tuple[Ints, Ints]:
        drawn = np.stack([confusion(labels[chosen], guess[chosen], classes) for chosen in resamples])
        return confusion(labels, guess, classes), drawn

    def measured(measure: Callable[[Ints], dict[str, Floats]], guess: Ints) -> dict[str, Any]:
        matrix, drawn = matrices_of(guess)
        values, spread = measure(matrix), measure(drawn)
        return {name: (values[name], spread[name].std(axis=0)) for name in values}

    def entry(value: Any, deviation: Any) -> dict[str, float]:
        return {"value": float(value), "standard_deviation": float(deviation)}

    matrix = confusion(labels, predicted, classes)
    ours = {name: entry(*pair) for name, pair in measured(overall, predicted).items()}
    baseline = {
        f"{name}_best_constant_classifier": entry(*pair) for name, pair in measured(overall, constant).items()
    }
    losses = log_loss(labels, probabilities)
    by_class = measured(per_class, predicted)
    return {
        "multiclass_classification_metrics": {
            "confusion_matrix": {
                str(true): {str(guess): int(matrix[true, guess]) for guess in range(classes)}
                for true in range(classes)
            },
            **ours,
            **baseline,
        },
        "probability_metrics": {
            "log_loss": entry(losses.mean(), losses[resamples].mean(axis=1).std()),
        },
        "per_class_metrics": {
            name: {
                **{measure: entry(value[index], std[index]) for measure, (value, std) in by_class.items()},
                "rows": int(matrix[index].sum()),
            }
            for index, name in enumerate(names)
        },
    }
