"""iris by a search: it finds a better learning rate than a bad default; the model answers whole files."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from tests.e2e.conftest import Iris

SETTINGS = "pipeline/definitions/iris/settings.toml"
TUNING = """
[tuning]
strategy = "bayesian"
max_jobs = 5
max_parallel_jobs = 2
seed = 3

[tuning.objective]
metric = "validation:multi_logloss"
type = "minimize"

[tuning.ranges]
learning_rate = { min = 0.001, max = 0.5, scale = "logarithmic" }

[data]
"""


def version(iris: Iris) -> dict[str, Any]:
    """The newest version in the registry."""
    sagemaker = iris.client("sagemaker")
    found = sagemaker.list_model_packages(
        ModelPackageGroupName="iris-dev", SortBy="CreationTime", SortOrder="Descending"
    )
    arn = found["ModelPackageSummaryList"][0]["ModelPackageArn"]
    return dict(sagemaker.describe_model_package(ModelPackageName=arn)["CustomerMetadataProperties"])


def loss(iris: Iris, job: str) -> float:
    found = iris.client("sagemaker").describe_training_job(TrainingJobName=job)
    metrics = {m["MetricName"]: m["Value"] for m in found["FinalMetricDataList"]}
    return float(metrics["validation:multi_logloss"])


def test_a_search_finds_a_better_learning_rate_than_a_bad_default(iris: Iris) -> None:
    # Ten rounds at this rate hardly learn; the search has the same ten rounds.
    iris.edit(SETTINGS, r"^learning_rate = 0\.1$", "learning_rate = 0.001")
    iris.edit(SETTINGS, r"^num_boost_round = 100$", "num_boost_round = 10")
    iris.cli("apply", "iris", "--yes")
    date = iris.day(2)
    out = iris.run(date, code=1)
    assert "ModelRejected" in out
    bad = version(iris)["training_job"]

    iris.edit(SETTINGS, r"^\[data\]$", TUNING)
    assert "clean" in iris.cli("check", "iris").stdout
    iris.cli("apply", "iris", "--yes")
    out = iris.run(date)
    assert "Train runs: no tuning job that completed is of this fingerprint" in out
    known = version(iris)
    assert float(known["tuned.learning_rate"]) > 0.01
    assert loss(iris, known["training_job"]) < loss(iris, bad) / 2
    search = iris.client("sagemaker").describe_hyper_parameter_tuning_job(
        HyperParameterTuningJobName=known["tuning_job"]
    )
    assert search["BestTrainingJob"]["TrainingJobName"] == known["training_job"]
    assert search["TrainingJobStatusCounters"]["Completed"] == 5
    assert float(known["tuning_objective"]) == loss(iris, known["training_job"])
    assert "setosa" in str(iris.answers())


def test_the_same_search_is_not_made_twice(iris: Iris) -> None:
    before = version(iris)
    iris.edit(SETTINGS, r"^minimum = 0\.88$", "minimum = 0.87")
    iris.cli("apply", "iris", "--yes")
    out = iris.run("2026-03-03")
    assert f"Train skipped: tuning job {before['tuning_job']} had the same data, code and parameters" in out
    after = version(iris)
    assert after["tuning_job"] == before["tuning_job"]
    assert after["tuned.learning_rate"] == before["tuned.learning_rate"]


def test_stopping_a_run_stops_its_search_and_all_of_its_jobs(iris: Iris) -> None:
    sagemaker = iris.client("sagemaker")
    with iris.program("train", "print('begun', flush=True); time.sleep(120)"):
        iris.cli("run", "iris", "--date", iris.day(4), "--no-follow")
        deadline = time.monotonic() + 60
        while not (
            running := sagemaker.list_hyper_parameter_tuning_jobs(StatusEquals="InProgress")[
                "HyperParameterTuningJobSummaries"
            ]
        ):
            assert time.monotonic() < deadline
            time.sleep(0.1)
        name = running[0]["HyperParameterTuningJobName"]
        machine = "arn:aws:states:eu-west-1:111111111111:stateMachine:iris-dev"
        executions = iris.client("stepfunctions").list_executions(stateMachineArn=machine, maxResults=1)
        iris.cli("run", "iris", "--execution", executions["executions"][0]["name"], "--stop")
        while sagemaker.describe_hyper_parameter_tuning_job(HyperParameterTuningJobName=name)[
            "HyperParameterTuningJobStatus"
        ] in ("InProgress", "Stopping"):
            assert time.monotonic() < deadline
            time.sleep(0.1)
        left = sagemaker.list_training_jobs(StatusEquals="InProgress")["TrainingJobSummaries"]
        assert not left


def test_a_folder_of_rows_is_answered_by_the_serving_model(iris: Iris, tmp_path: Path) -> None:
    rows = tmp_path / "rows"
    (rows / "deep").mkdir(parents=True)
    (rows / "a.csv").write_text("5.1,3.5,1.4,0.2\n6.7,3.0,5.2,2.3\n")
    (rows / "deep" / "b.csv").write_text("5.9,3.0,4.2,1.5\n")
    done = iris.cli("batch", "iris", "--from", str(rows))
    assert done.stdout.split() == [f"{rows}.out/a.csv.out", f"{rows}.out/deep/b.csv.out"]
    first, second = Path(f"{rows}.out/a.csv.out").read_text().splitlines()
    assert first.startswith("setosa,") and second.startswith("virginica,")
    answers = tmp_path / "answers"
    told = iris.cli(
        "batch",
        "iris",
        "--from",
        str(rows / "a.csv"),
        "--join",
        "--single",
        "--output",
        str(answers),
        "--json",
    )
    found = json.loads(told.stdout)
    assert found["status"] == "Completed"
    assert (answers / "a.csv.out").read_text().startswith("5.1,3.5,1.4,0.2,setosa,")
    kept = iris.cli("batch", "iris", "--from", found["input"]).stdout.strip()
    assert kept.startswith("s3://ml-111111111111-eu-west-1/iris-dev/batch/iris-dev-batch-")


def test_batches_that_fail_say_why(iris: Iris, tmp_path: Path) -> None:
    rows = tmp_path / "mixed"
    rows.mkdir()
    (rows / "good.csv").write_text("5.1,3.5,1.4,0.2\n")
    (rows / "wrong.csv").write_text("5.1,x,1.4,0.2\n")
    done = iris.cli("batch", "iris", "--from", str(rows), code=1)
    assert "wrong.csv: 400" in done.stderr and "is not a number" in done.stderr
    assert "1 files that were answered are in" in done.stderr
    job = re.search(r"pipeline logs iris --batch (\S+)", done.stderr)
    assert job, done.stderr
    log = iris.cli("logs", "iris", "--batch").stdout
    assert "wrong.csv" in log and "is not a number" in log, "what became of each object"
    assert iris.cli("logs", "iris", "--batch", job[1]).stdout == log
    assert [path.name for path in Path(f"{rows}.out").iterdir()] == ["good.csv.out"]
    assert "no such file" in iris.cli("batch", "iris", "--from", str(tmp_path / "none"), code=2).stderr
    (rows / "more.json").write_text("{}")
    assert "several types" in iris.cli("batch", "iris", "--from", str(rows), code=2).stderr
    denied = iris.cli("batch", "iris", "--from", "s3://ml-111111111111-eu-west-1/other/", code=1)
    assert "AccessDenied" in denied.stderr, "the model's role reads the batch's own place only"


def test_ctrl_c_stops_the_transform_job(iris: Iris, tmp_path: Path) -> None:
    large = tmp_path / "large.csv"
    large.write_text("5.1,3.5,1.4,0.2\n" * 60_000)
    command = [sys.executable, "-m", "pipeline", "batch", "iris", "--from", str(large), "--single"]
    batch = subprocess.Popen(
        command,
        cwd=iris.root,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # A shell that runs the tests in the background has SIGINT ignored, and that is inherited.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    try:
        assert batch.stderr is not None
        while "InProgress" not in batch.stderr.readline():
            assert batch.poll() is None
        os.killpg(batch.pid, signal.SIGINT)
        _, err = batch.communicate(timeout=30)
    finally:
        batch.kill()
    assert batch.returncode == 130
    assert "Stopped after" in err
    newest = iris.client("sagemaker").list_transform_jobs(SortBy="CreationTime")["TransformJobSummaries"][0]
    assert newest["TransformJobStatus"] == "Stopped"


def test_without_an_endpoint_batch_says_what_to_do(iris: Iris, tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("1,2,3,4\n")
    done = iris.cli("batch", "iris", "-e", "staging", "--from", str(tmp_path / "rows.csv"), code=1)
    assert "there is no endpoint yet" in done.stderr and "pipeline run iris" in done.stderr
