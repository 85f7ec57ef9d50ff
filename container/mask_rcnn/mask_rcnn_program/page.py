"""The evaluation as a page to look at: predictions drawn over the images, in one file that loads nothing."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from . import coco
from .data import Objects, Sample
from .images import Planes
from .model import Found

SHOWN = 24
# Pixels across at which an image is drawn at least: small ones are enlarged, so that a contour is a line.
SHARP = 512
_TRUE, _FOUND = (255, 200, 40), (40, 220, 120)
_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 72rem; padding: 0 1rem; }
body { color: #1c2330; background: #fff; }
table { border-collapse: collapse; } th, td { padding: .3rem .8rem .3rem 0; text-align: right; }
th:first-child { text-align: left; }
section { display: grid; grid-template-columns: repeat(3, 1fr); gap: .8rem; margin: 0 0 1.6rem; }
h3 { grid-column: 1 / -1; font-size: 1rem; margin: 0; font-weight: 600; }
figure { margin: 0; } figcaption { font-size: .85rem; color: #5b6575; }
img { width: 100%; border: 1px solid #d6dbe3; display: block; }
.true { color: #a06c00; } .found { color: #0c8a4a; }
"""


def make(
    result: dict[str, Any],
    samples: Sequence[Sample],
    truth: Sequence[Objects],
    found: Sequence[Found],
    counts: Sequence[tuple[int, int, int]],
) -> str:
    """The page; images on which most went wrong come first."""
    measured = result["instance_segmentation_metrics"]
    order = sorted(range(len(samples)), key=lambda image: (coco.f1(counts[image]), samples[image].name))
    parts = [
        _image(samples[image], truth[image], found[image], counts[image], result["classes"])
        for image in order[:SHOWN]
    ]
    lines = "".join(
        f"<tr><th>{html.escape(name)}</th><td>{one['value']:.4f}</td><td>{_deviation(one)}</td></tr>"
        for name, one in measured.items()
    )
    data = result["test_data"]
    shown = "" if len(order) <= SHOWN else f" The {SHOWN} on which most went wrong are shown."
    return f"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>mask_rcnn: evaluation</title><style>{_STYLE}</style></head>
<body>
<h1>Images the model has never seen</h1>
<p>{data["images"]:,} images with {data["objects"]:,} objects: {data["found"]:,} found,
{data["missed"]:,} missed, {data["wrong"]:,} predictions of nothing (score from {coco.SURE:g} on,
overlap from {coco.OVERLAP:g} on).{shown}</p>
<table><tr><th>metric</th><th>value</th><th>standard deviation</th></tr>{lines}</table>
<p><span class="true">Outlined by hand</span>, <span class="found">predicted</span>.</p>
{"".join(parts)}
</body></html>
"""


def _deviation(one: dict[str, float]) -> str:
    return f"{one['standard_deviation']:.4f}" if "standard_deviation" in one else ""


def _image(
    sample: Sample, truth: Objects, found: Found, counts: tuple[int, int, int], names: Sequence[str]
) -> str:
    seen = picture(sample.planes())
    sure = found.scores >= coco.SURE
    right, missed, wrong = counts
    drawn = (
        (seen, "the image"),
        (outlined(seen, truth.masks, _TRUE), f"{len(truth)} objects"),
        (
            outlined(seen, found.masks[sure], _FOUND),
            f"{int(sure.sum())} predictions: {_said(found, sure, names)}",
        ),
    )
    figures = "".join(
        f"<figure><img alt='{html.escape(text)}' src='data:image/png;base64,{_png(pixels)}'>"
        f"<figcaption>{html.escape(text)}</figcaption></figure>"
        for pixels, text in drawn
    )
    head = f"{html.escape(sample.name)}: {right} found, {missed} missed, {wrong} of nothing"
    return f"<section><h3>{head}</h3>{figures}</section>"


def _said(found: Found, sure: NDArray[np.bool_], names: Sequence[str]) -> str:
    scores = [
        f"{names[kind]} {score:.2f}"
        for kind, score in zip(found.classes[sure].tolist(), found.scores[sure].tolist(), strict=True)
    ]
    return ", ".join(scores[:12]) + (", ..." if len(scores) > 12 else "")


def picture(planes: Planes) -> NDArray[np.uint8]:
    """(height, width, 3) for the eye: from the image's darkest to its brightest, enlarged if small."""
    low, high = np.percentile(planes, (0.5, 99.8))
    shown = np.clip((planes - low) / max(float(high - low), 1e-6), 0, 1)
    pixels = (shown * 255).round().astype(np.uint8).transpose(1, 2, 0)
    times = max(1, SHARP // max(pixels.shape[:2]))
    return np.ascontiguousarray(pixels.repeat(times, axis=0).repeat(times, axis=1))


def outlined(
    seen: NDArray[np.uint8], masks: NDArray[np.bool_], colour: tuple[int, int, int]
) -> NDArray[np.uint8]:
    """The picture with each mask's contour drawn, two of its pixels wide, and its inside tinted."""
    drawn = seen.astype(np.float32)
    for mask in masks:
        times = seen.shape[0] // mask.shape[0]
        large = np.pad(mask.repeat(times, axis=0).repeat(times, axis=1), 2)
        middle = large[2:-2, 2:-2]
        inner = middle.copy()
        for down, right in ((0, 2), (2, 0), (4, 2), (2, 4)):
            inner &= large[down : down + middle.shape[0], right : right + middle.shape[1]]
        drawn[middle] = drawn[middle] * 0.8 + np.array(colour) * 0.2
        drawn[middle & ~inner] = colour
    return drawn.round().astype(np.uint8)


def _png(pixels: NDArray[np.uint8]) -> str:
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, format="PNG", optimize=True)
    return base64.b64encode(out.getvalue()).decode("ascii")
