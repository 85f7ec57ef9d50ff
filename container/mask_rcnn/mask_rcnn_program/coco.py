"""Mask AP as COCO defines it, by its own tools; and its run-length encoding of masks."""

from __future__ import annotations

import contextlib
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as tools
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from .data import Objects
from .model import Found

# An image's objects count as found from this score on, and from this overlap with the true mask on.
SURE, OVERLAP = 0.5, 0.5
# Parts that are left out, one after the other, to tell how far AP depends on single images.
PARTS = 20


@dataclass(frozen=True)
class Precision:
    """Average precision: over overlaps of 0.5 to 0.95, at 0.5, at 0.75, and as the first for each class."""

    ap: float
    ap50: float
    ap75: float
    by_class: list[float]


def encode(mask: NDArray[np.bool_]) -> dict[str, Any]:
    """COCO's RLE of a mask (height, width), column by column: {"size": [height, width], "counts": text}."""
    told = tools.encode(np.asfortranarray(mask, dtype=np.uint8))
    return {"size": [int(side) for side in told["size"]], "counts": told["counts"].decode("ascii")}


def decode(told: dict[str, Any]) -> NDArray[np.bool_]:
    """The mask of an RLE."""
    found: NDArray[np.bool_] = tools.decode({**told, "counts": told["counts"].encode("ascii")}).astype(bool)
    return found


class Comparison:
    """What was to be found on each image beside what was found. classes: how many, with the background."""

    def __init__(self, truth: Sequence[Objects], found: Sequence[Found], classes: int) -> None:
        self.truth, self.found, self.classes = truth, found, classes
        self._coco = COCO()
        self._coco.dataset = {
            "info": {},
            "images": [
                {"id": number, "height": one.masks.shape[1], "width": one.masks.shape[2]}
                for number, one in enumerate(truth)
            ],
            "categories": [{"id": number} for number in range(1, classes)],
            "annotations": [],
        }
        told = []
        for image, (objects, predicted) in enumerate(zip(truth, found, strict=True)):
            for mask, kind in zip(objects.masks, objects.classes.tolist(), strict=True):
                one = _annotation(image, mask, kind) | {"iscrowd": 0, "area": int(mask.sum())}
                self._coco.dataset["annotations"].append(
                    one | {"id": len(self._coco.dataset["annotations"]) + 1}
                )
            for mask, kind, score in zip(
                predicted.masks, predicted.classes.tolist(), predicted.scores.tolist(), strict=True
            ):
                told.append(_annotation(image, mask, kind) | {"score": score})
        self._most = max([100, *(len(one.scores) for one in found)])
        with contextlib.redirect_stdout(io.StringIO()):
            self._coco.createIndex()
            self._told = self._coco.loadRes(told) if told else None

    def precision(self, images: Sequence[int] | None = None) -> Precision:
        """Of these images, by their place; of all without. A class without an object counts for nothing."""
        if self._told is None:
            return Precision(0.0, 0.0, 0.0, [0.0] * (self.classes - 1))
        work = COCOeval(self._coco, self._told, "segm")
        work.params.imgIds = list(range(len(self.truth)) if images is None else images)
        work.params.maxDets = [1, 10, self._most]
        with contextlib.redirect_stdout(io.StringIO()):
            work.evaluate()
            work.accumulate()
        # overlaps, recalls, classes, areas (all of them first), most detections (the last)
        table = work.eval["precision"][:, :, :, 0, -1]
        at = {round(float(overlap), 2): number for number, overlap in enumerate(work.params.iouThrs)}
        return Precision(
            _mean(table),
            _mean(table[at[0.5]]),
            _mean(table[at[0.75]]),
            [_mean(table[:, :, number]) for number in range(self.classes - 1)],
        )

    def deviations(self) -> tuple[float, float, float]:
        """Standard deviations of ap, ap50 and ap75 over images, by the jackknife; zeros for one image."""
        count = min(PARTS, len(self.truth))
        if count < 2:
            return 0.0, 0.0, 0.0
        without = [
            self.precision([image for image in range(len(self.truth)) if image % count != part])
            for part in range(count)
        ]
        values = np.array([(one.ap, one.ap50, one.ap75) for one in without])
        spread = np.sqrt((count - 1) / count * ((values - values.mean(axis=0)) ** 2).sum(axis=0))
        return float(spread[0]), float(spread[1]), float(spread[2])

    def counts(self) -> list[tuple[int, int, int]]:
        """Of each image: objects found, objects missed, and predictions that are none."""
        return [_counts(*pair) for pair in zip(self.truth, self.found, strict=True)]


def f1(counts: tuple[int, int, int]) -> float:
    """2 found / (2 found + missed + wrong); 1 for an image without objects on which none is found."""
    found, missed, wrong = counts
    total = 2 * found + missed + wrong
    return 2 * found / total if total else 1.0


def _annotation(image: int, mask: NDArray[np.bool_], kind: int) -> dict[str, Any]:
    return {"image_id": image, "category_id": kind, "segmentation": encode(mask)}


def _mean(table: NDArray[np.float64]) -> float:
    seen = table[table > -1]
    return float(seen.mean()) if seen.size else math.nan


def _counts(objects: Objects, predicted: Found) -> tuple[int, int, int]:
    sure = [number for number, score in enumerate(predicted.scores.tolist()) if score >= SURE]
    free = set(range(len(objects)))
    for number in sure:  # the surest first
        mask = predicted.masks[number]
        best, most = -1, OVERLAP
        for other in sorted(free):
            if objects.classes[other] != predicted.classes[number]:
                continue
            both = int((objects.masks[other] & mask).sum())
            overlap = both / max(1, int(objects.masks[other].sum()) + int(mask.sum()) - both)
            if overlap >= most:
                best, most = other, overlap
        free.discard(best)
    found = len(objects) - len(free)
    return found, len(free), len(sure) - found
