"""Evaluates a trained model on data it has never seen and writes SageMaker's model-quality JSON.

In:  /opt/ml/processing/model/model.tar.gz (or the model's files), /opt/ml/processing/test/**.csv
Out: /opt/ml/processing/evaluation/evaluation.json, and examples.csv beside it: the outcome of every row
"""

from __future__ import annotations

import json
import sys
import tarfile
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from . import CLASSES, examples, metrics
from .contract import Folders, ProgramError, StopFlag, run_program, threads, write_atomically
from .data import Table, class_counts, read
from .model import Model, load

EXAMPLES = "examples.csv"


def main() -> int:
    """Run as SageMaker Processing runs it; return the exit code."""
    stop = StopFlag()
    stop.install()
    return run_program(lambda folders: evaluate(folders, stop), lambda folders: folders.message)


def evaluate(folders: Folders, stop: StopFlag) -> None:
    """Write evaluation.json. Raises ProgramError for a bad model or bad test data, Stopped after SIGTERM."""
    test = read(folders.processing / "test", "test")
    with tempfile.TemporaryDirectory() as scratch:
        model = load(unpack(folders.processing / "model", Path(scratch)))
    refuse_seen_data(test, model)
    stop.check()
    result, outcomes = report(test, model)
    stop.check()
    out = folders.processing / "evaluation" / "evaluation.json"
    # Before the report, which tells of it.
    write_atomically(out.with_name(EXAMPLES), outcomes)
    # allow_nan=False: NaN is no JSON, and a report that holds one must not look like a good one.
    write_atomically(out, json.dumps(result, indent=2, allow_nan=False) + "\n")
    for name in ("accuracy", "weighted_f1", "accuracy_best_constant_classifier"):
        print(f"test_{name}={result['multiclass_classification_metrics'][name]['value']:.6f}; ", end="")
    print(f"test_log_loss={result['probability_metrics']['log_loss']['value']:.6f}; ")
    print(f"wrote {out}, {len(test)} rows", flush=True)


def unpack(folder: Path, scratch: Path) -> Path:
    """Folder of the model's files: the folder itself, or where its model.tar.gz was unpacked."""
    archive = folder / "model.tar.gz"
    if not archive.is_file():
        return folder
    try:
        with tarfile.open(archive, "r:gz") as tar:
            _extract(tar, scratch)
    except (tarfile.TarError, OSError, EOFError) as error:
        raise ProgramError(f"{archive} cannot be unpacked: {type(error).__name__}: {error}") from error
    return scratch


def _extract(tar: tarfile.TarFile, into: Path) -> None:
    """Unpack files and folders; refuse what would leave the folder, links out of it, devices and the like."""
    if hasattr(tarfile, "data_filter"):
        tar.extractall(into, filter="data")
        return
    # Python before 3.11.4 (Debian 12 has 3.11.2) knows no filters: plain files and folders alone.
    for member in tar:
        if not (member.isreg() or member.isdir()):
            raise tarfile.TarError(f"{member.name!r} is neither a file nor a folder")
        member.name = member.name.lstrip("/")
        if not (into / member.name).resolve().is_relative_to(into.resolve()):
            raise tarfile.TarError(f"{member.name!r} would be outside the destination")
        tar.extract(member, into, set_attrs=False)


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
    outcomes = examples.table(metrics.by_row(test.labels, probabilities))
    result = {
        **metrics.report(test.labels, probabilities, CLASSES),
        "held_out": examples.held_out(test, EXAMPLES, outcomes),
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
