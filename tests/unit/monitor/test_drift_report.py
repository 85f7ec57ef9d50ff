"""What is concluded from two profiles: limits, too few values, the first requests as a baseline; the page."""

from __future__ import annotations

import random
import re
from html.parser import HTMLParser
from typing import Any

import pytest
from common import drift_page, drift_report

FOUND = {"package": "arn:p", "since": "a", "until": "b", "minimum": 100, "requests": 500, "records": 500}
FOUND["unreadable"] = 0


def number(mean: float, count: int = 500, seed: int = 1, nulls: int = 0) -> dict[str, Any]:
    """The profile of a normal sample."""
    source = random.Random(seed)
    values = sorted(source.gauss(mean, 1.0) for _ in range(count))
    points = [values[round(i * (count - 1) / 100)] for i in range(101)]
    return {
        "kind": "number",
        "count": count,
        "nulls": nulls,
        "mean": sum(values) / count,
        "deviation": 1.0,
        "min": values[0],
        "max": values[-1],
        "quantiles": points,
    }


def category(**counts: int) -> dict[str, Any]:
    top = sorted(([name, count] for name, count in counts.items()), key=lambda pair: -pair[1])
    count = sum(counts.values())
    return {
        "kind": "category",
        "count": count,
        "nulls": 0,
        "distinct": len(top),
        "top": top,
        "others": 0,
    }


def report(was: dict[str, Any], now: dict[str, Any], limits: dict[str, float], **more: Any) -> dict[str, Any]:
    return drift_report.judged(FOUND, {"features": was, "training": "s3://t/"}, now, {"x": limits}, **more)


def test_the_same_distribution_is_no_drift_and_another_is() -> None:
    same = report({"x": number(0)}, {"x": number(0, seed=2)}, {"psi": 0.25, "ks": 0.2})
    assert (same["enough"], same["drifted"], same["reasons"]) == (True, [], [])
    other = report({"x": number(0)}, {"x": number(1, seed=2)}, {"psi": 0.25})
    assert other["drifted"] == ["x"]
    # Only what has a limit is drift, but every measure is told.
    assert len(other["reasons"]) == 1
    assert other["reasons"][0].startswith("x: psi ")
    measures = {each["measure"]: each for each in other["features"]["x"]["measures"]}
    assert set(measures) == {"psi", "ks", "nulls"}
    assert measures["ks"]["limit"] is None
    assert measures["ks"]["value"] > 0.3


@pytest.mark.parametrize(
    ("now", "limits", "measure"),
    [
        (category(a=90, b=0, c=410), {"new_categories": 0.05}, "new_categories"),
        (category(a=500), {"missing_categories": 0.1}, "missing_categories"),
    ],
)
def test_categories(now: dict[str, Any], limits: dict[str, float], measure: str) -> None:
    found = report({"x": category(a=300, b=200)}, {"x": now}, limits)
    assert found["drifted"] == ["x"]
    assert measure in found["reasons"][0]


def test_more_nulls_are_drift() -> None:
    found = report({"x": number(0)}, {"x": number(0, count=400, nulls=100)}, {"nulls": 0.05})
    assert found["drifted"] == ["x"]


def test_a_feature_with_too_few_values_is_not_judged() -> None:
    found = report({"x": number(0)}, {"x": number(5, count=99)}, {"psi": 0.1})
    assert (found["enough"], found["drifted"]) == (False, [])
    assert found["features"]["x"]["why"] == "99 values, of 100 that it takes"


def test_the_first_requests_are_a_baseline_and_not_judged_by_it() -> None:
    now = number(0)
    found = report({"x": now}, {"x": now}, {"psi": 0.1}, first=["x"])
    assert (found["enough"], found["drifted"]) == (True, [])
    assert found["features"]["x"]["judged"] is False


class Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.bars: list[float] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "rect":
            self.bars.append(float(dict(attrs)["height"] or "nan"))

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.mark.parametrize(
    ("was", "now"),
    [(number(0), number(1, seed=2)), (category(a=300, b=200), category(a=90, **{"<c>": 410}))],
)
def test_the_page_shows_both_distributions_and_escapes_what_came_from_requests(
    was: dict[str, Any], now: dict[str, Any]
) -> None:
    found = report({"x": was}, {"x": now}, {"psi": 0.2})
    text = drift_page.page(found)
    page = Page()
    page.feed(text)
    assert "Drift: x" in page.text
    assert len(page.bars) >= 4
    assert max(page.bars) == drift_page.HEIGHT
    assert "<c>" not in text
    assert not re.search(r"https?://", text)


def test_the_page_of_too_few_requests() -> None:
    found = drift_report.nothing({**FOUND, "records": 3})
    assert "Too few requests to tell" in drift_page.page(found)
    assert list(drift_report.told(found)) == ["too few requests: 3 records, of 100 that it takes"]
