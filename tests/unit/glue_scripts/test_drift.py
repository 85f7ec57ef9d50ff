"""drift.py beside what it approximates: KS and PSI computed from the rows themselves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from pipeline.lambdas.gate_data import drift

RANDOM = np.random.default_rng(11)
Pair = tuple[np.ndarray, np.ndarray]
PAIRS: dict[str, Pair] = {
    "same": (RANDOM.normal(size=20_000), RANDOM.normal(size=20_000)),
    "shifted": (RANDOM.normal(size=20_000), RANDOM.normal(0.5, 1, 20_000)),
    "wider": (RANDOM.normal(size=20_000), RANDOM.normal(0, 2, 20_000)),
    "apart": (RANDOM.uniform(0, 1, 20_000), RANDOM.uniform(5, 6, 20_000)),
    "skewed": (RANDOM.gamma(1, 2, 20_000), RANDOM.gamma(2, 2, 20_000)),
    "half stars": (RANDOM.integers(1, 11, 20_000) / 2, np.minimum(RANDOM.integers(3, 13, 20_000), 10) / 2),
    "flag": (RANDOM.random(20_000) < 0.5, RANDOM.random(20_000) < 0.2),
    "mostly zero": (
        np.where(RANDOM.random(20_000) < 0.8, 0, RANDOM.normal(size=20_000)),
        np.where(RANDOM.random(20_000) < 0.6, 0, RANDOM.normal(size=20_000)),
    ),
}


def quantiles(values: np.ndarray) -> list[float]:
    """As percentile_approx gives them: values that are there."""
    found = np.quantile(values.astype(float), np.linspace(0, 1, 101), method="inverted_cdf")
    return [float(value) for value in found]


def exact_ks(one: np.ndarray, other: np.ndarray) -> float:
    """The statistic of scipy.stats.ks_2samp, by its definition."""
    points = np.sort(np.concatenate([one, other]))
    shares = [np.searchsorted(np.sort(v), points, side="right") / len(v) for v in (one, other)]
    return float(np.abs(shares[0] - shares[1]).max())


def exact_psi(one: np.ndarray, other: np.ndarray) -> float:
    """Over the baseline's tenths, edges to the left bin, empty bins as drift.FLOOR."""
    edges = np.unique(np.quantile(one.astype(float), np.linspace(0, 1, 11), method="inverted_cdf")[:-1])
    shares = []
    for values in (one, other):
        counts = np.bincount(
            np.searchsorted(edges, values.astype(float), side="left"), minlength=len(edges) + 1
        )
        shares.append(counts / len(values))
    used = (shares[0] > 0) | (shares[1] > 0)
    a, b = (np.maximum(share[used], drift.FLOOR) for share in shares)
    return float(((b - a) * np.log(b / a)).sum())


@pytest.mark.parametrize("name", PAIRS)
def test_ks_of_profiles_is_that_of_the_rows_within_a_hundredth(name: str) -> None:
    one, other = PAIRS[name]
    assert drift.ks(quantiles(one), quantiles(other)) == pytest.approx(exact_ks(one, other), abs=0.011)


@pytest.mark.parametrize("name", PAIRS)
def test_psi_of_profiles_is_that_of_the_rows(name: str) -> None:
    one, other = PAIRS[name]
    exact = exact_psi(one, other)
    assert drift.psi(quantiles(one), quantiles(other)) == pytest.approx(exact, abs=0.02, rel=0.12)


def test_a_psi_by_hand() -> None:
    """Two categories, 50:50 before and 80:20 now: 0.3 ln 1.6 - 0.3 ln 0.4."""
    before = category({"a": 50, "b": 50})
    assert drift.category_psi(before, category({"a": 80, "b": 20})) == pytest.approx(0.3 * np.log(4))
    assert drift.category_psi(before, before) == 0
    assert drift.ks([0.0] * 101, [0.0] * 101) == 0 and drift.psi([1.0] * 101, [1.0] * 101) == 0
    assert drift.ks([0.0] * 101, [1.0] * 101) == 1


def test_the_usual_limit_tells_a_shift_from_chance() -> None:
    """Of 300 pairs of the same 1,000 rows' distribution none is over 0.25; half a deviation's shift is."""
    worst = max(
        drift.psi(quantiles(RANDOM.normal(size=1000)), quantiles(RANDOM.normal(size=1000)))
        for _ in range(300)
    )
    assert worst < 0.1
    assert drift.psi(*(quantiles(v) for v in PAIRS["shifted"])) > 0.2


def category(counts: dict[str, int], others: int = 0, nulls: int = 0) -> dict[str, Any]:
    top = sorted(([name, n] for name, n in counts.items()), key=lambda item: (-item[1], item[0]))  # type: ignore[index,operator]
    count = sum(counts.values()) + others
    return {"kind": "category", "count": count, "nulls": nulls, "top": top, "others": others}


def test_new_and_missing_categories_are_named_with_their_share() -> None:
    before, now = category({"a": 60, "b": 40}), category({"a": 50, "c": 30, "d": 20})
    assert drift.new_categories(before, now) == (0.5, ["c", "d"])
    assert drift.missing_categories(before, now) == (0.4, ["b"])
    long = category({"a": 60, "b": 30}, others=10)
    assert drift.new_categories(long, now) == (0.0, []), "c may be among those that the list leaves out"
    assert drift.missing_categories(before, category({"a": 1}, others=5)) == (0.0, [])


def number(values: np.ndarray, nulls: int = 0) -> dict[str, Any]:
    return {
        "kind": "number",
        "count": len(values),
        "nulls": nulls,
        "mean": float(values.mean()),
        "quantiles": quantiles(values),
    }


LIMITS = {"psi": 0.25, "ks": 0.2, "nulls": 0.05, "new_categories": 0.05, "missing_categories": 0.05}


def compare(
    before: dict[str, Any], now: dict[str, Any], **limits: Any
) -> dict[tuple[str, str], dict[str, Any]]:
    found = drift.compare({"columns": before}, {"columns": now}, {**LIMITS, **limits})
    return {(result["column"], result["measure"]): result for result in found}


def test_every_measure_with_a_limit_is_taken_and_says_why() -> None:
    one, other = PAIRS["apart"]
    found = compare(
        {"x": number(one), "c": category({"a": 1})}, {"x": number(other, 2000), "c": category({"b": 1})}
    )
    assert set(found) == {
        ("x", "psi"), ("x", "ks"), ("x", "nulls"),
        ("c", "psi"), ("c", "nulls"), ("c", "new_categories"), ("c", "missing_categories"),
    }  # fmt: skip
    assert not found["x", "ks"]["passed"] and found["x", "ks"]["value"] == 1
    assert found["x", "nulls"]["why"] == "x: nulls 0.091 > 0.05 (nulls were 0.0%, are 9.1%)"
    assert found["c", "new_categories"]["why"] == "c: new_categories 1.000 > 0.05 (b)"
    assert found["c", "nulls"]["passed"]


def test_a_measure_without_a_limit_and_an_ignored_column_are_not_taken() -> None:
    one, other = PAIRS["apart"]
    assert compare({"x": number(one)}, {"x": number(other)}, ignore=["x"]) == {}
    found = compare({"x": number(one)}, {"x": number(other)}, psi=None, nulls=None)
    assert set(found) == {("x", "ks")}


def test_a_column_that_came_went_or_changed_its_kind_is_drift() -> None:
    x = number(PAIRS["same"][0])
    for before, now, said in (
        ({"x": x}, {}, "x: number in the accepted data, absent now"),
        ({}, {"x": x}, "x: absent in the accepted data, number now"),
        ({"x": x}, {"x": category({"1": 2})}, "x: number in the accepted data, category now"),
    ):
        result = compare(before, now)["x", "columns"]
        assert (result["passed"], result["why"]) == (False, said)


def test_a_column_without_any_value_is_told_by_its_nulls() -> None:
    empty = {**number(np.array([1.0])), "count": 0, "nulls": 100, "mean": None, "quantiles": []}
    found = compare({"x": number(PAIRS["same"][0])}, {"x": empty})
    assert set(found) == {("x", "nulls")} and not found["x", "nulls"]["passed"]


def test_it_is_one_file_in_the_library_and_in_the_function() -> None:
    """A Lambda's package and the scripts' library hold the same content, by a link and not a copy."""
    from pathlib import Path

    root = Path(__file__).resolve().parents[3]
    link = root / "pipeline" / "lambdas" / "gate_data" / "drift.py"
    assert link.is_symlink() and link.resolve() == root / "glue_scripts" / "common" / "drift.py"
    used: Callable[..., Any] = drift.compare
    assert used.__module__ == "pipeline.lambdas.gate_data.drift"
