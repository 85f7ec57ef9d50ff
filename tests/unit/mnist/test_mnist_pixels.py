"""What a raw pixel becomes: one table for training and serving, and nothing that is not in it."""

from __future__ import annotations

import numpy as np
import pytest
from mnist_program import pixels

ALL = np.arange(256, dtype=np.uint8)


@pytest.mark.parametrize("scale", [255.0, 256.0, 127.5, 3.0])
def test_serving_divides_as_spark_does(scale: float) -> None:
    """Spark divides in double precision and rounds once to float; the table divides in single precision."""
    spark = (ALL.astype(np.float64) / scale).astype(np.float32)
    assert np.array_equal(pixels.seen(ALL, pixels.table(scale)), spark)


@pytest.mark.parametrize("scale", [255.0, 256.0, 127.5])
def test_normalised_pixels_lead_back_to_the_raw_ones(scale: float) -> None:
    assert np.array_equal(pixels.raw(pixels.table(scale)[ALL], scale), ALL)


def spoilt(value: float) -> np.ndarray:
    found = pixels.table(255)[ALL].copy()
    found[17] = value
    return found


@pytest.mark.parametrize(
    "wrong",
    [
        pixels.table(255) / np.float32(255),  # scaled twice
        ALL.astype(np.float32),  # not at all
        pixels.table(256),  # by another number
        np.nextafter(pixels.table(255), np.float32(2)),  # the last bit
        pixels.table(255).astype(np.float64),
        spoilt(float("nan")),
        spoilt(float("inf")),
        spoilt(-0.5),
        spoilt(1.5),
    ],
)
def test_pixels_that_serving_would_not_make_are_refused(wrong: np.ndarray) -> None:
    with pytest.raises(ValueError, match="no raw pixel divided by 255"):
        pixels.raw(wrong, 255)


@pytest.mark.parametrize("scale", [0, -1, float("nan"), float("inf")])
def test_a_scale_is_a_number_above_0(scale: float) -> None:
    with pytest.raises(ValueError, match="not a number above 0"):
        pixels.table(scale)
