"""The one place in the image where a raw pixel becomes a number that the model sees: by the recorded scale.

The transform divides each pixel by a scale and records that scale with the data; the model records it again.
Serving gets raw pixels and looks them up in the table of what they become. Training holds its data against
the same table, so both see the same numbers, to the bit, or training fails.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import LEVELS

Raw = NDArray[np.uint8]
Seen = NDArray[np.float32]


def table(scale: float) -> Seen:
    """What each raw pixel becomes, shape (256,). Raises ValueError unless the scale is a number above 0."""
    if not np.isfinite(scale) or scale <= 0:
        raise ValueError(f"the scale is {scale!r}, not a number above 0")
    return np.arange(LEVELS, dtype=np.float32) / np.float32(scale)


def seen(raw: Raw, levels: Seen) -> Seen:
    """Raw pixels as the model sees them; `levels` is `table(scale)`."""
    return levels[raw]


def raw(pixels: NDArray[Any], scale: float) -> Raw:
    """The raw pixels of normalised ones.

    Raises ValueError when there is a pixel that no raw pixel becomes by this scale: one that was not
    scaled, or scaled twice, or by another number.
    """
    levels = table(scale)
    with np.errstate(invalid="ignore"):
        nearest = np.clip(np.rint(pixels * np.float32(scale)), 0, LEVELS - 1)
    found = np.nan_to_num(nearest).astype(np.uint8)
    if pixels.dtype != np.float32 or not np.array_equal(levels[found], pixels):
        wrong = pixels[levels[found] != pixels]
        example = f" such as {wrong.flat[0]!s}" if wrong.size else ""
        raise ValueError(f"pixels that are no raw pixel divided by {scale:g}{example}")
    return found
