"""How far data is from other data, computed from two profiles alone: PSI, KS, categories, nulls. Pure Python.

The same file is in every Glue script's library and, through a link, in the Lambda gate_data: one content, so
what the gate compares and what monitoring compares is the same arithmetic.

A profile of a frame, as profile.py writes it:

    {"rows": 1000,
     "columns": {
       "age":  {"kind": "number", "count": 990, "nulls": 10, "mean": 41.2, "deviation": 9.9,
                "min": 18, "max": 90, "quantiles": [101 numbers: at 0 %, 1 %, ... 100 %]},
       "city": {"kind": "category", "count": 1000, "nulls": 0, "distinct": 4, "top": [["Bonn", 600], ...],
                "others": 0}}}

`count` counts values, nulls (and NaN) not among them; `others` counts the values that are not in `top`.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

# The population stability index is taken over the baseline's tenths.
BINS = 10
# An empty bin counts as this share: 101 quantiles tell no smaller one, and a logarithm of 0 tells nothing.
FLOOR = 0.001
# The population stability index of a category is taken over the baseline's most frequent ones and the rest.
CATEGORIES = 20
# So many names are told.
TOLD = 5


class Distribution:
    """The distribution of a number, read from its quantiles: P(X <= x) within a hundredth."""

    def __init__(self, quantiles: Sequence[float]) -> None:
        if len(quantiles) < 2:
            raise ValueError("a distribution needs its quantiles")
        self.points = [float(point) for point in quantiles]
        self.last = len(self.points) - 1

    def at(self, value: float) -> float:
        """P(X <= value)."""
        after = bisect_right(self.points, value)
        if after == 0:
            return 0.0
        if after > self.last:
            return 1.0
        return (after - 1 + self._between(after, value)) / self.last

    def before(self, value: float) -> float:
        """P(X < value)."""
        first = bisect_left(self.points, value)
        if first == 0:
            return 0.0
        if first > self.last:
            return 1.0
        return (first - 1 + self._between(first, value)) / self.last

    def _between(self, after: int, value: float) -> float:
        low, high = self.points[after - 1], self.points[after]
        return (value - low) / (high - low) if high > low else 0.0


def ks(baseline: Sequence[float], current: Sequence[float]) -> float:
    """The two-sample Kolmogorov-Smirnov statistic, 0 to 1, from two lists of quantiles."""
    one, other = Distribution(baseline), Distribution(current)
    points = sorted({*one.points, *other.points})
    return max(
        max(abs(one.at(point) - other.at(point)), abs(one.before(point) - other.before(point)))
        for point in points
    )


def psi(baseline: Sequence[float], current: Sequence[float], bins: int = BINS) -> float:
    """The population stability index over the baseline's quantile bins; equal edges make one bin."""
    one, other = Distribution(baseline), Distribution(current)
    edges = sorted({one.points[round(part * one.last / bins)] for part in range(bins)})
    return _index(_shares(one, edges), _shares(other, edges))


def _shares(distribution: Distribution, edges: Sequence[float]) -> list[float]:
    """Shares of (-inf, e0], (e0, e1], ... (en, inf)."""
    bounds = [0.0, *(distribution.at(edge) for edge in edges), 1.0]
    return [high - low for low, high in pairwise(bounds)]


def _index(expected: Sequence[float], found: Sequence[float]) -> float:
    total = 0.0
    for one, other in zip(expected, found, strict=True):
        if one <= 0 and other <= 0:
            continue
        low, high = max(one, FLOOR), max(other, FLOOR)
        total += (high - low) * math.log(high / low)
    return total


def category_psi(baseline: Mapping[str, Any], current: Mapping[str, Any]) -> float:
    """The population stability index over the baseline's most frequent categories, and all others as one."""
    kept = [name for name, _ in baseline["top"][:CATEGORIES]]
    return _index(_of(baseline, kept), _of(current, kept))


def _of(column: Mapping[str, Any], kept: Sequence[str]) -> list[float]:
    counts, count = dict(column["top"]), column["count"] or 1
    shares = [counts.get(name, 0) / count for name in kept]
    return [*shares, max(0.0, 1.0 - sum(shares))]


def new_categories(baseline: Mapping[str, Any], current: Mapping[str, Any]) -> tuple[float, list[str]]:
    """The share of values in categories the baseline has not, and their names, most frequent first.

    Where the baseline's list is not whole (`others` > 0), what is missing there may be known: share 0.
    """
    if baseline["others"]:
        return 0.0, []
    known = {name for name, _ in baseline["top"]}
    fresh = [(name, count) for name, count in current["top"] if name not in known]
    # What the current list leaves out is unseen too: the whole of the baseline is known, and not that long.
    return sum(count for _, count in fresh) / (current["count"] or 1), [name for name, _ in fresh]


def missing_categories(baseline: Mapping[str, Any], current: Mapping[str, Any]) -> tuple[float, list[str]]:
    """The share that categories of the baseline had which are gone now, and their names."""
    if current["others"]:
        return 0.0, []
    there = {name for name, _ in current["top"]}
    gone = [(name, count) for name, count in baseline["top"] if name not in there]
    return sum(count for _, count in gone) / (baseline["count"] or 1), [name for name, _ in gone]


def compare(
    baseline: Mapping[str, Any], current: Mapping[str, Any], limits: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """Every measure of every column of a frame, beside its limit.

    Args:
        baseline, current: profiles of the same frame.
        limits: psi, ks, new_categories, missing_categories, nulls (a measure without a limit is not taken);
            `ignore`: names of columns that may change.

    Returns:
        `{"column", "measure", "value", "limit", "passed", "why"}` each; columns in order of their names.
    """
    ignored = set(limits.get("ignore") or [])
    results: list[dict[str, Any]] = []
    for name in sorted({*baseline["columns"], *current["columns"]} - ignored):
        results += _column(name, baseline["columns"].get(name), current["columns"].get(name), limits)
    return results


def _column(name: str, baseline: Any, current: Any, limits: Mapping[str, Any]) -> list[dict[str, Any]]:
    if baseline is None or current is None or baseline["kind"] != current["kind"]:
        was, now = (column["kind"] if column else "absent" for column in (baseline, current))
        why = f"{name}: {was} in the accepted data, {now} now"
        return [
            {"column": name, "measure": "columns", "value": 1.0, "limit": 0.0, "passed": False, "why": why}
        ]
    taken = [(measure, value, note) for measure, value, note in _measures(baseline, current)]
    return [
        _result(name, measure, value, float(limits[measure]), note)
        for measure, value, note in taken
        if limits.get(measure) is not None
    ]


def _measures(baseline: Mapping[str, Any], current: Mapping[str, Any]) -> Iterator[tuple[str, float, str]]:
    """Measure, value, what makes it plain."""
    was, now = (c["nulls"] / ((c["count"] + c["nulls"]) or 1) for c in (baseline, current))
    yield "nulls", abs(now - was), f"nulls were {was:.1%}, are {now:.1%}"
    if not baseline["count"] or not current["count"]:
        return
    if baseline["kind"] == "number":
        note = f"mean was {_short(baseline['mean'])}, is {_short(current['mean'])}"
        yield "psi", psi(baseline["quantiles"], current["quantiles"]), note
        yield "ks", ks(baseline["quantiles"], current["quantiles"]), note
        return
    yield "psi", category_psi(baseline, current), ""
    share, names = new_categories(baseline, current)
    yield "new_categories", share, _told(names)
    share, names = missing_categories(baseline, current)
    yield "missing_categories", share, _told(names)


def _result(name: str, measure: str, value: float, limit: float, note: str) -> dict[str, Any]:
    passed = value <= limit
    sign = "<=" if passed else ">"
    said = f" ({note})" if note else ""
    return {
        "column": name,
        "measure": measure,
        "value": round(value, 6),
        "limit": limit,
        "passed": passed,
        "why": f"{name}: {measure} {value:.3f} {sign} {limit:g}{said}",
    }


def _told(names: Sequence[str]) -> str:
    more = f" and {len(names) - TOLD} more" if len(names) > TOLD else ""
    return ", ".join(str(name)[:40] for name in names[:TOLD]) + more


def _short(value: Any) -> str:
    return "none" if value is None else f"{value:.4g}"
