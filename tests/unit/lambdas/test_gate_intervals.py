"""The gate's confidence bounds: against other ways to compute them, and how often they are wrong.

What is said of them ("at most 1 - confidence") is held by exact enumeration where outcomes are right or
wrong, and by simulation where they are numbers.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable
from functools import cache
from statistics import NormalDist

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.lambdas.gate import intervals

Floats = NDArray[np.float64]


# --- right or wrong: the score test


def likeliest(wins: int, losses: int, rows: int, difference: float) -> tuple[float, float]:
    """(chance of a win, chance of a loss) that make the rows likeliest, by search instead of by formula."""

    def logarithm(chance: Floats) -> Floats:
        win, loss = chance + difference, chance
        with np.errstate(divide="ignore", invalid="ignore"):
            parts = [
                np.where(count > 0, count * np.log(np.clip(p, 0, None)), 0.0)
                for count, p in ((wins, win), (losses, loss), (rows - wins - losses, 1 - win - loss))
            ]
        return np.sum(parts, axis=0)

    low, high = max(0.0, -difference), (1 - difference) / 2
    for _ in range(30):
        grid = np.linspace(low, high, 201)
        best = int(np.argmax(np.nan_to_num(logarithm(grid), nan=-np.inf)))
        low, high = grid[max(best - 1, 0)], grid[min(best + 1, 200)]
    return (low + high) / 2 + difference, (low + high) / 2


@pytest.mark.parametrize("difference", [-0.3, -0.05, 0.0, 0.02, 0.2])
@pytest.mark.parametrize(
    ("wins", "losses", "rows"), [(0, 5, 60), (5, 0, 60), (3, 3, 60), (12, 30, 200), (1, 0, 10)]
)
def test_the_score_is_tangos_by_brute_force(wins: int, losses: int, rows: int, difference: float) -> None:
    win, loss = likeliest(wins, losses, rows, difference)
    off = wins - losses - rows * difference
    corrected = math.copysign(max(abs(off) - 1, 0), off)
    expected = corrected / math.sqrt(rows * (win + loss - difference**2))
    assert intervals.score(wins, losses, rows, difference) == pytest.approx(expected, rel=1e-4, abs=1e-6)


def test_a_bound_is_where_the_score_is_the_quantile() -> None:
    for wins, losses, rows, confidence in ((0, 5, 60, 0.95), (7, 2, 60, 0.9), (30, 12, 500, 0.99)):
        found = intervals.of_counts(wins, losses, rows, confidence)
        z = NormalDist().inv_cdf(confidence)
        assert found.low is not None and found.high is not None
        assert intervals.score(wins, losses, rows, found.low) == pytest.approx(z, abs=1e-6)
        assert intervals.score(wins, losses, rows, found.high) == pytest.approx(-z, abs=1e-6)
        assert found.low < (wins - losses) / rows < found.high


def test_bounds_are_the_same_seen_from_the_other_side() -> None:
    ours, theirs = intervals.of_counts(9, 4, 80, 0.95), intervals.of_counts(4, 9, 80, 0.95)
    assert (ours.low, ours.high) == (pytest.approx(-theirs.high), pytest.approx(-theirs.low))


@cache
def cells(rows: int) -> tuple[NDArray[np.int64], NDArray[np.int64], Floats]:
    """All (wins, losses) of so many rows, and the logarithm of the number of ways to each."""
    pairs = np.array([(w, x) for w in range(rows + 1) for x in range(rows + 1 - w)])
    ways = [
        math.lgamma(rows + 1) - math.lgamma(w + 1) - math.lgamma(x + 1) - math.lgamma(rows - w - x + 1)
        for w, x in pairs
    ]
    return pairs[:, 0], pairs[:, 1], np.array(ways)


def chance(rows: int, win: float, loss: float, chosen: NDArray[np.bool_]) -> float:
    """Probability of the chosen cells, exactly."""
    wins, losses, ways = cells(rows)
    with np.errstate(divide="ignore", invalid="ignore"):
        logarithm = ways + sum(
            np.where(count > 0, count * np.log(p) if p > 0 else -np.inf, 0.0)
            for count, p in ((wins, win), (losses, loss), (rows - wins - losses, 1 - win - loss))
        )
    return float(np.exp(logarithm[chosen]).sum())


@pytest.mark.parametrize("difference", [0.0, -0.05, 0.05, -0.1])
@pytest.mark.parametrize("rows", [10, 25, 60])
def test_what_is_shown_of_right_or_wrong_is_wrong_no_more_often_than_said(
    rows: int, difference: float
) -> None:
    """Over every outcome that so many rows can have, whatever share of them the models disagree on."""
    wins, losses, _ = cells(rows)
    pairs = zip(wins.tolist(), losses.tolist(), strict=True)
    scores = np.array([intervals.score(won, lost, rows, difference) for won, lost in pairs])
    for confidence in (0.9, 0.95, 0.99):
        z = NormalDist().inv_cdf(confidence)
        for disagree in np.concatenate([np.linspace(0.002, 0.1, 25), np.linspace(0.12, 1.0, 45)]):
            win, loss = (disagree + difference) / 2, (disagree - difference) / 2
            if win < 0 or loss < 0:
                continue
            for chosen in (scores > z, scores < -z):
                assert chance(rows, win, loss, chosen) <= 1 - confidence + 1e-9, (confidence, disagree)


def test_of_sixty_rows_five_lost_and_none_won_show_something_and_four_do_not() -> None:
    assert (intervals.of_counts(0, 5, 60, 0.95).high or 0) < 0
    assert (intervals.of_counts(0, 4, 60, 0.95).high or 0) > 0


def test_rows_without_a_difference_do_not_show_that_there_is_none() -> None:
    found = intervals.of_counts(0, 0, 60, 0.95)
    assert found.high == pytest.approx(0.0713, abs=1e-4)
    assert (intervals.of_counts(0, 0, 6000, 0.95).high or 1) < 0.001


# --- numbers: Student's t and the bootstrap


def resampled_by_numpy(values: Floats, confidence: float, resamples: int) -> tuple[float, float]:
    """The studentised bootstrap's bounds, all resamples at once."""
    drawn = values[np.random.default_rng(1).integers(0, len(values), (resamples, len(values)))]
    error = values.std(ddof=1) / math.sqrt(len(values))
    ratios = (drawn.mean(axis=1) - values.mean()) / (drawn.std(axis=1, ddof=1) / math.sqrt(len(values)))
    low, high = np.quantile(ratios, [1 - confidence, confidence])
    return float(values.mean() - high * error), float(values.mean() - low * error)


@pytest.mark.parametrize("confidence", [0.8, 0.95])
def test_the_bootstrap_is_numpys(confidence: float) -> None:
    values = np.random.default_rng(3).gamma(0.5, size=80) - 0.4
    error = values.std(ddof=1) / math.sqrt(80)
    t = intervals.student_quantile(confidence, 79)
    low, high = resampled_by_numpy(values, confidence, 40_000)
    found = intervals.of_values(list(values), confidence, 8_000)
    assert found.method == "bootstrap"
    # The wider of the two, each.
    assert found.low == pytest.approx(min(low, values.mean() - t * error), abs=0.06 * error)
    assert found.high == pytest.approx(max(high, values.mean() + t * error), abs=0.12 * error)


@pytest.mark.parametrize(
    ("probability", "freedom", "tabled"),
    [(0.9, 9, 1.38303), (0.95, 9, 1.83311), (0.95, 59, 1.67109), (0.99, 9, 2.82144), (0.99, 29, 2.46202),
     (0.999, 9, 4.29681), (0.999, 59, 3.23421), (0.95, 1999, 1.64562)],
)  # fmt: skip
def test_students_quantiles_are_the_tables(probability: float, freedom: int, tabled: float) -> None:
    assert intervals.student_quantile(probability, freedom) == pytest.approx(tabled, abs=1.1e-3)


SHAPES: dict[str, Callable[[np.random.Generator, int], Floats]] = {
    "normal": lambda r, n: r.normal(size=n),
    "skewed up": lambda r, n: r.exponential(size=n) - 1,
    "skewed down": lambda r, n: 1 - r.exponential(size=n),
    "heavy tails": lambda r, n: r.standard_t(3, size=n),
    # Losses of two models that are equally good: most rows easy, few hard.
    "losses": lambda r, n: (
        np.abs(r.normal(size=n)) ** 3 * (np.exp(r.normal(size=n) / 2) - np.exp(r.normal(size=n) / 2))
    ),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_what_is_shown_of_numbers_is_wrong_about_as_often_as_said(shape: str) -> None:
    """Differences whose true mean is 0: at 95 % confidence either bound misses it in 5 % of the samples.

    For sixty rows of any of these shapes in 7 % at most; that is what the documentation says.
    """
    generator, samples, rows = np.random.default_rng(11), 800, 60
    low = high = 0
    for _ in range(samples):
        found = intervals.of_values(list(SHAPES[shape](generator, rows)), 0.95, 200)
        low += found.low is not None and found.low > 0
        high += found.high is not None and found.high < 0
    # Three standard errors of such a count over what is said.
    allowed = 0.07 + 3 * math.sqrt(0.07 * 0.93 / samples)
    assert low / samples < allowed
    assert high / samples < allowed


def test_the_closed_form_for_many_rows_is_the_bootstraps() -> None:
    generator = random.Random(5)
    values = [generator.expovariate(1.0) ** 2 for _ in range(1500)]
    mean = math.fsum(values) / 1500
    centred = [value - mean for value in values]
    deviation = math.sqrt(math.fsum(x * x for x in centred) / 1499)
    closed = intervals._hall(centred, deviation, 0.95)
    assert closed == pytest.approx(intervals._resampled(centred, 0.95, 3000), rel=0.06)
    assert closed[0] != pytest.approx(1.645, abs=0.05), "it is the skewness that is looked at"


def test_the_same_rows_give_the_same_bounds_and_no_difference_gives_none() -> None:
    generator = random.Random(2)
    values = [generator.gauss(0, 1) for _ in range(60)]
    assert intervals.of_values(values, 0.95, 500) == intervals.of_values(values, 0.95, 500)
    assert intervals.of_values([0.0] * 60, 0.95, 500) == intervals.Bounds("student", 0.0, 0.0)
    with pytest.raises(ValueError, match="fewer than 10"):
        intervals.of_values(values[:9], 0.95, 500)


def test_resamples_of_one_value_leave_the_bound_open_rather_than_narrow() -> None:
    found = intervals.of_values([0.0] * 11 + [1.0], 0.99, 1000)
    assert found.low is None or found.low < 0
    assert found.high is None or found.high > 0.3


@pytest.mark.parametrize(
    ("rows", "resamples"), [(2000, 1000), (201, 10_000), (10_000, 1000), (100_000, 1000)]
)
def test_many_rows_take_less_than_a_second(rows: int, resamples: int) -> None:
    generator = random.Random(1)
    values = [generator.gauss(0, 1) for _ in range(rows)]
    begun = time.process_time()
    intervals.of_values(values, 0.95, resamples)
    intervals.of_counts(rows // 20, rows // 25, rows, 0.95)
    assert time.process_time() - begun < 1


# --- deviations alone


def test_deviations_count_as_if_measured_apart() -> None:
    found = intervals.of_deviations(0.02, 0.03, 0.04, 0.95)
    assert found.low == pytest.approx(0.02 - 1.644854 * 0.05, abs=1e-6)
    assert found.high == pytest.approx(0.02 + 1.644854 * 0.05, abs=1e-6)
