"""What good and bad models reach on held-out images: by these mask_rcnn's gate was chosen.

    make mask-rcnn-figures        the table of docs/explanation/mask-rcnn.md, in about twenty minutes

Runs container/mask_rcnn's own programs in its own environment on the sample, with seeds and with what must
not pass, and evaluates each on the same four held-out tiles.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from pipeline import caches  # noqa: E402
from pipeline import settings as store  # noqa: E402
from pipeline.execution import sample  # noqa: E402
from pipeline.local.runner import environment  # noqa: E402

CONTAINER = ROOT / "container" / "mask_rcnn"
HEAD = "| Model | trained | mask AP50 | mask AP | mean F1 | seconds | pass |"
METRICS = ("mask_ap50", "mask_ap", "mean_f1")
Spoil = Callable[[Path], None]


def nothing(_train: Path) -> None:
    """The data as it is."""


def exchanged(train: Path) -> None:
    """Each mask belongs to the next image: what is learnt has nothing to do with what is seen."""
    masks = sorted((train / "masks").iterdir())
    contents = [mask.read_bytes() for mask in masks]
    for mask, content in zip(masks, contents[1:] + contents[:1], strict=True):
        mask.write_bytes(content)


def few(train: Path) -> None:
    """Every seventh tile alone."""
    for number, image in enumerate(sorted((train / "images").iterdir())):
        if number % 7:
            image.unlink()


# variant -> seeds, hyperparameters besides those of the settings, what is done to the data
VARIANTS: dict[str, tuple[range, dict[str, str], Spoil]] = {
    "as in the settings": (range(1, 6), {}, nothing),
    "3 epochs": (range(1, 3), {"num_epochs": "3"}, nothing),
    "5 of the 35 tiles": (range(1, 3), {}, few),
    "masks of other images": (range(1, 2), {}, exchanged),
    "10 epochs": (range(1, 3), {"num_epochs": "10"}, nothing),
}


def run(python: Path, program: str, base: Path, threads: int) -> None:
    """One of the container's programs; raises RuntimeError with its last words."""
    variables = {
        "PATH": f"{python.parent}:{os.environ['PATH']}",
        "PYTHONPATH": f"{CONTAINER}:{CONTAINER.parent}",
        "SAGEMAKER_BASE_DIR": str(base),
        "SM_NUM_CPUS": str(threads),
        "OMP_WAIT_POLICY": "PASSIVE",
    }
    command = [str(python), str(CONTAINER / program)]
    done = subprocess.run(command, env=variables, cwd=base, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{program} ended with {done.returncode}: {(done.stdout + done.stderr)[-600:]}")


def measure(python: Path, data: Path, hyperparameters: Mapping[str, Any], spoil: Spoil) -> dict[str, float]:
    """The metrics of one training, and its seconds."""
    with tempfile.TemporaryDirectory() as scratch:
        base = Path(scratch)
        (base / "input" / "config").mkdir(parents=True)
        told = {name: str(value) for name, value in hyperparameters.items()}
        (base / "input" / "config" / "hyperparameters.json").write_text(json.dumps(told))
        shutil.copytree(data / "train", base / "input" / "data" / "train")
        shutil.copytree(data / "test", base / "processing" / "test")
        spoil(base / "input" / "data" / "train")
        began = time.monotonic()
        run(python, "train", base, os.cpu_count() or 1)
        seconds = time.monotonic() - began
        shutil.move(base / "model", base / "processing" / "model")
        run(python, "evaluate", base, os.cpu_count() or 1)
        report = json.loads((base / "processing" / "evaluation" / "evaluation.json").read_text())
    found = {name: report["instance_segmentation_metrics"][name]["value"] for name in METRICS}
    return found | {"seconds": seconds}


def passes(settings: Any, found: Mapping[str, float]) -> bool:
    """Whether the bounds of the settings' gate let these metrics through."""
    return all(
        (rule.minimum is None or found[rule.metric] >= rule.minimum)
        and (rule.maximum is None or found[rule.metric] <= rule.maximum)
        for rule in settings.pipeline.gate
    )


def line(settings: Any, variant: str, found: list[dict[str, float]]) -> str:
    """One line of the table."""
    spans = [
        f"{min(one[name] for one in found):.2f} to {max(one[name] for one in found):.2f}" for name in METRICS
    ]
    seconds = statistics.median(one["seconds"] for one in found)
    passed = sum(passes(settings, one) for one in found)
    return f"| {variant} | {len(found)} | {' | '.join(spans)} | {seconds:.0f} | {passed} |"


def main() -> int:
    """Measure and print the table, line by line."""
    began = time.monotonic()
    settings = store.load(ROOT, "mask_rcnn", "dev")
    data = sample.folder(settings, print)
    python = environment.ensure(CONTAINER, caches.folder("environments")) / "bin" / "python"
    print(f"{HEAD}\n|{'---|' * 7}", flush=True)
    for variant, (seeds, changes, spoil) in VARIANTS.items():
        values = [settings.pipeline.hyperparameters | changes | {"seed": seed} for seed in seeds]
        found = [measure(python, data, hyperparameters, spoil) for hyperparameters in values]
        print(line(settings, variant, found), flush=True)
    print(f"\n{time.monotonic() - began:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
