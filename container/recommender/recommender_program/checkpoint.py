"""Training's progress on disk, so that a spot interruption or a restart goes on where it stopped.

state.json is replaced last and names its array files, so it is of one epoch, whole, whenever it is read.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from script_mode import write_atomically

STATE = "state.json"


@dataclass(frozen=True)
class Best:
    """The epoch (from 1) with the least loss on validation so far, and its metrics."""

    epoch: int
    loss: float
    metrics: dict[str, float]


@dataclass(frozen=True)
class State:
    """Epochs done, and the files of the variables after the last of them and of the best one's weights."""

    fingerprint: str
    epochs: int
    best: Best
    last_file: str
    best_file: str


def fingerprint(values: Mapping[str, Any], digests: Mapping[str, str]) -> str:
    """What a checkpoint belongs to: the hyperparameters but those of the end, and the data byte for byte."""
    own = {name: value for name, value in values.items() if name not in ("epochs", "early_stopping_epochs")}
    content = json.dumps([own, dict(digests)], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()


def save(
    folder: Path, state: State, variables: Sequence[NDArray[Any]], best: Mapping[str, NDArray[Any]]
) -> None:
    """Replace the checkpoint in the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    _write(folder / state.last_file, {f"v{n}": array for n, array in enumerate(variables)})
    if not (folder / state.best_file).exists():
        _write(folder / state.best_file, best)
    write_atomically(folder / STATE, json.dumps(asdict(state)))
    for path in folder.glob("*.npz"):
        if path.name not in (state.last_file, state.best_file):
            path.unlink()


def load(
    folder: Path, wanted: str
) -> tuple[tuple[State, list[NDArray[Any]], dict[str, NDArray[Any]]] | None, str]:
    """State, variables and best weights that belong to `wanted`, or None; and why."""
    path = folder / STATE
    if not path.is_file():
        return None, "no checkpoint"
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        state = State(**{**found, "best": Best(**found["best"])})
        if state.fingerprint != wanted:
            return None, "the checkpoint is of other data or hyperparameters"
        last, best = _read(folder / state.last_file), _read(folder / state.best_file)
    # Whatever is wrong with a checkpoint, training can begin anew.
    except Exception as error:  # noqa: BLE001
        return None, f"the checkpoint cannot be read ({type(error).__name__}: {error})"
    return (state, [last[f"v{n}"] for n in range(len(last))], best), f"after epoch {state.epochs}"


def _write(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    beside = path.with_name(f".{path.name}")
    with beside.open("wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]
    beside.replace(path)


def _read(path: Path) -> dict[str, NDArray[Any]]:
    with np.load(path, allow_pickle=False) as file:
        return {name: file[name] for name in file.files}
