"""container/big_mart as SageMaker runs it, as processes in a venv made from its lock; no AWS.

What SageMaker's image does between preprocess and bundle, plain XGBoost does here.
"""

from __future__ import annotations

import csv
import io
import json
import subprocess
import tarfile
import textwrap
import tomllib
from pathlib import Path
from typing import Any

import pytest

from pipeline import caches
from pipeline.lambdas.gate import examples
from pipeline.lambdas.gate import report as reports
from pipeline.local.runner import environment
from tests.e2e.programs import Machine, serving
from tests.e2e.venvs import ROOT

CONTAINER = ROOT / "container" / "big_mart"
SETTINGS = tomllib.loads((ROOT / "pipeline" / "definitions" / "big_mart" / "settings.toml").read_text())
ARGUMENTS = SETTINGS["transforms"]["features"]["arguments"]
# As SageMaker's image trains: label first, no header, features without names.
TRAIN = """
import sys
import numpy, xgboost
rows = numpy.loadtxt(sys.argv[1], delimiter=",", dtype="float32")
matrix = xgboost.DMatrix(rows[:, 1:], rows[:, 0])
given = {"objective": "reg:squarederror", "eta": 0.1, "max_depth": 4, "nthread": 1, "seed": 7}
xgboost.train(given, matrix, 60).save_model(sys.argv[2])
"""
# Features by another way than the encoder's: what plain XGBoost says of the rows that preprocess made.
PREDICT = """
import json, sys
import numpy, xgboost
rows = numpy.loadtxt(sys.argv[2], delimiter=",", dtype="float32")
booster = xgboost.Booster(model_file=sys.argv[1])
print(json.dumps(booster.predict(xgboost.DMatrix(rows[:, 1:])).tolist()))
"""


class BigMart(Machine):
    """A machine whose preprocess is given the settings' arguments, as the state machine gives them."""

    def __init__(self, base: Path, python: Path) -> None:
        super().__init__(base / "ml", CONTAINER, python.parent)
        self.python = python
        self.arguments = [text for name, value in ARGUMENTS.items() for text in (f"--{name}", str(value))]

    def start(self, program: str, **environment: str) -> subprocess.Popen[str]:
        if program != "preprocess":
            return super().start(program, **environment)
        return subprocess.Popen(
            [str(self.image / program), *self.arguments],
            env=self.environment | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def script(self, code: str, *arguments: str | Path) -> str:
        """Output of a script in the container's environment."""
        done = subprocess.run(
            [str(self.python), "-c", textwrap.dedent(code), *map(str, arguments)],
            env=self.environment | {"PYTHONPATH": str(self.image)},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    @property
    def output(self) -> Path:
        return self.processing / "output"

    @property
    def message(self) -> str:
        """Why a processing job failed, as SageMaker would say it."""
        return self.read("output/message")

    def train(self, name: str = "xgboost-model") -> Path:
        model = self.base / "model" / name
        model.parent.mkdir(exist_ok=True)
        self.script(TRAIN, self.output / "train" / "train.csv", model)
        self.pack()
        return model

    def hand_on(self, source: str, to: str) -> None:
        """A folder of one job's output as another's input."""
        folder = self.processing / to
        folder.mkdir(exist_ok=True)
        for path in (self.processing / source).iterdir():
            (folder / path.name).write_bytes(path.read_bytes())


@pytest.fixture(scope="session")
def python() -> Path:
    """The interpreter with what the lock says: the local target's own environment, so it is there once."""
    return environment.ensure(CONTAINER, caches.folder("environments")) / "bin" / "python3"


@pytest.fixture(scope="session")
def sales(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample's folder."""
    out = tmp_path_factory.mktemp("sales")
    script = ROOT / "pipeline" / "definitions" / "big_mart" / "make_sample.py"
    subprocess.run(["python3", str(script), "--out", str(out)], check=True, capture_output=True)
    return out


def machine_with(base: Path, python: Path, text: str) -> BigMart:
    made = BigMart(base, python)
    (made.processing / "raw").mkdir()
    (made.processing / "raw" / "sales.csv").write_text(text)
    return made


@pytest.fixture(scope="module")
def ready(python: Path, sales: Path, tmp_path_factory: pytest.TempPathFactory) -> BigMart:
    """Prepared, trained, bundled and evaluated; tests only read it."""
    text = (sales / "raw" / "sales.csv").read_text()
    machine = machine_with(tmp_path_factory.mktemp("ready"), python, text)
    assert "rows: train" in machine.run("preprocess")
    machine.train()
    machine.hand_on("output/model", "features")
    machine.run("bundle")
    (machine.processing / "model" / "model.tar.gz").unlink()
    machine.hand_on("bundle", "model")
    machine.hand_on("output/test", "test")
    machine.run("evaluate")
    return machine


def rows_of(path: Path) -> list[list[str]]:
    return list(csv.reader(path.read_text().splitlines()))


def test_the_datasets_are_apart_and_whole(ready: BigMart) -> None:
    parts = {name: rows_of(ready.output / name / f"{name}.csv") for name in ("train", "validation", "test")}
    assert sum(map(len, parts.values())) == 8523 + 1  # the held-out rows have a header
    assert {len(row) for row in [*parts["train"], *parts["validation"]]} == {1 + 43}
    assert parts["test"][0][-1] == "Item_Outlet_Sales"
    assert 1500 < len(parts["validation"]) < 1900 and 1500 < len(parts["test"]) < 1900
    features = json.loads((ready.output / "model" / "features.json").read_text())
    labels = [float(row[0]) for row in parts["train"]]
    assert features["mean"] == pytest.approx(sum(labels) / len(labels), rel=1e-6)
    assert features["levels"]["Item_Fat_Content"] == ["Low Fat", "Regular"]
    assert "(none)" in features["levels"]["Outlet_Size"]


def test_the_model_passes_the_settings_gate_and_beats_the_store_mean(ready: BigMart) -> None:
    report = ready.evaluation()
    found = {rule["metric"]: reports.metric(report, rule["metric"]) for rule in SETTINGS["gate"]}
    for rule in SETTINGS["gate"]:
        metric = found[rule["metric"]]
        assert metric.value is not None and metric.deviation is not None
        assert metric.value >= rule.get("minimum", metric.value)
        assert metric.value <= rule.get("maximum", metric.value)
    assert (
        report["baseline_metrics"]["r2_group_mean"]["value"]
        < 0.35
        < report["regression_metrics"]["r2"]["value"]
    )
    first = next(iter(report["importance"]["columns"]))
    assert first == "Item_MRP" and sum(report["importance"]["columns"].values()) == pytest.approx(1)


def test_the_outcome_of_each_row_is_what_the_gate_compares(ready: BigMart) -> None:
    report = ready.evaluation()
    held_out = examples.held_out(report)
    assert held_out is not None
    content = (ready.processing / "evaluation" / held_out.file).read_bytes()
    columns = examples.parse(content, held_out, ["r2", "mse", "mae"])
    for name in ("r2", "mse", "mae"):
        value = report["regression_metrics"][name]["value"]
        assert sum(columns[name]) / len(columns[name]) == pytest.approx(value, rel=1e-6)
        assert not examples.contradiction(name, value, list(columns[name]))


def test_the_page_shows_residuals_and_importance_and_loads_nothing(ready: BigMart) -> None:
    page = ready.read("processing/evaluation/report.html")
    assert page.count("<svg") == 4 and "<circle" in page
    for text in ("Residuals by prediction", "Feature importance", "Item_MRP", "rmse_over_group_mean"):
        assert text in page
    assert "src=" not in page and "href=" not in page and "nan" not in page.lower().replace("finance", "")


def test_the_bundle_is_xgboosts_own_model_beside_its_features(ready: BigMart) -> None:
    bundle = ready.processing / "bundle" / "model.tar.gz"
    with tarfile.open(bundle) as tar:
        assert sorted(tar.getnames()) == ["features.json", "xgboost-model"]
        kept = {name: tar.extractfile(name).read() for name in tar.getnames()}  # type: ignore[union-attr]
    assert kept["xgboost-model"] == (ready.base / "model" / "xgboost-model").read_bytes()
    assert kept["features.json"] == (ready.output / "model" / "features.json").read_bytes()
    before = bundle.read_bytes()
    (ready.processing / "model" / "model.tar.gz").unlink()
    ready.pack()
    ready.run("bundle")
    assert bundle.read_bytes() == before, "the same content gives the same bytes"


def test_the_endpoint_takes_raw_rows_and_says_what_plain_xgboost_says(ready: BigMart) -> None:
    # Rows of the validation, raw, by their labels: what the endpoint makes of them and what preprocess made.
    prepared = rows_of(ready.output / "validation" / "validation.csv")
    raw = rows_of(ready.processing / "raw" / "sales.csv")
    by_label = {f"{float(row[-1]):.9g}": row[:-1] for row in raw[1:]}
    rows = [by_label[row[0]] for row in prepared]
    expected = json.loads(
        ready.script(
            PREDICT, ready.base / "model" / "xgboost-model", ready.output / "validation" / "validation.csv"
        )
    )
    folder = ready.base / "served"
    folder.mkdir()
    with tarfile.open(ready.processing / "bundle" / "model.tar.gz") as tar:
        tar.extractall(folder)
    (ready.base / "model" / "features.json").write_bytes((folder / "features.json").read_bytes())
    with serving(ready) as (endpoint, seen):
        assert seen[-1] == 200
        body = io.StringIO()
        csv.writer(body, lineterminator="\n").writerows(rows)
        status, kind, said = endpoint.call(
            "POST", "/invocations", body.getvalue().encode(), Content_Type="text/csv", Accept="text/csv"
        )
        assert (status, kind) == (200, "text/csv")
        found = [float(line) for line in said.decode().splitlines()]
        # Nine digits in CSV are more than a 32-bit number has: the same bits.
        assert found == expected
        columns = raw[0][:-1]
        body_json = json.dumps(
            {"instances": [dict(zip(columns, row, strict=True)) for row in rows[:3]]}
        ).encode()
        _, _, said = endpoint.call(
            "POST", "/invocations", body_json, Content_Type="application/json", Accept="application/json"
        )
        assert [each["score"] for each in json.loads(said)["predictions"]] == expected[:3]
        new = {**dict(zip(columns, rows[0], strict=True)), "Outlet_Identifier": "OUT999"}
        _, _, said = endpoint.call(
            "POST", "/invocations", json.dumps(new).encode(), Content_Type="application/json"
        )
        assert json.loads(said)["predictions"][0]["unknown"] == {"Outlet_Identifier": "OUT999"}
        for wrong, says in ((",".join(columns), "is a header"), ("a,b", "2 columns, 11 expected")):
            status, _, said = endpoint.call("POST", "/invocations", wrong.encode(), Content_Type="text/csv")
            assert status == 400 and says in said.decode()
        cheap = ",".join(
            "cheap" if name == "Item_MRP" else cell for name, cell in zip(columns, rows[0], strict=True)
        )
        status, _, said = endpoint.call("POST", "/invocations", cheap.encode(), Content_Type="text/csv")
        assert status == 400 and "Item_MRP is 'cheap', which is no number" in said.decode()


def test_serving_needs_neither_pandas_nor_scikit_learn(ready: BigMart) -> None:
    assert "pandas" not in (CONTAINER / "requirements.lock").read_text()
    # scikit-learn is there, for `preprocess`, and XGBoost would import it.
    said = ready.script(
        "import inference, sys; print(sorted(n for n in ('pandas', 'sklearn') if sys.modules.get(n)))"
    )
    assert said.strip() == "[]"


def test_labels_that_say_nothing_do_not_pass(python: Path, sales: Path, tmp_path: Path) -> None:
    head, *lines = (sales / "raw" / "sales.csv").read_text().splitlines()
    # Each row with the sales of the row so far on: as good as shuffled, and the same every time.
    labels = [line.rpartition(",")[2] for line in lines]
    mixed = [f"{line.rpartition(',')[0]},{labels[n * 7919 % len(labels)]}" for n, line in enumerate(lines)]
    machine = machine_with(tmp_path, python, "\n".join([head, *mixed]) + "\n")
    machine.run("preprocess")
    machine.train()
    machine.hand_on("output/model", "features")
    machine.run("bundle")
    machine.hand_on("bundle", "model")
    machine.hand_on("output/test", "test")
    machine.run("evaluate")
    report = machine.evaluation()
    assert report["regression_metrics"]["r2"]["value"] < 0.05
    assert report["baseline_metrics"]["rmse_over_group_mean"]["value"] < 0.05


def test_a_bundle_of_what_does_not_belong_together_is_refused(
    ready: BigMart, python: Path, tmp_path: Path
) -> None:
    machine = BigMart(tmp_path, python)
    (machine.base / "model").mkdir()
    (machine.base / "model" / "xgboost-model").write_bytes(
        (ready.base / "model" / "xgboost-model").read_bytes()
    )
    machine.pack()
    machine.run("bundle", 1)
    assert "one features.json is expected among the inputs; there are 0" in machine.message
    features: dict[str, Any] = json.loads((ready.output / "model" / "features.json").read_text())
    features["levels"]["Outlet_Size"].append("Huge")
    (machine.processing / "features").mkdir()
    (machine.processing / "features" / "features.json").write_text(json.dumps(features))
    machine.run("bundle", 1)
    assert "the model takes 43 features, features.json makes 44" in machine.message
    (machine.processing / "features" / "features.json").write_text("{}")
    machine.run("bundle", 1)
    assert "features.json is of format None" in machine.message
    assert not (machine.processing / "bundle").exists()


def test_a_model_without_its_features_does_not_come_up(ready: BigMart, python: Path, tmp_path: Path) -> None:
    machine = BigMart(tmp_path, python)
    (machine.base / "model").mkdir()
    (machine.base / "model" / "xgboost-model").write_bytes(
        (ready.base / "model" / "xgboost-model").read_bytes()
    )
    with serving(machine, until=(503, 200), seconds=10) as (endpoint, _):
        assert endpoint.ping() != 200


def test_a_file_that_was_trained_on_is_no_test(ready: BigMart, python: Path, tmp_path: Path) -> None:
    machine = BigMart(tmp_path, python)
    for name, source in (("model", "bundle"), ("test", "raw")):
        (machine.processing / name).mkdir()
        for path in (ready.processing / source).iterdir():
            (machine.processing / name / path.name).write_bytes(path.read_bytes())
    machine.run("evaluate", 1)
    assert "the test data is not held out: test/sales.csv is raw/sales.csv" in machine.message


def test_bad_data_fails_the_job_with_its_words(python: Path, sales: Path, tmp_path: Path) -> None:
    text = (sales / "raw" / "sales.csv").read_text().replace("Item_MRP", "Price", 1)
    machine = machine_with(tmp_path, python, text)
    machine.run("preprocess", 1)
    assert "raw/sales.csv has no column Item_MRP" in machine.message
