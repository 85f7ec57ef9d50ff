"""Image files as raw pixels: 28 x 28, grey, 8 bits. What is another image is refused, never made fit.

Resizing, cropping or inverting here would be a step that the training data has not gone through.
"""

from __future__ import annotations

import io

import numpy as np

# Of Pillow's decoders this one alone: what is never loaded cannot be attacked.
from PIL import Image, PngImagePlugin
from serving import RequestError

from . import SIDE, pixels

# A file of so few pixels needs no more, compressed as badly as it may be.
LARGEST = 64 * 1024


def read_png(body: bytes) -> pixels.Raw:
    """One image, shape (1, 784). Raises RequestError 400 unless it is a PNG of 28 x 28 grey pixels.

    Colours count as grey where red, green and blue are equal; nothing may be transparent.
    """
    if len(body) > LARGEST:
        raise RequestError(400, f"{len(body):,} bytes; an image of {SIDE} x {SIDE} has at most {LARGEST:,}")
    try:
        # The head alone is read here: the size is known before anything is unpacked.
        with PngImagePlugin.PngImageFile(io.BytesIO(body)) as image:
            if image.size != (SIDE, SIDE):
                width, height = image.size
                raise RequestError(400, f"the image has {width} x {height} pixels, {SIDE} x {SIDE} expected")
            image.load()
            return _grey(image).reshape(1, -1)
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        raise RequestError(400, f"the body is not a whole PNG image: {error}") from None


def _grey(image: Image.Image) -> pixels.Raw:
    if image.mode in ("L", "1"):
        if "transparency" in image.info:
            raise RequestError(400, "the image is transparent in places")
        return np.asarray(image.convert("L"))
    if image.mode in ("P", "RGB", "RGBA", "LA"):
        colours = np.asarray(image.convert("RGBA"))
        if (colours[..., 3] != 255).any():
            raise RequestError(400, "the image is transparent in places")
        if not (colours[..., 0] == colours[..., 1]).all() or not (colours[..., 1] == colours[..., 2]).all():
            raise RequestError(400, "the image has colours; a grey one is expected")
        return np.ascontiguousarray(colours[..., 0])
    raise RequestError(400, f"the image has pixels of kind {image.mode}; 8 bits of grey are expected")
