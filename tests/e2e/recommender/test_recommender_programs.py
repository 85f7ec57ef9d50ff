"""container/recommender as SageMaker runs it, as processes in a venv made from its lock; no Spark, no AWS."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import textwrap
import tomllib
from pathlib import Path
from typing import Any

import pytest

from pipeline import caches
from pipeline.lambdas.gate import examples
from pipeline.lambdas.gate import report as reports
from pipeline.local.runner import environment
from tests.e2e.programs import Machine
from tests.e2e.venvs import ROOT

CONTAINER = ROOT / "container" / "recommender"
SETTINGS = tomllib.loads((ROOT / "pipeline" / "definitions" / "recommender" / "settings.toml").read_text())
TRAINED_ON = [name for name, c in SETTINGS["data"]["channels"].items() if c.get("made_by") and "use" not in c]


class Recommender(Machine):
    """A machine with links to the channels: tests only read them."""

    def __init__(self, base: Path, python: Path, channels: Path) -> None:
        super().__init__(base / "ml", CONTAINER, python.parent, SETTINGS["hyperparameters"])
        self.environment |= {"PYTHONUNBUFFERED": "1", "SM_NUM_CPUS": "2", "TF_CPP_MIN_LOG_LEVEL": "2"}
        self.channels = channels
        for name in TRAINED_ON:
            (self.data / name).symlink_to(channels / name)

    def train(self, code: int = 0, **hyperparameters: Any) -> str:
        self.hyperparameters |= {name: str(value) for name, value in hyperparameters.items()}
        return self.run("train", code)

    def evaluate(self) -> str:
        for name, to in (("model", self.base / "model"), ("test", self.channels / "test")):
            if not (self.processing / name).exists():
                (self.processing / name).symlink_to(to)
        return self.run("evaluate")


@pytest.fixture(scope="session")
def python() -> Path:
    """The interpreter with what the lock says: the local target's own environment, so it is there once."""
    return environment.ensure(CONTAINER, caches.folder("environments")) / "bin" / "python3"


def in_venv(python: Path, code: str | Path, *arguments: str) -> str:
    """Output of a program that may import the container's."""
    path = os.pathsep.join([str(CONTAINER), str(CONTAINER.parent)])
    words = [str(code)] if isinstance(code, Path) else ["-c", textwrap.dedent(code)]
    done = subprocess.run(
        [str(python), *words, *arguments],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="session")
def channels(python: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("samples") / "channels"
    in_venv(python, Path(__file__).with_name("make_samples.py"), str(folder), "4000")
    return folder


@pytest.fixture(scope="module")
def trained(
    python: Path, channels: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Recommender, str]:
    """Three epochs in one go; tests only read it."""
    machine = Recommender(tmp_path_factory.mktemp("trained"), python, channels)
    said = machine.train(epochs=3, early_stopping_epochs=0)
    return machine, said


def test_the_settings_metrics_find_what_training_prints_the_best_epoch_last(
    trained: tuple[Recommender, str],
) -> None:
    machine, said = trained
    kept = json.loads((machine.base / "model" / "metadata.json").read_text())
    assert {metric["name"] for metric in SETTINGS["metrics"]} >= {
        "validation:accuracy",
        "validation:roc_auc",
        "validation:pr_auc",
    }
    for metric in SETTINGS["metrics"]:
        found = re.findall(metric["regex"], said)
        assert len(found) == 4, "one of each epoch, and the best one's again"
        assert float(found[-1]) == pytest.approx(kept["metrics"][metric["name"].split(":")[1]], abs=1e-6)
    assert kept["best_epoch"] == min(
        range(1, 4), key=lambda n: float(re.findall(r"\bvalidation_log_loss=([\d.]+);", said)[n - 1])
    )
    difference = re.search(r"differs from Keras by (\S+) at most", said)
    assert difference and float(difference[1]) < 1e-5


def test_a_resumed_training_is_the_training_bit_by_bit(
    trained: tuple[Recommender, str], python: Path, channels: Path, tmp_path: Path
) -> None:
    whole, _ = trained
    machine = Recommender(tmp_path, python, channels)
    # SIGTERM after the first epoch's line, as when a spot instance is taken away.
    machine.hyperparameters |= {"epochs": "3", "early_stopping_epochs": "0"}
    process = machine.start("train")
    assert process.stdout
    for line in process.stdout:
        if line.startswith("epoch=1;"):
            process.send_signal(signal.SIGTERM)
            break
    rest = process.stdout.read()
    assert process.wait(60) == 143, rest
    assert not (machine.base / "model" / "metadata.json").exists()
    said = machine.train(epochs=3, early_stopping_epochs=0)
    assert re.search(r"resume: after epoch [12]\b", said), said
    for name in ("network.npz", "encoder.npz", "users.npz", "embeddings.npz"):
        assert (machine.base / "model" / name).read_bytes() == (whole.base / "model" / name).read_bytes()


def test_evaluation_measures_on_what_was_held_out_and_leaves_each_row(
    trained: tuple[Recommender, str],
) -> None:
    machine, _ = trained
    machine.evaluate()
    report = machine.evaluation()
    for rule in SETTINGS["gate"]:
        assert reports.metric(report, rule["metric"]).value is not None, rule["metric"]
    ranking = {name: item["value"] for name, item in report["ranking_metrics"].items()}
    # The average rating is all there is to learn here, so that the baseline by it cannot be beaten by much.
    assert 0.85 < ranking["roc_auc"] < 1
    best = max(ranking["popularity_roc_auc"], ranking["movie_average_roc_auc"])
    assert ranking["roc_auc_over_baseline"] == pytest.approx(ranking["roc_auc"] - best)
    assert ranking["popularity_roc_auc"] == pytest.approx(0.5, abs=0.06)
    text = (machine.base / "processing" / "evaluation" / "examples.csv").read_bytes()
    about = examples.held_out(report)
    assert about is not None
    columns = examples.parse(text, about, ["accuracy", "log_loss"])
    for name, column in columns.items():
        assert len(column) == 800
        value = report["binary_classification_metrics"][name]["value"]
        assert examples.contradiction(name, value, column) == ""
    first = report["held_out"]["sha256"]
    machine.evaluate()
    assert machine.evaluation()["held_out"]["sha256"] == first


def test_test_data_that_training_has_seen_is_refused(
    trained: tuple[Recommender, str], tmp_path: Path
) -> None:
    machine, _ = trained
    other = tmp_path / "ml" / "processing"
    other.mkdir(parents=True)
    (other / "model").symlink_to(machine.base / "model")
    (other / "test").symlink_to(machine.channels / "validation")
    done = subprocess.run(
        [str(machine.image / "evaluate")],
        env=machine.environment | {"SAGEMAKER_BASE_DIR": str(tmp_path / "ml")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert "the test data is not held out" in (tmp_path / "ml" / "output" / "message").read_text()


BROKEN = {
    "unknown hyperparameter": ({"epoch": 3}, "hyperparameter epoch is unknown; did you mean epochs?"),
    "out of range": ({"user_dropout": 2}, "hyperparameter user_dropout: 2 is not from 0 up to 1"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_wrong_hyperparameters_fail_with_the_reason(
    case: str, python: Path, channels: Path, tmp_path: Path
) -> None:
    given, said = BROKEN[case]
    machine = Recommender(tmp_path, python, channels)
    machine.train(code=1, **given)
    assert said in machine.failure


def test_missing_and_damaged_channels_fail_with_the_file(
    python: Path, channels: Path, tmp_path: Path
) -> None:
    machine = Recommender(tmp_path, python, channels)
    data = machine.data
    (data / "embeddings").unlink()
    machine.train(code=1)
    assert "channel 'embeddings' holds no data file" in machine.failure
    (data / "train").unlink()
    shutil.copytree(channels / "train", data / "train")
    part = data / "train" / "part-00001.parquet"
    part.write_bytes(part.read_bytes()[:-20])
    machine.train(code=1)
    assert "train/part-00001.parquet is no whole Parquet file" in machine.failure
    in_venv(
        python,
        """
        import sys, pyarrow.parquet as pq
        table = pq.read_table(sys.argv[2])
        pq.write_table(table.drop_columns(["movieAvgRating"]), sys.argv[1])
        """,
        str(part),
        str(channels / "train" / "part-00001.parquet"),
    )
    machine.train(code=1)
    assert "train/part-00001.parquet has no column movieAvgRating; it has " in machine.failure


PEAK = """
import sys, tracemalloc
from pathlib import Path
import numpy as np
import pyarrow as pa
from recommender_program import samples
from recommender_program.fit import batches

channel = samples.Channel(Path(sys.argv[1]), "train")
tracemalloc.start()
seen = samples.survey(channel, 1000, 1000, 1000)
rows = sum(len(labels) for _, labels in batches(channel, seen.encoder, 512, 8192, np.random.default_rng(0)))
assert rows == channel.rows == seen.rows, (rows, channel.rows)
print(tracemalloc.get_traced_memory()[1] + pa.default_memory_pool().max_memory())
"""


def test_memory_does_not_grow_with_the_data(python: Path, tmp_path: Path) -> None:
    """Ten times the rows, read to the end twice: numpy's and Arrow's peaks stay where they were."""
    peaks = []
    for name, rows in (("small", "40000"), ("large", "400000")):
        folder = tmp_path / name
        in_venv(python, Path(__file__).with_name("make_samples.py"), str(folder), rows)
        peaks.append(int(in_venv(python, PEAK, str(folder / "train"))))
    assert peaks[1] < 1.3 * peaks[0], peaks
    assert peaks[1] < 60_000_000
