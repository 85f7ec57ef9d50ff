"""The required check: skipped is not passed where something had to run."""

from __future__ import annotations

import json

import pytest

from pipeline.ci import needs
from pipeline.errors import SettingsError


def problems(any_: str = "true", **results: str) -> list[str]:
    data: dict[str, object] = {
        "affected": {"result": results.pop("affected", "success"), "outputs": {"any": any_}}
    }
    data |= {name.replace("_", "-"): {"result": result, "outputs": {}} for name, result in results.items()}
    return needs.problems(needs.parse(json.dumps(data)))


def test_all_that_had_to_run_succeeded() -> None:
    assert problems(check="success", plan="success", plan_fork="skipped") == []
    assert problems(check="success", plan="skipped", plan_fork="success") == []


def test_a_change_that_concerns_nobody_may_skip_everything() -> None:
    assert problems("false", check="skipped", plan="skipped", plan_fork="skipped") == []


@pytest.mark.parametrize("result", ["failure", "cancelled"])
@pytest.mark.parametrize("job", ["affected", "check", "plan"])
def test_a_failed_or_cancelled_job_fails_it(job: str, result: str) -> None:
    results = {"check": "success", "plan": "success", "plan_fork": "skipped", job: result}
    assert f"{job}: {result}" in problems(**results)


def test_skipped_although_pipelines_are_concerned_fails_it() -> None:
    assert problems(check="skipped", plan="success", plan_fork="skipped") == [
        "check: skipped, although pipelines are concerned"
    ]
    assert problems(check="success", plan="skipped", plan_fork="skipped") == [
        "plan: skipped, although pipelines are concerned"
    ]


def test_a_first_job_that_was_skipped_says_nothing() -> None:
    assert "affected: skipped, so nobody knows what had to run" in problems(
        "", affected="skipped", plan="skipped"
    )


def test_without_a_first_job_none_may_be_skipped() -> None:
    jobs = needs.parse('{"lint": {"result": "success"}, "test": {"result": "skipped"}}')
    assert needs.problems(jobs) == ["test: skipped"]
    assert "| test | skipped |" in needs.table(jobs)


@pytest.mark.parametrize("text", ["", "{}", "[]", "null", '{"a": {}}', '{"a": {"result": "odd"}}', "no"])
def test_what_is_no_needs_fails_rather_than_passes(text: str) -> None:
    with pytest.raises(SettingsError, match="needed job"):
        needs.parse(text)
