"""The model's files: what was saved is loaded, and what is damaged is refused by name."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from mnist_program import CLASSES, checkpoint, model
from script_mode import ProgramError

WIDTHS = (784, 5, 4, 10)
METADATA = {"classes": list(CLASSES), "pixels": 784, "scale": 255.0}


def layers(seed: int = 0) -> list[model.Layer]:
    random = np.random.default_rng(seed)
    pairs = itertools.pairwise(WIDTHS)
    return [
        (
            random.normal(size=(given, units)).astype(np.float32),
            random.normal(size=units).astype(np.float32),
        )
        for given, units in pairs
    ]


def test_a_saved_model_is_loaded_and_computes_as_written_down(tmp_path: Path) -> None:
    model.save(tmp_path, layers(), METADATA)
    found = model.load(tmp_path)
    assert found.scale == 255
    seen = np.random.default_rng(1).random((5000, 784), dtype=np.float32)
    values = seen.astype(np.float64)
    *hidden, (kernel, bias) = [(k.astype(np.float64), b.astype(np.float64)) for k, b in layers()]
    for weights, offset in hidden:
        values = np.maximum(values @ weights + offset, 0)
    scores = np.exp(values @ kernel + bias)
    expected = scores / scores.sum(axis=1, keepdims=True)
    probabilities = found.probabilities(seen)  # more rows than are computed at once
    assert probabilities.shape == (5000, 10)
    assert np.allclose(probabilities, expected, atol=1e-4)
    assert np.allclose(probabilities.sum(axis=1), 1)


def test_great_scores_are_no_overflow() -> None:
    great = [(np.full((784, 10), 50, dtype=np.float32), np.zeros(10, dtype=np.float32))]
    made = model.Model(great, 255, {})
    assert np.allclose(made.probabilities(np.ones((1, 784), dtype=np.float32)), 0.1)


def test_the_same_layers_are_the_same_bytes() -> None:
    assert model.packed(layers()) == model.packed(layers())
    assert model.packed(layers()) != model.packed(layers(1))


def without(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


def cut(folder: Path) -> None:
    path = folder / model.WEIGHTS_FILE
    path.write_bytes(path.read_bytes()[:1000])


def described(**changes: object) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        (folder / model.METADATA_FILE).write_text(json.dumps({**METADATA, **changes}))

    return spoil


def weights(change: Callable[[list[model.Layer]], object]) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        made = layers()
        change(made)
        (folder / model.WEIGHTS_FILE).write_bytes(model.packed(made))

    return spoil


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (without(model.WEIGHTS_FILE), "holds no weights.npz"),
        (without(model.METADATA_FILE), "holds no metadata.json"),
        (cut, "weights.npz cannot be read"),
        (described(classes=["a"]), "not mnist"),
        (described(pixels=100), "not mnist"),
        (described(scale=0), "metadata.json cannot be read"),
        (described(scale=None), "metadata.json cannot be read"),
        (weights(lambda made: made.pop()), "has 4 outputs, not 10"),
        (weights(lambda made: made.pop(1)), "does not follow 5 values"),
        (weights(lambda made: made.clear()), "not 10"),
        (weights(lambda made: made[0][0].fill(np.nan)), "layer 0 is not finite"),
        (weights(lambda made: made.append((np.eye(10), np.zeros(10)))), "layer 3 is not of float32"),
    ],
)
def test_what_is_damaged_is_refused(tmp_path: Path, spoil: Callable[[Path], None], told: str) -> None:
    model.save(tmp_path, layers(), METADATA)
    spoil(tmp_path)
    with pytest.raises(ProgramError, match=told):
        model.load(tmp_path)


def progress(folder: Path, epochs: int, best: int) -> checkpoint.Progress:
    state, kept = f"state-{epochs}.keras", f"best-{best}.npz"
    for name in (state, kept):
        (folder / name).write_text(name)
    return checkpoint.Progress("abc", epochs, best, 0.5, {"validation_log_loss": 0.5}, state, kept)


def test_a_checkpoint_is_taken_up_by_what_it_belongs_to_and_nothing_else_stays(tmp_path: Path) -> None:
    assert checkpoint.load(tmp_path, "abc") == (None, "no checkpoint")
    checkpoint.save(tmp_path, progress(tmp_path, 3, 2))
    later = progress(tmp_path, 4, 2)
    checkpoint.save(tmp_path, later)
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"checkpoint.json", "state-4.keras", "best-2.npz"}
    assert checkpoint.load(tmp_path, "abc") == (later, "after epoch 4")
    found, why = checkpoint.load(tmp_path, "other")
    assert (found, why) == (None, "the checkpoint is of other data or hyperparameters")
    (tmp_path / "state-4.keras").unlink()
    assert checkpoint.load(tmp_path, "abc") == (None, "the checkpoint lacks state-4.keras")
    (tmp_path / "checkpoint.json").write_text("{")
    assert "cannot be read" in checkpoint.load(tmp_path, "abc")[1]


def test_a_checkpoint_belongs_to_values_and_content_not_to_names() -> None:
    one = checkpoint.fingerprint({"a": 1, "b": 2}, ["x"], ["y"])
    assert one == checkpoint.fingerprint({"b": 2, "a": 1}, ["x"], ["y"])
    assert one != checkpoint.fingerprint({"a": 1, "b": 3}, ["x"], ["y"])
    assert one != checkpoint.fingerprint({"a": 1, "b": 2}, ["x", "y"], [])
