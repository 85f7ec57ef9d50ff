"""A pipeline of one's own from one that runs, and all pipelines at once, through the command line."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import Cli


@pytest.fixture(scope="module")
def cli(shared_repository: Path) -> Iterator[Cli]:
    # What is shown here holds for any two pipelines; the big ones have tests of their own.
    for folder in (shared_repository / "pipeline" / "definitions").iterdir():
        if folder.is_dir() and folder.name != "iris":
            shutil.rmtree(folder)
    yield Cli(shared_repository)


def test_a_new_pipeline_passes_the_checks_and_all_run_at_once(cli: Cli) -> None:
    made = cli("new", "churn")
    assert "container/churn/" in made.stdout
    assert "pipeline run churn" in made.stderr
    cli("check", "churn")
    everything = cli("run", "--all", "--parallel", "2", "--json")
    outcomes = {outcome["name"]: outcome for outcome in json.loads(everything.stdout)}
    assert set(outcomes) == {"churn", "iris"}
    for outcome in outcomes.values():
        assert outcome["status"] == "SUCCEEDED" and outcome["ended"] == "Succeeded", outcome
        assert outcome["metrics"]["accuracy"] >= 0.88
    assert "churn | ok Train" in everything.stderr and "iris  | ok Train" in everything.stderr
    for name in outcomes:
        assert "setosa" in cli("invoke", name).stdout


def test_the_summary_says_whose_run_ended_badly(cli: Cli) -> None:
    settings = cli.root / "pipeline" / "definitions" / "churn" / "settings.toml"
    settings.write_text(settings.read_text().replace("minimum = 0.88", "minimum = 0.999"))
    cli("apply", "churn", "--yes")
    done = cli("run", "--all", code=1)
    assert "ModelRejected" in done.stdout
    assert "NothingNew" in done.stdout or "SUCCEEDED" in done.stdout


def test_one_or_all_must_be_said(cli: Cli) -> None:
    assert "which pipeline?" in cli("run", code=2).stderr
    assert "which pipeline?" in cli("run", "iris", "--all", code=2).stderr
