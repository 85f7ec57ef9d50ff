"""What turns a raw row into the model's numbers: fitted on training rows (fitting.py), kept as features.json.

The same code encodes the rows that are trained on and those of a request, so they cannot differ.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .columns import MISSING
from .table import number

FILE = "features.json"
FORMAT = 1
ABSENT = "(none)"


class BadValue(Exception):
    """A cell that is no number where one is expected; the text says which."""


class BadFeatures(Exception):
    """features.json cannot be used; the text says why."""


@dataclass(frozen=True)
class Encoder:
    """How raw columns become features, in this order: the numbers, then one feature a level of each category.

    Args:
        columns: of a raw row, in its order, without the label.
        medians: number -> what stands for a missing one: the median of the training rows.
        zero_is_missing: numbers of which 0 is a missing one.
        levels: category -> its values among the training rows; ABSENT where one was missing.
        spellings: category -> {as it is found: as it is meant}.
        group, group_means, mean: of the baseline: the label's mean of each group, and of all.
    """

    label: str
    columns: tuple[str, ...]
    medians: dict[str, float]
    zero_is_missing: tuple[str, ...]
    levels: dict[str, tuple[str, ...]]
    spellings: dict[str, dict[str, str]]
    group: str
    group_means: dict[str, float]
    mean: float

    @property
    def names(self) -> list[str]:
        """Names of the features, as reports show them: `Item_MRP`, `Outlet_Size=Small`."""
        made = [f"{name}={level}" for name, levels in self.levels.items() for level in levels]
        return [*self.medians, *made]

    def column_of(self, feature: int) -> str:
        """The raw column that a feature is made of."""
        return self.names[feature].partition("=")[0]

    def row(self, cells: Sequence[str]) -> list[float]:
        """A raw row's features. Raises BadValue."""
        values = dict(zip(self.columns, cells, strict=True))
        made = [self.number(name, values[name], middle) for name, middle in self.medians.items()]
        for name, levels in self.levels.items():
            level = self.level(name, values[name])
            # A level that no training row had is none of them.
            made += [1.0 if level == known else 0.0 for known in levels]
        return made

    def unknown(self, cells: Sequence[str]) -> dict[str, str]:
        """Category -> value of a row that no training row had."""
        values = dict(zip(self.columns, cells, strict=True))
        return {
            name: values[name]
            for name in self.levels
            if self.level(name, values[name]) not in self.levels[name]
        }

    def baseline(self, cells: Sequence[str]) -> float:
        """The mean of the row's group among the training rows; of all of them where the group is new."""
        return self.group_means.get(cells[self.columns.index(self.group)], self.mean)

    def level(self, name: str, text: str) -> str:
        """A category's value as it is meant."""
        if text in MISSING:
            return ABSENT
        return self.spellings.get(name, {}).get(text, text)

    def number(self, name: str, text: str, middle: float) -> float:
        """A cell's number; `middle` where it is missing. Raises BadValue."""
        try:
            value = number(text)
        except ValueError:
            raise BadValue(f"{name} is {text!r}, which is no number") from None
        missing = value is None or (value == 0 and name in self.zero_is_missing)
        return middle if missing else float(value or 0)

    def as_json(self, about: Mapping[str, Any]) -> str:
        """features.json; `about` is for people and for the evaluation."""
        found = {
            "format": FORMAT,
            "label": self.label,
            "columns": list(self.columns),
            "medians": self.medians,
            "zero_is_missing": list(self.zero_is_missing),
            "levels": {name: list(levels) for name, levels in self.levels.items()},
            "spellings": self.spellings,
            "group": self.group,
            "group_means": self.group_means,
            "mean": self.mean,
            "features": self.names,
            **about,
        }
        return json.dumps(found, indent=2, allow_nan=False) + "\n"


def loads(text: str) -> tuple[Encoder, dict[str, Any]]:
    """The encoder, and all that features.json says. Raises BadFeatures."""
    try:
        found = json.loads(text)
        if found.get("format") != FORMAT:
            raise BadFeatures(f"{FILE} is of format {found.get('format')!r}; {FORMAT} is read")
        encoder = Encoder(
            label=str(found["label"]),
            columns=tuple(map(str, found["columns"])),
            medians={str(name): float(value) for name, value in found["medians"].items()},
            zero_is_missing=tuple(map(str, found["zero_is_missing"])),
            levels={str(name): tuple(map(str, levels)) for name, levels in found["levels"].items()},
            spellings={
                str(name): {str(a): str(b) for a, b in pairs.items()}
                for name, pairs in found["spellings"].items()
            },
            group=str(found["group"]),
            group_means={str(name): float(value) for name, value in found["group_means"].items()},
            mean=float(found["mean"]),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadFeatures(f"{FILE} cannot be read: {type(error).__name__}: {error}") from error
    numbers = [*encoder.medians.values(), *encoder.group_means.values(), encoder.mean]
    used = {*encoder.medians, *encoder.levels, encoder.group}
    if not all(map(math.isfinite, numbers)) or not used <= set(encoder.columns):
        raise BadFeatures(f"{FILE} holds a number that is not finite, or a column that it does not name")
    return encoder, found
