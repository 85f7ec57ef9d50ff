"""The sample of mask_rcnn, and the environment of its container's programs."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from pipeline.execution import sample as samples
from tests.e2e.venvs import ROOT, bin_of

CONTAINER = ROOT / "container" / "mask_rcnn"


@pytest.fixture(scope="session")
def programs() -> Path:
    """The bin folder of a venv with exactly what the container's lock says."""
    return bin_of(CONTAINER / "requirements.lock")


@pytest.fixture(scope="session")
def sample() -> Path:
    """train and test, fetched and cut once into the user's cache."""
    return samples.folder(SimpleNamespace(root=ROOT, name="mask_rcnn"), print)  # type: ignore[arg-type]


def part_of(sample: Path, channel: str, folder: Path, tiles: int) -> Path:
    """The channel's first tiles, spread over the image, as a channel of their own."""
    for kind in ("images", "masks"):
        (folder / kind).mkdir(parents=True)
    images = sorted((sample / channel / "images").iterdir())
    for image in images[:: max(1, len(images) // tiles)][:tiles]:
        shutil.copy2(image, folder / "images")
        shutil.copy2(sample / channel / "masks" / image.name, folder / "masks")
    shutil.copy2(sample / channel / "classes.json", folder)
    return folder
