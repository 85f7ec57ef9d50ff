"""One metric of a challenger beside the champion's: how much better, how sure that is, and whether it passes.

`improvement` is positive where the challenger is better, whatever the metric's direction. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from . import intervals
from .report import Metric, is_number

# So much is rounding, not a difference.
_TOLERANCE = 1e-12


@dataclass(frozen=True)
class Terms:
    """What a rule asks of a challenger.

    Args:
        better: `higher` or `lower` values.
        margin: the improvement over the champion that is asked for; negative: so much worse is tolerated.
        doubt: whose the benefit of the doubt is. `challenger`: it passes unless its improvement is shown to
            be less than the margin. `champion`: it passes only if its improvement is shown to be more.
        confidence: of what is "shown", between 0.5 and 1.
        when_unknown: `reject`, or `thresholds` if the bounds alone may decide where the champion's value is
            not known.
    """

    better: str
    margin: float = 0.0
    doubt: str = "challenger"
    confidence: float = 0.95
    resamples: int = 1000
    when_unknown: str = "reject"

    @classmethod
    def read(cls, given: Mapping[str, Any]) -> Terms:
        """From the rule's `champion`. Raises ValueError for what the settings would have refused."""
        if unknown := set(given) - set(cls.__dataclass_fields__):
            raise ValueError(f"the comparison knows no {', '.join(sorted(unknown))}")
        if "better" not in given:
            raise ValueError("the comparison does not say whether higher or lower is better")
        terms = cls(**given)
        sound = (
            terms.better in ("higher", "lower")
            and is_number(terms.margin)
            and terms.doubt in ("challenger", "champion")
            and is_number(terms.confidence)
            and 0.5 < terms.confidence < 1
            and isinstance(terms.resamples, int)
            and terms.resamples >= 100
            and terms.when_unknown in ("reject", "thresholds")
        )
        if not sound:
            raise ValueError(f"the comparison {asdict(terms)} makes no sense")
        return terms


@dataclass(frozen=True)
class Side:
    """One model's metric, and its outcome on each row if those are known."""

    metric: Metric
    column: Sequence[float] | None = None


def compare(terms: Terms, challenger: Side, champion: Side) -> dict[str, Any]:
    """The whole arithmetic; both metrics have a value, and both columns are of the same rows in one order.

    Numbers that do not apply are None: `rows`, `wins` and `losses` without outcomes of single rows, `low` and
    `high` where nothing tells how sure the difference is (then the difference itself decides).
    """
    ours, theirs = challenger.metric.value, champion.metric.value
    if ours is None or theirs is None:
        raise ValueError("both models need a value")
    sign = 1.0 if terms.better == "higher" else -1.0
    counted = _count(terms, challenger, champion)
    bounds = _bounds(terms, challenger, champion, counted)
    # Plus nothing: no difference times -1 is -0.
    improvement = sign * (ours - theirs) + 0.0
    result = {
        "passed": _passes(terms, improvement, bounds),
        "champion": theirs,
        "difference": ours - theirs,
        "improvement": improvement,
        **asdict(terms),
        "method": bounds.method,
        "low": bounds.low,
        "high": bounds.high,
        **counted,
    }
    return {**result, "why": _why(terms, result)}


def unknown(terms: Terms, why: str) -> dict[str, Any]:
    """The result where there is a champion and its value is not known."""
    passed = terms.when_unknown == "thresholds"
    ending = "; the thresholds alone decide, as the settings allow" if passed else ""
    return {"passed": passed, **asdict(terms), "why": f"cannot be compared with the champion: {why}{ending}"}


def first(terms: Terms, why: str) -> dict[str, Any]:
    """The result where there is no champion."""
    return {"passed": True, **asdict(terms), "why": f"no champion to compare with: {why}"}


def _count(terms: Terms, challenger: Side, champion: Side) -> dict[str, int | None]:
    """Rows, and on how many of them either model is the better one."""
    if challenger.column is None or champion.column is None:
        return {"rows": None, "wins": None, "losses": None}
    pairs = list(zip(challenger.column, champion.column, strict=True))
    higher = sum(ours > theirs for ours, theirs in pairs)
    lower = sum(ours < theirs for ours, theirs in pairs)
    wins, losses = (higher, lower) if terms.better == "higher" else (lower, higher)
    return {"rows": len(pairs), "wins": wins, "losses": losses}


def _bounds(
    terms: Terms, challenger: Side, champion: Side, counted: Mapping[str, int | None]
) -> intervals.Bounds:
    """By the rows if there are outcomes of the same rows, else by the deviations, else there are none."""
    sign = 1.0 if terms.better == "higher" else -1.0
    rows, wins, losses = counted["rows"], counted["wins"], counted["losses"]
    if rows is not None and wins is not None and losses is not None:
        ours, theirs = challenger.column or (), champion.column or ()
        if {*ours, *theirs} <= {0.0, 1.0}:
            return intervals.of_counts(wins, losses, rows, terms.confidence)
        if rows >= intervals.FEWEST_ROWS:
            differences = [sign * (a - b) for a, b in zip(ours, theirs, strict=True)]
            return intervals.of_values(differences, terms.confidence, terms.resamples)
    mine, other = challenger.metric, champion.metric
    if mine.value is None or other.value is None or mine.deviation is None or other.deviation is None:
        return intervals.Bounds("plain", None, None)
    improvement = sign * (mine.value - other.value)
    return intervals.of_deviations(improvement, mine.deviation, other.deviation, terms.confidence)


def _passes(terms: Terms, improvement: float, bounds: intervals.Bounds) -> bool:
    if bounds.method == "plain":
        low = high = improvement
    else:
        low = -float("inf") if bounds.low is None else bounds.low
        high = float("inf") if bounds.high is None else bounds.high
    if terms.doubt == "challenger":
        return high >= terms.margin - _TOLERANCE
    return low > terms.margin + _TOLERANCE


def _why(terms: Terms, result: Mapping[str, Any]) -> str:
    """One sentence, with the number that decided."""
    value = f"{result['champion'] + result['difference']:.6g}"
    pair = f"{value}, champion {result['champion']:.6g}: improvement {result['improvement']:+.6g}"
    asked = "worse" if terms.margin == 0 else f"an improvement below {terms.margin:+g}"
    wanted = "better" if terms.margin == 0 else f"an improvement above {terms.margin:+g}"
    if result["method"] == "plain":
        sign = ("at least" if terms.doubt == "challenger" else "above") + f" {terms.margin:+g}"
        return f"{pair}, {'' if result['passed'] else 'not '}{sign}"
    if terms.doubt == "challenger":
        bound, verdict = f"at most {_bound(result['high'])}", "not " if result["passed"] else ""
        said = f"{verdict}shown to be {asked}"
    else:
        bound, verdict = f"at least {_bound(result['low'])}", "" if result["passed"] else "not "
        said = f"{verdict}shown to be {wanted}"
    return f"{pair}, {bound} at {terms.confidence:.4g} confidence, {said}"


def _bound(value: float | None) -> str:
    return "anything" if value is None else f"{value:+.4g}"
