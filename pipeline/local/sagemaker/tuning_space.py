"""Parameter ranges of a tuning job: what each may be, and values as the API's strings. No I/O."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

Kind = Literal["Integer", "Continuous", "Categorical"]
# What AWS's `Auto` does is not documented; a range over so many times its least value is searched by
# orders of magnitude here.
_WIDE = 100.0
# More combinations than any job tries: no need to count on.
_MANY = 1_000_000


@dataclass(frozen=True)
class Parameter:
    """One hyperparameter that is searched.

    Args:
        low, high: inclusive; of a Categorical 0.
        scaling: Linear, Logarithmic or ReverseLogarithmic.
        values: of a Categorical, in the request's order.
    """

    name: str
    kind: Kind
    low: float = 0.0
    high: float = 0.0
    scaling: str = "Linear"
    values: tuple[str, ...] = ()

    def text(self, value: Any) -> str:
        """As it stands in HyperParameters."""
        if self.kind == "Integer":
            return str(int(value))
        return repr(float(value)) if self.kind == "Continuous" else str(value)

    def read(self, text: str) -> int | float | str | None:
        """A value given as text; None when it is none of this range."""
        if self.kind == "Categorical":
            return text if text in self.values else None
        try:
            number = float(text)
        except ValueError:
            return None
        if not self.low <= number <= self.high:
            return None
        if self.kind == "Integer":
            return int(number) if number.is_integer() else None
        return number

    @property
    def combinations(self) -> float:
        """How many different values it has."""
        if self.kind == "Categorical":
            return len(self.values)
        return self.high - self.low + 1 if self.kind == "Integer" else math.inf


def parameters(ranges: dict[str, Any]) -> list[Parameter]:
    """The parameters of the API's ParameterRanges, in the order of their names, so that a seed repeats.

    Raises:
        ValueError: a bound is no number.
    """
    found = [
        Parameter(each["Name"], "Categorical", values=tuple(each["Values"]))
        for each in ranges.get("CategoricalParameterRanges") or []
    ]
    kinds: tuple[Literal["Integer", "Continuous"], ...] = ("Integer", "Continuous")
    for kind in kinds:
        for each in ranges.get(f"{kind}ParameterRanges") or []:
            low, high = _bound(kind, each, "MinValue"), _bound(kind, each, "MaxValue")
            scaling = each.get("ScalingType") or "Auto"
            if scaling == "Auto":
                scaling = "Logarithmic" if low > 0 and high / low >= _WIDE else "Linear"
            found.append(Parameter(each["Name"], kind, low, high, scaling))
    return sorted(found, key=lambda each: each.name)


def _bound(kind: str, given: dict[str, Any], member: str) -> float:
    try:
        number = float(given[member])
    except ValueError:
        number = math.nan
    if not math.isfinite(number) or (kind == "Integer" and not number.is_integer()):
        what = "an integer" if kind == "Integer" else "a number"
        raise ValueError(f"{member} {given[member]!r} of the hyperparameter {given['Name']} is not {what}.")
    return number


def combinations(space: list[Parameter]) -> float:
    """How many different jobs a space has; infinite with a continuous range."""
    product = 1.0
    for each in space:
        product *= each.combinations
        if product > _MANY:
            return math.inf
    return product
