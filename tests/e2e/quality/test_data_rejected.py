"""Data that breaks its rules ends the run before the training, says why everywhere, and mends by new data."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from typing import Any

import boto3
import pytest

from tests.conftest import REPOSITORY, Cli

FIXTURE = REPOSITORY / "tests" / "fixtures" / "quality"
STACK, BUCKET = "petals-dev", "ml-111111111111-eu-west-1"
DAYS = [f"2026-05-{day:02d}" for day in range(1, 10)]


def flowers() -> list[str]:
    parts = sorted((REPOSITORY / "pipeline/definitions/iris/sample").glob("*/*.csv"))
    return [line for part in parts for line in part.read_text().split()]


class Petals:
    """The fixture's pipeline, and data for its days."""

    def __init__(self, cli: Cli) -> None:
        self.cli = cli
        for part in ("glue_scripts", "pipeline"):
            shutil.copytree(FIXTURE / part, cli.root / part, dirs_exist_ok=True)
        cli("apply", "petals", "--yes")

    def put(self, day: str, rows: list[str]) -> None:
        folder = self.cli.root / "given"
        shutil.rmtree(folder, ignore_errors=True)
        (folder / "flowers").mkdir(parents=True)
        (folder / "flowers" / "flowers.csv").write_text("\n".join(rows) + "\n")
        self.cli("data", "petals", "put", "--from", "given", "--date", day)

    def run(self, day: str, code: int = 0) -> str:
        """The run that reads that day's data; what was said."""
        after = day[:-2] + f"{int(day[-2:]) + 1:02d}"
        done = self.cli("run", "petals", "--date", after, code=code, timeout=280)
        return done.stdout + done.stderr

    def client(self, service: str) -> Any:
        found = json.loads(self.cli("local", "status", "--json").stdout)
        return boto3.client(
            service,
            endpoint_url=found["endpoint_url"],
            region_name="eu-west-1",
            aws_access_key_id="111111111111",
            aws_secret_access_key="any",
        )

    def under(self, uri: str) -> dict[str, str]:
        """Text of each object below an address."""
        bucket, _, prefix = uri.removeprefix("s3://").partition("/")
        s3 = self.client("s3")
        listed = s3.list_objects_v2(Bucket=bucket, Prefix=prefix).get("Contents", [])
        return {
            item["Key"].removeprefix(prefix): s3.get_object(Bucket=bucket, Key=item["Key"])["Body"]
            .read()
            .decode()
            for item in listed
        }


def plain(text: str) -> str:
    """What was said, without what differs from run to run."""
    text = re.sub(r"FAILED in [^:]*: ", "FAILED in …: ", text)
    return re.sub(r"/runs/\d{8}-[0-9a-f]{8}/", "/runs/…/", text)


def told_in_docs() -> str:
    """The example of a rejection in the docs."""
    page = (REPOSITORY / "docs" / "explanation" / "data-quality.md").read_text()
    _, _, after = page.partition("## What a rejection looks like\n\n```text\n")
    return plain(after.partition("```")[0])


@pytest.fixture(scope="module")
def petals(cli: Cli) -> Iterator[Petals]:
    yield Petals(cli)


def test_the_plan_says_what_the_data_must_be_like(petals: Petals) -> None:
    settings = petals.cli.root / "pipeline/definitions/petals/settings.toml"
    whole = settings.read_text()
    settings.write_text(whole.replace("bad_share = 0.02", "bad_share = 0.5"))
    said = petals.cli("plan", "petals").stdout
    settings.write_text(whole)
    assert "+ split/flowers: bad rows: 50 % at most" in said
    assert "- split/flowers: bad rows: 2 % at most" in said
    assert "split/train: drift from the accepted data over psi 0.5 stops the run" in said


def test_a_run_on_bad_data_ends_before_the_training(petals: Petals) -> None:
    rows = flowers()
    for place in (3, 30, 60, 90):
        rows[place] = rows[place].rpartition(",")[0] + ",99.5"
    petals.put(DAYS[0], [*rows, "1,2"])
    said = petals.run(DAYS[0], code=1)
    assert "DataRejected" in said
    assert "split/flowers: /(sepal|petal)_.*/.maximum: 4 of 151 rows (2.65%), allowed 2%" in said
    (told,) = set(re.findall(r"such as: (\w+) 99.5 > maximum 15 \((s3://\S+), line (\d+)\)", said))
    assert told[0] == "petal_width" and told[1].endswith(f"/{DAYS[0]}/flowers.csv") and told[2] == "4"
    shown = [line for line in told_in_docs().splitlines() if line not in plain(said).splitlines()]
    assert shown == [], f"docs/explanation/data-quality.md shows what is said: {plain(said)}"
    (place,) = set(re.findall(rf"s3://{BUCKET}/{STACK}/runs/[^/]+/split", said))
    left = petals.under(f"{place}/")
    bad = [json.loads(line) for name, text in left.items() if name.startswith("quarantine/flowers/part-")
           for line in text.splitlines()]  # fmt: skip
    assert sorted(row["_reason"] for row in bad) == [
        "not 5 columns: '1,2'",
        *["petal_width 99.5 > maximum 15"] * 4,
    ]
    assert json.loads(left["transform.json"])["datasets"] == {}
    assert not [name for name in left if name.startswith("manifests/")], "nothing that training could read"
    jobs = petals.client("sagemaker").list_training_jobs(NameContains=STACK)["TrainingJobSummaries"]
    assert jobs == [], "and nothing was trained"


def test_the_verdict_is_told_again_by_status_and_quality(petals: Petals) -> None:
    assert "last run: data rejected: split/flowers: " in petals.cli("status", "petals").stdout
    told = petals.cli("quality", "petals").stdout
    assert "data rejected" in told and "quarantine/flowers/" in told
    found = json.loads(petals.cli("quality", "petals", "--execution", "last", "--json").stdout)
    assert found["passed"] is False and len(found["failed"]) == 2, (
        "the rule's limit, and that of all together"
    )
    file = petals.cli.root / "bad.jsonl"
    assert "wrote 5 bad rows" in petals.cli("quality", "petals", "--bad-rows", str(file)).stderr
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    assert {row["_frame"] for row in rows} == {"split/flowers"} and all(row["_reason"] for row in rows)
    measured = {each["rule"]: each["measured"] for each in found["results"] if each["frame"] == "flowers"}
    assert measured["malformed"] == 1 and measured["rows"] == 146


def test_the_same_bad_data_is_rejected_again_without_a_job(petals: Petals) -> None:
    said = petals.run(DAYS[0], code=1)
    assert "DataRejected" in said
    runs = petals.client("glue").get_job_runs(JobName=f"{STACK}-split")["JobRuns"]
    assert len(runs) == 1, "the transform was found by its fingerprint"


def test_good_data_is_trained_on_and_the_registry_says_which(petals: Petals) -> None:
    petals.put(DAYS[3], flowers())
    said = petals.run(DAYS[3])
    assert re.search(r"data passed: \d+ rules hold; split/flowers 150 rows; .*no model is approved yet", said)
    assert "last run: data passed" in petals.cli("status", "petals").stdout
    sagemaker = petals.client("sagemaker")
    newest = sagemaker.list_model_packages(ModelPackageGroupName=STACK)["ModelPackageSummaryList"][0]
    package = sagemaker.describe_model_package(ModelPackageName=newest["ModelPackageArn"])
    known = package["CustomerMetadataProperties"]
    assert known["data_quality"].startswith("rules=") and "failed=0" in known["data_quality"]
    profile = json.loads(petals.under(known["data_profile"])[""])
    assert profile["transforms"]["split"]["flowers"]["rows"] == 150


def test_data_that_drifted_from_the_accepted_is_rejected(petals: Petals) -> None:
    def longer(row: str) -> str:
        species, *measures = row.split(",")
        return ",".join([species, *(f"{float(measure) + 3:.1f}" for measure in measures)])

    petals.put(DAYS[6], [longer(row) for row in flowers()])
    said = petals.run(DAYS[6], code=1)
    assert "DataRejected" in said
    assert re.search(
        r"split/train: drift of petal_length: psi [\d.]+ > 0.5 \(mean was 3.\d+, is 6.\d+\)", said
    )
    assert "drift of species" not in said, "the labels are what they were"
    assert "InService" in petals.cli("status", "petals").stdout
