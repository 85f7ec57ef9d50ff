"""A workflow edited as JSON, from the export to a model that tells where it comes from, and back."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.conftest import Cli
from tests.e2e.conftest import Iris

EXPORTED = "build/mine/state-machine.asl.json"


@pytest.fixture(scope="module")
def cli(shared_repository: Path) -> Cli:
    """A person's shell: a build service is refused a workflow by hand."""
    return Cli(shared_repository, {"CI": ""})


@pytest.fixture(scope="module")
def exported(iris: Iris) -> Path:
    iris.cli("render", "iris", "--asl-only", "--output", "build/mine")
    return iris.root / EXPORTED


def test_what_is_exported_is_what_is_deployed(iris: Iris, exported: Path) -> None:
    assert exported.is_file()
    assert "No changes" in iris.cli("plan", "iris").stdout


def test_a_broken_edit_is_refused_where_it_is_and_nothing_changes(iris: Iris, exported: Path) -> None:
    text = exported.read_text()
    assert '"Next": "Evaluate"' in text
    broken = exported.with_name("broken.json")
    broken.write_text(text.replace('"Next": "Evaluate"', '"Next": "Nirvana"', 1))
    line = next(n for n, each in enumerate(broken.read_text().splitlines(), 1) if "Nirvana" in each)
    before = deployed(iris)
    refused = iris.cli("apply", "iris", "--asl", str(broken), "--yes", code=2)
    said = refused.stdout + refused.stderr
    assert "Nirvana" in said and f"broken.json:{line}" in said
    assert deployed(iris) == before


def test_an_edit_is_applied_runs_is_told_and_is_put_back(iris: Iris, exported: Path) -> None:
    workflow = json.loads(exported.read_text())
    parameters = workflow["States"]["Train"]["Parameters"]
    assert parameters["HyperParameters"]["num_boost_round"] != "61"
    parameters["HyperParameters"]["num_boost_round"] = "61"
    mine = exported.with_name("mine.json")
    mine.write_text(json.dumps(workflow, indent=2))
    assert "mine.json" in iris.cli("plan", "iris", "--asl", str(mine), code=None).stdout
    iris.cli("apply", "iris", "--asl", str(mine), "--yes")
    assert "mine.json" in iris.cli("status", "iris").stdout
    iris.run(iris.day(11))
    sagemaker = iris.client("sagemaker")
    newest = sagemaker.list_training_jobs(SortBy="CreationTime", SortOrder="Descending", MaxResults=1)
    name = newest["TrainingJobSummaries"][0]["TrainingJobName"]
    assert sagemaker.describe_training_job(TrainingJobName=name)["HyperParameters"]["num_boost_round"] == "61"
    traced = iris.cli("trace", "iris", code=None)
    assert "mine.json" in traced.stdout and "BROKEN" in traced.stdout
    # The next ordinary plan says what it takes away, and the next apply does.
    assert "mine.json" in iris.cli("plan", "iris", code=None).stdout
    iris.cli("apply", "iris", "--yes")
    assert "mine.json" not in iris.cli("status", "iris").stdout.partition("serves")[0]
    assert '"61"' not in deployed(iris)


def test_a_build_service_is_refused(iris: Iris, exported: Path) -> None:
    service = Cli(iris.root, {"CI": "true"})
    refused = service("apply", "iris", "--asl", str(exported), "--yes", code=2)
    assert "--asl" in refused.stdout + refused.stderr


def deployed(iris: Iris) -> str:
    """The definition that Step Functions holds."""
    stepfunctions = iris.client("stepfunctions")
    (machine,) = [
        each for each in stepfunctions.list_state_machines()["stateMachines"] if each["name"] == "iris-dev"
    ]
    found: str = stepfunctions.describe_state_machine(stateMachineArn=machine["stateMachineArn"])[
        "definition"
    ]
    return found
