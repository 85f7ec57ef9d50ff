"""Trains mnist many times in one process of the container's environment; prints what each model reaches.

python measure.py SAMPLE SCRATCH SETTINGS      SETTINGS: hyperparameters as JSON; see ../mnist_figures.py
"""

from __future__ import annotations

import contextlib
import io
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from mnist_program import evaluation, fitting, model, pixels
from mnist_program.data import SPARK_SCHEMA, Channel, open_channel
from model_quality import multiclass
from script_mode import StopFlag

# name -> what differs from the settings, how many seeds
VARIANTS: dict[str, tuple[dict[str, Any], int]] = {
    "as in the settings": ({}, 10),
    "a tenth of the labels wrong": ({}, 3),
    "half of the labels wrong": ({}, 3),
    "all labels shuffled": ({}, 2),
    "5 epochs": ({"epochs": 5}, 3),
    "2 epochs": ({"epochs": 2}, 3),
    "the original's l2, 0.01": ({"l2": 0.01}, 3),
    "learning_rate 0.01": ({"learning_rate": 0.01}, 3),
    "learning_rate 0.00001": ({"learning_rate": 0.00001}, 2),
}
SCALE = 255.0
WRONG = {"a tenth of the labels wrong": 0.1, "half of the labels wrong": 0.5, "all labels shuffled": 1.0}


def dataset(csv: Path, out: Path) -> None:
    """Raw rows as the Parquet that the transform leaves: pixels divided by the scale, which is recorded."""
    rows = np.loadtxt(csv, delimiter=",", dtype=np.uint8)
    seen = pixels.seen(rows[:, 1:], pixels.table(SCALE))
    offsets = np.arange(0, seen.size + 1, seen.shape[1], dtype=np.int32)
    schema = {"fields": [{"name": "label"}, {"name": "pixels", "metadata": {"scale": SCALE}}]}
    table = pa.table(
        {
            "label": pa.array(rows[:, 0].astype(np.int8)),
            "pixels": pa.ListArray.from_arrays(offsets, pa.array(seen.reshape(-1))),
        }
    ).replace_schema_metadata({SPARK_SCHEMA: json.dumps(schema)})
    out.parent.mkdir(parents=True)
    pq.write_table(table, out)


@contextlib.contextmanager
def mistaken(share: float, seed: int) -> Iterator[None]:
    """While it lasts, so many of training's and validation's labels are another row's."""
    honest = Channel.batches

    def batches(self: Channel, files: Any = ()) -> Any:
        random = np.random.default_rng([seed, len(self.name)])
        for images, labels in honest(self, files):
            chosen = np.flatnonzero(random.random(len(labels)) < share)
            labels = labels.copy()
            labels[chosen] = labels[random.permutation(chosen)]
            yield images, labels

    Channel.batches = batches  # type: ignore[method-assign]
    try:
        yield
    finally:
        Channel.batches = honest  # type: ignore[method-assign]


def measured(data: Path, values: dict[str, Any], share: float) -> dict[str, float]:
    """Train once; the metrics on the held-out images."""
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as scratch:
        folders: dict[str, Path | None] = {
            "model_dir": Path(scratch) / "model",
            "checkpoints": Path(scratch) / "checkpoints",
            "train": data / "train",
            "validation": data / "validation",
        }
        with mistaken(share, values["seed"]), contextlib.redirect_stdout(io.StringIO()):
            fitting.fit(values, folders, StopFlag())
        trained = model.load(Path(scratch) / "model")
    seconds = time.perf_counter() - started
    labels, probabilities = evaluation.predict(open_channel(data / "test", "test"), trained)
    recalls = multiclass.per_class(multiclass.confusion(labels, probabilities.argmax(axis=1), 10))["recall"]
    return {
        "accuracy": float((probabilities.argmax(axis=1) == labels).mean()),
        "log_loss": float(multiclass.log_loss(labels, probabilities).mean()),
        "lowest_recall": float(recalls.min()),
        "epoch": float(trained.metadata["best_epoch"]),
        "seconds": seconds,
    }


def main() -> None:
    """One line of JSON for each training."""
    raw, data = Path(sys.argv[1]), Path(sys.argv[2])
    settings = {"shuffle_rows": 10_000, **json.loads(sys.argv[3])}
    for name in ("train", "validation", "test"):
        dataset(raw / f"raw{name}" / "mnist.csv", data / name / "part-00000.parquet")
    for name, (changes, seeds) in VARIANTS.items():
        for seed in range(seeds):
            values = {**settings, **changes, "seed": seed}
            found = measured(data, values, WRONG.get(name, 0.0))
            print(json.dumps({"variant": name, "seed": seed, **found}), flush=True)


if __name__ == "__main__":
    main()
