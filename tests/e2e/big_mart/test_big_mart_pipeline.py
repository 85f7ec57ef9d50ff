"""big_mart from a copy of the repository to an endpoint that takes raw rows: a gate that rejects labels that
say nothing, the built-in XGBoost, one artifact for all, a batch, and models of plain XGBoost both ways.
"""

from __future__ import annotations

import csv
import io
import json
import random
import re
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from pipeline import caches
from pipeline.local.runner import environment
from tests.conftest import Cli, client, copy_repository
from tests.e2e.venvs import ROOT

HOME = ROOT / "pipeline" / "definitions" / "big_mart"
DATE, DAY = "2026-03-01", "2026-02-28"
BAD_DATE, BAD_DAY = "2026-02-01", "2026-01-31"
BUCKET = "ml-111111111111-eu-west-1"
# Jobs, containers' environments and an endpoint on a machine that others keep busy.
PATIENCE = 600
pytestmark = pytest.mark.timeout(3 * PATIENCE)

# Plain XGBoost in the container's environment, which is not that of these tests: the features of raw rows
# come from features.json, read here by other means than the container's.
PLAIN = """
import csv, json, sys
import numpy, xgboost
model, features, rows, mode = sys.argv[1:]
known = json.load(open(features))
def encode(row):
    row = dict(zip(known["columns"], row))
    found = []
    for name, middle in known["medians"].items():
        missing = row[name] == "" or (float(row[name]) == 0 and name in known["zero_is_missing"])
        found.append(middle if missing else float(row[name]))
    for name, levels in known["levels"].items():
        value = known["spellings"].get(name, {}).get(row[name], row[name]) or "(none)"
        found += [float(value == level) for level in levels]
    return found
table = list(csv.reader(open(rows)))
matrix = numpy.array([encode(row[:len(known["columns"])]) for row in table], "float32")
if mode == "train":
    labels = numpy.array([float(row[-1]) for row in table], "float32")
    booster = xgboost.train({"max_depth": 3, "seed": 1, "nthread": 1}, xgboost.DMatrix(matrix, labels), 10)
    booster.save_model(model)
booster = xgboost.Booster(model_file=model)
print(json.dumps(booster.predict(xgboost.DMatrix(matrix)).tolist()))
"""


@dataclass
class Deployed:
    """The pipeline on the copy's local target; `rejected` and `served` are what its runs said."""

    cli: Cli
    sample: Path
    variables: dict[str, str]
    rejected: str = ""
    served: str = ""
    made: list[str] = field(default_factory=list)

    def client(self, service: str) -> Any:
        return client(service, self.variables)

    def run(self, date: str, code: int) -> str:
        done = self.cli("run", "big_mart", "--date", date, "--follow", code=code, timeout=PATIENCE)
        return done.stdout + done.stderr

    def jobs(self) -> dict[str, int]:
        """How many jobs there were of each kind."""
        sagemaker = self.client("sagemaker")
        return {
            "training": len(sagemaker.list_training_jobs(MaxResults=100)["TrainingJobSummaries"]),
            "processing": len(sagemaker.list_processing_jobs(MaxResults=100)["ProcessingJobSummaries"]),
        }

    def package(self) -> dict[str, Any]:
        """The newest version that was approved."""
        sagemaker = self.client("sagemaker")
        found = sagemaker.list_model_packages(
            ModelPackageGroupName="big-mart-dev", ModelApprovalStatus="Approved", SortOrder="Descending"
        )["ModelPackageSummaryList"][0]
        described: dict[str, Any] = sagemaker.describe_model_package(
            ModelPackageName=found["ModelPackageArn"]
        )
        return described

    def artifact(self) -> dict[str, bytes]:
        """Files of the newest version's artifact."""
        url = self.package()["InferenceSpecification"]["Containers"][0]["ModelDataUrl"]
        bucket, _, key = url.removeprefix("s3://").partition("/")
        body = self.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
        with tarfile.open(fileobj=io.BytesIO(body)) as tar:
            return {name: tar.extractfile(name).read() for name in tar.getnames()}  # type: ignore[union-attr]

    def ask(self, body: str, endpoint: str = "big-mart-dev", accept: str = "text/csv") -> str:
        answer = self.client("sagemaker-runtime").invoke_endpoint(
            EndpointName=endpoint, Body=body, ContentType="text/csv", Accept=accept
        )
        said: str = answer["Body"].read().decode()
        return said


def sales(sample: Path, shuffled: int | None = None) -> str:
    """The raw rows; with a seed their labels are shuffled."""
    head, *lines = (sample / "raw" / "sales.csv").read_text().splitlines()
    if shuffled is not None:
        labels = [line.rpartition(",")[2] for line in lines]
        random.Random(shuffled).shuffle(labels)
        cut = [line.rpartition(",")[0] for line in lines]
        lines = [f"{row},{label}" for row, label in zip(cut, labels, strict=True)]
    return "\n".join([head, *lines]) + "\n"


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    cli = Cli(copy_repository(tmp_path_factory.mktemp("big-mart") / "repository", only="big_mart"))
    sample = tmp_path_factory.mktemp("sample")
    subprocess.run([sys.executable, str(HOME / "make_sample.py"), "--out", str(sample)], check=True)
    bad = tmp_path_factory.mktemp("bad")
    (bad / "raw").mkdir()
    (bad / "raw" / "sales.csv").write_text(sales(sample, shuffled=1))
    cli("local", "up")
    made = Deployed(cli, sample, json.loads(cli("local", "env", "--json").stdout))
    cli("apply", "big_mart", "--yes", timeout=PATIENCE)
    cli("data", "big_mart", "put", "--from", str(bad), "--date", BAD_DAY)
    made.rejected = made.run(BAD_DATE, code=1)
    cli("data", "big_mart", "put", "--date", DAY, timeout=PATIENCE)
    made.served = made.run(DATE, code=0)
    yield made
    cli("local", "down", code=None)


def test_labels_that_say_nothing_are_rejected_with_the_arithmetic(deployed: Deployed) -> None:
    assert "ModelRejected" in deployed.rejected
    assert re.search(r"r2 -?0\.0\d+ < minimum 0\.54", deployed.rejected)
    assert re.search(r"rmse_over_group_mean -?0\.0\d+ < minimum 0\.2", deployed.rejected)


def test_the_run_says_what_it_did_and_the_gate_passed(deployed: Deployed) -> None:
    assert "SUCCEEDED" in deployed.served
    for state in ("Features", "Train", "Bundle", "Evaluate", "Gate", "Register"):
        assert re.search(rf"ok {state}\s", deployed.served), state
    gate = deployed.cli("gate", "big_mart").stdout
    assert re.search(r"ok\s+r2\s+0\.6", gate) and re.search(r"ok\s+rmse_over_group_mean\s+0\.2", gate)
    training = deployed.client("sagemaker").describe_training_job(
        TrainingJobName=deployed.package()["CustomerMetadataProperties"]["training_job"]
    )
    assert training["AlgorithmSpecification"]["TrainingImage"].endswith("/sagemaker-xgboost:3.0-5")
    metrics = {each["MetricName"]: each["Value"] for each in training["FinalMetricDataList"]}
    assert 900 < metrics["validation:rmse"] < 1200


def test_the_model_loads_in_plain_xgboost_and_predicts_what_the_endpoint_says(
    deployed: Deployed, tmp_path: Path
) -> None:
    files = deployed.artifact()
    assert sorted(files) == ["features.json", "xgboost-model"]
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    rows = (deployed.sample / "next_month.csv").read_text().splitlines()[:200]
    (tmp_path / "rows.csv").write_text("\n".join(rows) + "\n")
    expected = plain(tmp_path, "xgboost-model", "predict")
    assert [float(line) for line in deployed.ask("\n".join(rows)).splitlines()] == expected
    said = json.loads(deployed.ask(rows[0], accept="application/json"))
    assert said == {"predictions": [{"score": expected[0]}]}


def plain(folder: Path, model: str, mode: str) -> list[float]:
    """Predictions of plain XGBoost for rows.csv, by the features.json beside it."""
    home = ROOT / "container" / "big_mart"
    python = environment.ensure(home, caches.folder("environments")) / "bin" / "python3"
    done = subprocess.run(
        [str(python), "-c", PLAIN, model, "features.json", "rows.csv", mode],
        cwd=folder,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    found: list[float] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_a_model_of_plain_xgboost_deploys(deployed: Deployed, tmp_path: Path) -> None:
    (tmp_path / "features.json").write_bytes(deployed.artifact()["features.json"])
    (tmp_path / "rows.csv").write_text("\n".join(sales(deployed.sample).splitlines()[1:501]) + "\n")
    expected = plain(tmp_path, "mine.json", "train")
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name in ("mine.json", "features.json"):
            tar.add(tmp_path / name, name)
    key = "output-model/by-hand/big-mart-dev-mine/model.tar.gz"
    deployed.client("s3").put_object(Bucket=BUCKET, Key=key, Body=buffer.getvalue())
    sagemaker = deployed.client("sagemaker")
    config = sagemaker.describe_endpoint(EndpointName="big-mart-dev")["EndpointConfigName"]
    own = sagemaker.describe_model(ModelName=config)
    image = deployed.package()["InferenceSpecification"]["Containers"][0]["Image"]
    sagemaker.create_model(
        ModelName="big-mart-dev-mine",
        ExecutionRoleArn=own["ExecutionRoleArn"],
        PrimaryContainer={"Image": image, "ModelDataUrl": f"s3://{BUCKET}/{key}"},
    )
    sagemaker.create_endpoint_config(
        EndpointConfigName="big-mart-dev-mine",
        ProductionVariants=[
            {
                "VariantName": "only",
                "ModelName": "big-mart-dev-mine",
                "InstanceType": "ml.m5.large",
                "InitialInstanceCount": 1,
            }
        ],
    )
    sagemaker.create_endpoint(EndpointName="big-mart-dev-mine", EndpointConfigName="big-mart-dev-mine")
    try:
        for _ in range(600):
            found = sagemaker.describe_endpoint(EndpointName="big-mart-dev-mine")
            if found["EndpointStatus"] != "Creating":
                break
            time.sleep(0.1)
        assert found["EndpointStatus"] == "InService", found.get("FailureReason")
        rows = [line.rpartition(",")[0] for line in (tmp_path / "rows.csv").read_text().splitlines()]
        said = deployed.ask("\n".join(rows), "big-mart-dev-mine")
        assert [float(line) for line in said.splitlines()] == expected
    finally:
        sagemaker.delete_endpoint(EndpointName="big-mart-dev-mine")


def test_next_months_rows_go_through_in_a_batch(deployed: Deployed, tmp_path: Path) -> None:
    source = deployed.sample / "next_month.csv"
    out = tmp_path / "answers"
    deployed.cli(
        *("batch", "big_mart", "--from", str(source), "--output", str(out), "--join"), timeout=PATIENCE
    )
    asked = list(csv.reader(source.read_text().splitlines()))
    answered = list(csv.reader((out / "next_month.csv.out").read_text().splitlines()))
    assert [row[:-1] for row in answered] == asked and len(asked) == 5681
    sold = [float(row[-1]) for row in answered]
    # Groceries sell least, as the model was taught.
    kinds = {
        kind: [s for s, row in zip(sold, asked, strict=True) if row[-1] == kind]
        for kind in {r[-1] for r in asked}
    }
    means = {kind: sum(values) / len(values) for kind, values in kinds.items()}
    assert min(means, key=lambda kind: means[kind]) == "Grocery Store"
    assert max(means, key=lambda kind: means[kind]) == "Supermarket Type3"


def test_the_chain_is_whole_through_the_bundle_to_the_data(deployed: Deployed) -> None:
    links = json.loads(deployed.cli("trace", "big_mart", "--json", code=None).stdout)["links"]
    states = {link["what"]: link["state"] for link in links}
    for what in ("artifact", "bundle", "training job", "transform features", "data", "image"):
        assert states[what] == "verified", links


def test_every_verb_knows_the_pipeline(deployed: Deployed) -> None:
    cli = deployed.cli
    status = cli("status", "big_mart").stdout
    assert "desired       as deployed" in status and "InService" in status and "serves" in status
    plan = cli("plan", "big_mart", "--json", timeout=PATIENCE, code=None).stdout
    assert json.loads(plan)["pipeline_stack"]["operation"] == "none"
    assert "Features" in cli("graph", "big_mart").stdout
    assert "rows: train" in cli("logs", "big_mart", code=None).stdout
    refused = cli("quality", "big_mart", code=1)
    assert "the container's own preprocess refuses bad data" in refused.stderr


def test_another_gate_makes_nothing_anew(deployed: Deployed) -> None:
    before = deployed.jobs()
    path = deployed.cli.root / "pipeline/definitions/big_mart/settings.toml"
    text = path.read_text()
    path.write_text(text.replace("minimum = 0.54", "minimum = 0.55"))
    deployed.cli("apply", "big_mart", "--yes", timeout=PATIENCE)
    said = deployed.run(DATE, code=0)
    assert deployed.jobs() == before
    for step in ("Features", "Train", "Bundle", "Evaluate"):
        assert re.search(rf"{step}\b[^\n]* skipped", said), said
