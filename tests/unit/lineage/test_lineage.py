"""Orphans by age and use, pull requests in git's own words, texts of others in a table, time that passed."""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pipeline import settings as store
from pipeline.lineage import drift, expiry, origin, orphans
from pipeline.lineage.links import Chain
from pipeline.names import WORKFLOW_FILE

ROOT = Path(__file__).resolve().parents[3]
NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)


class Pages:
    """A client's paginator over one page."""

    def __init__(self, page: dict[str, Any]) -> None:
        self.page = page

    def paginate(self, **_: Any) -> list[dict[str, Any]]:
        return [self.page]


def run(day: int, digits: str = "01234567") -> str:
    return f"iris-dev-202603{day:02d}-{digits}"


class SageMaker:
    """An endpoint that serves the config of day 9, and configs and models of days 1 to 9, newest first."""

    names = [run(day) for day in range(9, 0, -1)]
    ours = True

    def get_paginator(self, operation: str) -> Pages:
        made = NOW - timedelta(days=1)
        of = {
            "list_endpoints": ("Endpoints", "Endpoint", ["iris-dev", "gone-dev"]),
            "list_endpoint_configs": (
                "EndpointConfigs",
                "EndpointConfig",
                [*self.names, "gone-dev-20260301-01234567"],
            ),
            "list_models": ("Models", "Model", [*self.names, run(9, "89abcdef")]),
        }
        if operation == "list_tags":
            value = {"project": "ml", "environment": "dev" if self.ours else "other"}
            return Pages({"Tags": [{"Key": k, "Value": v} for k, v in value.items()]})
        if operation not in of:
            return Pages({"TrainingJobSummaries": [], "ProcessingJobSummaries": []})
        key, kind, names = of[operation]
        return Pages(
            {key: [{f"{kind}Name": n, f"{kind}Arn": f"arn:{n}", "CreationTime": made} for n in names]}
        )

    def describe_endpoint(self, **_: str) -> dict[str, Any]:
        return {"EndpointConfigName": run(9)}

    def describe_endpoint_config(self, EndpointConfigName: str) -> dict[str, Any]:
        return {"ProductionVariants": [{"ModelName": EndpointConfigName}]}


def search(now: datetime = NOW) -> orphans._Search:
    settings = store.load(ROOT, "iris", "dev")
    found = orphans._Search([settings], SimpleNamespace(sagemaker=SageMaker()), now)  # type: ignore[arg-type]
    found.deployed = {"iris-dev": {}}
    return found


def test_what_serves_and_what_a_rollback_needs_is_no_orphan() -> None:
    keep = store.load(ROOT, "iris", "dev").pipeline.keep_endpoint_configs
    found = list(search().sagemaker())
    by_kind = {
        kind: [each.name for each in found if each.kind == kind] for kind in ("endpoint config", "model")
    }
    assert [each.name for each in found if each.kind == "endpoint"] == ["gone-dev"]
    rest = [run(day) for day in range(8 - keep, 0, -1)]
    assert by_kind["endpoint config"] == [*rest, "gone-dev-20260301-01234567"]
    assert by_kind["model"] == [*rest, run(9, "89abcdef")]


def test_what_is_new_or_somebody_elses_is_no_orphan(monkeypatch: pytest.MonkeyPatch) -> None:
    young = list(search(NOW - timedelta(hours=23, minutes=30)).sagemaker())
    assert [each.kind for each in young] == ["endpoint"]
    monkeypatch.setattr(SageMaker, "ours", False)
    assert list(search().sagemaker()) == []


@pytest.mark.parametrize(
    ("subject", "given", "value", "state"),
    [
        ("Learn faster (#12)", "12", "#12", "verified"),
        ("Learn faster (#12)", "13", "#13", "broken"),
        ("Merge pull request #7 from x", "none", "#7", "unknown"),
        ("Learn faster", "9", "#9", "unknown"),
        ("Learn faster, see #4", "none", "", "unknown"),
    ],
)
def test_a_pull_request_is_what_the_commit_and_the_run_agree_on(
    tmp_path: Path, subject: str, given: str, value: str, state: str
) -> None:
    identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
    for words in (["init", "-q", "-b", "main"], ["commit", "-q", "--allow-empty", "-m", subject]):
        subprocess.run(["git", *identity, *words], cwd=tmp_path, check=True)
    sha = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=tmp_path, check=True, capture_output=True, text=True
    ).stdout.strip()
    chain = Chain("iris-dev")
    origin.pull_request(chain, tmp_path, sha, {"pull_request": given})
    assert [(link.value, link.state) for link in chain.links] == [(value, state)]


def test_a_workflow_given_by_hand_breaks_the_chain_and_one_of_the_commit_s_own_does_not() -> None:
    chain = Chain("iris-dev")
    origin.workflow(chain, {"git_sha": "0" * 40})
    assert chain.links == []
    origin.workflow(chain, {WORKFLOW_FILE: "flow.json sha256:12"})
    (link,) = chain.broken
    assert (link.what, link.value) == ("workflow", "flow.json sha256:12")
    assert "the commit does not say what made the model" in link.proof


def test_texts_of_others_stay_texts_in_the_issue() -> None:
    page = drift.markdown([drift.Drift("by hand", "a|b`c`", "<img src=x> @team", "fix\nit")])
    assert page.splitlines()[-1] == ("| by hand | `a&#124;b'c'` | &lt;img src=x> &#64;team | fix it |")
    assert drift.markdown([]) == ""


def test_time_has_passed_at_the_hour_and_not_before() -> None:
    found = expiry.Expiry("iris-dev", NOW, NOW + timedelta(hours=2))
    assert not found.passed(NOW + timedelta(hours=1, minutes=59))
    assert found.passed(NOW + timedelta(hours=2))
