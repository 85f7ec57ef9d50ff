"""Trainings of the built-in XGBoost, on rows that mean nothing, and plain XGBoost beside them."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pipeline import caches
from pipeline.local.builtin.images import VERSION_FILE
from pipeline.local.runner import environment
from tests.e2e.local_jobs.conftest import BUCKET, REGION, Jobs

ACCOUNT_OF_AWS = "141502667606"  # of eu-west-1; tests/contract/sagemaker holds it against the SDK
IMAGE = f"{ACCOUNT_OF_AWS}.dkr.ecr.{REGION}.amazonaws.com/sagemaker-xgboost:3.0-5"
ROWS = [[round(0.37 * i % 5, 2), round(1.3 * i % 7, 2), round((i * i) % 11 / 3, 2)] for i in range(160)]
LABELS = [round(2 * a - b + a * c / 2, 3) for a, b, c in ROWS]
GIVEN = {
    "num_round": "12",
    "max_depth": "3",
    "eta": "0.4",
    "objective": "reg:squarederror",
    "eval_metric": "rmse,r2",
    "seed": "5",
}
# Plain XGBoost in the image's own environment, which is not that of these tests.
PLAIN = """
import json, sys
import numpy, xgboost
rows, labels, given, mode, path = json.load(sys.stdin)
if mode == "train":
    matrix = xgboost.DMatrix(numpy.array(rows, "float32"), numpy.array(labels, "float32"))
    rounds = int(given.pop("num_round")); given.pop("eval_metric")
    booster = xgboost.train({**given, "nthread": 1}, matrix, rounds)
    booster.save_model(path)
booster = xgboost.Booster(model_file=path)
print(json.dumps(booster.predict(xgboost.DMatrix(numpy.array(rows, "float32"))).tolist()))
"""
Plain = Callable[..., list[float]]


def as_csv(rows: list[list[float]], labels: list[float] | None = None) -> str:
    lead = [[label] for label in labels] if labels else [[] for _ in rows]
    return "".join(",".join(map(str, [*a, *b])) + "\n" for a, b in zip(lead, rows, strict=True))


def train(jobs: Jobs, body: str | None = None, image: str = IMAGE, **changes: Any) -> str:
    """Start a training of the built-in algorithm; its name. `validation` has every third row."""
    stamp = time.time_ns()
    channels = []
    parts = {changes.pop("channel", "train"): body or as_csv(ROWS, LABELS)}
    if changes.pop("validation", True):
        parts["validation"] = as_csv(ROWS[::3], LABELS[::3])
    for name, text in parts.items():
        jobs.put(f"xgb/{stamp}/{name}/rows.csv", text)
        uri = f"s3://{BUCKET}/xgb/{stamp}/{name}"
        channels.append(jobs.channel(name, uri, ContentType=changes.get("content_type", "text/csv")))
    changes.pop("content_type", None)
    given = {**GIVEN, **changes.pop("hyperparameters", {})}
    request = {"HyperParameters": given, "InputDataConfig": channels, "algorithm": {"TrainingImage": image}}
    return jobs.train("unused", **(request | changes))


def first_trained(jobs: Jobs) -> dict[str, Any]:
    """A training job that is over: the first of a target has to make the image's environment."""
    return jobs.trained(train(jobs), seconds=240)


def plain_xgboost(jobs: Jobs) -> Plain:
    """`plain("train" | "predict", path)`: XGBoost itself, by its own interpreter; its predictions of ROWS."""
    folder = next(path.parent for path in (jobs.root / ".pipeline/local/builtin").glob(f"*/{VERSION_FILE}"))
    python = environment.ensure(folder, caches.folder("environments")) / "bin" / "python"

    def run(mode: str, path: Path, hyperparameters: dict[str, str] = GIVEN) -> list[float]:
        given = json.dumps([ROWS, LABELS, hyperparameters, mode, str(path)])
        done = subprocess.run([python, "-c", PLAIN], input=given, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return list(json.loads(done.stdout.splitlines()[-1]))

    return run
