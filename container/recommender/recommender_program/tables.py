"""Reads the small Parquet tables that go into the model: one row a user or a movie, by ascending id."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from script_mode import ProgramError

from .encoding import genre
from .samples import arrow_batches, check_columns, files_in


def read(folder: Path, name: str, key: str, wanted: Mapping[str, tuple[str, ...] | str]) -> dict[str, Any]:
    """Arrays by name, `ids` among them.

    Args:
        wanted: `numbers`, `genres`, `rated`: columns side by side (n, columns); `likes`: one column (n,);
            `vectors`: a column of lists (n, size).

    Raises:
        ProgramError: a file or column is missing, an id is there twice, a vector has another length.
    """
    listed = [[columns] if isinstance(columns, str) else list(columns) for columns in wanted.values()]
    flat = [column for columns in listed for column in columns]
    parts: dict[str, list[Any]] = {"ids": [], **{kind: [] for kind in wanted}}
    for path in files_in(folder, name):
        where = f"{name}/{path.name}"
        check_columns(path, where, (key, *flat))
        for batch in arrow_batches(path, where, (key, *flat)):
            parts["ids"].append(batch[key].to_numpy(zero_copy_only=False).astype(np.int64))
            for kind, columns in wanted.items():
                parts[kind].append(_convert(kind, batch, columns, where))
    found = {kind: np.concatenate(pieces) for kind, pieces in parts.items() if pieces}
    if "ids" not in found or not len(found["ids"]):
        raise ProgramError(f"channel {name!r} holds no rows")
    order = np.argsort(found["ids"], kind="stable")
    twice = found["ids"][order][1:][np.diff(found["ids"][order]) == 0]
    if len(twice):
        raise ProgramError(f"channel {name!r} has {key} {twice[0]} twice")
    return {kind: array[order] for kind, array in found.items()}


def _convert(kind: str, batch: pa.RecordBatch, columns: tuple[str, ...] | str, where: str) -> Any:
    if isinstance(columns, str):
        column = batch[columns]
        if kind != "vectors":
            return column.to_numpy(zero_copy_only=False).astype(np.int64)
        lengths = set(np.asarray(column.value_lengths()).tolist())
        if len(lengths) > 1 or None in lengths:
            raise ProgramError(f"{where}: vectors of column {columns} have different lengths")
        flat = column.flatten().to_numpy(zero_copy_only=False).astype(np.float32)
        if not np.isfinite(flat).all():
            raise ProgramError(f"{where}: a vector of column {columns} is not of finite numbers")
        return flat.reshape(len(batch), -1)
    if kind == "genres":
        made = [[genre(value) for value in batch[column].to_pylist()] for column in columns]
        return np.array(made, dtype=np.int32).T.reshape(len(batch), len(columns))
    if kind == "rated":
        filled = [batch[column].cast(pa.int64()).fill_null(0) for column in columns]
        return np.stack([column.to_numpy(zero_copy_only=False) for column in filled], axis=1).astype(np.int64)
    numbers = [batch[column].cast(pa.float64()).to_numpy(zero_copy_only=False) for column in columns]
    return np.stack(numbers, axis=1).astype(np.float64)
