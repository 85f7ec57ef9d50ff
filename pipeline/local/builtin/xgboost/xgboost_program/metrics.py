"""The metrics that AWS's image adds to XGBoost's own: mse and r2, and classification's by counting."""

from __future__ import annotations

from typing import Any

import numpy as np

ADDED = (
    "accuracy",
    "balanced_accuracy",
    "f1",
    "f1_binary",
    "f1_macro",
    "mse",
    "precision",
    "precision_macro",
    "precision_micro",
    "r2",
    "recall",
    "recall_macro",
    "recall_micro",
)


def evaluate(name: str, predictions: Any, labels: Any) -> float:
    """One of ADDED.

    Args:
        predictions: of the booster: values, probabilities, classes, or a row of probabilities each.
        labels: of shape (rows,).
    """
    truth = np.asarray(labels, dtype=np.float64)
    if name in ("mse", "r2"):
        errors = float(np.square(truth - np.asarray(predictions, dtype=np.float64)).mean())
        spread = float(np.square(truth - truth.mean()).mean())
        if name == "mse":
            return errors
        return 1 - errors / spread if spread else float("nan")
    classes = _classes(np.asarray(predictions))
    if name == "accuracy" or name.endswith("_micro"):
        return float((classes == truth).mean())
    values = np.union1d(truth, classes)
    hits = np.array([((classes == value) & (truth == value)).sum() for value in values], dtype=np.float64)
    said = np.array([(classes == value).sum() for value in values], dtype=np.float64)
    were = np.array([(truth == value).sum() for value in values], dtype=np.float64)
    precision, recall = _ratio(hits, said), _ratio(hits, were)
    if name == "balanced_accuracy":
        return float(recall[were > 0].mean())
    measured = {"precision": precision, "recall": recall}.get(name.partition("_")[0])
    if measured is None:
        measured = _ratio(2 * precision * recall, precision + recall)
    if name in ("precision", "recall", "f1_binary"):
        positive = measured[values == 1]
        return float(positive[0]) if positive.size else 0.0
    return float(measured.mean())


def _classes(predictions: Any) -> Any:
    if predictions.ndim > 1:
        return predictions.argmax(axis=1).astype(np.float64)
    whole = bool(np.all(predictions == np.round(predictions)))
    return (predictions if whole else predictions > 0.5).astype(np.float64)


def _ratio(above: Any, below: Any) -> Any:
    return np.divide(above, below, out=np.zeros_like(above), where=below > 0)
