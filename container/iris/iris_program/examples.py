"""The outcome of every held-out row, so that two models can be compared row by row.

A metric of the report is the mean of its column. The gate pairs line n of one model's file with line n of
another's where both reports name the same `held_out.sha256`: the same rows, in the same order.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .data import Table


def table(outcomes: Mapping[str, NDArray[np.float64]]) -> str:
    """CSV: the metrics' names, then one line a row. Nine digits, which is more than the gate asks for."""
    columns = [[f"{value:.9g}" for value in column] for column in outcomes.values()]
    lines = [",".join(outcomes), *(",".join(cells) for cells in zip(*columns, strict=True))]
    return "\n".join(lines) + "\n"


def held_out(test: Table, name: str, outcomes: str) -> dict[str, Any]:
    """What the report says of the rows: how many, which, and where the outcome of each is written."""
    digest = hashlib.sha256(f"{test.features.shape}\n".encode())
    for array in (test.labels.astype("<i8"), test.features.astype("<f8")):
        digest.update(np.ascontiguousarray(array).tobytes())
    return {
        "rows": len(test),
        "sha256": digest.hexdigest(),
        "examples": name,
        "examples_sha256": hashlib.sha256(outcomes.encode("ascii")).hexdigest(),
    }
