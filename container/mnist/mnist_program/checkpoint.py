"""Training's progress on disk, so that a spot interruption or a restart goes on where it stopped.

`checkpoint.json` names the files of one epoch and is replaced last, atomically: a checkpoint is either the
old one or the new one, never half of either. What it does not name is removed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from script_mode import write_atomically

INDEX = "checkpoint.json"


@dataclass(frozen=True)
class Progress:
    """epochs: done; best_epoch (from 1) and best_loss: least validation loss so far; metrics: the best's.

    state: file of the network with its optimiser; best: file of the best epoch's weights.
    """

    fingerprint: str
    epochs: int
    best_epoch: int
    best_loss: float
    metrics: dict[str, float]
    state: str
    best: str


def fingerprint(values: Mapping[str, Any], *channels: Sequence[str]) -> str:
    """What a checkpoint belongs to: the hyperparameters and the data, byte for byte, by whatever names.

    channels: digests of each one's files, in their order.
    """
    content = json.dumps([dict(values), [list(digests) for digests in channels]], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()


def save(folder: Path, progress: Progress) -> None:
    """Make this the checkpoint. Its files are in the folder already."""
    write_atomically(folder / INDEX, json.dumps(asdict(progress)))
    for path in folder.iterdir():
        if path.is_file() and path.name not in (INDEX, progress.state, progress.best):
            path.unlink(missing_ok=True)


def load(folder: Path, wanted: str) -> tuple[Progress | None, str]:
    """The checkpoint that belongs to `wanted`, or None and why there is none to use."""
    path = folder / INDEX
    if not path.is_file():
        return None, "no checkpoint"
    try:
        found = Progress(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        return None, f"the checkpoint cannot be read ({error})"
    if found.fingerprint != wanted:
        return None, "the checkpoint is of other data or hyperparameters"
    missing = [name for name in (found.state, found.best) if not (folder / name).is_file()]
    if missing:
        return None, f"the checkpoint lacks {', '.join(missing)}"
    return found, f"after epoch {found.epochs}"
