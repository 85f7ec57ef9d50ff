"""The comment, the reviewed plan and the drift issue, against the local GitHub."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.ci import comment, deployed, issue, reviewed
from pipeline.ci.bundle import Bundle, write
from pipeline.ci.context import Context
from pipeline.ci.github import Forge
from pipeline.ci.rest import Rest
from pipeline.errors import ApplyError
from pipeline.local.forge.github_api import GitHubApi
from pipeline.local.forge.github_store import Store

HEAD, MERGE, DIGEST = "a" * 40, "b" * 40, "d" * 64
FORK = {"id": 9, "full_name": "mallory/name"}
WORKFLOW = ".github/workflows/pull-request.yml"


@pytest.fixture
def api(tmp_path: Path) -> Iterator[GitHubApi]:
    with GitHubApi(Store(tmp_path / "forge", "owner/name", repository_id=7)) as running:
        yield running


@pytest.fixture
def forge(api: GitHubApi) -> Forge:
    # The rights of comment.yml, merge.yml and schedule.yml together.
    rights = {"contents": "read", "actions": "read", "pull_requests": "write", "issues": "write"}
    return Forge(Rest(api.url, api.store.token(rights), sleep=lambda _: None), "owner/name")


def context(run: int = 0) -> Context:
    return Context(
        event="workflow_run" if run else "push",
        repository="owner/name",
        ref="refs/heads/main",
        sha=MERGE,
        head=MERGE,
        server_url="https://github.com",
        workflow="merge.yml",
        payload={"workflow_run": {"id": run}},
    )


def run(api: GitHubApi, **more: object) -> int:
    data = {
        "event": "pull_request",
        "path": WORKFLOW,
        "head_sha": HEAD,
        "head_branch": "topic",
        "status": "completed",
        "conclusion": "success",
    }
    return int(api.store.put("runs", {**data, **more})["id"])


def pull(api: GitHubApi, *, fork: bool = False, **more: object) -> int:
    head = {"sha": HEAD, "ref": "topic", "repo": FORK if fork else {"full_name": "owner/name"}}
    return int(
        api.store.put("pulls", {"head": head, "base": {"ref": "main"}, "state": "open", **more})["number"]
    )


def merged(api: GitHubApi) -> int:
    return pull(api, state="closed", merged_at="2026-11-22T00:00:00Z", merge_commit_sha=MERGE)


def keep(api: GitHubApi, tmp_path: Path, run: int, name: str = "plan-iris-staging", **more: object) -> None:
    data: dict[str, object] = {
        "pipeline": "iris",
        "environment": "staging",
        "head": HEAD,
        "digest": DIGEST,
        "changes": True,
        "offline": False,
        "failed": False,
        "files": {},
        "report": "The plan.",
        "plan": b"{}",
    }
    folder = tmp_path / f"artifact-{run}-{name}"
    write(folder, Bundle(**{**data, **more}))  # type: ignore[arg-type]
    api.store.artifact(run, name, {path.name: path.read_bytes() for path in folder.iterdir()})


# --- the comment


def bodies(api: GitHubApi, number: int) -> list[str]:
    return [each["body"] for each in api.store.comments(number)]


def test_the_comment_is_written_once_and_replaced(api: GitHubApi, forge: Forge, tmp_path: Path) -> None:
    number = pull(api)
    first = run(api)
    keep(api, tmp_path, first)
    url = comment.publish(context(first), forge)
    assert url == f"https://github.com/owner/name/pull/{number}#issuecomment-1"
    second = run(api)
    keep(api, tmp_path, second, report="Another plan.")
    assert comment.publish(context(second), forge) == url
    (body,) = bodies(api, number)
    assert "Another plan." in body
    assert "The plan." not in body


def test_a_comment_of_somebody_else_with_our_marker_is_left(
    api: GitHubApi, forge: Forge, tmp_path: Path
) -> None:
    number = pull(api)
    api.store.comment(number, f"{comment.MARKER} fooled?", {"login": "mallory"})
    last = run(api)
    keep(api, tmp_path, last)
    comment.publish(context(last), forge)
    assert bodies(api, number)[0].endswith("fooled?")
    assert len(bodies(api, number)) == 2


def test_plans_stand_in_the_order_of_deployment(api: GitHubApi, forge: Forge, tmp_path: Path) -> None:
    number = pull(api)
    last = run(api)
    for environment in ("another", "production", "staging"):
        keep(api, tmp_path, last, f"plan-iris-{environment}", environment=environment)
    comment.publish(context(last), forge, ["staging", "production"])
    (body,) = bodies(api, number)
    assert body.index("| staging |") < body.index("| production |") < body.index("| another |")


def test_doubles_are_taken_away(api: GitHubApi, forge: Forge, tmp_path: Path) -> None:
    number = pull(api)
    for _ in range(3):
        api.store.comment(number, comment.MARKER, {"login": "github-actions[bot]"})
    last = run(api)
    keep(api, tmp_path, last)
    comment.publish(context(last), forge)
    assert len(bodies(api, number)) == 1


def test_a_forks_plan_reaches_its_own_pull_request(api: GitHubApi, forge: Forge, tmp_path: Path) -> None:
    ours, theirs = pull(api), pull(api, fork=True)
    last = run(api, head_repository=FORK)
    keep(api, tmp_path, last, offline=True, digest="")
    comment.publish(context(last), forge)
    assert bodies(api, ours) == []
    assert "From a fork" in bodies(api, theirs)[0]


def test_a_fork_cannot_pass_its_plan_for_one_with_credentials(
    api: GitHubApi, forge: Forge, tmp_path: Path
) -> None:
    number = pull(api, fork=True)
    last = run(api, head_repository=FORK)
    keep(api, tmp_path, last)
    comment.publish(context(last), forge)
    assert "cannot have had" in bodies(api, number)[0]
    assert "The plan." not in bodies(api, number)[0]


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("plan-iris-production", {}),
        ("plan-mnist-staging", {}),
        ("plan-iris-staging", {"head": MERGE}),
    ],
)
def test_a_plan_under_another_name_or_of_another_commit_is_not_shown(
    api: GitHubApi, forge: Forge, tmp_path: Path, name: str, fields: dict[str, object]
) -> None:
    number = pull(api)
    last = run(api)
    keep(api, tmp_path, last, name, **fields)
    comment.publish(context(last), forge)
    assert "not shown" in bodies(api, number)[0]


def test_an_artifact_that_is_no_plan_does_not_keep_the_others_from_being_shown(
    api: GitHubApi, forge: Forge, tmp_path: Path
) -> None:
    number = pull(api)
    last = run(api)
    keep(api, tmp_path, last)
    api.store.artifact(last, "plan-evil", {"run.sh": b"rm -rf /"})
    api.store.artifact(last, "coverage", {"x": b""})
    comment.publish(context(last), forge)
    (body,) = bodies(api, number)
    assert "The plan." in body
    assert "not shown" in body
    assert "coverage" not in body


def test_nothing_is_written_for_another_workflow_or_a_moved_branch(api: GitHubApi, forge: Forge) -> None:
    number = pull(api)
    with pytest.raises(ApplyError, match="is not one of"):
        comment.publish(context(run(api, path=".github/workflows/evil.yml")), forge)
    assert comment.publish(context(run(api, head_sha="c" * 40)), forge) == ""
    assert bodies(api, number) == []


# --- the reviewed plan


def find(forge: Forge, *commits: str) -> reviewed.Reviewed | None:
    return reviewed.find(forge, context(), commits or (MERGE,), "iris", "staging")


def test_the_plan_of_the_merged_pull_request_is_found_by_its_head(
    api: GitHubApi, forge: Forge, tmp_path: Path
) -> None:
    number = merged(api)
    keep(api, tmp_path, run(api, head_sha="e" * 40), head="e" * 40)  # an earlier push to the same branch
    keep(api, tmp_path, run(api))
    found = find(forge)
    assert found is not None
    assert (found.pull_request, found.bundle.digest, found.bundle.head) == (number, DIGEST, HEAD)


def test_the_merge_queues_plan_is_of_the_commit_itself(api: GitHubApi, forge: Forge, tmp_path: Path) -> None:
    merged(api)
    keep(api, tmp_path, run(api))
    keep(api, tmp_path, run(api, event="merge_group", head_sha=MERGE), head=MERGE, report="queue")
    found = find(forge)
    assert found is not None
    assert found.bundle.report == "queue"


def test_a_push_without_a_pull_request_has_none(forge: Forge) -> None:
    assert find(forge) is None


def test_an_older_pull_request_of_the_same_push_counts(api: GitHubApi, forge: Forge, tmp_path: Path) -> None:
    """The newer one did not concern this pipeline, or its run was given up before it was applied."""
    merged(api)
    keep(api, tmp_path, run(api))
    found = find(forge, "f" * 40, MERGE)
    assert found is not None


def test_a_merged_pull_request_without_a_plan_is_refused(api: GitHubApi, forge: Forge) -> None:
    number = merged(api)
    with pytest.raises(ApplyError, match=f"#{number} has no plan"):
        find(forge)


def test_an_open_pull_request_is_nobodys_review(api: GitHubApi, forge: Forge) -> None:
    pull(api, merge_commit_sha=MERGE)
    assert find(forge) is None


@pytest.mark.parametrize(
    ("of_run", "of_plan", "why"),
    [
        ({"head_repository": FORK}, {}, "made by a fork"),
        ({"path": ".github/workflows/evil.yml"}, {}, "is not from"),
        ({"event": "push"}, {}, "is not from"),
        ({}, {"failed": True, "digest": "", "plan": b""}, "without a plan that can be applied"),
        ({}, {"offline": True, "digest": ""}, "without a plan that can be applied"),
        ({}, {"environment": "production"}, "is for iris in production"),
    ],
)
def test_a_plan_from_elsewhere_is_refused(
    api: GitHubApi,
    forge: Forge,
    tmp_path: Path,
    of_run: dict[str, object],
    of_plan: dict[str, object],
    why: str,
) -> None:
    merged(api)
    keep(api, tmp_path, run(api, **of_run), **of_plan)
    with pytest.raises(ApplyError, match=why):
        find(forge)


def test_a_plan_that_was_changed_in_storage_is_refused(api: GitHubApi, forge: Forge, tmp_path: Path) -> None:
    merged(api)
    keep(api, tmp_path, run(api))
    (archive,) = (api.store.folder / "artifacts").glob("*.zip")
    archive.write_bytes(archive.read_bytes() + b"x")
    with pytest.raises(ApplyError, match="changed on its way"):
        find(forge)


def test_an_artifact_that_ended_is_not_found(api: GitHubApi, forge: Forge, tmp_path: Path) -> None:
    merged(api)
    keep(api, tmp_path, run(api))
    api.store.change("artifacts", 1, {"expired": True})
    with pytest.raises(ApplyError, match="no plan"):
        find(forge)


def test_who_let_a_run_into_an_environment(api: GitHubApi, forge: Forge) -> None:
    last = run(api)
    assert forge.approvals(last) == []
    said = {"environments": [{"id": 1, "name": "production"}], "user": {"login": "bob"}, "comment": "go"}
    api.store.put("approvals", {"run": last, "state": "approved", **said})
    api.store.put("approvals", {"run": last + 1, "state": "rejected", **said})
    (review,) = forge.approvals(last)
    assert (review.approved, review.environments, review.login) == (True, ("production",), "bob")


# --- drift


def test_one_issue_is_opened_refreshed_and_closed(api: GitHubApi, forge: Forge) -> None:
    assert issue.refresh(forge, "staging", {}, "url") == ""
    url = issue.refresh(forge, "staging", {"iris": "A role was changed."}, "https://run/1")
    assert issue.refresh(forge, "staging", {"iris": "Two roles.", "mnist": "Gone."}, "https://run/2") == url
    other = issue.refresh(forge, "production", {"iris": "Another."}, "https://run/3")
    assert other != url
    (kept, second) = api.store.all("issues")
    assert kept["title"] == "Drift in staging: iris, mnist"
    assert "Two roles." in kept["body"]
    assert "A role was changed." not in kept["body"]
    assert issue.refresh(forge, "staging", {}, "https://run/4") == url
    assert [each["state"] for each in api.store.all("issues")] == ["closed", "open"]
    assert second["title"] == "Drift in production: iris"
    # It drifts again: a new issue, the closed one stays history.
    assert issue.refresh(forge, "staging", {"iris": "Again."}, "https://run/5") != url


def test_a_report_longer_than_an_issue_is_cut(api: GitHubApi, forge: Forge) -> None:
    issue.refresh(forge, "staging", {"iris": "x" * 100_000, "mnist": "y" * 100_000}, "url")
    (kept,) = api.store.all("issues")
    assert len(kept["body"]) < 65_536
    assert "yyy" in kept["body"]


# --- what was deployed last


def test_the_last_deployed_commit_is_one_this_was_built_on(
    api: GitHubApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import subprocess

    root = tmp_path / "work"
    root.mkdir()

    def git(*words: str) -> str:
        done = subprocess.run(
            ["git", "-C", str(root), "-c", "user.name=t", "-c", "user.email=t@example.org", *words],
            check=True,
            capture_output=True,
            text=True,
        )
        return done.stdout.strip()

    git("init", "-q", "-b", "main")
    commits = []
    for number in range(3):
        git("commit", "-q", "--allow-empty", "-m", str(number))
        commits.append(git("rev-parse", "HEAD"))
    git("checkout", "-q", "--orphan", "other")
    git("commit", "-q", "--allow-empty", "-m", "rewritten")
    foreign = git("rev-parse", "HEAD")
    merge = {"path": ".github/workflows/merge.yml", "event": "push", "head_branch": "main"}
    for sha, conclusion in ((commits[0], "success"), (commits[1], "failure"), (foreign, "success")):
        run(api, head_sha=sha, conclusion=conclusion, **merge)
    monkeypatch.setenv("GITHUB_TOKEN", api.store.token({"actions": "read"}))
    here = replace(context(), sha=commits[2], head=commits[2], base=commits[1], api_url=api.url)
    assert deployed.last(here, root) == commits[0]
    # Nothing is known: the push's own base will do, and that is said.
    assert deployed.last(replace(here, workflow="never.yml"), root) == ""
    monkeypatch.setenv("GITHUB_TOKEN", "ghs_wrong")
    assert deployed.last(here, root) == ""
    monkeypatch.delenv("GITHUB_TOKEN")
    assert deployed.last(here, root) == ""


def test_the_folder_is_for_people_to_read(api: GitHubApi, forge: Forge, tmp_path: Path) -> None:
    number = pull(api)
    last = run(api)
    keep(api, tmp_path, last)
    comment.publish(context(last), forge)
    written = api.store.folder / "issues" / str(number) / "comments" / "1.md"
    assert written.read_text().startswith(comment.MARKER)
    assert json.loads(written.with_suffix(".json").read_text())["user"]["login"] == "github-actions[bot]"
