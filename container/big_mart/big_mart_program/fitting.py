"""Learns an encoder with scikit-learn, from training rows; `preprocess` alone needs it, serving does not.

What scikit-learn has fitted is read out into an `Encoder`, which is a few numbers and names and can be served
without it. That both make the same of every row is looked at each time, not believed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from statistics import fmean

import numpy as np
from script_mode import ProgramError
from sklearn.impute import SimpleImputer
from sklearn.preprocessing import OneHotEncoder

from .columns import Arguments
from .encoder import BadValue, Encoder
from .table import Table


def fit(table: Table, rows: Sequence[int], arguments: Arguments) -> Encoder:
    """Learn from these rows and no others.

    Raises:
        BadValue: a cell is no number, or a column has no value in any of these rows.
        ProgramError: the encoder makes something else of a row than scikit-learn does.
    """
    draft = Encoder(
        label=arguments.label,
        columns=table.columns,
        medians=dict.fromkeys(arguments.numbers, math.nan),
        zero_is_missing=arguments.zero_is_missing,
        levels=dict.fromkeys(arguments.categories, ()),
        spellings=arguments.spellings or {},
        group=arguments.group,
        group_means={},
        mean=0.0,
    )
    numbers, categories = _numbers(table, draft), _categories(table, draft)
    taken = list(rows)
    for position, name in enumerate(draft.medians):
        if np.isnan(numbers[taken, position]).all():
            raise BadValue(f"column {name} has no value in any training row")
    made, medians, levels = [], {}, {}
    if draft.medians:
        imputer = SimpleImputer(strategy="median").fit(numbers[taken])
        medians = dict(zip(draft.medians, map(float, imputer.statistics_), strict=True))
        made.append(imputer.transform(numbers))
    if draft.levels:
        # A level that no training row had is none of them.
        onehot = OneHotEncoder(handle_unknown="ignore", sparse_output=False).fit(categories[taken])
        levels = {
            name: tuple(map(str, known)) for name, known in zip(draft.levels, onehot.categories_, strict=True)
        }
        made.append(onehot.transform(categories))
    means, mean = _means(table, rows, arguments.group)
    fitted = replace(draft, medians=medians, levels=levels, group_means=means, mean=mean)
    _compare(table, fitted, np.hstack(made))
    return fitted


def _numbers(table: Table, draft: Encoder) -> np.ndarray:
    """(rows, numbers), float64; NaN where one is missing."""
    found = np.empty((len(table.rows), len(draft.medians)))
    for position, name in enumerate(draft.medians):
        for row, text in enumerate(table.column(name)):
            try:
                found[row, position] = draft.number(name, text, math.nan)
            except BadValue as error:
                raise BadValue(f"row {row + 1} of the data: {error}") from None
    return found


def _categories(table: Table, draft: Encoder) -> np.ndarray:
    """(rows, categories), of text, as it is meant."""
    found = np.empty((len(table.rows), len(draft.levels)), dtype=object)
    for position, name in enumerate(draft.levels):
        found[:, position] = [draft.level(name, text) for text in table.column(name)]
    return found


def _means(table: Table, rows: Sequence[int], group: str) -> tuple[dict[str, float], float]:
    """The label's mean of each group, and of all: the baseline."""
    groups: dict[str, list[float]] = {}
    of_group = table.column(group)
    for row in rows:
        groups.setdefault(of_group[row], []).append(table.labels[row])
    means = {name: fmean(labels) for name, labels in sorted(groups.items())}
    return means, fmean(table.labels[row] for row in rows)


def _compare(table: Table, fitted: Encoder, expected: np.ndarray) -> None:
    for row, cells in enumerate(table.rows):
        if fitted.row(cells) != expected[row].tolist():
            raise ProgramError(
                f"row {row + 1} of the data: the encoder makes {fitted.row(cells)} of it, scikit-learn "
                f"{expected[row].tolist()}"
            )
