"""Two Glue jobs at once, then a training on what both made: reuse, a script that raises, and what is left."""

from __future__ import annotations

import json
import shutil
from typing import Any

import boto3
import pytest

from tests.conftest import REPOSITORY, Cli

FIXTURE = REPOSITORY / "tests" / "fixtures" / "transform"
SETTINGS = "pipeline/definitions/flowers/settings.toml"
SCRIPT = "glue_scripts/flowers/features.py"
STACK, BUCKET = "flowers-dev", "ml-111111111111-eu-west-1"
JOBS = (f"{STACK}-features", f"{STACK}-held_back")


class Flowers:
    """The fixture's pipeline, deployed and run once."""

    def __init__(self, cli: Cli) -> None:
        self.cli = cli
        for part in ("glue_scripts", "pipeline"):
            shutil.copytree(FIXTURE / part, cli.root / part, dirs_exist_ok=True)
        folder = cli.root / "given" / "flowers"
        folder.mkdir(parents=True)
        parts = sorted((REPOSITORY / "pipeline/definitions/iris/sample").glob("*/*.csv"))
        (folder / "flowers.csv").write_text("".join(part.read_text() for part in parts))
        cli("apply", "flowers", "--yes")
        cli("data", "flowers", "put", "--from", "given", "--date", "2026-05-01")
        self.first = self.run()

    def run(self, code: int = 0) -> str:
        done = self.cli("run", "flowers", "--date", "2026-05-02", "--follow", code=code, timeout=600)
        return done.stdout + done.stderr

    def edit(self, path: str, old: str, new: str) -> None:
        file = self.cli.root / path
        text = file.read_text()
        assert old in text
        file.write_text(text.replace(old, new))
        self.cli("apply", "flowers", "--yes")

    def client(self, service: str) -> Any:
        found = json.loads(self.cli("local", "status", "--json").stdout)
        return boto3.client(
            service,
            endpoint_url=found["endpoint_url"],
            region_name="eu-west-1",
            aws_access_key_id="111111111111",
            aws_secret_access_key="any",
        )

    def runs(self, job: str) -> list[dict[str, Any]]:
        """Its Glue runs, oldest first."""
        found = self.client("glue").get_job_runs(JobName=job)["JobRuns"]
        return sorted(found, key=lambda run: run["StartedOn"])

    def trained(self) -> dict[str, Any]:
        sagemaker = self.client("sagemaker")
        newest = sagemaker.list_training_jobs(SortBy="CreationTime", SortOrder="Descending")
        name = newest["TrainingJobSummaries"][0]["TrainingJobName"]
        job: dict[str, Any] = sagemaker.describe_training_job(TrainingJobName=name)
        return job


@pytest.fixture(scope="module")
def flowers(cli: Cli) -> Flowers:
    cli("local", "up")
    return Flowers(cli)


def test_training_reads_what_both_transforms_made(flowers: Flowers) -> None:
    assert "SUCCEEDED" in flowers.first
    for name in JOBS:
        (run,) = flowers.runs(name)
        assert run["JobRunState"] == "SUCCEEDED"
        output = run["Arguments"]["--OUTPUT_PATH"]
        assert output.startswith(f"s3://{BUCKET}/{STACK}/runs/")
    made = {c["ChannelName"]: c["DataSource"]["S3DataSource"] for c in flowers.trained()["InputDataConfig"]}
    assert made["train"]["S3Uri"].endswith("/features/manifests/train.json")
    assert made["validation"]["S3Uri"].endswith("/held_back/manifests/validation.json")
    s3 = flowers.client("s3")
    rows = 0
    for name in ("features", "held_back"):
        prefix = made["train"]["S3Uri"].partition(f"{BUCKET}/")[2].partition("/features/")[0]
        body = s3.get_object(Bucket=BUCKET, Key=f"{prefix}/{name}/transform.json")["Body"].read()
        rows += sum(dataset["rows"] for dataset in json.loads(body)["datasets"].values())
    # Every flower is in one part, and none is lost.
    assert rows == 150
    links = {
        e["what"]: e for e in json.loads(flowers.cli("trace", "flowers", "--json", code=None).stdout)["links"]
    }
    for name in ("features", "held_back"):
        assert links[f"transform {name}"]["state"] == "verified", links
    assert links["data"]["state"] == "verified"


def test_what_does_not_change_is_not_made_again(flowers: Flowers) -> None:
    flowers.edit(SETTINGS, "num_boost_round = 50", "num_boost_round = 51")
    planned = flowers.cli("plan", "flowers", code=None).stdout
    said = flowers.run()
    for name, job in zip(("Features", "HeldBack"), JOBS, strict=True):
        (only,) = flowers.runs(job)
        assert f"{name} skipped: Glue run {only['Id']} had the same data" in said
        assert name in planned
    assert flowers.trained()["HyperParameters"]["num_boost_round"] == "51"


def test_a_script_that_raises_ends_the_other_branch_and_the_run_by_its_cause(flowers: Flowers) -> None:
    before = flowers.trained()["TrainingJobName"]
    flowers.edit(
        SCRIPT,
        'for part in glue["PARTS"]',
        'if "train" in glue["PARTS"]: raise ValueError("no")\n    for part in glue["PARTS"]',
    )
    said = flowers.run(code=1)
    assert "ValueError: no" in said
    (*_, failed), (*_, other) = (flowers.runs(job) for job in JOBS)
    assert failed["JobRunState"] == "FAILED" and "ValueError: no" in failed["ErrorMessage"]
    assert other["JobRunState"] in ("STOPPED", "SUCCEEDED")
    assert flowers.trained()["TrainingJobName"] == before
    output = failed["Arguments"]["--OUTPUT_PATH"].partition(f"{BUCKET}/")[2]
    left = flowers.client("s3").list_objects_v2(Bucket=BUCKET, Prefix=f"{output}/")
    # Nothing that a training could take for whole.
    assert not [item["Key"] for item in left.get("Contents", []) if "manifests" in item["Key"]]


def test_mended_it_converges(flowers: Flowers) -> None:
    flowers.edit(SCRIPT, 'if "train" in glue["PARTS"]: raise ValueError("no")\n    ', "")
    # It is the script, and the data, that was trained on before: there is nothing to do.
    assert "NothingNew" in flowers.run()
