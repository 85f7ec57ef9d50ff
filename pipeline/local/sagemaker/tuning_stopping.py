"""When a tuning job stops one of its jobs early, and when it has enough. No I/O.

Early stopping (`Auto`) as AWS documents it: after each epoch, a job whose objective is worse than the median
of the running averages of the earlier jobs, each up to the same epoch, is stopped.
https://docs.aws.amazon.com/sagemaker/latest/dg/automatic-model-tuning-early-stopping.html
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from typing import Any

# A job that is not better than the best before it by so much of its value is not improving: 1 %, as AWS says.
_IMPROVING = 0.01


def is_better(value: float, than: float, maximize: bool) -> bool:
    """Whether an objective's value is better than another."""
    return value > than if maximize else value < than


def below_the_median(values: Sequence[float], earlier: Iterable[Sequence[float]], maximize: bool) -> bool:
    """Whether a job is to be stopped.

    Args:
        values: of its objective so far, one an epoch, at least one.
        earlier: the same of the jobs that have ended; those that did not come so far do not count.
    """
    epoch = len(values)
    averages = [statistics.fmean(each[:epoch]) for each in earlier if len(each) >= epoch]
    return bool(averages) and is_better(statistics.median(averages), values[-1], maximize)


def not_improving(objectives: Sequence[float], maximize: bool) -> int:
    """How many of the jobs, in the order of their ends, came after the last that improved on the best."""
    best: float | None = None
    count = 0
    for value in objectives:
        better = best is None or (value - best if maximize else best - value) > abs(best) * _IMPROVING
        count = 0 if better else count + 1
        if best is None or is_better(value, best, maximize):
            best = value
    return count


def enough(criteria: dict[str, Any], objectives: Sequence[float], maximize: bool) -> bool:
    """Whether TuningJobCompletionCriteria are met by the jobs that have ended."""
    target = criteria.get("TargetObjectiveMetricValue")
    if target is not None and any(
        value == target or is_better(value, target, maximize) for value in objectives
    ):
        return True
    most = (criteria.get("BestObjectiveNotImproving") or {}).get("MaxNumberOfTrainingJobsNotImproving")
    return most is not None and not_improving(objectives, maximize) >= most
