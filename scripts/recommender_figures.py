"""What good and bad recommenders reach on held-out ratings: by these the gate's thresholds are chosen.

    make recommender-figures        the table of docs/explanation/recommender.md, in about five minutes

Makes the samples with the very Glue scripts on Spark, trains container/recommender with five seeds, then with
shuffled labels and with next to no training, and evaluates each on the same held-out ratings.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
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
from pipeline.image import context_files  # noqa: E402
from pipeline.local.glue import spark  # noqa: E402
from pipeline.local.glue.spark.command import SHIM  # noqa: E402
from pipeline.local.runner import environment  # noqa: E402

SEEDS = (1, 2, 3, 4, 5)
SHOWN = ("roc_auc", "roc_auc_over_baseline", "accuracy", "pr_auc", "log_loss", "recall_at_50")
TRAINED_ON = ("train", "validation", "users", "catalogue", "embeddings")
SHUFFLE = """
import sys
from pathlib import Path
import numpy as np, pyarrow as pa, pyarrow.parquet as pq
dice = np.random.default_rng(7)
for path in Path(sys.argv[1]).rglob("*.parquet"):
    table = pq.read_table(path)
    mixed = pa.array(dice.permutation(table["label"].to_numpy()))
    pq.write_table(table.set_column(table.schema.get_field_index("label"), "label", mixed), path)
"""


def make_samples(settings: Any, data: Path, out: Path) -> None:
    """Run both Glue scripts on folders, with the settings' arguments."""
    made = spark.prepare(settings.environment.transform.glue_version)
    submit = "--master local[2] --driver-memory 1g --conf spark.ui.enabled=false --conf spark.log.level=ERROR"
    for name, transform in settings.pipeline.transforms.items():
        began = time.monotonic()
        given = {
            "JOB_NAME": name,
            "OUTPUT_PATH": str(out / name),
            "FINGERPRINT": "measured",
            **{f"{channel.upper()}_PATH": f"{data / channel}/" for channel in transform.reads},
            **{key: str(value) for key, value in transform.arguments.items()},
        }
        subprocess.run(
            [
                str(made.python),
                str(ROOT / "glue_scripts" / transform.script),
                *(word for key, value in given.items() for word in (f"--{key}", value)),
            ],
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={
                **os.environ,
                "JAVA_HOME": str(made.java.parent.parent),
                "PYTHONPATH": os.pathsep.join([str(ROOT / "glue_scripts"), str(SHIM)]),
                "PYSPARK_SUBMIT_ARGS": f"{submit} pyspark-shell",
                "SPARK_LOCAL_IP": "127.0.0.1",
            },
        )
        print(f"{name}: {time.monotonic() - began:.0f} s", flush=True)


class Program:
    """container/recommender in a folder of its own, with its interpreter."""

    def __init__(self, folder: Path) -> None:
        image = ROOT / "container" / "recommender"
        self.python = environment.ensure(image, caches.folder("environments")) / "bin" / "python3"
        self.folder = folder
        for relative, path in context_files(image).items():
            (folder / relative).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, folder / relative)

    def measure(
        self, channels: dict[str, Path], test: Path, given: dict[str, Any]
    ) -> tuple[dict[str, float], float]:
        """Metrics on the held-out ratings by name, and the seconds of the training."""
        with tempfile.TemporaryDirectory() as scratch:
            base = Path(scratch)
            for name, path in channels.items():
                (base / "input" / "data").mkdir(parents=True, exist_ok=True)
                (base / "input" / "data" / name).symlink_to(path)
            (base / "input" / "config").mkdir()
            text = json.dumps({key: str(value) for key, value in given.items()})
            (base / "input" / "config" / "hyperparameters.json").write_text(text)
            (base / "processing").mkdir()
            (base / "processing" / "test").symlink_to(test)
            (base / "processing" / "model").symlink_to(base / "model")
            began = time.monotonic()
            self._run("train", base)
            seconds = time.monotonic() - began
            self._run("evaluate", base)
            report = json.loads((base / "processing" / "evaluation" / "evaluation.json").read_text())
        found: dict[str, float] = {}
        for section in ("binary_classification_metrics", "ranking_metrics", "recall_metrics"):
            found |= {name: item.get("value") for name, item in report[section].items()}
        return found, seconds

    def _run(self, program: str, base: Path) -> None:
        done = subprocess.run(
            [str(self.python), str(self.folder / program)],
            env={**os.environ, "SAGEMAKER_BASE_DIR": str(base), "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            text=True,
        )
        if done.returncode:
            raise SystemExit(done.stdout + done.stderr)


def row(name: str, found: dict[str, float], seconds: float) -> str:
    return f"| {name} | {' | '.join(f'{found[key]:.3f}' for key in SHOWN)} | {seconds:.0f} |"


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--keep", type=Path, help="keep the samples here, or take those that are")
    args = parser.parse_args()
    settings = store.load(ROOT, "recommender", None)
    hyperparameters = dict(settings.pipeline.hyperparameters)
    with tempfile.TemporaryDirectory() as scratch:
        out = args.keep or Path(scratch) / "samples"
        if not (out / "item2vec" / "transform.json").exists():
            make_samples(settings, sample.folder(settings, print), out)
        place = {
            name: out / ("item2vec" if name == "embeddings" else "features") / name for name in TRAINED_ON
        }
        test = out / "features" / "test"
        program = Program(Path(scratch) / "program")
        print(f"| | {' | '.join(SHOWN)} | seconds |\n|---|{'---|' * (len(SHOWN) + 1)}")
        for seed in SEEDS:
            found, seconds = program.measure(place, test, {**hyperparameters, "seed": seed})
            print(row(f"seed {seed}", found, seconds), flush=True)
        shuffled = dict(place)
        for name in ("train", "validation"):
            shuffled[name] = Path(scratch) / "shuffled" / name
            shutil.copytree(place[name], shuffled[name])
        subprocess.run([str(program.python), "-c", SHUFFLE, str(Path(scratch) / "shuffled")], check=True)
        found, seconds = program.measure(shuffled, test, hyperparameters)
        print(row("shuffled labels", found, seconds), flush=True)
        barely = {**hyperparameters, "epochs": 1, "learning_rate": 1e-7}
        found, seconds = program.measure(place, test, barely)
        print(row("next to untrained", found, seconds), flush=True)
        for name in (
            "popularity_roc_auc",
            "movie_average_roc_auc",
            "popularity_recall_at_50",
            "recall_at_10",
        ):
            print(f"{name}: {found[name]:.3f}")
        print(f"accuracy of always the same answer: {found['accuracy_best_constant_classifier']:.3f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
