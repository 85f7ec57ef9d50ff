"""How sure a difference between two models is: confidence bounds, with the standard library alone. Pure.

Every function gives a lower and an upper bound of the true difference, each one-sided at `confidence`: the
true difference lies below the lower bound (or above the upper one) with a probability of at most
1 - confidence, each. Which method holds when, and how well, is measured in tests/unit/lambdas and told in
docs/explanation/gate.md.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from operator import mul
from statistics import NormalDist

# Below this many rows neither Student's t nor the bootstrap can be trusted on values of any distribution.
FEWEST_ROWS = 10
# Above this many values (rows x resamples) the bootstrap would cost seconds; its closed form agrees with it
# where there are so many rows.
MOST_DRAWN = 2_000_000
# The same rows give the same bounds, always and everywhere.
SEED = 4


@dataclass(frozen=True)
class Bounds:
    """One-sided bounds of a difference; None: unbounded. `method` names how they were found."""

    method: str
    low: float | None
    high: float | None


def of_counts(wins: int, losses: int, rows: int, confidence: float) -> Bounds:
    """Bounds of (wins - losses) / rows, for outcomes that are right or wrong.

    Tango's score interval for paired proportions (Statistics in Medicine 17, 1998), with a continuity
    correction of one row, which keeps both error rates at or below 1 - confidence also for few rows.

    Args:
        wins: rows that only the first model gets right.
        losses: rows that only the second one does.
        rows: all rows, at least 1.
    """
    return Bounds(
        "score",
        low=_lowest(wins, losses, rows, confidence),
        high=-_lowest(losses, wins, rows, confidence),
    )


def of_values(differences: Sequence[float], confidence: float, resamples: int) -> Bounds:
    """Bounds of the mean of paired differences, at least FEWEST_ROWS of them.

    The wider of two intervals: Student's t, which is right for symmetric differences however heavy their
    tails, and the studentised bootstrap, which is right for skewed ones. Each alone errs too often where the
    other holds. For many rows the bootstrap is replaced by Hall's transformation, its closed form.
    """
    rows = len(differences)
    if rows < FEWEST_ROWS:
        raise ValueError(f"{rows} rows are fewer than {FEWEST_ROWS}")
    mean = math.fsum(differences) / rows
    centred = [difference - mean for difference in differences]
    deviation = math.sqrt(math.fsum(map(mul, centred, centred)) / (rows - 1))
    # Rounding leaves about this much of a constant column.
    if deviation <= 1e-12 * max(1.0, abs(mean)):
        return Bounds("student", mean, mean)
    student = student_quantile(confidence, rows - 1)
    if rows * resamples <= MOST_DRAWN:
        method, (below, above) = "bootstrap", _resampled(centred, confidence, resamples)
    else:
        method, (below, above) = "skewed-t", _hall(centred, deviation, confidence)
    error = deviation / math.sqrt(rows)
    below, above = max(below, student), max(above, student)
    return Bounds(
        method,
        low=mean - below * error if math.isfinite(below) else None,
        high=mean + above * error if math.isfinite(above) else None,
    )


def of_deviations(difference: float, first: float, second: float, confidence: float) -> Bounds:
    """Bounds of a difference of two metrics, from their standard deviations alone.

    As if the two were measured on different rows: on the same rows their errors go together, so the true
    interval is narrower.
    """
    width = NormalDist().inv_cdf(confidence) * math.hypot(first, second)
    return Bounds("deviations", difference - width, difference + width)


def student_quantile(probability: float, freedom: int) -> float:
    """Quantile of Student's t, by its expansion around the normal's: 1e-3 off at most from 9 degrees on."""
    z = NormalDist().inv_cdf(probability)
    terms = (
        z,
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return sum(term / freedom**power for power, term in enumerate(terms))


def score(wins: int, losses: int, rows: int, difference: float) -> float:
    """Tango's statistic, corrected: how many standard errors the rows are away from a true `difference`."""
    off = wins - losses - rows * difference
    off = math.copysign(max(abs(off) - 1.0, 0.0), off)
    # The likeliest chance of a loss, if the true difference were `difference`: root of a quadratic.
    a = 2.0 * rows
    b = -wins - losses + (2.0 * rows - wins + losses) * difference
    c = -losses * difference * (1.0 - difference)
    loss = (math.sqrt(max(b * b - 4.0 * a * c, 0.0)) - b) / (2.0 * a)
    variance = rows * (2.0 * loss + difference * (1.0 - difference))
    if variance <= 1e-12:
        return math.copysign(math.inf, off) if off else 0.0
    return off / math.sqrt(variance)


def _lowest(wins: int, losses: int, rows: int, confidence: float) -> float:
    """The smallest true difference that the rows do not contradict."""
    bound = NormalDist().inv_cdf(confidence)
    low, high = -1.0, (wins - losses) / rows
    for _ in range(60):
        middle = (low + high) / 2
        if score(wins, losses, rows, middle) > bound:
            low = middle
        else:
            high = middle
    return high


def _resampled(centred: Sequence[float], confidence: float, resamples: int) -> tuple[float, float]:
    """How far below and above the mean its bounds lie, in standard errors, by the studentised bootstrap."""
    rows = len(centred)
    generator = random.Random(SEED)
    ratios = []
    for _ in range(resamples):
        drawn = generator.choices(centred, k=rows)
        mean = sum(drawn) / rows
        variance = (sum(map(mul, drawn, drawn)) - rows * mean * mean) / (rows - 1)
        # A resample of one value over and over says nothing of its own spread.
        ratios.append(
            mean / math.sqrt(variance / rows) if variance > 1e-24 else math.copysign(math.inf, mean)
        )
    ratios.sort()
    place = min(resamples - 1, math.ceil(confidence * (resamples + 1)) - 1)
    return ratios[place], -ratios[resamples - 1 - place]


def _hall(centred: Sequence[float], deviation: float, confidence: float) -> tuple[float, float]:
    """The same in closed form: Hall's transformation (JRSS B 54, 1992), which takes the skewness out."""
    rows = len(centred)
    skewness = math.fsum(x * x * x for x in centred) / rows / deviation**3
    a, shift = skewness / (3 * math.sqrt(rows)), skewness / (6 * math.sqrt(rows))
    z = NormalDist().inv_cdf(confidence)

    def ratio(quantile: float) -> float:
        if abs(a) < 1e-9:
            return quantile
        inner = 1 + 3 * a * (quantile - shift)
        return (math.copysign(abs(inner) ** (1 / 3), inner) - 1) / a

    return ratio(z), -ratio(-z)
