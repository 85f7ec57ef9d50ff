"""What good and bad models reach on held-out digits: by these mnist's gate was chosen.

    make mnist-figures        the table of docs/explanation/mnist.md, in about ten minutes

Trains container/mnist in its own environment on the sample, with seeds and with what must not pass, and
evaluates each on the same 1,000 held-out images. The pixels are those the Glue script makes (a test of the
pipeline compares them), written here without Spark.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from pipeline import caches  # noqa: E402
from pipeline import settings as store  # noqa: E402
from pipeline.execution import sample  # noqa: E402
from pipeline.local.runner import environment  # noqa: E402

CONTAINER = ROOT / "container" / "mnist"
HEAD = "| Model | trained | accuracy | mean | lowest recall | log loss | pass |"


def passes(settings: Any, found: dict[str, float]) -> bool:
    """Whether the bounds of the settings' gate let these metrics through."""
    return all(
        (rule.minimum is None or found[rule.metric] >= rule.minimum)
        and (rule.maximum is None or found[rule.metric] <= rule.maximum)
        for rule in settings.pipeline.gate
    )


def line(settings: Any, variant: str, found: list[dict[str, float]]) -> str:
    """One line of the table."""
    accuracy = [one["accuracy"] for one in found]
    losses = [one["log_loss"] for one in found]
    passed = sum(passes(settings, one) for one in found)
    return (
        f"| {variant} | {len(found)} | {min(accuracy):.3f} to {max(accuracy):.3f} "
        f"| {statistics.mean(accuracy):.3f} | {min(one['lowest_recall'] for one in found):.2f} "
        f"| {min(losses):.3f} to {max(losses):.3f} | {passed} |"
    )


def main() -> int:
    """Measure and print the table."""
    began = time.monotonic()
    settings = store.load(ROOT, "mnist", "dev")
    data = sample.folder(settings, print)
    made = environment.ensure(CONTAINER, caches.folder("environments"))
    values = {key: value for key, value in settings.pipeline.hyperparameters.items() if key != "seed"}
    results: dict[str, list[dict[str, float]]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        process = subprocess.Popen(
            [
                str(made / "bin" / "python"),
                str(ROOT / "scripts" / "mnist_figures" / "measure.py"),
                str(data),
                scratch,
                json.dumps(values),
            ],
            stdout=subprocess.PIPE,
            text=True,
            env={
                **os.environ,
                "PYTHONPATH": f"{CONTAINER}:{CONTAINER.parent}",
                # Nobody's /opt/ml plays a part.
                "SAGEMAKER_BASE_DIR": scratch,
            },
        )
        assert process.stdout is not None
        for text in process.stdout:
            found = json.loads(text)
            results.setdefault(found.pop("variant"), []).append(found)
            print(f"  {text.rstrip()}", flush=True)
    print("\n".join([HEAD, "|---" * (HEAD.count("|") - 1) + "|"]))
    print("\n".join(line(settings, variant, found) for variant, found in results.items()))
    print(f"{time.monotonic() - began:.0f} s")
    return process.wait()


if __name__ == "__main__":
    sys.exit(main())
