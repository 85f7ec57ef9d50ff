"""Requests into images and objects into responses: PNG, JPEG and .npy in; COCO's RLE as JSON, or a PNG, out.

The PNG holds at each pixel the number of the object there (16 bits, 0 for none, the surer one on top); what
each number is stands in its text chunk `instances`, as the same JSON without the masks.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import orjson
from PIL import Image, PngImagePlugin
from serving import RequestError, accepted, media_type, unread

from . import coco, images
from .images import NotAnImage, Planes
from .model import Found

JSON, PNG = "application/json", "image/png"
# An object is told from this score on.
LEAST_SCORE = 0.05
_KINDS = {images.PNG: images.PNG, images.JPEG: images.JPEG, "image/jpg": images.JPEG, images.NPY: images.NPY}
CHUNK = "instances"


def read(body: str | bytes, content_type: str) -> Planes:
    """The image, (3, height, width). Raises RequestError 415 for the type, 400 for the body."""
    kind = _KINDS.get(media_type(content_type))
    if kind is None:
        raise unread(content_type, (images.PNG, images.JPEG, images.NPY))
    try:
        return images.decode(body.encode("latin-1") if isinstance(body, str) else bytes(body), kind)
    except NotAnImage as error:
        raise RequestError(400, str(error)) from None


@lru_cache(maxsize=64)
def choose_writer(accept: str) -> tuple[str, Callable[[Found, Sequence[str], tuple[int, int]], bytes]]:
    """The response's type and its writer for an Accept header, by quality. JSON by default.

    Raises RequestError 406 when none of the accepted types can be written.
    """
    kind = accepted(accept, tuple(_WRITERS))
    return kind, _WRITERS[kind]


def told(found: Found, names: Sequence[str], masks: bool) -> list[dict[str, Any]]:
    """Each object: number, label, class, score, box (x, y, width, height); with its mask, or without."""
    listed = []
    for index, score in enumerate(found.scores.tolist()):
        if score < LEAST_SCORE:
            continue
        left, top, right, bottom = (round(float(side), 2) for side in found.boxes[index])
        one = {
            "id": len(listed) + 1,
            "label": names[int(found.classes[index])],
            "class_index": int(found.classes[index]),
            "score": score,
            "box": [left, top, round(right - left, 2), round(bottom - top, 2)],
        }
        listed.append(one | ({"segmentation": coco.encode(found.masks[index])} if masks else {}))
    return listed


def write_json(found: Found, names: Sequence[str], size: tuple[int, int]) -> bytes:
    """`{"height", "width", "instances": [...]}`. size: the image's height and width."""
    return orjson.dumps({"height": size[0], "width": size[1], "instances": told(found, names, masks=True)})


def write_png(found: Found, names: Sequence[str], size: tuple[int, int]) -> bytes:
    """The objects' numbers as an image."""
    listed = told(found, names, masks=False)
    pixels = np.zeros(size, dtype=np.uint16)
    # They come by score: those told first are drawn last.
    for one in reversed(listed):
        pixels[found.masks[one["id"] - 1]] = one["id"]
    about = PngImagePlugin.PngInfo()
    about.add_text(CHUNK, orjson.dumps(listed).decode())
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, format="PNG", pnginfo=about)
    return out.getvalue()


_WRITERS: dict[str, Callable[[Found, Sequence[str], tuple[int, int]], bytes]] = {
    JSON: write_json,
    PNG: write_png,
}
