"""Training's progress on disk, so that a spot interruption or a restart goes on where it stopped.

One file, replaced atomically: a checkpoint is either the old one or the new one, never half of either.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from .contract import write_atomically


@dataclass(frozen=True)
class Checkpoint:
    """iterations: boosting rounds done; best_*: the round (from 1) with the least validation loss so far."""

    fingerprint: str
    iterations: int
    best_iteration: int
    best_loss: float
    model: str


def fingerprint(params: Mapping[str, Any], digests: Mapping[str, str]) -> str:
    """What a checkpoint belongs to: the hyperparameters and the data, byte for byte."""
    content = json.dumps([dict(sorted(params.items())), dict(sorted(digests.items()))], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()


def save(folder: Path, checkpoint: Checkpoint) -> None:
    """Replace the checkpoint in the folder."""
    write_atomically(folder / "checkpoint.json", json.dumps(asdict(checkpoint)))


def load(folder: Path, wanted: str) -> tuple[Checkpoint | None, str]:
    """The checkpoint that belongs to `wanted`, or None and why there is none to use."""
    path = folder / "checkpoint.json"
    if not path.is_file():
        return None, "no checkpoint"
    try:
        found = Checkpoint(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        return None, f"the checkpoint cannot be read ({error})"
    if found.fingerprint != wanted:
        return None, "the checkpoint is of other data or hyperparameters"
    return found, f"after round {found.iterations}"
