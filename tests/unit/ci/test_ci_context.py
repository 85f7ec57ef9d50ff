"""One context from two services: the payloads are GitHub's, CodeBuild's variables as recorded from builds.

CodeBuild's values: https://github.com/mocaberos/codebuild, which printed them for each event.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.ci import from_environment
from pipeline.ci.context import Context, commit
from pipeline.errors import SettingsError

EVENTS = Path(__file__).resolve().parents[2] / "fixtures" / "events"
A, B, C = "a" * 40, "b" * 40, "c" * 40


def github(fixture: str, name: str = "", ref: str = "refs/heads/main", **more: str) -> Context:
    return from_environment(
        {
            "GITHUB_ACTIONS": "true",
            "GITHUB_EVENT_NAME": name or fixture,
            "GITHUB_EVENT_PATH": str(EVENTS / f"{fixture}.json"),
            "GITHUB_SHA": C,
            "GITHUB_REF": ref,
            "GITHUB_REPOSITORY": "acme/gitops-ml",
            "GITHUB_RUN_ID": "42",
            "GITHUB_RUN_ATTEMPT": "2",
            "GITHUB_ACTOR": "alice",
            "GITHUB_WORKFLOW_REF": "acme/gitops-ml/.github/workflows/merge.yml@refs/heads/main",
            **more,
        }
    )


def test_a_pull_request_of_the_repository_itself() -> None:
    found = github("pull_request", ref="refs/pull/12/merge")
    assert (found.event, found.pull_request, found.fork) == ("pull_request", 12, False)
    assert (found.base, found.head, found.sha) == (A, B, C)
    assert (found.ref, found.branch, found.tag) == ("refs/heads/main", "main", "")
    assert found.run_url == "https://github.com/acme/gitops-ml/actions/runs/42"
    assert (found.attempt, found.workflow, found.actor) == (2, "merge.yml", "alice")


def test_a_pull_request_of_a_fork_and_of_one_that_was_deleted(tmp_path: Path) -> None:
    assert github("fork", "pull_request").fork
    gone = (EVENTS / "fork.json").read_text().replace('"full_name": "mallory/gitops-ml"', '"full_name": null')
    (tmp_path / "event.json").write_text(gone)
    found = github("fork", "pull_request", GITHUB_EVENT_PATH=str(tmp_path / "event.json"))
    assert found.fork


def test_the_merge_queue() -> None:
    found = github("merge_group", ref="refs/heads/gh-readonly-queue/main/pr-12")
    assert (found.event, found.base, found.head, found.branch) == ("merge_group", A, C, "main")


def test_pushes_and_tags() -> None:
    found = github("push")
    assert (found.event, found.base, found.head, found.forced) == ("push", A, C, False)
    assert github("first_push", "push").base == ""
    tag = github("tag", "push", ref="refs/tags/v1.2.3")
    assert (tag.event, tag.tag, tag.base, tag.branch) == ("tag", "v1.2.3", "", "")


def test_by_hand_by_schedule_and_after_a_run() -> None:
    assert github("workflow_dispatch").event == "manual"
    assert github("schedule").event == "schedule"
    found = github("workflow_run")
    assert (found.event, (found.payload or {})["workflow_run"]["id"]) == ("workflow_run", 1)
    assert "payload" not in found.as_dict()


@pytest.mark.parametrize("name", ["pull_request_target", "issue_comment", ""])
def test_an_event_that_no_workflow_has_is_refused(name: str) -> None:
    with pytest.raises(SettingsError, match="no workflow of this repository"):
        github("push", name, GITHUB_EVENT_NAME=name)


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="neither a job"):
        from_environment({})
    with pytest.raises(SettingsError, match="commit or repository"):
        github("push", GITHUB_SHA="not-a-commit")
    with pytest.raises(SettingsError, match="cannot be read"):
        github("push", GITHUB_EVENT_PATH=str(tmp_path / "none.json"))
    (tmp_path / "broken.json").write_text("{")
    with pytest.raises(SettingsError, match="cannot be read"):
        github("push", GITHUB_EVENT_PATH=str(tmp_path / "broken.json"))


@pytest.mark.parametrize("value", ["0" * 40, "", None, "main", "a" * 39, f"{A}\n", "--upload-pack=x"])
def test_only_a_commit_is_a_commit(value: object) -> None:
    assert commit(value) == ""


def codebuild(**variables: str) -> Context:
    return from_environment(
        {
            "CODEBUILD_BUILD_ID": "codebuild:ed00ef43-f18b-4653-9778-835e910ab2c3",
            "CODEBUILD_BUILD_ARN": "arn:aws:codebuild:ap-northeast-1:085041388644:build/"
            "codebuild:ed00ef43-f18b-4653-9778-835e910ab2c3",
            "CODEBUILD_INITIATOR": "GitHub-Hookshot/1c6af21",
            "CODEBUILD_SOURCE_REPO_URL": "https://github.com/mocaberos/codebuild.git",
            "CODEBUILD_WEBHOOK_ACTOR_ACCOUNT_ID": "88621008",
            **variables,
        }
    )


PUSHED = "6e0de7938dda5363e2192fe2a2ec39987a3573b0"
BEFORE = "ef92d61ca5d9d843a87a4022f99925d2e211a2f4"


def test_codebuild_a_push() -> None:
    found = codebuild(
        CODEBUILD_RESOLVED_SOURCE_VERSION=PUSHED,
        CODEBUILD_SOURCE_VERSION=PUSHED,
        CODEBUILD_WEBHOOK_BASE_REF="",
        CODEBUILD_WEBHOOK_EVENT="PUSH",
        CODEBUILD_WEBHOOK_PREV_COMMIT=BEFORE,
        CODEBUILD_WEBHOOK_HEAD_REF="refs/heads/master",
        CODEBUILD_WEBHOOK_TRIGGER="branch/master",
    )
    assert (found.event, found.sha, found.base, found.branch) == ("push", PUSHED, BEFORE, "master")
    assert (found.repository, found.api_url) == ("mocaberos/codebuild", "https://api.github.com")
    assert found.run_url == (
        "https://ap-northeast-1.console.aws.amazon.com/codesuite/codebuild/085041388644/projects/codebuild"
        "/build/codebuild%3Aed00ef43-f18b-4653-9778-835e910ab2c3"
    )


def test_codebuild_a_branchs_first_push() -> None:
    found = codebuild(
        CODEBUILD_RESOLVED_SOURCE_VERSION=PUSHED,
        CODEBUILD_WEBHOOK_EVENT="PUSH",
        CODEBUILD_WEBHOOK_PREV_COMMIT="0" * 40,
        CODEBUILD_WEBHOOK_HEAD_REF="refs/heads/test",
        CODEBUILD_WEBHOOK_TRIGGER="branch/test",
    )
    assert (found.event, found.base) == ("push", "")


def test_codebuild_a_pull_request() -> None:
    found = codebuild(
        CODEBUILD_RESOLVED_SOURCE_VERSION=PUSHED,
        CODEBUILD_SOURCE_VERSION="pr/2",
        CODEBUILD_WEBHOOK_BASE_REF="refs/heads/master",
        CODEBUILD_WEBHOOK_EVENT="PULL_REQUEST_CREATED",
        CODEBUILD_WEBHOOK_PREV_COMMIT="",
        CODEBUILD_WEBHOOK_HEAD_REF="refs/heads/topic",
        CODEBUILD_WEBHOOK_TRIGGER="pr/2",
    )
    assert (found.event, found.pull_request, found.base) == ("pull_request", 2, "origin/master")
    assert found.branch == "master"


def test_codebuild_a_tag_a_person_and_a_rule() -> None:
    tag = codebuild(
        CODEBUILD_RESOLVED_SOURCE_VERSION=PUSHED,
        CODEBUILD_WEBHOOK_EVENT="PUSH",
        CODEBUILD_WEBHOOK_PREV_COMMIT="0" * 40,
        CODEBUILD_WEBHOOK_HEAD_REF="refs/tags/0.0.1",
        CODEBUILD_WEBHOOK_TRIGGER="tag/0.0.1",
    )
    assert (tag.event, tag.tag) == ("tag", "0.0.1")
    assert codebuild(CODEBUILD_RESOLVED_SOURCE_VERSION=PUSHED, CODEBUILD_INITIATOR="alice").event == "manual"
    assert (
        codebuild(CODEBUILD_RESOLVED_SOURCE_VERSION=PUSHED, CODEBUILD_INITIATOR="rule/x").event == "schedule"
    )


def test_codebuild_without_a_source_is_refused() -> None:
    with pytest.raises(SettingsError, match="commit or repository"):
        codebuild(CODEBUILD_RESOLVED_SOURCE_VERSION="")
