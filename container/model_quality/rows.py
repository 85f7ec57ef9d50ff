"""The outcome of every held-out row, so that two models can be compared row by row.

A metric of the report is the mean of its column. The gate pairs line n of one model's file with line n of
another's where both reports name the same `held_out.sha256`: the same rows, in the same order.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

EXAMPLES = "examples.csv"


def table(outcomes: Mapping[str, NDArray[np.float64]]) -> str:
    """CSV: the metrics' names, then one line a row. Nine digits, which is more than the gate asks for."""
    columns = [[f"{value:.9g}" for value in column] for column in outcomes.values()]
    lines = [",".join(outcomes), *(",".join(cells) for cells in zip(*columns, strict=True))]
    return "\n".join(lines) + "\n"


def digest(features: NDArray[Any], labels: NDArray[np.int64]) -> str:
    """SHA-256 of held-out rows in their order. features: (rows, ...); labels: (rows,)."""
    return digest_of(features.shape, labels, [features])


def digest_of(shape: tuple[int, ...], labels: NDArray[np.int64], parts: Iterable[NDArray[Any]]) -> str:
    """The same, of features that come in parts, one after the other."""
    known = hashlib.sha256(f"{shape}\n".encode())
    known.update(np.ascontiguousarray(labels.astype("<i8")).tobytes())
    for part in parts:
        known.update(np.ascontiguousarray(part.astype("<f8")).tobytes())
    return known.hexdigest()


def held_out(count: int, sha256: str, outcomes: str, name: str = EXAMPLES) -> dict[str, Any]:
    """What the report says of the rows: how many, which, and where the outcome of each is written."""
    return {
        "rows": count,
        "sha256": sha256,
        "examples": name,
        "examples_sha256": hashlib.sha256(outcomes.encode("ascii")).hexdigest(),
    }
