"""Gate settings that are valid one by one, and let nothing pass or ask for the impossible together."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from pipeline.settings.gate import Champion, GateRule

Problem = tuple[tuple[str | int, ...], str, str]
"""The key it is about, what is wrong, what to do."""

# How a rule compares; without a comparison they mean nothing.
_OF_THE_COMPARISON = ("better", "margin", "doubt")
# The bound is read off the resamples in the tail; fewer than these are noise.
_FEWEST_IN_THE_TAIL = 10


def gate_problems(gate: Any, champion: dict[str, Any]) -> Iterator[Problem]:
    """Problems of `[[gate]]` and `[champion]` in one pipeline's merged table."""
    seen: set[str] = set()
    for index, rule in enumerate(gate if isinstance(gate, list) else []):
        if not isinstance(rule, dict):
            continue
        for key, what, hint in [*_bounds(rule), *_comparison(rule)]:
            yield (("gate", index, *key), what, hint)
        metric = rule.get("metric")
        if isinstance(metric, str):
            if metric in seen:
                yield (
                    ("gate", index, "metric"),
                    f"{metric!r} has two rules",
                    "put both bounds into one rule",
                )
            seen.add(metric)
    yield from _tail(champion)


def _bounds(rule: dict[str, Any]) -> Iterator[Problem]:
    low, high = _number(rule.get("minimum")), _number(rule.get("maximum"))
    if "minimum" not in rule and "maximum" not in rule:
        # Also because of the first model, which has no champion to compare with.
        yield ((), "a gate rule needs minimum or maximum", "add minimum = … or maximum = …")
    if low is not None and high is not None and low > high:
        yield (
            ("minimum",),
            f"minimum {low:g} is above maximum {high:g}; nothing can pass",
            "swap them, or drop one",
        )


def _comparison(rule: dict[str, Any]) -> Iterator[Problem]:
    given = [key for key in _OF_THE_COMPARISON if key in rule]
    if rule.get("compare") is False:
        for key in given:
            yield ((key,), f"compare = false: {key} has no effect", f"drop {key}, or drop compare")
        return
    both = "minimum" in rule and "maximum" in rule
    better = rule.get("better")
    if not both and better == "lower" and "minimum" in rule:
        yield (("better",), "a minimum alone bounds what is better when higher", "set maximum instead")
    if not both and better == "higher" and "maximum" in rule:
        yield (("better",), "a maximum alone bounds what is better when lower", "set minimum instead")
    if both and better is None and given:
        yield (
            (given[0],),
            "with both bounds nothing says which values are better, so nothing is compared",
            'add better = "higher" or better = "lower"',
        )
    margin = _number(rule.get("margin", GateRule.model_fields["margin"].default))
    if margin is not None and margin > 0 and rule.get("doubt", "challenger") == "challenger":
        yield (
            ("margin",),
            f"margin {margin:g} asks for a better model, and the challenger has the benefit of the doubt: "
            "one that is no better could pass",
            'set doubt = "champion", or margin = 0',
        )


def _tail(champion: dict[str, Any]) -> Iterator[Problem]:
    fields = Champion.model_fields
    confidence = _number(champion.get("confidence", fields["confidence"].default))
    resamples = _number(champion.get("resamples", fields["resamples"].default))
    if confidence is None or resamples is None or not 0.6 <= confidence <= 0.999:
        return
    needed = math.ceil(_FEWEST_IN_THE_TAIL / (1 - confidence) - 1e-6)
    if resamples < needed:
        key = "resamples" if "resamples" in champion else "confidence"
        yield (
            ("champion", key),
            f"{int(resamples)} resamples cannot show anything at {confidence:g} confidence",
            f"set resamples = {needed} or more",
        )


def _number(value: Any) -> float | None:
    ok = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if ok else None
