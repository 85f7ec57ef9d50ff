"""mnist from a fresh copy of the repository to a served prediction, and what happens to data that is broken.

Real Spark, real TensorFlow, one deployment for the whole module; the tests run in the order they stand in.
"""

from __future__ import annotations

import gzip
import json
import math
import re
import shutil
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Cli, client
from tests.e2e.mnist.conftest import helper

pytestmark = pytest.mark.timeout(1200)
BUCKET, NAME = "ml-111111111111-eu-west-1", "mnist-dev"
SETTINGS = "pipeline/definitions/mnist/settings.toml"


@dataclass
class Mnist:
    """The deployed pipeline and what a test asks of it."""

    cli: Cli
    variables: dict[str, str]
    first_run: str

    def client(self, service: str) -> Any:
        return client(service, self.variables)

    def keys(self, prefix: str) -> list[str]:
        pages = self.client("s3").get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix)
        return [item["Key"] for page in pages for item in page.get("Contents", [])]

    @property
    def sample_date(self) -> str:
        """The date of a run that reads the sample: the day after the one it was put for."""
        day = max(self.keys("mnist/test/")).split("/")[2]
        return (date.fromisoformat(day) + timedelta(days=1)).isoformat()

    def get(self, key: str) -> bytes:
        return self.client("s3").get_object(Bucket=BUCKET, Key=key)["Body"].read()

    def run(self, day: str, *options: str, code: int = 0) -> str:
        done = self.cli("run", "mnist", "--date", day, "--follow", *options, code=code, timeout=1000)
        return done.stdout + done.stderr

    def ask(self, body: bytes, content_type: str) -> list[dict[str, Any]]:
        answer = self.client("sagemaker-runtime").invoke_endpoint(
            EndpointName=NAME, Body=body, ContentType=content_type, Accept="application/json"
        )
        return json.loads(answer["Body"].read())["predictions"]

    def edit(self, pattern: str, replacement: str) -> None:
        """Replace in the copied settings; the pattern must be there."""
        file = self.cli.root / SETTINGS
        text, count = re.subn(pattern, replacement, file.read_text(), count=1, flags=re.M)
        assert count == 1, f"{pattern!r} is not in {SETTINGS}"
        file.write_text(text)

    def transforms(self) -> set[str]:
        """Run ids whose transform left anything at all, by its objects."""
        return {
            match[1]
            for key in self.keys(f"{NAME}/runs/")
            if (match := re.match(rf"{NAME}/runs/([^/]+)/normalise/", key))
        }


@pytest.fixture(scope="module")
def mnist(cli: Cli) -> Iterator[Mnist]:
    """One command where nothing was deployed: it applies, puts the sample for yesterday, runs and serves."""
    done = cli("run", "mnist", "--follow", timeout=1000, code=None)
    variables = json.loads(cli("local", "env", "--json").stdout)
    yield Mnist(cli, variables, f"{done.returncode}\n{done.stdout}{done.stderr}")


@pytest.fixture(scope="module")
def rows(sample: Path) -> list[str]:
    """Lines of the raw held-out images: the digit, then the pixels."""
    return (sample / "rawtest" / "mnist.csv").read_text().splitlines()


def test_one_command_brings_a_clone_to_a_served_model(mnist: Mnist) -> None:
    if not mnist.first_run.startswith("0\n") or "SUCCEEDED" not in mnist.first_run:
        pytest.fail(mnist.first_run)
    order = ["Normalise", "QualityGate", "Train", "Evaluate", "Gate", "CreateEndpoint", "SmokeTest"]
    places = [mnist.first_run.index(f"ok {state}") for state in order]
    assert places == sorted(places)
    gate = mnist.cli("gate", "mnist", "--explain").stdout
    assert "gate: passed" in gate
    assert all(name in gate for name in ("accuracy", "lowest_recall", "log_loss"))


def only_run(mnist: Mnist) -> str:
    (run,) = mnist.transforms()
    return f"{NAME}/runs/{run}"


def test_training_and_serving_see_the_same_pixels_to_the_bit(
    mnist: Mnist, sample: Path, programs: Path, tmp_path: Path
) -> None:
    place = f"{only_run(mnist)}/normalise"
    made = json.loads(mnist.get(f"{place}/transform.json"))["datasets"]
    assert {name: about["rows"] for name, about in made.items()} == {
        "train": 3500,
        "validation": 500,
        "test": 1000,
    }
    (tmp_path / "model").mkdir()
    package = mnist.client("sagemaker").list_model_packages(ModelPackageGroupName=NAME)
    arn = package["ModelPackageSummaryList"][0]["ModelPackageArn"]
    described = mnist.client("sagemaker").describe_model_package(ModelPackageName=arn)
    artifact = described["InferenceSpecification"]["Containers"][0]["ModelDataUrl"]
    (tmp_path / "model.tar.gz").write_bytes(mnist.get(artifact.removeprefix(f"s3://{BUCKET}/")))
    with tarfile.open(tmp_path / "model.tar.gz") as packed:
        packed.extractall(tmp_path / "model")
    for name, about in made.items():
        for item in about["objects"]:
            path = tmp_path / name / Path(item["key"]).name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(mnist.get(item["key"]))
        csv = sample / f"raw{name}" / "mnist.csv"
        told = json.loads(helper(programs, "same", csv, tmp_path / "model", tmp_path / name))
        assert told == {"rows": about["rows"], "same": about["rows"]}, name


def test_the_endpoint_answers_raw_pixels_as_the_evaluation_found(mnist: Mnist, rows: list[str]) -> None:
    """What the endpoint makes of raw rows are the losses that the evaluation, on the dataset, wrote down."""
    key = next(key for key in mnist.keys(f"{only_run(mnist)}/") if key.endswith("evaluation/examples.csv"))
    mnist.cli("gate", "mnist", "--page", "report.html")
    page = (mnist.cli.root / "report.html").read_bytes()
    assert b"The worst mistakes" in page and page == mnist.get(key.replace("examples.csv", "report.html"))
    header, *lines = mnist.get(key).decode().splitlines()
    at = header.split(",").index("log_loss")
    known = sorted(float(line.split(",")[at]) for line in lines)
    body = "\n".join(row.split(",", 1)[1] for row in rows)
    answers = mnist.ask(body.encode(), "text/csv")
    losses = sorted(
        -math.log(max(answer["probabilities"][row[0]], 1e-15))
        for answer, row in zip(answers, rows, strict=True)
    )
    # Of float32 sums in another order; a pixel that is off by one of 255 moves a loss by more.
    assert losses == pytest.approx(known, rel=1e-3, abs=1e-6)


def test_csv_json_and_png_of_an_image_get_one_answer(
    mnist: Mnist, rows: list[str], programs: Path, sample: Path, tmp_path: Path
) -> None:
    helper(programs, "png", sample / "rawtest" / "mnist.csv", tmp_path, 1)
    (image,) = tmp_path.iterdir()
    pixels = rows[0].split(",", 1)[1]
    (by_csv,) = mnist.ask(pixels.encode(), "text/csv")
    (by_json,) = mnist.ask(f'{{"instances": [[{pixels}]]}}'.encode(), "application/json")
    (by_png,) = mnist.ask(image.read_bytes(), "image/png")
    assert by_csv == by_json == by_png
    assert sum(by_csv["probabilities"].values()) == pytest.approx(1)
    told = json.loads(mnist.cli("invoke", "mnist", "--file", str(image), "--json").stdout)
    assert by_csv["label"] in json.dumps(told)


@pytest.mark.parametrize(
    ("size", "mode", "told"),
    [((56, 56), "L", "56 x 56 pixels, 28 x 28 expected"), ((28, 28), "RGB", "the image has colours")],
)
def test_another_image_is_refused_not_made_fit(
    mnist: Mnist, programs: Path, tmp_path: Path, size: tuple[int, int], mode: str, told: str
) -> None:
    helper(programs, "blank", tmp_path / "blank.png", *size, mode)
    with pytest.raises(mnist.client("sagemaker-runtime").exceptions.ModelError, match=told):
        mnist.ask((tmp_path / "blank.png").read_bytes(), "image/png")


def test_a_folder_of_images_is_predicted_in_a_batch(
    mnist: Mnist, rows: list[str], programs: Path, sample: Path, tmp_path: Path
) -> None:
    helper(programs, "png", sample / "rawtest" / "mnist.csv", tmp_path / "images", 20)
    answers = tmp_path / "answers"
    options = ("--from", str(tmp_path / "images"), "--content-type", "image/png", "--output", str(answers))
    mnist.cli("batch", "mnist", *options, timeout=300)
    found = {path.name: json.loads(path.read_text())["predictions"] for path in answers.rglob("*.out")}
    assert sorted(found) == [f"{at:03d}-{row[0]}.png.out" for at, row in enumerate(rows[:20])]
    body = "\n".join(row.split(",", 1)[1] for row in rows[:20])
    online = mnist.ask(body.encode(), "text/csv")
    assert [found[name][0]["label"] for name in sorted(found)] == [one["label"] for one in online]


# --- data that is broken


def spoilt(sample: Path, to: Path, name: str, content: bytes, file: str = "mnist.csv") -> None:
    """The sample with another file in one channel."""
    shutil.copytree(sample, to, ignore=shutil.ignore_patterns("*.md", "*.txt", ".complete"))
    (to / name / "mnist.csv").unlink()
    (to / name / file).write_bytes(content)


def truncated(sample: Path, to: Path) -> None:
    whole = gzip.compress((sample / "rawtrain" / "mnist.csv").read_bytes(), mtime=0)
    spoilt(sample, to, "rawtrain", whole[: len(whole) // 2], "mnist.csv.gz")


def wrong_schema(sample: Path, to: Path) -> None:
    """Somebody left the labels away."""
    lines = (sample / "rawtest" / "mnist.csv").read_text().splitlines()
    spoilt(sample, to, "rawtest", "\n".join(line.split(",", 1)[1] for line in lines).encode())


@pytest.mark.parametrize(
    ("day", "spoil", "told"),
    [(5, truncated, "mnist.csv.gz"), (7, wrong_schema, "785")],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_a_broken_file_fails_the_run_by_name_and_leaves_nothing(
    mnist: Mnist, sample: Path, tmp_path: Path, day: int, spoil: Any, told: str
) -> None:
    before = mnist.transforms()
    spoil(sample, tmp_path / "data")
    mnist.cli("data", "mnist", "put", "--from", str(tmp_path / "data"), "--date", f"2026-03-{day:02d}")
    text = mnist.run(f"2026-03-{day + 1:02d}", code=1)
    assert told in text, text
    for run in mnist.transforms() - before:
        left = mnist.keys(f"{NAME}/runs/{run}/normalise/")
        assert not [key for key in left if "transform.json" in key or "/manifests/" in key], left
    assert mnist.client("sagemaker").describe_endpoint(EndpointName=NAME)["EndpointStatus"] == "InService"


def test_an_image_of_the_held_out_data_in_training_ends_the_run_before_training(
    mnist: Mnist, sample: Path, rows: list[str], tmp_path: Path
) -> None:
    train = (sample / "rawtrain" / "mnist.csv").read_text() + rows[0] + "\n"
    spoilt(sample, tmp_path / "data", "rawtrain", train.encode())
    mnist.cli("data", "mnist", "put", "--from", str(tmp_path / "data"), "--date", "2026-03-09")
    text = mnist.run("2026-03-10", code=1)
    assert "leakage" in text, text
    assert "rawtest" in text
    assert "ok Train " not in text


# --- a bad start, and the search that mends it


def test_tuning_finds_a_better_learning_rate_than_a_bad_default(mnist: Mnist) -> None:
    """With a far too small rate the gate stops the model; a search over rates finds one that passes."""
    mnist.edit(r"^learning_rate = .*$", "learning_rate = 0.00001")
    mnist.edit(r"^epochs = .*$", "epochs = 3")
    # Three epochs are quick, and less than the gate of the real settings asks for.
    mnist.edit(r"^minimum = 0\.91$", "minimum = 0.8")
    mnist.edit(r"^minimum = 0\.75$", "minimum = 0.5")
    mnist.edit(r"^maximum = 0\.33$", "maximum = 0.7")
    mnist.edit(r"^compare = true$", "compare = false")
    mnist.cli("apply", "mnist", "--yes")
    text = mnist.run(mnist.sample_date, code=1)
    assert "Normalise skipped" in text, text
    assert "ModelRejected" in text

    with (mnist.cli.root / SETTINGS).open("a") as settings:
        settings.write(TUNING)
    mnist.cli("apply", "mnist", "--yes")
    text = mnist.run(mnist.sample_date)
    assert "Normalise skipped" in text, text
    jobs = mnist.client("sagemaker").list_hyper_parameter_tuning_jobs()["HyperParameterTuningJobSummaries"]
    described = mnist.client("sagemaker").describe_hyper_parameter_tuning_job(
        HyperParameterTuningJobName=jobs[0]["HyperParameterTuningJobName"]
    )
    counted = described["TrainingJobStatusCounters"]
    assert (described["HyperParameterTuningJobStatus"], counted["Completed"]) == ("Completed", 4)
    best = described["BestTrainingJob"]
    assert float(best["TunedHyperParameters"]["learning_rate"]) > 0.0001
    tried = mnist.client("sagemaker").list_training_jobs_for_hyper_parameter_tuning_job(
        HyperParameterTuningJobName=jobs[0]["HyperParameterTuningJobName"]
    )["TrainingJobSummaries"]
    losses = [job["FinalHyperParameterTuningJobObjectiveMetric"]["Value"] for job in tried]
    assert best["FinalHyperParameterTuningJobObjectiveMetric"]["Value"] == min(losses)
    assert mnist.client("sagemaker").describe_endpoint(EndpointName=NAME)["EndpointStatus"] == "InService"


TUNING = """
[tuning]
strategy = "random"
objective = { metric = "validation:log_loss", type = "minimize" }
max_jobs = 4
max_parallel_jobs = 2
seed = 7

[tuning.ranges]
learning_rate = { min = 0.0003, max = 0.01, scale = "logarithmic" }
"""
