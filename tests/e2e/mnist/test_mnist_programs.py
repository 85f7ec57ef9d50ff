"""container/mnist as SageMaker runs it: its programs as processes, in a venv made from its lock.

Each start of TensorFlow costs seconds: one training is shared by all tests that only look.
"""

from __future__ import annotations

import json
import re
import shutil
import signal
import tomllib
from pathlib import Path
from typing import Any

import pytest

from pipeline.lambdas.gate import examples
from pipeline.lambdas.gate import report as reports
from tests.e2e.mnist.conftest import CONTAINER, helper
from tests.e2e.programs import Machine
from tests.e2e.venvs import ROOT

SETTINGS = tomllib.loads((ROOT / "pipeline" / "definitions" / "mnist" / "settings.toml").read_text())
ROWS = {"train": 1500, "validation": 300, "test": 500}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory, sample: Path, programs: Path) -> Path:
    """train/, validation/ and test/ of a part of the sample, as the transform writes them."""
    folder = tmp_path_factory.mktemp("data")
    for name, rows in ROWS.items():
        csv = sample / f"raw{name}" / "mnist.csv"
        helper(programs, "write", csv, folder / name / "part-00000.snappy.parquet", rows, 255)
    return folder


def machine_in(folder: Path, data: Path, programs: Path) -> Machine:
    made = Machine(folder / "ml", CONTAINER, programs, SETTINGS["hyperparameters"])
    made.hyperparameters["epochs"] = "3"
    for name in ("train", "validation"):
        shutil.copytree(data / name, made.data / name)
    shutil.copytree(data / "test", made.processing / "test")
    return made


@pytest.fixture
def machine(tmp_path: Path, data: Path, programs: Path) -> Machine:
    return machine_in(tmp_path, data, programs)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, data: Path, programs: Path) -> tuple[Machine, str]:
    """A machine that has trained and evaluated, and the training log."""
    made = machine_in(tmp_path_factory.mktemp("trained"), data, programs)
    log = made.run("train")
    made.pack()
    made.run("evaluate")
    return made, log


# --- train


def test_training_writes_a_model_and_its_description(trained: tuple[Machine, str]) -> None:
    machine, _ = trained
    described = json.loads(machine.read("model/metadata.json"))
    assert described["classes"] == [str(digit) for digit in range(10)]
    assert (described["scale"], described["pixels"], described["hidden"]) == (255, 784, [256, 128, 64, 32])
    assert described["hyperparameters"]["epochs"] == 3
    assert sum(described["rows"]["train"].values()) == ROWS["train"]
    assert {path.name for path in (machine.base / "model").iterdir()} == {"weights.npz", "metadata.json"}
    assert not (machine.base / "output" / "failure").exists()


def test_every_metric_of_the_settings_is_in_the_log_and_ends_with_the_kept_epoch(
    trained: tuple[Machine, str],
) -> None:
    machine, log = trained
    described = json.loads(machine.read("model/metadata.json"))
    for metric in SETTINGS["metrics"]:
        found = re.findall(metric["regex"], log)
        assert len(found) == 4, metric  # three epochs, and the kept one once more
        name = metric["name"].replace(":", "_")
        assert float(found[-1]) == pytest.approx(described["metrics"][name], abs=1e-6)
    losses = [float(value) for value in re.findall(r"\bvalidation_log_loss=([0-9.eE+-]+);", log)]
    assert losses[-1] == min(losses)
    # TensorFlow's own words, and Keras' progress bars, are no log for people.
    lines = log.splitlines()
    assert all(re.match(r"rows: |threads: |epoch=\d+; |model: ", line) for line in lines), log


@pytest.mark.timeout(600)
def test_a_spot_interruption_costs_the_epoch_it_falls_into_and_changes_nothing_else(
    trained: tuple[Machine, str], machine: Machine
) -> None:
    process = machine.start("train")
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("epoch=1;"):
            process.send_signal(signal.SIGTERM)
            break
    log, _ = process.communicate(timeout=250)
    assert process.returncode == 143, log
    assert not (machine.base / "model" / "weights.npz").exists()
    assert not (machine.base / "output" / "failure").exists()
    saved = json.loads(machine.read("checkpoints/checkpoint.json"))
    assert saved["epochs"] in (1, 2)

    log = machine.run("train")
    assert f"resume: after epoch {saved['epochs']}" in log
    name = "model/weights.npz"
    assert (machine.base / name).read_bytes() == (trained[0].base / name).read_bytes()


def spoil_hyperparameters(machine: Machine) -> None:
    machine.hyperparameters |= {"epoch": "5", "learning_rate": "fast", "l2": "-1"}


def without_a_channel(machine: Machine) -> None:
    shutil.rmtree(machine.base / "input" / "data" / "validation")


def cut_a_file(machine: Machine) -> None:
    path = machine.base / "input" / "data" / "train" / "part-00000.snappy.parquet"
    path.write_bytes(path.read_bytes()[:5000])


def raw_instead(machine: Machine) -> None:
    (machine.base / "input" / "data" / "train" / "part-00000.snappy.parquet").write_text("3,0,0,255\n")


def several_instances(machine: Machine) -> None:
    config = machine.base / "input" / "config"
    config.mkdir(parents=True)
    (config / "resourceconfig.json").write_text('{"hosts": ["algo-1", "algo-2"], "current_host": "algo-1"}')


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (
            spoil_hyperparameters,
            "hyperparameter epoch is unknown; did you mean epochs?\n"
            "hyperparameter l2: -1 is not from 0 up to 10\n"
            "hyperparameter learning_rate: 'fast' is not a number",
        ),
        (without_a_channel, "no folder was given as --validation"),
        (cut_a_file, "train/part-00000.snappy.parquet: "),
        (raw_instead, "train/part-00000.snappy.parquet: "),
        (several_instances, "2 instances were given; this program trains on one"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_what_cannot_be_trained_fails_before_tensorflow_is_there(
    machine: Machine, spoil: Any, told: str
) -> None:
    spoil(machine)
    log = machine.run("train", code=1)
    assert told in machine.read("output/failure")
    assert "threads:" not in log
    assert not (machine.base / "model").exists()


@pytest.mark.parametrize(
    ("scale", "told"),
    [
        ("", "no scale is recorded for the column pixels"),
        ("256", "by different scales: train by 255, validation by 256"),
    ],
)
def test_data_of_no_scale_or_of_two_is_not_trained_on(
    machine: Machine, programs: Path, sample: Path, scale: str, told: str
) -> None:
    part = machine.base / "input" / "data" / "validation" / "part-00000.snappy.parquet"
    helper(programs, "write", sample / "rawvalidation" / "mnist.csv", part, 100, scale)
    machine.run("train", code=1)
    assert told in machine.read("output/failure")


# --- evaluate


def test_the_evaluation_is_what_the_gate_reads(trained: tuple[Machine, str]) -> None:
    machine, _ = trained
    report = machine.evaluation()
    for rule in SETTINGS["gate"]:
        assert reports.metric(report, rule["metric"]).value is not None, rule
    matrix = report["multiclass_classification_metrics"]["confusion_matrix"]
    assert sum(sum(row.values()) for row in matrix.values()) == ROWS["test"]
    # Three epochs on a third of the images: far from the gate, further from guessing.
    assert 0.7 < reports.metric(report, "accuracy").value < 0.95  # type: ignore[operator]
    assert reports.metric(report, "accuracy_best_constant_classifier").value < 0.2  # type: ignore[operator]
    lowest = report["recall_metrics"]["lowest_recall"]
    recalls = [one["recall"]["value"] for one in report["per_class_metrics"].values()]
    assert lowest["value"] == min(recalls)


def test_every_rows_outcome_lies_beside_the_report_and_the_gate_believes_it(
    trained: tuple[Machine, str],
) -> None:
    machine, _ = trained
    report = machine.evaluation()
    about = examples.held_out(report)
    assert about is not None
    text = (machine.base / "processing" / "evaluation" / about.file).read_bytes()
    columns = examples.parse(text, about, ["accuracy", "log_loss"])
    for name, column in columns.items():
        value = reports.metric(report, name).value
        assert value is not None
        assert (len(column), examples.contradiction(name, value, column)) == (ROWS["test"], "")


def test_the_page_shows_the_matrix_and_the_worst_mistakes_and_loads_nothing(
    trained: tuple[Machine, str],
) -> None:
    machine, _ = trained
    page = machine.read("processing/evaluation/report.html")
    report = machine.evaluation()
    wrong = round((1 - reports.metric(report, "accuracy").value) * ROWS["test"])  # type: ignore[operator]
    assert page.count("<img ") == min(wrong, 40)
    assert page.count("data:image/png;base64,") == page.count("<img ")
    assert not re.search(r"(src|href)=['\"](?!data:)|url\(", page)
    for true, counts in report["multiclass_classification_metrics"]["confusion_matrix"].items():
        assert re.search(rf"<tr><th>{true}</th>.*?>{counts[true]}</td>", page)


def cut_model(machine: Machine) -> None:
    path = machine.base / "processing" / "model" / "model.tar.gz"
    path.write_bytes(path.read_bytes()[:500])


def use_training_data(machine: Machine) -> None:
    shutil.rmtree(machine.base / "processing" / "test")
    shutil.copytree(machine.base / "input" / "data" / "train", machine.base / "processing" / "test")


def no_images(machine: Machine) -> None:
    (machine.base / "processing" / "test" / "part-00000.snappy.parquet").unlink()


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (cut_model, "model.tar.gz cannot be unpacked"),
        (use_training_data, "not held out: test/part-00000.snappy.parquet is train/part-00000"),
        (no_images, "channel 'test' holds no data file"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_evaluation_of_what_is_broken_fails_and_says_why(
    trained: tuple[Machine, str], machine: Machine, spoil: Any, told: str
) -> None:
    shutil.copytree(trained[0].base / "model", machine.base / "model")
    machine.pack()
    spoil(machine)
    machine.run("evaluate", code=1)
    assert told in machine.read("output/message")
    assert not (machine.base / "processing" / "evaluation").exists()
