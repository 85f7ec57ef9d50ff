"""recommender from a copy of the repository to a served ranking, on real Spark: a branch that fails, a gate
that rejects, the same work taken up again and served.

One training in all: what the failed and the rejected run made is found again by the next.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

import pytest

from tests.conftest import Cli, client

SETTINGS = "pipeline/definitions/recommender/settings.toml"
DATE = "2026-03-01"
# Spark and TensorFlow on a machine that others keep busy.
PATIENCE = 1200
pytestmark = pytest.mark.timeout(3 * PATIENCE)


@dataclass
class Deployed:
    """The pipeline on the copy's local target; `first` and `rejected` are what its runs said."""

    cli: Cli
    variables: dict[str, str]
    first: str = ""
    rejected: str = ""
    served: str = ""

    def client(self, service: str) -> Any:
        return client(service, self.variables)

    def edit(self, pattern: str, replacement: str) -> None:
        path = self.cli.root / SETTINGS
        text, count = re.subn(pattern, replacement, path.read_text(), count=1, flags=re.M)
        assert count == 1, pattern
        path.write_text(text)
        self.cli("apply", "recommender", "--yes", timeout=PATIENCE)

    def run(self, code: int) -> str:
        done = self.cli("run", "recommender", "--date", DATE, "--follow", code=code, timeout=PATIENCE)
        return done.stdout + done.stderr

    def runs_of(self, job: str) -> list[dict[str, Any]]:
        """The Glue job's runs, the latest first."""
        found: list[dict[str, Any]] = self.client("glue").get_job_runs(JobName=f"recommender-dev-{job}")[
            "JobRuns"
        ]
        return found

    def keys(self, run: dict[str, Any]) -> set[str]:
        """Names of what lies below a Glue run's own place."""
        bucket, _, prefix = run["Arguments"]["--OUTPUT_PATH"].removeprefix("s3://").partition("/")
        listed = self.client("s3").list_objects_v2(Bucket=bucket, Prefix=f"{prefix}/").get("Contents", [])
        return {item["Key"].removeprefix(f"{prefix}/") for item in listed}

    def ask(self, body: str, kind: str = "application/json") -> Any:
        said = (
            self.client("sagemaker-runtime")
            .invoke_endpoint(EndpointName="recommender-dev", Body=body, ContentType=kind, Accept=kind)["Body"]
            .read()
        )
        return json.loads(said) if kind == "application/json" else said.decode()


@pytest.fixture(scope="module")
def deployed(cli: Cli) -> Deployed:
    cli("local", "up")
    made = Deployed(cli, json.loads(cli("local", "env", "--json").stdout))
    # Word2Vec refuses a window of 0 as soon as it is asked; the features take a good while longer.
    made.edit(r"^WINDOW = 5$", "WINDOW = 0")
    cli("data", "recommender", "put", "--date", "2026-02-28", timeout=PATIENCE)
    made.first = made.run(code=1)
    made.edit(r"^WINDOW = 0$", "WINDOW = 5")
    made.edit(r"^minimum = 0.67\n# (minimum = 0.9) .*$", r"\1")
    made.rejected = made.run(code=1)
    made.edit(r"^minimum = 0.9$", "minimum = 0.67")
    made.served = made.run(code=0)
    return made


def test_a_branch_that_fails_stops_the_other_and_nothing_is_half_written(deployed: Deployed) -> None:
    assert "windowSize" in deployed.first
    failed = deployed.runs_of("item2vec")[-1]
    stopped = deployed.runs_of("features")[-1]
    assert failed["JobRunState"] == "FAILED"
    assert "windowSize" in failed["ErrorMessage"]
    assert stopped["JobRunState"] == "STOPPED"
    # No dataset of either exists: it is its manifest.
    for run in (failed, stopped):
        kept = deployed.keys(run)
        assert "transform.json" not in kept
        assert not [key for key in kept if key.startswith("manifests/")]


def test_the_gate_of_the_original_rejects_what_ours_accepts(deployed: Deployed) -> None:
    assert "ModelRejected" in deployed.rejected
    assert re.search(r"accuracy 0\.[67]\d+ < minimum 0\.9", deployed.rejected)
    packages = deployed.client("sagemaker").list_model_packages(ModelPackageGroupName="recommender-dev")
    statuses = [each["ModelApprovalStatus"] for each in packages["ModelPackageSummaryList"]]
    assert sorted(statuses) == ["Approved", "Rejected"]


def test_the_next_run_takes_up_what_was_made(deployed: Deployed) -> None:
    assert "SUCCEEDED" in deployed.served
    states = [[run["JobRunState"] for run in deployed.runs_of(job)] for job in ("features", "item2vec")]
    assert states == [["SUCCEEDED", "STOPPED"], ["SUCCEEDED", "FAILED"]]
    trainings = deployed.client("sagemaker").list_training_jobs()["TrainingJobSummaries"]
    assert len(trainings) == 1


def test_the_metrics_of_the_training_are_found_by_name(deployed: Deployed) -> None:
    machines = deployed.client("stepfunctions")
    found = machines.list_state_machines()["stateMachines"]
    machine = next(each for each in found if each["name"] == "recommender-dev")
    newest = machines.list_executions(stateMachineArn=machine["stateMachineArn"], maxResults=1)
    output = json.loads(
        machines.describe_execution(executionArn=newest["executions"][0]["executionArn"])["output"]
    )
    metrics = output["training_metrics"]["metrics"]
    assert set(metrics) == {f"validation:{name}" for name in ("accuracy", "roc_auc", "pr_auc", "log_loss")}
    assert 0.7 < metrics["validation:roc_auc"] < 0.8
    assert output["gate"]["approved"] is True


def test_the_embeddings_are_published_as_text_and_as_parquet(deployed: Deployed) -> None:
    parameter = deployed.client("ssm").get_parameter(Name="/ml/recommender-dev/embeddings")["Parameter"]
    bucket, _, key = parameter["Value"].removeprefix("s3://").partition("/")
    s3 = deployed.client("s3")
    manifest = json.loads(s3.get_object(Bucket=bucket, Key=key)["Body"].read())
    assert manifest[1].endswith(".parquet")
    text = json.loads(
        s3.get_object(Bucket=bucket, Key=key.replace("embeddings.json", "embeddings_text.json"))[
            "Body"
        ].read()
    )
    lines = s3.get_object(Bucket=bucket, Key=f"{text[0]['prefix'].partition(bucket + '/')[2]}{text[1]}")
    first = lines["Body"].read().decode().splitlines()[0]
    assert re.fullmatch(r"\d+:(-?[\d.E-]+ ){9}-?[\d.E-]+", first)


def test_the_endpoint_recalls_and_ranks_in_one_request(deployed: Deployed) -> None:
    said = deployed.ask('{"user": 1, "recall": 50, "top": 10}')
    assert (said["by"], said["candidates"], len(said["ranking"])) == ("embeddings", 50, 10)
    likely = [item["probability"] for item in said["ranking"]]
    assert likely == sorted(likely, reverse=True)
    movies = [item["movie"] for item in said["ranking"]]
    again = deployed.ask(json.dumps({"user": 1, "candidates": movies}))
    assert [item["movie"] for item in again["ranking"]] == movies
    alone = deployed.ask("".join(f"1,{movie}\n" for movie in movies), "text/csv").splitlines()
    assert [float(line.split(",")[2]) for line in alone] == pytest.approx(likely, abs=1e-5)


def test_who_liked_star_wars_is_offered_its_sequels(deployed: Deployed) -> None:
    said = deployed.ask('{"user": 99999, "liked": [50], "recall": 20, "top": 20}')
    assert said["cold_start"] is True
    assert 181 in {item["movie"] for item in said["ranking"]}, "Return of the Jedi"
