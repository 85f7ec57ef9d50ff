"""Evaluates a trained model on raw rows it has never seen and writes SageMaker's model-quality JSON.

In:  /opt/ml/processing/model/model.tar.gz (or the model's files), /opt/ml/processing/test/**.csv (raw)
Out: in /opt/ml/processing/evaluation: evaluation.json; examples.csv, the outcome of every row; report.html,
     the residuals and what the model looks at

The rows go the way of a request: what is measured is what is served, features and all.
"""

from __future__ import annotations

import hashlib
import json
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from model_quality import archive, regression, rows
from numpy.typing import NDArray
from script_mode import Folders, ProgramError, StopFlag, available_processors, run_program, write_atomically

from . import importance, model, page, table
from .encoder import BadValue
from .errors import BadModel
from .model import Model
from .table import Table

REPORT, PAGE = "evaluation.json", "report.html"
# What the model must beat: the mean of the row's group (of its store) among the training rows.
BASELINE = "group_mean"


def main() -> int:
    """Run as SageMaker Processing runs it; return the exit code."""
    folders = Folders.from_environment()
    stop = StopFlag()
    stop.install()
    return run_program(lambda: evaluate(folders.processing, stop), folders.message)


def evaluate(home: Path, stop: StopFlag) -> None:
    """Write the report. Raises ProgramError for a bad model or bad test data, Stopped after SIGTERM."""
    with tempfile.TemporaryDirectory() as scratch:
        try:
            files = archive.unpack(home / "model", Path(scratch))
            made = model.load(files, available_processors())
        except (archive.ArchiveError, BadModel) as error:
            raise ProgramError(str(error)) from error
    test = read_test(home / "test", made)
    stop.check()
    labels, predicted, baseline = predictions(test, made)
    outcomes = rows.table(regression.by_row(labels, predicted))
    result = report(test, made, labels, predicted, baseline, outcomes)
    stop.check()
    out = home / "evaluation"
    # Before the report, which tells of them.
    write_atomically(out / rows.EXAMPLES, outcomes)
    write_atomically(out / PAGE, page.make(result, labels, predicted))
    # allow_nan=False: NaN is no JSON, and a report that holds one must not look like a good one.
    write_atomically(out / REPORT, json.dumps(result, indent=2, allow_nan=False) + "\n")
    told = {**result["regression_metrics"], **result["baseline_metrics"]}
    print("".join(f"test_{name}={entry['value']:.6f}; " for name, entry in told.items()))
    print(f"wrote {out / REPORT} and {PAGE}, {len(labels)} rows", flush=True)


def read_test(folder: Path, made: Model) -> Table:
    """The held-out rows. Raises ProgramError, also where a file is one that the features were fitted on."""
    encoder = made.encoder
    found = table.read(folder, "test", encoder.label, encoder.columns)
    seen = {digest: name for name, digest in made.about.get("data_sha256", {}).items()}
    same = [f"{name} is {seen[digest]}" for name, digest in found.digests.items() if digest in seen]
    if same:
        raise ProgramError(f"the test data is not held out: {', '.join(same)}")
    at = [found.columns.index(name) for name in encoder.columns]
    return Table(
        encoder.columns, [[row[column] for column in at] for row in found.rows], found.labels, found.digests
    )


def predictions(
    test: Table, made: Model
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Labels, predictions and the baseline's, each (rows,). Raises ProgramError."""
    try:
        predicted = made.predict(test.rows).astype(np.float64)
    except BadValue as error:
        raise ProgramError(f"a row of the test data: {error}") from error
    if not np.isfinite(predicted).all():
        raise ProgramError("the model gave predictions that are not finite")
    baseline = np.array([made.encoder.baseline(row) for row in test.rows])
    return np.array(test.labels), predicted, baseline


def digest(test: Table) -> str:
    """SHA-256 of the held-out rows in their order, whatever the order of their columns."""
    order = sorted(range(len(test.columns)), key=lambda at: test.columns[at])
    known = hashlib.sha256(json.dumps([test.columns[at] for at in order]).encode())
    for row, label in zip(test.rows, test.labels, strict=True):
        known.update(json.dumps([label, *(row[at] for at in order)]).encode())
    return known.hexdigest()


def report(
    test: Table,
    made: Model,
    labels: NDArray[np.float64],
    predicted: NDArray[np.float64],
    baseline: NDArray[np.float64],
    outcomes: str,
) -> dict[str, Any]:
    """The metrics, with what they were measured on and with what."""
    return {
        **regression.report(labels, predicted, baseline, BASELINE),
        "held_out": rows.held_out(len(labels), digest(test), outcomes),
        "label": {"name": made.encoder.label, "mean": float(labels.mean()), "deviation": float(labels.std())},
        "test_data": {"rows": len(labels), "sha256": test.digests},
        "importance": importance.shares(made),
        "model": {
            "rounds": made.booster.num_boosted_rounds(),
            "features": len(made.encoder.names),
            "rows": made.about.get("rows"),
        },
        "versions": {
            "python": ".".join(str(part) for part in sys.version_info[:3]),
            "xgboost": version("xgboost-cpu"),
            "numpy": version("numpy"),
        },
    }
