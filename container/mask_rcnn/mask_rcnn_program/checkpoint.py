"""Training's progress on disk, so that a spot interruption or a restart goes on where it stopped.

`checkpoint.json` names the file of one epoch and is replaced last, atomically: a checkpoint is either the old
one or the new one, never half of either. What it does not name is removed.
"""

from __future__ import annotations

import hashlib
import io
import json
import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from script_mode import write_atomically

INDEX = "checkpoint.json"
# What a damaged file of tensors raises.
UNREADABLE = (OSError, RuntimeError, ValueError, KeyError, EOFError, TypeError, pickle.UnpicklingError)


def fingerprint(values: Mapping[str, Any], digests: Sequence[str], processes: int) -> str:
    """What a checkpoint belongs to: hyperparameters, the data byte for byte, how many trained together."""
    content = json.dumps([dict(values), list(digests), processes], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()


def save(folder: Path, fingerprint: str, epochs: int, state: Mapping[str, Any]) -> None:
    """Make this the checkpoint: `state` after so many epochs."""
    folder.mkdir(parents=True, exist_ok=True)
    name = f"state-{epochs}.pt"
    content = io.BytesIO()
    torch.save(dict(state), content)
    write_atomically(folder / name, content.getvalue())
    told = {
        "fingerprint": fingerprint,
        "epochs": epochs,
        "state": name,
        "sha256": hashlib.sha256(content.getvalue()).hexdigest(),
    }
    write_atomically(folder / INDEX, json.dumps(told))
    for path in folder.glob("*state-*.pt*"):
        if path.name != name:
            path.unlink(missing_ok=True)


def load(folder: Path, wanted: str) -> tuple[int, dict[str, Any] | None, str]:
    """Epochs done and their state, if a checkpoint belongs to `wanted`; else 0, None and why."""
    path = folder / INDEX
    if not path.is_file():
        return 0, None, "no checkpoint"
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        if told["fingerprint"] != wanted:
            return 0, None, "the checkpoint is of other data, hyperparameters or processes"
        content = (folder / told["state"]).read_bytes()
        # It came through S3, file by file, while it was being written.
        if hashlib.sha256(content).hexdigest() != told["sha256"]:
            return 0, None, f"{told['state']} is not the file that {INDEX} names"
        # weights_only: nothing in the file can be a program.
        state = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
        return int(told["epochs"]), state, f"after epoch {told['epochs']}"
    except UNREADABLE as error:
        said = str(error).partition("\n")[0]
        return 0, None, f"the checkpoint cannot be read ({type(error).__name__}: {said})"
