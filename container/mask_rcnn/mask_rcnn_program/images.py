"""Images as arrays: PNG, JPEG and .npy, of 8 or 16 bits or of numbers from 0 to 1. One way for all programs.

Training, evaluation and the endpoint read images here, so a pixel is the same number to all of them.
"""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Of Pillow's decoders these two alone: what is never loaded cannot be attacked.
from PIL import Image, JpegImagePlugin, PngImagePlugin

from . import PLANES

PNG, JPEG, NPY = "image/png", "image/jpeg", "application/x-npy"
# Pixels of an image. A network over many more takes seconds and gigabytes.
LARGEST = 2048 * 2048
SMALLEST_SIDE = 16

Planes = NDArray[np.float32]
_DECODERS: dict[str, Any] = {PNG: PngImagePlugin.PngImageFile, JPEG: JpegImagePlugin.JpegImageFile}


class NotAnImage(ValueError):
    """The bytes are no image that is taken; the text says why."""


def decode(content: bytes, kind: str) -> Planes:
    """An image's planes, (3, height, width) from 0 to 1. Raises NotAnImage."""
    return planes(_array(content) if kind == NPY else _pixels(content, kind))


def planes(pixels: NDArray[Any]) -> Planes:
    """(height, width) or (height, width, 3) as (3, height, width) from 0 to 1. Raises NotAnImage."""
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[:, :, 0]
    if pixels.ndim not in (2, 3) or (pixels.ndim == 3 and pixels.shape[2] != PLANES):
        raise NotAnImage(
            f"an array of shape {pixels.shape}; (height, width) or (height, width, 3) is expected"
        )
    _check_size(pixels.shape[1], pixels.shape[0])
    if pixels.dtype == np.uint8:
        found = pixels.astype(np.float32) / 255
    elif pixels.dtype == np.uint16:
        found = pixels.astype(np.float32) / 65535
    elif pixels.dtype in (np.float32, np.float64):
        # `not`: so that NaN does not pass.
        if not (pixels.min() >= 0 and pixels.max() <= 1):
            raise NotAnImage("numbers outside 0 to 1; give whole numbers of 8 or 16 bits otherwise")
        found = pixels.astype(np.float32)
    else:
        raise NotAnImage(f"numbers of type {pixels.dtype}; uint8, uint16 or floats from 0 to 1 are expected")
    if found.ndim == 2:
        return np.repeat(found[None], PLANES, axis=0)
    return np.ascontiguousarray(found.transpose(2, 0, 1))


def numbers(content: bytes) -> NDArray[np.int64]:
    """A mask file's numbers, (height, width): a grey PNG of 8 or 16 bits. Raises NotAnImage."""
    found = _pixels(content, PNG)
    if found.ndim != 2:
        raise NotAnImage("a mask is a grey image; this one has colours")
    return found.astype(np.int64)


def _pixels(content: bytes, kind: str) -> NDArray[Any]:
    try:
        # The head alone is read here: the size is known before anything is unpacked.
        with _DECODERS[kind](io.BytesIO(content)) as image:
            _check_size(*image.size)
            image.load()
            return _of(image)
    except (OSError, SyntaxError, EOFError) as error:
        raise NotAnImage(f"not a whole {kind} image: {error}") from None
    except NotAnImage:
        raise
    except ValueError as error:
        raise NotAnImage(f"not a whole {kind} image: {error}") from None


def _of(image: Image.Image) -> NDArray[Any]:
    if image.mode in ("L", "1"):
        return np.asarray(image.convert("L"))
    if image.mode.startswith("I"):
        return np.asarray(image).astype(np.uint16)
    if image.mode in ("RGB", "YCbCr", "P", "RGBA", "LA"):
        colours = np.asarray(image.convert("RGBA"))
        if (colours[..., 3] != 255).any():
            raise NotAnImage("the image is transparent in places")
        return np.ascontiguousarray(colours[..., :3])
    raise NotAnImage(f"pixels of kind {image.mode}; grey or RGB is expected")


def _array(content: bytes) -> NDArray[Any]:
    try:
        stream = io.BytesIO(content)
        version = np.lib.format.read_magic(stream)
        read = (
            np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        )
        shape, _, kind = read(stream)
        if len(shape) not in (2, 3) or kind.hasobject:
            raise NotAnImage(f"an array of shape {shape}; (height, width) or (height, width, 3) is expected")
        _check_size(shape[1], shape[0])
        stream.seek(0)
        return np.asarray(np.load(stream, allow_pickle=False))
    except NotAnImage:
        raise
    except (ValueError, EOFError, OSError, KeyError, SyntaxError) as error:
        raise NotAnImage(f"not a .npy array: {error}") from None


def _check_size(width: int, height: int) -> None:
    if width * height > LARGEST:
        raise NotAnImage(f"{width} x {height} pixels; at most {LARGEST:,} are taken")
    if min(width, height) < SMALLEST_SIDE:
        raise NotAnImage(
            f"{width} x {height} pixels; at least {SMALLEST_SIDE} x {SMALLEST_SIDE} are expected"
        )
