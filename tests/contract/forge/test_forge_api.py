"""Our GitHub client against our GitHub: what the workflows ask, with the rights they ask it with."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.ci.github import Forge
from pipeline.ci.rest import NotThere, Rest
from pipeline.errors import ApplyError, TargetError
from pipeline.local.forge.github_api import GitHubApi
from pipeline.local.forge.github_store import Store

HEAD, MERGE = "a" * 40, "b" * 40
ALL = {"actions": "read", "pull_requests": "write", "issues": "write", "contents": "read"}


@pytest.fixture
def api(tmp_path: Path) -> Iterator[GitHubApi]:
    with GitHubApi(Store(tmp_path / "forge", "owner/name", repository_id=7)) as running:
        yield running


def forge(api: GitHubApi, rights: dict[str, str] | None = None) -> Forge:
    token = api.store.token(ALL if rights is None else rights)
    return Forge(Rest(api.url, token, sleep=lambda _: None), "owner/name")


def pull(api: GitHubApi, **more: object) -> int:
    head = {"sha": HEAD, "ref": "topic", "repo": {"full_name": "owner/name"}}
    data = {"head": head, "base": {"ref": "main"}, "state": "open", "title": "t", **more}
    return int(api.store.put("pulls", data)["number"])


def answer(
    api: GitHubApi, path: str, token: str = "", method: str = "GET", data: object = None
) -> tuple[int, dict]:
    """A request without our client, to see GitHub's own shapes."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    body = None if data is None else json.dumps(data).encode()
    request = urllib.request.Request(f"{api.url}{path}", data=body, headers=headers, method=method)
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request) as told:
            return told.status, json.load(told)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def test_comments_are_written_changed_and_taken_away(api: GitHubApi) -> None:
    number, ours = pull(api), forge(api)
    url = ours.comment(number, "one")
    assert url == f"https://github.com/owner/name/pull/{number}#issuecomment-1"
    assert ours.edit_comment(1, "two") == url
    found = list(ours.comments(number))
    assert [each["body"] for each in found] == ["two"]
    assert found[0]["user"]["login"] == "github-actions[bot]"
    kept = api.store.folder / "issues" / str(number) / "comments" / "1.md"
    assert kept.read_text() == "two"
    ours.delete_comment(1)
    assert list(ours.comments(number)) == []
    assert not kept.exists()


def test_lists_come_page_by_page(api: GitHubApi) -> None:
    number = pull(api)
    for index in range(230):
        api.store.comment(number, str(index), {"login": "x"})
    ours = forge(api)
    assert [each["body"] for each in ours.comments(number)] == [str(index) for index in range(230)]
    assert sum(path.endswith("/comments") for _, path in api.requests) == 3


def test_pull_requests_are_found_by_the_commit_they_brought(api: GitHubApi) -> None:
    number = pull(api, state="closed", merged_at="2026-11-22T00:00:00Z", merge_commit_sha=MERGE)
    ours = forge(api)
    for sha in (HEAD, MERGE):
        (found,) = ours.pull_requests_of(sha)
        assert (found.number, found.head, found.merged, found.base) == (number, HEAD, True, "main")
    assert ours.pull_requests_of("c" * 40) == []
    assert ours.open_pull_requests("owner", "topic") == []


def test_an_open_pull_request_is_found_by_owner_and_branch(api: GitHubApi) -> None:
    number = pull(api)
    ours = forge(api)
    assert [p.number for p in ours.open_pull_requests("owner", "topic")] == [number]
    assert ours.open_pull_requests("other", "topic") == []


def run(api: GitHubApi, **more: object) -> int:
    data = {
        "event": "pull_request",
        "path": ".github/workflows/pull-request.yml",
        "head_sha": HEAD,
        "head_branch": "topic",
        "status": "completed",
        "conclusion": "success",
    }
    return int(api.store.put("runs", {**data, **more})["id"])


def test_an_artifact_is_downloaded_without_the_token_and_held_against_its_digest(api: GitHubApi) -> None:
    number = run(api)
    api.store.artifact(number, "plan-iris-staging", {"plan.json": b"{}"})
    ours = forge(api)
    (found,) = ours.artifacts(name="plan-iris-staging")
    assert (found.head, found.run, found.own) == (HEAD, number, True)
    assert ours.archive(found)[:2] == b"PK"
    assert list(ours.artifacts(name="other")) == []
    assert [each.id for each in ours.artifacts(run=number)] == [found.id]
    (api.store.folder / "artifacts" / f"{found.id}.zip").write_bytes(b"PK, but another")
    with pytest.raises(ApplyError, match="was changed on its way"):
        ours.archive(found)


def test_an_artifact_of_a_fork_says_so(api: GitHubApi) -> None:
    number = run(api, head_repository={"id": 8, "full_name": "mallory/name"})
    api.store.artifact(number, "plan-iris-staging", {"plan.json": b"{}"})
    (found,) = forge(api).artifacts()
    assert not found.own


def test_successful_runs_of_a_workflow_and_branch(api: GitHubApi) -> None:
    run(api, path=".github/workflows/merge.yml", head_branch="main", head_sha="1" * 40)
    run(api, path=".github/workflows/merge.yml", head_branch="main", head_sha="2" * 40, conclusion="failure")
    run(api, path=".github/workflows/merge.yml", head_branch="main", head_sha="3" * 40)
    run(api, path=".github/workflows/merge.yml", head_branch="other", head_sha="4" * 40)
    run(api, path=".github/workflows/ci.yml", head_branch="main", head_sha="5" * 40)
    assert forge(api).successful_runs("merge.yml", "main") == ["3" * 40, "1" * 40]


def test_issues_by_label_without_pull_requests(api: GitHubApi) -> None:
    pull(api, labels=["drift"])
    ours = forge(api)
    url = ours.open_issue("Drift", "body", "drift")
    assert url == "https://github.com/owner/name/issues/2"
    assert [each["number"] for each in ours.issues("drift")] == [2]
    ours.edit_issue(2, state="closed")
    assert list(ours.issues("drift")) == []


def test_a_token_can_do_what_the_job_may_and_no_more(api: GitHubApi) -> None:
    number = pull(api)
    reader = forge(api, {"pull_requests": "read"})
    assert list(reader.comments(number)) == []
    with pytest.raises(TargetError, match=r"403.*not accessible by integration"):
        reader.comment(number, "x")
    nobody = forge(api, {})
    with pytest.raises(TargetError, match="403"):
        list(nobody.artifacts())


def test_errors_have_githubs_shapes(api: GitHubApi) -> None:
    number = pull(api)
    token = api.store.token(ALL)
    comments = f"/repos/owner/name/issues/{number}/comments"
    status, told = answer(api, comments, "ghs_wrong")
    assert (status, told["message"], told["status"]) == (401, "Bad credentials", "401")
    assert answer(api, comments, token, "POST", {})[1]["errors"] == [
        {"resource": "IssueComment", "field": "body", "code": "missing_field"}
    ]
    status, told = answer(api, comments, token, "POST", {"body": "x" * 65_537})
    assert status == 422
    assert told["errors"][0]["message"] == "Body is too long (maximum is 65536 characters)"
    assert answer(api, "/repos/owner/name/issues/99/comments", token)[0] == 404
    assert answer(api, "/repos/owner/other/issues", token)[0] == 404
    # A private repository does not exist for somebody without a token.
    assert answer(api, "/repos/owner/name")[0] == 404


def test_a_withdrawn_token_is_nobodys(api: GitHubApi) -> None:
    token = api.store.token(ALL)
    assert answer(api, "/repos/owner/name", token)[0] == 200
    api.store.withdraw(token)
    assert answer(api, "/repos/owner/name", token)[0] == 401
    assert token not in (api.store.folder / "tokens.json").read_text()


def test_what_does_not_exist_is_told_apart(api: GitHubApi) -> None:
    with pytest.raises(NotThere):
        forge(api).run(12)


def test_statuses_and_checks_of_a_commit(api: GitHubApi) -> None:
    token = api.store.token({"statuses": "write", "checks": "write"})
    at = "/repos/owner/name"
    assert (
        answer(api, f"{at}/statuses/{HEAD}", token, "POST", {"state": "success", "context": "required"})[0]
        == 201
    )
    assert answer(api, f"{at}/statuses/{HEAD}", token, "POST", {"state": "odd"})[0] == 422
    made = answer(api, f"{at}/check-runs", token, "POST", {"name": "required", "head_sha": HEAD})[1]
    done = {"status": "completed", "conclusion": "success"}
    assert answer(api, f"{at}/check-runs/{made['id']}", token, "PATCH", done)[1]["conclusion"] == "success"
    assert answer(api, f"{at}/commits/{HEAD}/check-runs", token)[1]["check_runs"][0]["name"] == "required"


def test_another_process_sees_what_was_written(api: GitHubApi) -> None:
    """The hook writes the folder while the server of the runs reads it."""
    number = pull(api)
    again = Store(api.store.folder, "owner/name", repository_id=7)
    again.comment(number, "from the hook", {"login": "x"})
    assert [each["body"] for each in forge(api).comments(number)] == ["from the hook"]
