"""Measures of a binary classifier and of recall. Pure: arrays in, numbers out."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

SMALLEST_PROBABILITY = 1e-7


def roc_auc(labels: Floats, scores: Floats) -> float:
    """Probability that a like scores above a dislike, equals counting half; NaN where one is missing."""
    likes = float(labels.sum())
    dislikes = len(labels) - likes
    if not likes or not dislikes:
        return float("nan")
    return float((_ranks(scores)[labels > 0].sum() - likes * (likes + 1) / 2) / (likes * dislikes))


def _ranks(scores: Floats) -> Floats:
    """Ranks from 1, equals sharing their mean."""
    _, which, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    shared: Floats = (ends - (counts - 1) / 2)[which]
    return shared


def pr_auc(labels: Floats, scores: Floats) -> float:
    """Average precision: the area under precision over recall, by steps; NaN without a like."""
    likes = float(labels.sum())
    if not likes:
        return float("nan")
    order = np.argsort(-scores, kind="stable")
    hits = np.cumsum(labels[order])
    # One step for equals: they are told apart by nothing.
    last = np.append(np.diff(scores[order]) != 0, True)
    precision, recall = (hits / np.arange(1, len(hits) + 1))[last], (hits / likes)[last]
    return float((np.diff(recall, prepend=0.0) * precision).sum())


def losses(labels: Floats, scores: Floats) -> Floats:
    """Logarithmic loss of each row, in nats."""
    safe = np.clip(scores, SMALLEST_PROBABILITY, 1 - SMALLEST_PROBABILITY)
    result: Floats = -np.where(labels > 0, np.log(safe), np.log1p(-safe))
    return result


def right(labels: Floats, scores: Floats) -> Floats:
    """1 where the likelier class is the true one, of each row."""
    return ((scores >= 0.5) == (labels > 0)).astype(np.float64)


def all_of(labels: Floats, scores: Floats) -> dict[str, float]:
    """accuracy, roc_auc, pr_auc and log_loss."""
    return {
        "accuracy": float(right(labels, scores).mean()),
        "roc_auc": roc_auc(labels, scores),
        "pr_auc": pr_auc(labels, scores),
        "log_loss": float(losses(labels, scores).mean()),
    }


def auc_deviation(labels: Floats, auc: float) -> float:
    """Standard deviation of an AUC, after Hanley and McNeil (Radiology 143, 1982)."""
    likes = float(labels.sum())
    dislikes = len(labels) - likes
    first, second = auc / (2 - auc), 2 * auc**2 / (1 + auc)
    square = auc**2
    variance = auc * (1 - auc) + (likes - 1) * (first - square) + (dislikes - 1) * (second - square)
    return float(np.sqrt(max(0.0, variance) / (likes * dislikes)))


def binary(labels: Floats, scores: Floats) -> dict[str, Any]:
    """SageMaker's names for a binary classifier at probability 0.5, with the best constant one beside."""
    guess = scores >= 0.5
    true = labels > 0
    counts = {(t, g): int(((true == t) & (guess == g)).sum()) for t in (False, True) for g in (False, True)}
    hits, rows = counts[True, True], len(labels)

    def share(top: int, bottom: int) -> dict[str, float]:
        value = top / bottom if bottom else 0.0
        return {"value": value, "standard_deviation": float(np.sqrt(value * (1 - value) / max(1, bottom)))}

    likes = int(true.sum())
    return {
        "confusion_matrix": {
            str(int(t)): {str(int(g)): counts[t, g] for g in (False, True)} for t in (False, True)
        },
        "accuracy": share(hits + counts[False, False], rows),
        "precision": share(hits, int(guess.sum())),
        "recall": share(hits, likes),
        "accuracy_best_constant_classifier": share(max(likes, rows - likes), rows),
    }
