"""Measures of a regression, with the names and shape of SageMaker's model-quality report, and of a baseline.

Pure: arrays in, dictionaries out. Shape of `regression_metrics`: SageMaker Developer Guide, "Model quality
metrics". Standard deviations are of the bootstrap over the test rows.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

RESAMPLES = 1000
# Rows are drawn anew so many resamples at a time: all at once would take a gigabyte for 100,000 rows.
_AT_ONCE = 50


def by_row(labels: Floats, predicted: Floats) -> dict[str, Floats]:
    """Outcome of each row for the measures that are the mean of such outcomes. Each result: (rows,).

    That of r2 is 1 - (error of the row)^2 / (variance of the labels), whose mean is R2.
    """
    errors = predicted - labels
    found = {"mae": np.abs(errors), "mse": errors**2}
    variance = labels.var()
    if variance > 0:
        found["r2"] = 1 - errors**2 / variance
    return found


def report(labels: Floats, predicted: Floats, baseline: Floats, name: str, seed: int = 0) -> dict[str, Any]:
    """The whole report.

    Args:
        labels, predicted: (rows,).
        baseline: (rows,) what something simpler predicts, which a model that is worth serving must beat.
        name: of the baseline, as part of its metrics' names.

    `rmse_over_<name>` is the share of the baseline's RMSE that the model saves.
    """
    rows = len(labels)
    dice = np.random.default_rng(seed)
    drawn: dict[str, list[Floats]] = {}
    for first in range(0, RESAMPLES, _AT_ONCE):
        chosen = dice.integers(0, rows, size=(min(_AT_ONCE, RESAMPLES - first), rows))
        for key, value in _measured(labels[chosen], predicted[chosen], baseline[chosen], name).items():
            drawn.setdefault(key, []).append(value)
    values = _measured(labels[None], predicted[None], baseline[None], name)

    def entry(key: str) -> dict[str, float]:
        return {"value": float(values[key][0]), "standard_deviation": float(np.concatenate(drawn[key]).std())}

    own = ("mae", "mse", "rmse", "r2")
    return {
        "regression_metrics": {key: entry(key) for key in own},
        "baseline_metrics": {key: entry(key) for key in values if key not in own},
    }


def _measured(labels: Floats, predicted: Floats, baseline: Floats, name: str) -> dict[str, Floats]:
    """Each measure of each resample. All: (resamples, rows); results: (resamples,)."""
    variance = labels.var(axis=1)
    mse = ((predicted - labels) ** 2).mean(axis=1)
    other = ((baseline - labels) ** 2).mean(axis=1)
    return {
        "mae": np.abs(predicted - labels).mean(axis=1),
        "mse": mse,
        "rmse": np.sqrt(mse),
        "r2": _saved(mse, variance),
        f"rmse_{name}": np.sqrt(other),
        f"r2_{name}": _saved(other, variance),
        f"rmse_over_{name}": _saved(np.sqrt(mse), np.sqrt(other)),
    }


def _saved(error: Floats, of: Floats) -> Floats:
    """1 - error / of; 0 where there is nothing to save, as with labels that are all the same."""
    return 1 - np.divide(error, of, out=np.ones_like(error), where=of > 0)
