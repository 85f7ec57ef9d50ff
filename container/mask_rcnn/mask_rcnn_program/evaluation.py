"""Evaluates a trained model on images it has never seen and writes SageMaker's model-quality JSON.

In:  /opt/ml/processing/model/model.tar.gz (or the model's files), /opt/ml/processing/test/{images,masks}/
Out: in /opt/ml/processing/evaluation: evaluation.json; examples.csv, the outcome of every image; report.html,
     the predictions drawn over the images, to look at
"""

from __future__ import annotations

import hashlib
import json
import math
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from model_quality import archive, rows
from script_mode import Folders, ProgramError, StopFlag, run_program, threads, write_atomically

from . import coco, page
from .data import Channel, open_channel
from .model import Model, load

REPORT, PAGE = "evaluation.json", "report.html"


def main() -> int:
    """Run as SageMaker Processing runs it; return the exit code."""
    folders = Folders.from_environment()
    stop = StopFlag()
    stop.install()
    return run_program(lambda: evaluate(folders, stop), folders.message)


def evaluate(folders: Folders, stop: StopFlag) -> None:
    """Write the report. Raises ProgramError for a bad model or bad test data, Stopped after SIGTERM."""
    import torch

    torch.set_num_threads(threads())
    with tempfile.TemporaryDirectory() as scratch:
        try:
            files = archive.unpack(folders.processing / "model", Path(scratch))
        except archive.ArchiveError as error:
            raise ProgramError(str(error)) from error
        model = load(files)
    smallest = int(model.metadata.get("smallest_object", 1))
    test = open_channel(folders.processing / "test", "test", len(model.names), smallest)
    refuse_seen_data(test, model)
    truth, found = [], []
    for sample in test.samples:
        stop.check()
        truth.append(sample.objects(smallest))
        found.append(model.find(sample.planes()))
    compared = coco.Comparison(truth, found, len(model.names))
    result, outcomes = report(test, model, compared)
    stop.check()
    out = folders.processing / "evaluation"
    # Before the report, which tells of them.
    write_atomically(out / rows.EXAMPLES, outcomes)
    write_atomically(out / PAGE, page.make(result, test.samples, truth, found, compared.counts()))
    # allow_nan=False: NaN is no JSON, and a report that holds one must not look like a good one.
    write_atomically(out / REPORT, json.dumps(result, indent=2, allow_nan=False) + "\n")
    measured = result["instance_segmentation_metrics"]
    print("".join(f"test_{name}={one['value']:.6f}; " for name, one in measured.items()))
    print(f"wrote {out / REPORT} and {PAGE}, {len(truth)} images", flush=True)


def refuse_seen_data(test: Channel, model: Model) -> None:
    """Raise ProgramError when a test image is, byte for byte, one that training has read."""
    seen = {digest: name for name, digest in model.metadata.get("data_sha256", {}).items()}
    same = [f"{name} is {seen[digest]}" for name, digest in test.digests.items() if digest in seen]
    if same:
        raise ProgramError(f"the test data is not held out: {', '.join(same[:5])}")


def report(test: Channel, model: Model, compared: coco.Comparison) -> tuple[dict[str, Any], str]:
    """The metrics, with what they were measured on and with what; and the outcome of every image as CSV."""
    precision, spread = compared.precision(), compared.deviations()
    counts = compared.counts()
    by_image = np.array([coco.f1(one) for one in counts])
    deviation = float(by_image.std(ddof=1) / math.sqrt(len(by_image))) if len(by_image) > 1 else 0.0
    found, missed, wrong = (sum(one[part] for one in counts) for part in range(3))
    outcomes = rows.table({"mean_f1": by_image})
    kinds = [number for number, count in test.counts.items() if count]
    measured = {
        "instance_segmentation_metrics": {
            "mask_ap": _metric(precision.ap, spread[0]),
            "mask_ap50": _metric(precision.ap50, spread[1]),
            "mask_ap75": _metric(precision.ap75, spread[2]),
            "mean_f1": _metric(float(by_image.mean()), deviation),
            "precision50": {"value": found / max(1, found + wrong)},
            "recall50": {"value": found / max(1, found + missed)},
        },
        "per_class_metrics": {
            model.names[number]: {
                "ap": {"value": precision.by_class[number - 1]},
                "objects": test.counts[number],
            }
            for number in kinds
        },
        "held_out": rows.held_out(len(counts), _digest(test), outcomes),
        "page": PAGE,
        "classes": model.names,
        "test_data": {
            "images": len(test.samples),
            "objects": sum(test.counts.values()),
            "found": found,
            "missed": missed,
            "wrong": wrong,
            "sha256": test.digests,
        },
        "model": {
            "epochs": model.metadata.get("epochs"),
            "hyperparameters": model.metadata.get("hyperparameters"),
        },
        "versions": {
            "python": ".".join(str(part) for part in sys.version_info[:3]),
            **{name: version(name) for name in ("torch", "pycocotools", "numpy")},
        },
    }
    return measured, outcomes


def _metric(value: float, deviation: float) -> dict[str, float]:
    return {"value": value, "standard_deviation": deviation}


def _digest(test: Channel) -> str:
    """Of all held-out images and masks, in their order."""
    return hashlib.sha256("\n".join(test.digests.values()).encode()).hexdigest()
