"""container/iris as SageMaker runs it: its three programs as processes, in a venv made from its lock."""

from __future__ import annotations

import http.client
import json
import random
import re
import shutil
import signal
import socket
import tarfile
import tempfile
import threading
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.lambdas.gate import examples
from pipeline.lambdas.gate import report as reports
from tests.e2e.programs import Endpoint, Machine, serving
from tests.e2e.venvs import ROOT, bin_of

CONTAINER = ROOT / "container" / "iris"
DEFINITION = ROOT / "pipeline" / "definitions" / "iris"
SETTINGS = tomllib.loads((DEFINITION / "settings.toml").read_text())
MINIMUM = next(rule["minimum"] for rule in SETTINGS["gate"] if rule["metric"] == "accuracy")


@pytest.fixture(scope="session")
def programs_venv() -> Path:
    """The bin folder of a venv with exactly what the container's lock says."""
    return bin_of(CONTAINER / "requirements.lock")


class Iris(Machine):
    """A machine with the sample's channels."""

    def __init__(self, base: Path, venv: Path) -> None:
        super().__init__(base, CONTAINER, venv, SETTINGS["hyperparameters"])
        for name in ("train", "validation"):
            shutil.copytree(DEFINITION / "sample" / name, self.data / name)
        shutil.copytree(DEFINITION / "sample" / "test", self.processing / "test")

    @property
    def trees(self) -> str:
        """The model's trees, without the settings that stand after them."""
        return self.read("model/model.txt").partition("\nend of trees\n")[0]


@pytest.fixture
def machine(tmp_path: Path, programs_venv: Path) -> Iris:
    return Iris(tmp_path / "ml", programs_venv)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, programs_venv: Path) -> tuple[Iris, str]:
    """A machine that has trained on the sample, and the training log."""
    machine = Iris(tmp_path_factory.mktemp("trained") / "ml", programs_venv)
    log = machine.run("train")
    machine.pack()
    return machine, log


# --- train


def test_training_writes_a_model_and_its_description(trained: tuple[Iris, str]) -> None:
    machine, _ = trained
    described = json.loads(machine.read("model/metadata.json"))
    assert described["classes"] == ["setosa", "versicolor", "virginica"]
    assert described["hyperparameters"]["max_leaf_nodes"] == 5
    assert described["versions"]["lightgbm"] == "4.7.0"
    assert described["rows"]["train"] == {"setosa": 20, "versicolor": 20, "virginica": 20}
    assert 0 < described["best_iteration"] <= 100
    assert not (machine.base / "output" / "failure").exists()


def test_every_metric_of_the_settings_is_found_in_the_log_and_ends_with_the_best_round(
    trained: tuple[Iris, str],
) -> None:
    machine, log = trained
    described = json.loads(machine.read("model/metadata.json"))
    for metric in SETTINGS["metrics"]:
        found = re.findall(metric["regex"], log)
        assert len(found) > 10, metric
        name = metric["name"].replace(":", "_")
        assert float(found[-1]) == pytest.approx(described["metrics"][name], abs=1e-6)
    losses = [float(value) for value in re.findall(r"\bvalidation_multi_logloss=([0-9.eE+-]+);", log)]
    assert losses[-1] == pytest.approx(min(losses), abs=2e-6)


def test_the_same_data_and_settings_give_the_same_bytes(trained: tuple[Iris, str], machine: Iris) -> None:
    machine.environment["SM_NUM_CPUS"] = "2"
    machine.run("train")
    for name in ("model/model.txt", "model/metadata.json"):
        assert machine.read(name) == trained[0].read(name)


def test_bad_hyperparameters_fail_all_at_once_with_the_reason(machine: Iris) -> None:
    machine.hyperparameters |= {"max_leaf_node": "5", "num_class": "4", "learning_rate": "fast"}
    machine.run("train", code=1)
    reason = machine.read("output/failure")
    assert len(reason.splitlines()) == 3
    assert "did you mean max_leaf_nodes?" in reason
    assert not (machine.base / "model" / "model.txt").exists()


def test_bad_data_fails_with_file_line_and_column(machine: Iris) -> None:
    path = machine.base / "input" / "data" / "train" / "iris.csv"
    path.write_text(path.read_text().replace("0,5.1,", "0,wide,", 1))
    machine.run("train", code=1)
    assert machine.read("output/failure") == "train/iris.csv line 1: sepal_length_cm 'wide' is not a number"


def test_a_class_without_rows_fails(machine: Iris) -> None:
    path = machine.base / "input" / "data" / "train" / "iris.csv"
    path.write_text("".join(line for line in path.open() if not line.startswith("2")))
    machine.run("train", code=1)
    assert machine.read("output/failure") == "channel 'train' has no row of virginica"


def test_sigterm_saves_a_checkpoint_and_training_goes_on_from_it(machine: Iris) -> None:
    # A long training of the same first rounds, stopped in the middle.
    machine.hyperparameters |= {"num_boost_round": "100000", "early_stopping_rounds": "0"}
    process = machine.start("train")
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("round=30;"):
            process.send_signal(signal.SIGTERM)
            break
    log, _ = process.communicate(timeout=60)
    assert process.returncode == 143, log
    assert not (machine.base / "model" / "model.txt").exists()
    assert not (machine.base / "output" / "failure").exists()
    saved = json.loads(machine.read("checkpoints/checkpoint.json"))
    assert saved["iterations"] >= 30

    # Of other settings it is not used; of its own it is, to the same trees as without an interruption.
    machine.hyperparameters |= {"num_boost_round": "100"}
    assert "resume: the checkpoint is of other data or hyperparameters" in machine.run("train")
    whole = machine.trees
    checkpoint = machine.base / "checkpoints" / "checkpoint.json"
    done = json.loads(checkpoint.read_text())
    assert done["iterations"] == 100

    machine.hyperparameters["checkpoint_every"] = "40"
    shutil.rmtree(machine.base / "checkpoints")
    process = machine.start("train")
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("round=41;"):
            process.kill()  # a spot instance that went away without a word
            break
    process.communicate(timeout=60)
    log = machine.run("train")
    assert re.search(r"resume: after round (40|80|100)", log), log
    assert machine.trees == whole


# --- evaluate


def test_evaluation_reaches_the_gates_accuracy(trained: tuple[Iris, str]) -> None:
    machine, _ = trained
    machine.run("evaluate")
    report = machine.evaluation()
    metrics = report["multiclass_classification_metrics"]
    assert metrics["accuracy"]["value"] >= MINIMUM
    assert 0 < metrics["accuracy"]["standard_deviation"] < 0.1
    assert metrics["accuracy_best_constant_classifier"]["value"] == pytest.approx(1 / 3)
    assert sum(sum(row.values()) for row in metrics["confusion_matrix"].values()) == 60
    assert report["test_data"]["rows"] == 60


def test_every_rows_outcome_lies_beside_the_report_and_the_gate_believes_it(
    trained: tuple[Iris, str],
) -> None:
    """The program's file by the gate's own reader: its hash, its rows, and means that are the metrics."""
    machine, _ = trained
    machine.run("evaluate")
    report = machine.evaluation()
    about = examples.held_out(report)
    assert about is not None
    text = (machine.base / "processing" / "evaluation" / about.file).read_bytes()
    columns = examples.parse(text, about, ["accuracy", "log_loss"])
    for name, column in columns.items():
        value = reports.metric(report, name).value
        assert value is not None
        assert (len(column), examples.contradiction(name, value, column)) == (60, "")
    assert set(columns) == {"accuracy", "log_loss"}
    assert len(text) < 60 * 20
    # The same rows in another order are other rows, since line n belongs to line n.
    path = machine.base / "processing" / "test" / "iris.csv"
    original = path.read_text()
    path.write_text("\n".join(original.splitlines()[::-1]))
    machine.run("evaluate")
    path.write_text(original)
    other = examples.held_out(machine.evaluation())
    assert other is not None
    assert (other.rows, other.sha256 != about.sha256) == (60, True)


def test_shuffled_labels_stay_far_below_the_gate(machine: Iris) -> None:
    for name in ("train", "validation"):
        path = machine.base / "input" / "data" / name / "iris.csv"
        rows = [line.split(",", 1) for line in path.read_text().splitlines()]
        labels = [label for label, _ in rows]
        random.Random(3).shuffle(labels)
        path.write_text("".join(f"{label},{row[1]}\n" for label, row in zip(labels, rows, strict=True)))
    machine.run("train")
    machine.pack()
    machine.run("evaluate")
    assert machine.evaluation()["multiclass_classification_metrics"]["accuracy"]["value"] < 0.6


def spoil_archive(machine: Iris) -> None:
    path = machine.base / "processing" / "model" / "model.tar.gz"
    path.write_bytes(path.read_bytes()[:500])


def spoil_model(machine: Iris) -> None:
    path = machine.base / "model" / "model.txt"
    path.write_text(path.read_text()[:2000])
    machine.pack()


def spoil_metadata(machine: Iris) -> None:
    (machine.base / "model" / "metadata.json").write_text("{}")
    machine.pack()


def remove_model(machine: Iris) -> None:
    (machine.base / "processing" / "model" / "model.tar.gz").unlink()


def use_training_data(machine: Iris) -> None:
    shutil.copy(DEFINITION / "sample/train/iris.csv", machine.base / "processing/test/iris.csv")


def empty_test(machine: Iris) -> None:
    (machine.base / "processing" / "test" / "iris.csv").write_text("")


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (spoil_archive, "model.tar.gz cannot be unpacked"),
        (spoil_model, "is not a whole LightGBM model"),
        (spoil_metadata, "metadata.json cannot be read"),
        (remove_model, "holds no model.txt and no metadata.json"),
        (use_training_data, "not held out: test/iris.csv is train/iris.csv"),
        (empty_test, "channel 'test' holds no rows"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_evaluation_of_what_is_broken_fails_and_says_why(
    trained: tuple[Iris, str], machine: Iris, spoil: Any, reason: str
) -> None:
    shutil.copytree(trained[0].base / "model", machine.base / "model")
    machine.pack()
    spoil(machine)
    machine.run("evaluate", code=1)
    assert reason in machine.read("output/message")
    assert not (machine.base / "processing" / "evaluation" / "evaluation.json").exists()


def test_an_archive_cannot_write_outside_its_folder(machine: Iris) -> None:
    folder = machine.base / "processing" / "model"
    folder.mkdir(parents=True)
    with tempfile.NamedTemporaryFile() as content, tarfile.open(folder / "model.tar.gz", "w:gz") as tar:
        tar.add(content.name, "../escaped")
    machine.run("evaluate", code=1)
    assert "OutsideDestinationError" in machine.read("output/message")


# --- serve


@pytest.fixture(scope="module")
def endpoint(trained: tuple[Iris, str]) -> Iterator[tuple[Endpoint, list[int]]]:
    with serving(trained[0], MAX_REQUEST_BYTES="200000") as made:
        # The log is read, so that a full pipe never stops the server.
        stdout = made[0].process.stdout
        assert stdout is not None
        threading.Thread(target=lambda: [None for _ in stdout], daemon=True).start()
        yield made


def test_ping_turns_healthy_when_the_model_is_loaded(endpoint: tuple[Endpoint, list[int]]) -> None:
    assert endpoint[1] in ([0, 503, 200], [0, 200])
    assert endpoint[0].ping() == 200


def test_rows_of_the_held_out_data_are_classified(endpoint: tuple[Endpoint, list[int]]) -> None:
    lines = (DEFINITION / "sample" / "test" / "iris.csv").read_text().splitlines()
    labels = [int(line[0]) for line in lines]
    features = [[float(cell) for cell in line.split(",")[1:]] for line in lines]
    csv = "\n".join(line[2:] for line in lines).encode()

    status, kind, body = endpoint[0].call("POST", "/invocations", csv, Content_Type="text/csv")
    assert (status, kind) == (200, "application/json")
    by_csv = json.loads(body)["predictions"]
    right = sum(item["class_index"] == label for item, label in zip(by_csv, labels, strict=True))
    assert right / len(labels) >= MINIMUM
    assert all(sum(item["probabilities"].values()) == pytest.approx(1) for item in by_csv)

    as_json = json.dumps({"instances": features}).encode()
    status, kind, body = endpoint[0].call(
        "POST", "/invocations", as_json, Content_Type="application/json", Accept="application/jsonlines"
    )
    assert (status, kind) == (200, "application/jsonlines")
    assert [json.loads(line) for line in body.splitlines()] == by_csv

    as_lines = "\n".join(json.dumps(row) for row in features).encode()
    status, kind, body = endpoint[0].call(
        "POST", "/invocations", as_lines, Content_Type="application/jsonlines", Accept="text/csv"
    )
    assert (status, kind) == (200, "text/csv")
    assert [line.split(b",")[0].decode() for line in body.splitlines()] == [item["label"] for item in by_csv]


def test_the_smoke_request_of_the_settings_is_answered_as_setosa(
    endpoint: tuple[Endpoint, list[int]],
) -> None:
    smoke = SETTINGS["smoke"]
    status, kind, body = endpoint[0].call(
        "POST", "/invocations", smoke["body"].encode(),
        Content_Type=smoke["content_type"], Accept=smoke["accept"],
    )  # fmt: skip
    assert (status, kind) == (200, smoke["accept"])
    assert json.loads(body)["predictions"][0]["label"] == "setosa"


@pytest.mark.parametrize(
    ("method", "path", "body", "headers", "status", "text"),
    [
        ("POST", "/invocations", b"5.1,wide,1,2", {"Content_Type": "text/csv"}, 400, "row 1, column 2"),
        ("POST", "/invocations", b"", {"Content_Type": "text/csv"}, 400, "no rows"),
        ("POST", "/invocations", b"{", {"Content_Type": "application/json"}, 400, "not JSON"),
        ("POST", "/invocations", b"x", {"Content_Type": "image/png"}, 415, "image/png"),
        ("POST", "/invocations", b"x", {}, 415, "no Content-Type"),
        (
            "POST",
            "/invocations",
            b"1,2,3,4",
            {"Content_Type": "text/csv", "Accept": "text/html"},
            406,
            "Accept",
        ),
        ("POST", "/invocations", b"1" * 200_001, {"Content_Type": "text/csv"}, 413, "200000 bytes"),
        ("GET", "/invocations", None, {}, 405, "POST"),
        ("GET", "/elsewhere", None, {}, 404, "/elsewhere"),
    ],
)
def test_a_bad_request_is_told_what_is_wrong(
    endpoint: tuple[Endpoint, list[int]], method: str, path: str, body: bytes | None,
    headers: dict[str, str], status: int, text: str,
) -> None:  # fmt: skip
    found, kind, answer = endpoint[0].call(method, path, body, **headers)
    assert (found, kind) == (status, "application/json")
    assert text in json.loads(answer)["error"]
    assert endpoint[0].ping() == 200


def test_sigterm_answers_what_was_asked_and_ends_well(trained: tuple[Iris, str]) -> None:
    with serving(trained[0]) as (endpoint, _):
        connection = http.client.HTTPConnection("127.0.0.1", endpoint.port, timeout=10)
        connection.putrequest("POST", "/invocations")
        connection.putheader("Content-Type", "text/csv")
        connection.putheader("Content-Length", "15")
        connection.endheaders()
        connection.send(b"5.1,3.5")
        time.sleep(0.2)
        endpoint.process.send_signal(signal.SIGTERM)
        time.sleep(0.3)
        assert endpoint.process.poll() is None, "an open request is waited for"
        assert endpoint.ping() == 0, "no new connection is taken"
        connection.send(b",1.4,0.2")
        response = connection.getresponse()
        assert response.status == 200
        assert b"setosa" in response.read()
        connection.close()
        out, _ = endpoint.process.communicate(timeout=10)
        assert endpoint.process.returncode == 0, out
        events = [json.loads(line)["event"] for line in out.splitlines()]
        assert events[0] == "ready" and events[-1] == "stopped"


def test_sigterm_while_the_model_is_being_loaded_ends_well(trained: tuple[Iris, str]) -> None:
    with serving(trained[0], until=(200, 503)) as (endpoint, _):
        endpoint.process.send_signal(signal.SIGTERM)
        out, _ = endpoint.process.communicate(timeout=10)
        assert endpoint.process.returncode == 0, out


@pytest.mark.parametrize("content", [None, b"", b"tree\nversion=v4\n", b"\x00" * 4000])
def test_a_broken_model_never_gets_healthy_and_ends_with_its_reason(
    trained: tuple[Iris, str], machine: Iris, content: bytes | None
) -> None:
    shutil.copytree(trained[0].base / "model", machine.base / "model")
    if content is None:
        (machine.base / "model" / "model.txt").unlink()
    else:
        (machine.base / "model" / "model.txt").write_bytes(content)
    with serving(machine) as (endpoint, seen):
        out, _ = endpoint.process.communicate(timeout=30)
        assert 200 not in seen
        assert endpoint.process.returncode == 1
        assert "model.txt" in next(json.loads(line) for line in out.splitlines())["reason"]


def test_a_taken_port_ends_with_its_reason(trained: tuple[Iris, str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        process = trained[0].start(
            "serve", HOST="127.0.0.1", SAGEMAKER_BIND_TO_PORT=str(taken.getsockname()[1])
        )
        out, _ = process.communicate(timeout=30)
    assert process.returncode not in (0, None)
    assert "address already in use" in out
