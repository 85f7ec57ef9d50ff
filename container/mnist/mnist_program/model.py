"""The model as it is kept and served: the layers' arrays and a description, without TensorFlow.

`weights.npz` holds `kernel_<n>` (inputs, units) and `bias_<n>` (units,), float32, for each dense layer;
`metadata.json` the classes, the scale of the pixels, and how the model came to be. Why: docs/decisions/0028.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from script_mode import ProgramError, write_atomically

from . import CLASSES, PIXELS, pixels

WEIGHTS_FILE = "weights.npz"
METADATA_FILE = "metadata.json"
# Rows that are computed at once: 13 MB of pixels.
_ROWS = 4096

# What a damaged archive of arrays raises.
UNREADABLE = (ValueError, KeyError, OSError, EOFError, zipfile.BadZipFile)

Layer = tuple[NDArray[np.float32], NDArray[np.float32]]


@dataclass(frozen=True)
class Model:
    """Dense layers, rectified but for the last, whose outputs are made probabilities."""

    layers: Sequence[Layer]
    scale: float
    metadata: Mapping[str, Any]

    def probabilities(self, seen: NDArray[np.float32]) -> NDArray[np.float64]:
        """Of normalised pixels (rows, 784) the probability of each class, (rows, 10)."""
        parts = [self._part(seen[start : start + _ROWS]) for start in range(0, len(seen), _ROWS)]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _part(self, values: NDArray[np.float32]) -> NDArray[np.float64]:
        *hidden, (kernel, bias) = self.layers
        for weights, offset in hidden:
            values = values @ weights
            values += offset
            np.maximum(values, 0, out=values)
        scores = (values @ kernel + bias).astype(np.float64)
        # The greatest is taken off first: exp of a great number is none.
        scores -= scores.max(axis=1, keepdims=True)
        np.exp(scores, out=scores)
        scores /= scores.sum(axis=1, keepdims=True)
        return scores


def save(folder: Path, layers: Sequence[Layer], metadata: Mapping[str, Any]) -> None:
    """Write both files, the description last."""
    write_atomically(folder / WEIGHTS_FILE, packed(layers))
    write_atomically(folder / METADATA_FILE, json.dumps(metadata, indent=2, sort_keys=True) + "\n")


def packed(layers: Sequence[Layer]) -> bytes:
    """The layers as .npz; the same arrays are the same bytes."""
    arrays: dict[str, Any] = {}
    for number, (kernel, bias) in enumerate(layers):
        arrays |= {f"kernel_{number}": kernel, f"bias_{number}": bias}
    content = io.BytesIO()
    np.savez(content, **arrays)
    return content.getvalue()


def load(folder: Path) -> Model:
    """The model in a folder.

    Raises ProgramError when a file is missing, cannot be read, is of other classes or pixels, or not finite.
    """
    weights_file, metadata_file = folder / WEIGHTS_FILE, folder / METADATA_FILE
    missing = [path.name for path in (weights_file, metadata_file) if not path.is_file()]
    if missing:
        raise ProgramError(f"{folder} holds no {' and no '.join(missing)}")
    try:
        metadata = json.loads(metadata_file.read_text(encoding="utf-8"))
        classes, count, scale = tuple(metadata["classes"]), metadata["pixels"], float(metadata["scale"])
        pixels.table(scale)
    except (ValueError, KeyError, TypeError) as error:
        raise ProgramError(f"{metadata_file} cannot be read: {type(error).__name__}: {error}") from error
    if classes != CLASSES or count != PIXELS:
        raise ProgramError(f"{metadata_file} is of classes {classes} and {count} pixels, not mnist")
    try:
        layers = unpacked(weights_file)
    except UNREADABLE as error:
        raise ProgramError(f"{weights_file} cannot be read: {type(error).__name__}: {error}") from error
    return Model(layers, scale, metadata)


def unpacked(path: Path) -> list[Layer]:
    """The layers in a file, checked to fit one after the other. Raises one of UNREADABLE."""
    # allow_pickle=False: nothing in the file can be a program.
    with np.load(path, allow_pickle=False) as arrays:
        layers = [
            (np.ascontiguousarray(arrays[f"kernel_{number}"]), arrays[f"bias_{number}"])
            for number in range(len(arrays.files) // 2)
        ]
    width = PIXELS
    for number, (kernel, bias) in enumerate(layers):
        if kernel.dtype != np.float32 or bias.dtype != np.float32 or kernel.ndim != 2:
            raise ValueError(f"layer {number} is not of float32")
        if kernel.shape[0] != width or bias.shape != kernel.shape[1:]:
            raise ValueError(f"layer {number} of shape {kernel.shape} does not follow {width} values")
        if not (np.isfinite(kernel).all() and np.isfinite(bias).all()):
            raise ValueError(f"layer {number} is not finite")
        width = kernel.shape[1]
    if width != len(CLASSES) or not layers:
        raise ValueError(f"the last layer has {width} outputs, not {len(CLASSES)}")
    return layers
