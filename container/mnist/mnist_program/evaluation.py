"""Evaluates a trained model on images it has never seen and writes SageMaker's model-quality JSON.

In:  /opt/ml/processing/model/model.tar.gz (or the model's files), /opt/ml/processing/test/**.parquet
Out: in /opt/ml/processing/evaluation: evaluation.json; examples.csv, the outcome of every row; report.html,
     the confusion matrix and the worst mistakes to look at
"""

from __future__ import annotations

import json
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from model_quality import archive, multiclass, rows
from numpy.typing import NDArray
from script_mode import Folders, ProgramError, StopFlag, run_program, write_atomically

from . import CLASSES, PIXELS, page, pixels
from .data import Channel, open_channel
from .model import Model, load

REPORT, PAGE = "evaluation.json", "report.html"
WORST = 40


def main() -> int:
    """Run as SageMaker Processing runs it; return the exit code."""
    folders = Folders.from_environment()
    stop = StopFlag()
    stop.install()
    return run_program(lambda: evaluate(folders, stop), folders.message)


def evaluate(folders: Folders, stop: StopFlag) -> None:
    """Write the report. Raises ProgramError for a bad model or bad test data, Stopped after SIGTERM."""
    test = open_channel(folders.processing / "test", "test")
    with tempfile.TemporaryDirectory() as scratch:
        try:
            files = archive.unpack(folders.processing / "model", Path(scratch))
        except archive.ArchiveError as error:
            raise ProgramError(str(error)) from error
        model = load(files)
    refuse_seen_data(test, model)
    if test.scale != model.scale:
        raise ProgramError(f"the test data was normalised by {test.scale:g}, the model's by {model.scale:g}")
    stop.check()
    labels, probabilities = predict(test, model)
    if not np.isfinite(probabilities).all():
        raise ProgramError("the model gave probabilities that are not finite")
    stop.check()
    outcomes = rows.table(multiclass.by_row(labels, probabilities))
    result = report(test, model, labels, probabilities, outcomes)
    seen = page.make(result, labels, probabilities, worst(test, labels, probabilities))
    stop.check()
    out = folders.processing / "evaluation"
    # Before the report, which tells of them.
    write_atomically(out / rows.EXAMPLES, outcomes)
    write_atomically(out / PAGE, seen)
    # allow_nan=False: NaN is no JSON, and a report that holds one must not look like a good one.
    write_atomically(out / REPORT, json.dumps(result, indent=2, allow_nan=False) + "\n")
    for name in ("accuracy", "weighted_f1", "accuracy_best_constant_classifier"):
        print(f"test_{name}={result['multiclass_classification_metrics'][name]['value']:.6f}; ", end="")
    print(f"test_log_loss={result['probability_metrics']['log_loss']['value']:.6f}; ", end="")
    print(f"test_lowest_recall={result['recall_metrics']['lowest_recall']['value']:.6f}; ")
    print(f"wrote {out / REPORT} and {PAGE}, {test.rows} rows", flush=True)


def refuse_seen_data(test: Channel, model: Model) -> None:
    """Raise ProgramError when a test file is, byte for byte, one that training or validation has read."""
    seen = {digest: name for name, digest in model.metadata.get("data_sha256", {}).items()}
    same = [f"{name} is {seen[digest]}" for name, digest in test.digests.items() if digest in seen]
    if same:
        raise ProgramError(f"the test data is not held out: {', '.join(same)}")


def predict(test: Channel, model: Model) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Labels (rows,) and probabilities (rows, 10); the images themselves are not kept."""
    parts = [(labels, model.probabilities(images)) for images, labels in test.batches()]
    return np.concatenate([labels for labels, _ in parts]), np.concatenate([found for _, found in parts])


def worst(
    test: Channel, labels: NDArray[np.int64], probabilities: NDArray[np.float64]
) -> list[tuple[int, pixels.Raw]]:
    """Row and raw pixels of the mistakes that the model was surest of not making, the worst first."""
    wrong = np.flatnonzero(probabilities.argmax(axis=1) != labels)
    losses = multiclass.log_loss(labels[wrong], probabilities[wrong])
    chosen = wrong[np.argsort(-losses, kind="stable")][:WORST].tolist()
    found: dict[int, pixels.Raw] = {}
    start = 0
    for images, _ in test.batches():
        found |= {
            row: pixels.raw(images[row - start], test.scale)
            for row in chosen
            if start <= row < start + len(images)
        }
        start += len(images)
    return [(row, found[row]) for row in chosen]


def report(
    test: Channel,
    model: Model,
    labels: NDArray[np.int64],
    probabilities: NDArray[np.float64],
    outcomes: str,
) -> dict[str, Any]:
    """The metrics, with what they were measured on and with what."""
    sha256 = rows.digest_of((test.rows, PIXELS), labels, (images for images, _ in test.batches()))
    measured = multiclass.report(labels, probabilities, CLASSES)
    recalls = {name: one["recall"] for name, one in measured["per_class_metrics"].items() if one["rows"]}
    least = min(recalls, key=lambda name: recalls[name]["value"])
    return {
        **measured,
        # For the gate: a digit that is hardly ever found must not hide behind the others.
        "recall_metrics": {"lowest_recall": {**recalls[least], "class": least}},
        "held_out": rows.held_out(test.rows, sha256, outcomes),
        "page": PAGE,
        "classes": list(CLASSES),
        "test_data": {"rows": test.rows, "rows_by_class": test.class_counts(), "sha256": test.digests},
        "model": {
            "best_epoch": model.metadata.get("best_epoch"),
            "scale": model.scale,
            "hyperparameters": model.metadata.get("hyperparameters"),
        },
        "versions": {
            "python": ".".join(str(part) for part in sys.version_info[:3]),
            "numpy": version("numpy"),
        },
    }
