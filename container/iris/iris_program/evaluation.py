"""Evaluates a trained model on data it has never seen and writes SageMaker's model-quality JSON.

In:  /opt/ml/processing/model/model.tar.gz (or the model's files), /opt/ml/processing/test/**.csv
Out: /opt/ml/processing/evaluation/evaluation.json, and examples.csv beside it: the outcome of every row
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

from . import CLASSES
from .contract import Folders, ProgramError, StopFlag, run_program, threads, write_atomically
from .data import Table, class_counts, read
from .model import Model, load


def main() -> int:
    """Run as SageMaker Processing runs it; return the exit code."""
    stop = StopFlag()
    stop.install()
    return run_program(lambda folders: evaluate(folders, stop), lambda folders: folders.message)


def evaluate(folders: Folders, stop: StopFlag) -> None:
    """Write evaluation.json. Raises ProgramError for a bad model or bad test data, Stopped after SIGTERM."""
    test = read(folders.processing / "test", "test")
    with tempfile.TemporaryDirectory() as scratch:
        try:
            files = archive.unpack(folders.processing / "model", Path(scratch))
        except archive.ArchiveError as error:
            raise ProgramError(str(error)) from error
        model = load(files)
    refuse_seen_data(test, model)
    stop.check()
    result, outcomes = report(test, model)
    stop.check()
    out = folders.processing / "evaluation" / "evaluation.json"
    # Before the report, which tells of it.
    write_atomically(out.with_name(rows.EXAMPLES), outcomes)
    # allow_nan=False: NaN is no JSON, and a report that holds one must not look like a good one.
    write_atomically(out, json.dumps(result, indent=2, allow_nan=False) + "\n")
    for name in ("accuracy", "weighted_f1", "accuracy_best_constant_classifier"):
        print(f"test_{name}={result['multiclass_classification_metrics'][name]['value']:.6f}; ", end="")
    print(f"test_log_loss={result['probability_metrics']['log_loss']['value']:.6f}; ")
    print(f"wrote {out}, {len(test)} rows", flush=True)


def refuse_seen_data(test: Table, model: Model) -> None:
    """Raise ProgramError when a test file is, byte for byte, one that training or validation has read."""
    seen = {digest: name for name, digest in model.metadata.get("data_sha256", {}).items()}
    same = [f"{name} is {seen[digest]}" for name, digest in test.digests.items() if digest in seen]
    if same:
        raise ProgramError(f"the test data is not held out: {', '.join(same)}")


def report(test: Table, model: Model) -> tuple[dict[str, Any], str]:
    """The metrics, with what they were measured on and with what; and the outcome of every row as CSV."""
    probabilities = np.asarray(model.booster.predict(test.features, num_threads=threads(len(test))))
    if probabilities.shape != (len(test), len(CLASSES)) or not np.isfinite(probabilities).all():
        raise ProgramError(f"the model gave {probabilities.shape} predictions, or some that are not finite")
    outcomes = rows.table(multiclass.by_row(test.labels, probabilities))
    result = {
        **multiclass.report(test.labels, probabilities, CLASSES),
        "held_out": rows.held_out(len(test), rows.digest(test.features, test.labels), outcomes),
        "classes": list(CLASSES),
        "test_data": {"rows": len(test), "rows_by_class": class_counts(test), "sha256": test.digests},
        "model": {
            "best_iteration": model.metadata.get("best_iteration"),
            "hyperparameters": model.metadata.get("hyperparameters"),
        },
        "versions": {
            "python": ".".join(str(part) for part in sys.version_info[:3]),
            "lightgbm": version("lightgbm"),
            "numpy": version("numpy"),
        },
    }
    return result, outcomes
