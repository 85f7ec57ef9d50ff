"""A channel's images and the masks of their objects.

images/NAME.png|.jpg|.jpeg|.npy    the image
masks/NAME.png                     grey, 8 or 16 bits: the number of the object at each pixel, 0 for none
masks/NAME.json                    optional: the class of each object, {"1": 2}; without it all are of class 1
classes.json                       optional: the classes' names, {"1": "nucleus"}
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from script_mode import ProgramError

from . import images
from .images import NotAnImage, Planes

KINDS = {".png": images.PNG, ".jpg": images.JPEG, ".jpeg": images.JPEG, ".npy": images.NPY}
# Enough to see what is wrong, and within SageMaker's 1,024 characters of reason.
PROBLEMS_SHOWN = 5


@dataclass(frozen=True)
class Objects:
    """What is to be found on an image.

    masks: (n, height, width) of bool; boxes: (n, 4) as x1, y1, x2, y2; classes: (n,) from 1.
    """

    masks: NDArray[np.bool_]
    boxes: NDArray[np.float32]
    classes: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.classes)


@dataclass(frozen=True)
class Sample:
    """One image with its masks; both are read when asked for."""

    name: str
    image: Path
    mask: Path

    def planes(self) -> Planes:
        """(3, height, width) from 0 to 1. Raises ProgramError."""
        try:
            return images.decode(self.image.read_bytes(), KINDS[self.image.suffix.lower()])
        except NotAnImage as error:
            raise ProgramError(f"{self.name}: {self.image.name}: {error}") from None

    def objects(self, smallest: int) -> Objects:
        """Those of at least `smallest` pixels. Raises ProgramError."""
        try:
            numbers = images.numbers(self.mask.read_bytes())
        except NotAnImage as error:
            raise ProgramError(f"{self.name}: masks/{self.mask.name}: {error}") from None
        return objects(numbers, self._classes(), smallest)

    def _classes(self) -> dict[str, Any]:
        path = self.mask.with_suffix(".json")
        return _object(path) if path.is_file() else {}


def objects(numbers: NDArray[np.int64], classes: dict[str, Any], smallest: int) -> Objects:
    """The objects of a mask, (height, width) of their numbers. classes: of those that are not of class 1."""
    found, counts = np.unique(numbers, return_counts=True)
    kept = found[(found > 0) & (counts >= smallest)]
    masks = numbers[None] == kept[:, None, None]
    boxes = np.zeros((len(kept), 4), dtype=np.float32)
    for index, mask in enumerate(masks):
        rows, columns = mask.any(axis=1).nonzero()[0], mask.any(axis=0).nonzero()[0]
        boxes[index] = (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1)
    return Objects(masks, boxes, np.array([int(classes.get(str(one), 1)) for one in kept], dtype=np.int64))


@dataclass(frozen=True)
class Channel:
    """One channel.

    digests: file -> SHA-256; names: of the classes, by their number; counts: objects of each class.
    """

    name: str
    samples: tuple[Sample, ...]
    digests: dict[str, str]
    names: dict[str, str]
    counts: dict[int, int]


def open_channel(folder: Path, name: str, num_classes: int, smallest: int) -> Channel:
    """What a channel holds, every image and mask read once.

    Raises ProgramError naming each file that is wrong, and when there is no object at all.
    """
    files = _files(folder / "images")
    if not files:
        raise ProgramError(f"channel {name!r} holds no image ({folder / 'images'}: {', '.join(KINDS)})")
    samples, problems, counts = [], [], dict.fromkeys(range(1, num_classes), 0)
    for path in files:
        sample = Sample(f"{name}/images/{path.name}", path, folder / "masks" / f"{path.stem}.png")
        why = _wrong(sample, num_classes, smallest, counts)
        if why:
            problems.append(why)
        samples.append(sample)
    if problems:
        more = len(problems) - PROBLEMS_SHOWN
        raise ProgramError("\n".join(problems[:PROBLEMS_SHOWN] + ([f"and {more} more"] if more > 0 else [])))
    if not any(counts.values()):
        raise ProgramError(f"channel {name!r} holds {len(samples)} images and not one object on them")
    digests = {
        f"{name}/{path.relative_to(folder).as_posix()}": hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(one for sample in samples for one in (sample.image, sample.mask))
    }
    names = folder / "classes.json"
    said = {key: str(value) for key, value in _object(names).items()} if names.is_file() else {}
    return Channel(name, tuple(samples), digests, said, counts)


def _files(folder: Path) -> list[Path]:
    found = sorted(folder.iterdir()) if folder.is_dir() else []
    return [path for path in found if path.suffix.lower() in KINDS and not path.name.startswith((".", "_"))]


def _wrong(sample: Sample, num_classes: int, smallest: int, counts: dict[int, int]) -> str:
    """What is wrong with a sample, "" for nothing; its objects are counted by class."""
    if not sample.mask.is_file():
        return f"{sample.name}: there is no masks/{sample.mask.name}"
    try:
        planes, found = sample.planes(), sample.objects(smallest)
    except ProgramError as error:
        return str(error)
    except (ValueError, TypeError) as error:
        return f"{sample.name}: masks/{sample.mask.stem}.json: {error}"
    if found.masks.shape[1:] != planes.shape[1:]:
        sizes = [f"{shape[1]} x {shape[0]}" for shape in (planes.shape[1:], found.masks.shape[1:])]
        return f"{sample.name} has {sizes[0]} pixels, its mask {sizes[1]}"
    for one in found.classes.tolist():
        if not 0 < one < num_classes:
            allowed = f"num_classes={num_classes} allows 1 to {num_classes - 1}"
            return f"{sample.name}: an object of class {one}; {allowed}"
        counts[one] += 1
    return ""


def _object(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ProgramError(f"{path.name}: {error}") from error
    if not isinstance(value, dict):
        raise ProgramError(f"{path.name}: an object is expected, not {type(value).__name__}")
    return value


def spread(channel: Channel) -> tuple[list[float], list[float]]:
    """Mean and standard deviation of each plane over all pixels of a channel."""
    count, total, squares = 0, np.zeros(3), np.zeros(3)
    for sample in channel.samples:
        planes = sample.planes().astype(np.float64)
        count += planes[0].size
        total += planes.sum(axis=(1, 2))
        squares += (planes**2).sum(axis=(1, 2))
    mean = total / count
    deviation = np.sqrt(np.maximum(squares / count - mean**2, 1e-12))
    return mean.tolist(), deviation.tolist()


def turned(planes: Planes, found: Objects, how: int) -> tuple[Planes, Objects]:
    """One of the eight ways to lay an image down, 0 to 7: flipped, upside down, its axes exchanged."""
    masks = found.masks
    if how & 1:
        planes, masks = planes[:, :, ::-1], masks[:, :, ::-1]
    if how & 2:
        planes, masks = planes[:, ::-1], masks[:, ::-1]
    boxes = found.boxes.copy()
    height, width = planes.shape[1:]
    if how & 1:
        boxes[:, [0, 2]] = width - boxes[:, [2, 0]]
    if how & 2:
        boxes[:, [1, 3]] = height - boxes[:, [3, 1]]
    if how & 4:
        planes, masks = planes.transpose(0, 2, 1), masks.transpose(0, 2, 1)
        boxes = boxes[:, [1, 0, 3, 2]]
    return np.ascontiguousarray(planes), Objects(np.ascontiguousarray(masks), boxes, found.classes)
