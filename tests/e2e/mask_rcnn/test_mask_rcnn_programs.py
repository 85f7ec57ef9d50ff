"""container/mask_rcnn as SageMaker runs it: its programs as processes, in a venv made from its lock.

PyTorch takes seconds to start, and to learn: one training is shared by all tests that only look.
"""

from __future__ import annotations

import base64
import io
import json
import re
import shutil
import signal
import struct
import time
import tomllib
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.lambdas.gate import examples
from pipeline.lambdas.gate import report as reports
from tests.e2e.mask_rcnn.conftest import CONTAINER, part_of
from tests.e2e.programs import Endpoint, Machine, serving
from tests.e2e.venvs import ROOT

pytestmark = pytest.mark.timeout(600)
SETTINGS = tomllib.loads((ROOT / "pipeline" / "definitions" / "mask_rcnn" / "settings.toml").read_text())
TILES = {"train": 12, "test": 4}
EPOCHS = 10
ONE_WORKER = {"SAGEMAKER_MODEL_SERVER_WORKERS": "1"}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory, sample: Path) -> Path:
    """train/ and test/: a part of the sample."""
    folder = tmp_path_factory.mktemp("data")
    for name, tiles in TILES.items():
        part_of(sample, name, folder / name, tiles)
    return folder


def machine_in(folder: Path, data: Path, programs: Path) -> Machine:
    made = Machine(folder / "ml", CONTAINER, programs)
    # Those of the settings, by name: `train` refuses one it does not know.
    made.hyperparameters = {name: str(value) for name, value in SETTINGS["hyperparameters"].items()}
    made.hyperparameters["num_epochs"] = "2"
    shutil.copytree(data / "train", made.data / "train")
    shutil.copytree(data / "test", made.processing / "test")
    return made


@pytest.fixture
def machine(tmp_path: Path, data: Path, programs: Path) -> Machine:
    return machine_in(tmp_path, data, programs)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, data: Path, programs: Path) -> tuple[Machine, str]:
    """A machine that has trained long enough to find something, and evaluated; the training log."""
    made = machine_in(tmp_path_factory.mktemp("trained"), data, programs)
    made.hyperparameters["num_epochs"] = str(EPOCHS)
    log = made.run("train")
    made.pack()
    made.run("evaluate")
    return made, log


# --- train


def test_training_writes_a_model_its_description_and_every_metric(trained: tuple[Machine, str]) -> None:
    machine, log = trained
    described = json.loads(machine.read("model/metadata.json"))
    assert described["classes"] == ["background", "nucleus"]
    assert (described["images"], described["epochs"], described["processes"]) == (TILES["train"], EPOCHS, 1)
    assert {path.name for path in (machine.base / "model").iterdir()} == {"weights.pt", "metadata.json"}
    assert not (machine.base / "output" / "failure").exists()
    for metric in SETTINGS["metrics"]:
        found = [float(value) for value in re.findall(metric["regex"], log)]
        assert len(found) == EPOCHS, metric
        if metric["name"] == "train:loss":
            assert min(found) == pytest.approx(found[-1], rel=0.2) and found[-1] < found[0] / 1.3
    # Warnings of libraries are no log for people.
    assert all(re.match(r"images: |processes: |epoch=\d+; |model: ", line) for line in log.splitlines()), log


def next_line(process: Any, start: str) -> None:
    """Read a program's output up to a line that begins so."""
    for line in process.stdout:
        if line.startswith(start):
            return
    pytest.fail(f"it ended before it said {start!r}")


def test_what_is_killed_in_mid_epoch_ends_as_if_it_had_not_been(
    tmp_path: Path, sample: Path, programs: Path
) -> None:
    """By SIGKILL, then by SIGTERM: the resumed training ends in the same weights, to the byte."""
    data = tmp_path / "data"
    for name, tiles in (("train", 8), ("test", 1)):
        part_of(sample, name, data / name, tiles)
    machines = []
    for name in ("whole", "killed"):
        machines.append(machine_in(tmp_path / name, data, programs))
        machines[-1].hyperparameters |= {"num_epochs": "3"}
    whole, killed = machines
    whole.run("train")

    process = killed.start("train")
    next_line(process, "epoch=1;")
    time.sleep(0.3)  # into the second epoch
    process.send_signal(signal.SIGKILL)
    process.communicate()
    saved = json.loads(killed.read("checkpoints/checkpoint.json"))["epochs"]
    assert saved in (1, 2)
    assert not (killed.base / "model" / "weights.pt").exists()

    if saved < 2:
        process = killed.start("train")
        next_line(process, "processes:")
        process.send_signal(signal.SIGTERM)
        log, _ = process.communicate(timeout=250)
        assert process.returncode == 143, log
        assert not (killed.base / "output" / "failure").exists()
        saved = json.loads(killed.read("checkpoints/checkpoint.json"))["epochs"]
    log = killed.run("train")
    assert f"resume: after epoch {saved}" in log
    weights = "model/weights.pt"
    assert (killed.base / weights).read_bytes() == (whole.base / weights).read_bytes()


def spoil_hyperparameters(machine: Machine) -> None:
    machine.hyperparameters |= {"epochs": "5", "learning_rate": "fast", "num_classes": "1"}


def want_a_gpu(machine: Machine) -> None:
    machine.hyperparameters |= {"mixed_precision": "on"}


def spoil_data(machine: Machine) -> None:
    train = machine.base / "input" / "data" / "train"
    first, second, third, *_ = sorted((train / "masks").iterdir())
    first.unlink()
    second.write_bytes(second.read_bytes()[:400])
    (third.with_suffix(".json")).write_text('{"1": 7}')


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (
            spoil_hyperparameters,
            [
                "hyperparameter epochs is unknown; did you mean num_epochs?",
                "learning_rate: 'fast' is not a number",
            ],
        ),
        (want_a_gpu, ["mixed_precision=on, and there is no GPU"]),
        (
            spoil_data,
            ["there is no masks/tile-", "not a whole image/png", "class 7; num_classes=2 allows 1 to 1"],
        ),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_what_cannot_be_trained_fails_with_all_that_is_wrong(
    machine: Machine, spoil: Any, told: list[str]
) -> None:
    spoil(machine)
    machine.run("train", code=1)
    for text in told:
        assert text in machine.read("output/failure")
    assert not (machine.base / "model").exists()


# --- evaluate


def test_the_evaluation_is_what_the_gate_reads(trained: tuple[Machine, str]) -> None:
    machine, _ = trained
    report = machine.evaluation()
    for rule in SETTINGS["gate"]:
        assert reports.metric(report, rule["metric"]).value is not None, rule
    # Less than half of the tiles, for less epochs: it finds most, and outlines them roughly.
    assert reports.metric(report, "mask_ap50").value > 0.3  # type: ignore[operator]
    assert reports.metric(report, "mask_ap").deviation is not None
    data = report["test_data"]
    assert data["found"] + data["missed"] == data["objects"] == 32
    about = examples.held_out(report)
    assert about is not None and about.rows == 4
    text = (machine.base / "processing" / "evaluation" / about.file).read_bytes()
    (column,) = examples.parse(text, about, ["mean_f1"]).values()
    value = reports.metric(report, "mean_f1").value
    assert value is not None
    assert examples.contradiction("mean_f1", value, column) == ""


def test_the_page_draws_predictions_over_the_images_and_loads_nothing(trained: tuple[Machine, str]) -> None:
    machine, _ = trained
    page = machine.read("processing/evaluation/report.html")
    assert page.count("<section>") == 4
    assert page.count("data:image/png;base64,") == page.count("<img ") == 12
    assert not re.search(r"(src|href)=['\"](?!data:)|url\(", page)
    pictures = [base64.b64decode(text) for text in re.findall(r"base64,([^']+)'", page)]
    # The image, what was outlined by hand, what was predicted: three different pictures.
    assert len(set(pictures)) == 12
    assert f"{machine.evaluation()['test_data']['found']:,} found" in page


def cut_model(machine: Machine) -> None:
    path = machine.base / "processing" / "model" / "model.tar.gz"
    path.write_bytes(path.read_bytes()[:500])


def another_network(machine: Machine) -> None:
    metadata = json.loads(machine.read("model/metadata.json"))
    metadata["classes"].append("another")
    (machine.base / "model" / "metadata.json").write_text(json.dumps(metadata))
    machine.pack()


def use_training_data(machine: Machine) -> None:
    shutil.rmtree(machine.base / "processing" / "test")
    shutil.copytree(machine.base / "input" / "data" / "train", machine.base / "processing" / "test")


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (cut_model, "model.tar.gz cannot be unpacked"),
        (another_network, "weights.pt cannot be read"),
        (use_training_data, "not held out: test/images/tile-000-000.png is train/images/tile-000-000.png"),
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


# --- serve


@pytest.fixture(scope="module")
def endpoint(trained: tuple[Machine, str]) -> Iterator[Endpoint]:
    with serving(trained[0], seconds=60, **ONE_WORKER) as (made, seen):
        # Not healthy before the model is loaded.
        assert seen[-1] == 200 and set(seen) <= {0, 503, 200}
        yield made


def pixels_of(png: bytes) -> list[list[int]]:
    """The numbers of a 16-bit grey PNG."""
    at, content, size = 8, b"", (0, 0)
    while at < len(png):
        (length,), kind = struct.unpack(">I", png[at : at + 4]), png[at + 4 : at + 8]
        if kind == b"IHDR":
            size = struct.unpack(">II", png[at + 8 : at + 16])
        if kind == b"IDAT":
            content += png[at + 8 : at + 8 + length]
        at += length + 12
    raw, width, rows, before = zlib.decompress(content), size[0] * 2, [], bytes(size[0] * 2)
    for row in range(size[1]):
        kind, line = raw[row * (width + 1)], bytearray(raw[row * (width + 1) + 1 : (row + 1) * (width + 1)])
        for place in range(width):
            left, up = (line[place - 2] if place > 1 else 0), before[place]
            corner = before[place - 2] if place > 1 else 0
            guess = left + up - corner
            paeth = min((left, up, corner), key=lambda one: abs(guess - one))
            line[place] = (line[place] + (0, left, up, (left + up) // 2, paeth)[kind]) & 255
        before = bytes(line)
        rows.append([line[place] * 256 + line[place + 1] for place in range(0, width, 2)])
    return rows


def test_an_image_gets_masks_with_scores_as_rle_or_as_a_png(endpoint: Endpoint, data: Path) -> None:
    image = (data / "test" / "images" / "tile-000-384.png").read_bytes()
    status, kind, body = endpoint.call(
        "POST", "/invocations", image, Content_Type="image/png", Accept="application/json"
    )
    assert (status, kind) == (200, "application/json"), body
    told = json.loads(body)
    assert (told["height"], told["width"]) == (128, 128)
    scores = [one["score"] for one in told["instances"]]
    assert scores == sorted(scores, reverse=True)
    assert scores[0] > 0.5
    for one in told["instances"]:
        assert one["label"] == "nucleus"
        assert one["segmentation"]["size"] == [128, 128]
    status, kind, png = endpoint.call(
        "POST", "/invocations", image, Content_Type="image/png", Accept="image/png"
    )
    assert (status, kind) == (200, "image/png")
    found = {number for row in pixels_of(png) for number in row} - {0}
    assert found <= {one["id"] for one in told["instances"]}
    assert {1} <= found
    assert b"tEXtinstances\0" in png


def test_the_same_pixels_as_npy_get_the_same_answer(endpoint: Endpoint, data: Path) -> None:
    image = (data / "test" / "images" / "tile-128-384.png").read_bytes()
    out = io.BytesIO()
    rows = pixels_of(image)
    header = "{'descr': '<u2', 'fortran_order': False, 'shape': (128, 128), }"
    out.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", 118) + header.ljust(117).encode() + b"\n")
    out.write(b"".join(struct.pack("<128H", *row) for row in rows))
    by_png = endpoint.call("POST", "/invocations", image, Content_Type="image/png")
    by_npy = endpoint.call("POST", "/invocations", out.getvalue(), Content_Type="application/x-npy")
    assert by_png[0] == by_npy[0] == 200
    assert by_png[2] == by_npy[2]


@pytest.mark.parametrize(
    ("body", "headers", "status", "told"),
    [
        (b"1,2", {"Content_Type": "text/csv"}, 415, "image/png, image/jpeg, application/x-npy are"),
        (b"no image", {"Content_Type": "image/png"}, 400, "not a whole image/png image"),
        (None, {"Content_Type": "image/png", "Accept": "text/csv"}, 406, "application/json, image/png can"),
    ],
)
def test_what_cannot_be_answered_is_refused(
    endpoint: Endpoint, data: Path, body: bytes | None, headers: dict[str, str], status: int, told: str
) -> None:
    image = (data / "test" / "images" / "tile-000-384.png").read_bytes()
    answer = endpoint.call("POST", "/invocations", image if body is None else body, **headers)
    assert answer[0] == status
    assert told in json.loads(answer[2])["error"]


def test_a_model_that_is_none_is_never_healthy(trained: tuple[Machine, str], machine: Machine) -> None:
    shutil.copytree(trained[0].base / "model", machine.base / "model")
    (machine.base / "model" / "weights.pt").write_bytes(b"nothing")
    with serving(machine, seconds=60, **ONE_WORKER) as (made, seen):
        log, _ = made.process.communicate(timeout=60)
    assert 200 not in seen
    assert made.process.returncode != 0
    assert "weights.pt cannot be read" in log
