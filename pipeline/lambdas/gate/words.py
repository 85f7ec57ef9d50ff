"""A verdict in words: the whole arithmetic for a person, one line for the registry's metadata. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

# A model package's description and its approval's take so much, without line breaks.
LONGEST_REASON = 1024
# One value of its metadata, of letters, digits, spaces and _.:/=+-@ alone.
LONGEST_METADATA = 256

_METHODS = {
    "score": "score test on the rows on which they differ",
    "student": "all rows differ by the same",
    "bootstrap": "studentised bootstrap over the rows, and Student's t; the wider of the two",
    "skewed-t": "Hall's and Student's t over the rows; the wider of the two",
    "deviations": "from the reports' standard deviations, as if measured on different rows",
}


def reason(text: str) -> str:
    """In one line, as long as the registry takes."""
    line = re.sub(r"\s+", " ", text).strip()
    return line if len(line) <= LONGEST_REASON else line[: LONGEST_REASON - 1] + "…"


def summary(results: Sequence[Mapping[str, Any]]) -> str:
    """The numbers that decided, for the metadata: `accuracy=0.95 champion=0.9333 low=-0.04 rows=60; ...`."""
    parts = []
    for result in results:
        told = result.get("comparison") or {}
        numbers = {
            result["metric"]: result["value"],
            "champion": told.get("champion"),
            "low": told.get("low"),
            "high": told.get("high"),
            "rows": told.get("rows"),
        }
        parts.append(
            " ".join(f"{key}={_short(value)}" for key, value in numbers.items() if value is not None)
        )
    text = re.sub(r"[^\w .:/=+@-]", "_", " / ".join(part for part in parts if part))
    return text[:LONGEST_METADATA].strip() or "none"


def explain(verdict: Mapping[str, Any]) -> str:
    """The whole arithmetic, in lines of about a hundred characters."""
    lines = [f"gate: {'passed' if verdict['approved'] else 'rejected'}"]
    if not verdict["results"]:
        return "\n".join([*lines, f"  {verdict['reason']}"])
    champion = verdict.get("champion") or {}
    if champion.get("why"):
        lines.append(f"champion: {champion['why']}")
    for result in verdict["results"]:
        lines += _one(result)
    return "\n".join(lines)


def _one(result: Mapping[str, Any]) -> Iterator[str]:
    """One rule: its threshold, then its comparison."""
    yield f"{_mark(result['passed'])} {result['metric']} {_number(result['value'])}"
    threshold = result["threshold"]
    yield f"    {_mark(threshold['passed'])} threshold   {threshold['why']}"
    told = result.get("comparison")
    if not told:
        return
    if told.get("champion") is None:
        yield f"    {_mark(told['passed'])} champion    {told['why']}"
        return
    yield (
        f"    {_mark(told['passed'])} champion    {_number(told['champion'])}; improvement "
        f"{told['improvement']:+.6g} ({told['better']} is better)"
    )
    if told.get("rows"):
        alike = told["rows"] - told["wins"] - told["losses"]
        yield (
            f"         rows      {told['rows']} held-out rows, the same for both: better on {told['wins']}, "
            f"worse on {told['losses']}, alike on {alike}"
        )
    else:
        yield "         rows      no outcomes of single rows that could be paired"
    if told["method"] == "plain":
        yield "         interval  none: the reports have neither outcomes of rows nor standard deviations"
    else:
        yield (
            f"         interval  {_signed(told['low'])} to {_signed(told['high'])}, each bound at "
            f"{told['confidence']:.4g} confidence"
        )
        yield f"                   ({_METHODS[told['method']]})"
    yield f"         rule      {_rule(told)}"
    yield f"                   (the benefit of the doubt is the {told['doubt']}'s)"


def _rule(told: Mapping[str, Any]) -> str:
    margin = f"{told['margin']:+g}" if told["margin"] else "0"
    plain = told["method"] == "plain"
    if told["doubt"] == "challenger":
        what = "improvement" if plain else "upper bound"
        number = told["improvement"] if plain else told["high"]
        sign = ">=" if told["passed"] else "<"
        ending = "may pass" if told["passed"] else "shown to be worse than the margin allows"
    else:
        what = "improvement" if plain else "lower bound"
        number = told["improvement"] if plain else told["low"]
        sign = ">" if told["passed"] else "<="
        ending = "shown to be better than the margin" if told["passed"] else "not shown to be better"
    return f"{what} {_signed(number)} {sign} margin {margin}: {ending}"


def _mark(passed: bool) -> str:
    return "ok" if passed else "x "


def _number(value: float | None) -> str:
    return "no value" if value is None else f"{value:.6g}"


def _signed(value: float | None) -> str:
    return "unbounded" if value is None else f"{value:+.4g}"


def _short(value: Any) -> str:
    return f"{value:.5g}" if isinstance(value, float) else str(value)
