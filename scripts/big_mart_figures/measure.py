"""Trains and evaluates one model after the other in container/big_mart's environment; a JSON line for each.

    python measure.py DATA < JOBS

JOBS is a JSON list of {"variant", "arguments": {...}, "hyperparameters": {...}, "harm": how the raw rows are
changed first, "seed"}. XGBoost's own train() stands for SageMaker's image, which a test holds to it.
"""

from __future__ import annotations

import json
import random
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import xgboost
from big_mart_program import columns, fitting, parts, table
from big_mart_program.table import Table
from model_quality import regression


def main() -> int:
    """Measure all jobs."""
    folder = Path(sys.argv[1])
    for job in json.load(sys.stdin):
        given = [text for key, value in job["arguments"].items() for text in (f"--{key}", str(value))]
        arguments = columns.parse([*given, "--SEED", str(job["seed"])])
        raw = table.read(folder, "raw", arguments.label, arguments.named)
        began = time.monotonic()
        found = measure(harmed(raw, job["harm"], job["seed"]), arguments, job["hyperparameters"])
        print(
            json.dumps({"variant": job["variant"], "seconds": time.monotonic() - began, **found}), flush=True
        )
    return 0


def harmed(raw: Table, harm: dict[str, Any], seed: int) -> Table:
    """The rows with a share of the labels exchanged, or columns emptied."""
    dice = random.Random(seed)
    labels = list(raw.labels)
    chosen = [row for row in range(len(labels)) if dice.random() < harm.get("shuffled", 0)]
    mixed = [labels[row] for row in chosen]
    dice.shuffle(mixed)
    for row, label in zip(chosen, mixed, strict=True):
        labels[row] = label
    empty = [raw.columns.index(name) for name in harm.get("emptied", ())]
    rows = (
        [["" if at in empty else cell for at, cell in enumerate(row)] for row in raw.rows]
        if empty
        else raw.rows
    )
    return replace(raw, rows=rows, labels=labels)


def measure(raw: Table, arguments: columns.Arguments, hyperparameters: dict[str, Any]) -> dict[str, float]:
    """Metrics of a model on its held-out rows."""
    rows = parts.split(raw, arguments)
    emptied = [name for name in arguments.numbers if not any(raw.column(name))]
    if emptied:
        arguments = replace(
            arguments,
            numbers=tuple(name for name in arguments.numbers if name not in emptied),
            zero_is_missing=tuple(name for name in arguments.zero_is_missing if name not in emptied),
        )
    fitted = fitting.fit(raw, rows["train"], arguments)
    features = {
        n: np.array([fitted.row(raw.rows[row]) for row in found], np.float32) for n, found in rows.items()
    }
    labels = {name: np.array([raw.labels[row] for row in found]) for name, found in rows.items()}
    given = dict(hyperparameters)
    rounds, patience = int(given.pop("num_round")), given.pop("early_stopping_rounds", None)
    matrix = {name: xgboost.DMatrix(features[name], labels[name]) for name in features}
    booster = xgboost.train(
        {**given, "nthread": 1},
        matrix["train"],
        rounds,
        evals=[(matrix["train"], "train"), (matrix["validation"], "validation")],
        early_stopping_rounds=patience,
        verbose_eval=False,
    )
    best = (0, booster.best_iteration + 1) if patience else (0, 0)
    predicted = booster.predict(matrix["test"], iteration_range=best).astype(np.float64)
    baseline = np.array([fitted.baseline(raw.rows[row]) for row in rows["test"]])
    report = regression.report(labels["test"], predicted, baseline, "group_mean")
    found = {**report["regression_metrics"], **report["baseline_metrics"]}
    return {
        **{name: entry["value"] for name, entry in found.items()},
        "r2_deviation": found["r2"]["standard_deviation"],
        "rmse_deviation": found["rmse"]["standard_deviation"],
        "rounds": best[1] or rounds,
        "rows": len(labels["test"]),
    }


if __name__ == "__main__":
    sys.exit(main())
