"""The model as it is kept and served: `weights.pt`, the tensors, and `metadata.json`, how it came to be."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from script_mode import ProgramError, write_atomically

from . import network
from .checkpoint import UNREADABLE
from .images import Planes

WEIGHTS_FILE, METADATA_FILE = "weights.pt", "metadata.json"
# A pixel belongs to an object from this probability on, as in torchvision's tutorial and COCO's tools.
IN_MASK = 0.5


@dataclass(frozen=True)
class Found:
    """Objects on an image, the surest first.

    masks (n, height, width) of bool; boxes (n, 4) as x1, y1, x2, y2; classes (n,) from 1; scores (n,) from 0
    to 1.
    """

    masks: NDArray[np.bool_]
    boxes: NDArray[np.float32]
    classes: NDArray[np.int64]
    scores: NDArray[np.float32]


class Model:
    """A network for prediction, with what the metadata says of it."""

    def __init__(self, net: Any, metadata: Mapping[str, Any]) -> None:
        self.metadata = metadata
        self.names: list[str] = list(metadata["classes"])
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._net = net.to(self.device).eval()

    def find(self, planes: Planes) -> Found:
        """The objects on one image, (3, height, width) from 0 to 1, of whatever size."""
        network.allow_for(self._net, planes.shape[1] * planes.shape[2])
        with torch.inference_mode():
            (told,) = self._net([torch.from_numpy(planes).to(self.device)])
        masks = (told["masks"][:, 0] >= IN_MASK).cpu().numpy()
        seen = masks.any(axis=(1, 2))
        parts = [told[name].cpu().numpy()[seen] for name in ("boxes", "labels", "scores")]
        return Found(masks[seen], *parts)


def save(folder: Path, state: Mapping[str, torch.Tensor], metadata: Mapping[str, Any]) -> None:
    """Write both files, the description last."""
    content = io.BytesIO()
    torch.save({name: one.cpu() for name, one in state.items()}, content)
    write_atomically(folder / WEIGHTS_FILE, content.getvalue())
    write_atomically(folder / METADATA_FILE, json.dumps(metadata, indent=2, sort_keys=True) + "\n")


def load(folder: Path) -> Model:
    """The model in a folder.

    Raises ProgramError when a file is missing, cannot be read, does not fit, or is not finite.
    """
    weights_file, metadata_file = folder / WEIGHTS_FILE, folder / METADATA_FILE
    missing = [path.name for path in (weights_file, metadata_file) if not path.is_file()]
    if missing:
        raise ProgramError(f"{folder} holds no {' and no '.join(missing)}")
    try:
        metadata = json.loads(metadata_file.read_text(encoding="utf-8"))
        count, mean, deviation = len(metadata["classes"]), metadata["mean"], metadata["deviation"]
        net = network.build(count, mean, deviation)
    except (ValueError, KeyError, TypeError) as error:
        raise ProgramError(f"{metadata_file} cannot be read: {type(error).__name__}: {error}") from error
    try:
        # weights_only: nothing in the file can be a program.
        state = torch.load(weights_file, map_location="cpu", weights_only=True)
        net.load_state_dict(state)
    except UNREADABLE as error:
        said = str(error).strip().splitlines()[:2]
        raise ProgramError(
            f"{weights_file} cannot be read: {type(error).__name__}: {' '.join(said)}"
        ) from error
    wrong = [name for name, one in state.items() if one.is_floating_point() and not one.isfinite().all()]
    if wrong:
        raise ProgramError(f"{weights_file}: {wrong[0]} is not finite")
    return Model(net, metadata)
