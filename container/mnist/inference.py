"""What the serving stack calls: loads the model of mnist and answers requests. Imports no TensorFlow."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from mnist_program import (
    PIXELS,
    formats,
    images,  # noqa: F401  formats.py loads the decoder when an image comes; the first one should not wait
    pixels,
)
from mnist_program.model import Model, load
from script_mode import ProgramError
from serving import LoadError, metric


class Digits:
    """A loaded model with the table of what raw pixels become."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.levels = pixels.table(model.scale)

    def __call__(self, raw: pixels.Raw) -> list[list[float]]:
        """Probabilities of the digits for each image of raw pixels (rows, 784)."""
        found: list[list[float]] = self.model.probabilities(pixels.seen(raw, self.levels)).tolist()
        return found


def model_fn(model_dir: str) -> Digits:
    """The model, with its first prediction behind it: that one sets up the linear algebra's threads."""
    try:
        digits = Digits(load(Path(model_dir)))
    except ProgramError as error:
        raise LoadError(str(error)) from error
    digits(np.zeros((1, PIXELS), dtype=np.uint8))
    return digits


def transform_fn(
    model: Digits, body: str | bytes, content_type: str | None, accept: str
) -> tuple[bytes, str]:
    """Images of raw pixels in, digits and probabilities out; formats.py says in which forms."""
    kind, writer = formats.choose_writer(accept)
    predicted = model(formats.read(body, content_type or ""))
    # Of a batch the mean: one number a request.
    metric("confidence", sum(map(max, predicted)) / len(predicted))
    return writer(predicted), kind
