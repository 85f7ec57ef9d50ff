"""The API's routes: each a few lines between a request and the store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipeline.local.forge.github_routing import Refused, one, route, user

if TYPE_CHECKING:
    from pipeline.local.forge.github_api import Request

_TALK = ("issues:read", "pull_requests:read")
_WRITE = ("issues:write", "pull_requests:write")


@route("GET", "")
def repository(ask: Request) -> Any:
    return ask.api.shapes.repository()


# --- issues and their comments; a pull request is an issue, too


def _issue(ask: Request, number: int) -> tuple[dict[str, Any], bool]:
    pull = ask.store.get("pulls", number)
    return (pull, True) if pull is not None else (one(ask.store.get("issues", number)), False)


@route("GET", "/issues/{number}/comments", *_TALK)
def comments(ask: Request) -> Any:
    _issue(ask, ask.number())
    return ask.page([ask.api.shapes.comment(each) for each in ask.store.comments(ask.number())])


@route("POST", "/issues/{number}/comments", *_WRITE)
def comment(ask: Request) -> Any:
    _issue(ask, ask.number())
    made = ask.store.comment(ask.number(), ask.text("body", "IssueComment"), user(ask.login))
    return 201, ask.api.shapes.comment(made), {}


@route("PATCH", "/issues/comments/{number}", *_WRITE)
def edit_comment(ask: Request) -> Any:
    return ask.api.shapes.comment(one(ask.store.edit_comment(ask.number(), ask.text("body", "IssueComment"))))


@route("DELETE", "/issues/comments/{number}", *_WRITE)
def delete_comment(ask: Request) -> Any:
    if not ask.store.delete_comment(ask.number()):
        raise Refused(404, "Not Found")
    return 204, None, {}


@route("GET", "/issues", *_TALK)
def issues(ask: Request) -> Any:
    state, labels = ask.query.get("state", "open"), set(filter(None, ask.query.get("labels", "").split(",")))
    both = [(each, False) for each in ask.store.all("issues")] + [(e, True) for e in ask.store.all("pulls")]
    found = [ask.api.shapes.issue(each, pull=pull) for each, pull in both if _state(each, state)]
    chosen = [each for each in found if labels <= {label["name"] for label in each["labels"]}]
    return ask.page(sorted(chosen, key=lambda each: -int(each["number"])))


@route("POST", "/issues", "issues:write")
def open_issue(ask: Request) -> Any:
    body = ask.text("body", "Issue", required=False) if "body" in ask.data else ""
    labels = [str(each) for each in ask.data.get("labels") or ()]
    data = {"title": ask.text("title", "Issue"), "body": body, "labels": labels}
    made = ask.store.put("issues", {**data, "state": "open", "user": user(ask.login)})
    return 201, ask.api.shapes.issue(made), {}


@route("GET", "/issues/{number}", *_TALK)
def issue(ask: Request) -> Any:
    found, pull = _issue(ask, ask.number())
    return ask.api.shapes.issue(found, pull=pull)


_ISSUE = ("title", "body", "state")


@route("PATCH", "/issues/{number}", *_WRITE)
def edit_issue(ask: Request) -> Any:
    _, pull = _issue(ask, ask.number())
    changes: dict[str, Any] = {key: ask.text(key, "Issue") for key in _ISSUE if key in ask.data}
    if changes.get("state", "open") not in ("open", "closed"):
        raise Refused(422, "Validation Failed", [{"resource": "Issue", "field": "state", "code": "invalid"}])
    made = ask.store.change("pulls" if pull else "issues", ask.number(), changes)
    return ask.api.shapes.issue(one(made), pull=pull)


def _state(data: dict[str, Any], wanted: str) -> bool:
    return wanted == "all" or data.get("state", "open") == wanted


# --- pull requests


@route("GET", "/pulls", "pull_requests:read")
def pulls(ask: Request) -> Any:
    state, head, base = ask.query.get("state", "open"), ask.query.get("head"), ask.query.get("base")
    found = [
        ask.api.shapes.pull(each)
        for each in reversed(ask.store.all("pulls"))
        if _state(each, state)
        and (not base or each["base"]["ref"] == base)
        # `owner:branch`
        and (not head or head in (each["head"].get("label"), _label(each)))
    ]
    return ask.page(found)


def _label(pull: dict[str, Any]) -> str:
    owner = str((pull["head"].get("repo") or {}).get("full_name", "")).partition("/")[0]
    return f"{owner}:{pull['head']['ref']}"


@route("GET", "/pulls/{number}", "pull_requests:read")
def pull(ask: Request) -> Any:
    return ask.api.shapes.pull(one(ask.store.get("pulls", ask.number())))


@route("GET", "/commits/{sha}/pulls", "pull_requests:read")
def pulls_of_commit(ask: Request) -> Any:
    """Those that brought the commit: it is their head, one of their commits, or what merged them."""
    sha = ask.found["sha"]
    found = [
        ask.api.shapes.pull(each)
        for each in reversed(ask.store.all("pulls"))
        if sha in (each["head"]["sha"], each.get("merge_commit_sha"), *each.get("commits", ()))
    ]
    return ask.page(found)


# --- runs and artifacts


@route("GET", "/actions/runs/{number}", "actions:read")
def run(ask: Request) -> Any:
    return ask.api.shapes.run(one(ask.store.get("runs", ask.number())))


@route("GET", "/actions/runs/{number}/approvals", "actions:read")
def approvals(ask: Request) -> Any:
    """What reviewers said of the run's environments; kept as documents of `approvals`."""
    one(ask.store.get("runs", ask.number()))
    return [each for each in ask.store.all("approvals") if each["run"] == ask.number()]


@route("GET", "/actions/workflows/{file}/runs", "actions:read")
def runs(ask: Request) -> Any:
    wanted = {"head_branch": "branch", "event": "event", "head_sha": "head_sha"}
    status = ask.query.get("status")
    found = [
        ask.api.shapes.run(each)
        for each in reversed(ask.store.all("runs"))
        if str(each.get("path", "")).rpartition("/")[2] == ask.found["file"]
        and all(ask.query.get(q) in (None, each.get(field)) for field, q in wanted.items())
        # One parameter for both: https://docs.github.com/en/rest/actions/workflow-runs
        and (not status or status in (each.get("status"), each.get("conclusion")))
    ]
    return ask.page(found, "workflow_runs")


@route("GET", "/actions/artifacts", "actions:read")
def artifacts(ask: Request) -> Any:
    return _artifacts(ask, ask.store.all("artifacts"))


@route("GET", "/actions/runs/{number}/artifacts", "actions:read")
def artifacts_of_run(ask: Request) -> Any:
    one(ask.store.get("runs", ask.number()))
    return _artifacts(ask, [each for each in ask.store.all("artifacts") if each["run"] == ask.number()])


def _artifacts(ask: Request, found: list[dict[str, Any]]) -> Any:
    name = ask.query.get("name")
    shown = [ask.api.shapes.artifact(each) for each in reversed(found) if name in (None, each["name"])]
    return ask.page(shown, "artifacts")


@route("GET", "/actions/artifacts/{number}", "actions:read")
def artifact(ask: Request) -> Any:
    return ask.api.shapes.artifact(one(ask.store.get("artifacts", ask.number())))


@route("GET", "/actions/artifacts/{number}/zip", "actions:read")
def archive(ask: Request) -> Any:
    """A redirect to an address that needs no token, as GitHub's storage."""
    found = one(ask.store.get("artifacts", ask.number()))
    if found.get("expired"):
        raise Refused(410, "Artifact has expired")
    ticket = found["digest"].removeprefix("sha256:")[:32]
    return 302, None, {"Location": f"{ask.api.url}/_archives/{ticket}/{found['id']}"}


# --- statuses and checks


@route("POST", "/statuses/{sha}", "statuses:write")
def set_status(ask: Request) -> Any:
    state = ask.text("state", "Status")
    if state not in ("error", "failure", "pending", "success"):
        raise Refused(422, "Validation Failed", [{"resource": "Status", "field": "state", "code": "invalid"}])
    data = {key: ask.data.get(key) for key in ("target_url", "description", "context")}
    made = ask.store.put(
        "statuses", {**data, "state": state, "sha": ask.found["sha"], "creator": user(ask.login)}
    )
    return 201, made, {}


@route("GET", "/commits/{sha}/statuses", "statuses:read")
def statuses(ask: Request) -> Any:
    return ask.page([e for e in reversed(ask.store.all("statuses")) if e["sha"] == ask.found["sha"]])


@route("POST", "/check-runs", "checks:write")
def open_check(ask: Request) -> Any:
    kept = {key: ask.data[key] for key in _CHECK if key in ask.data}
    name, sha = ask.text("name", "CheckRun"), ask.text("head_sha", "CheckRun")
    made = ask.store.put(
        "checks", {"status": "queued", "conclusion": None, **kept, "name": name, "head_sha": sha}
    )
    return 201, made, {}


@route("PATCH", "/check-runs/{number}", "checks:write")
def edit_check(ask: Request) -> Any:
    kept = {key: ask.data[key] for key in _CHECK if key in ask.data}
    return one(ask.store.change("checks", ask.number(), kept))


@route("GET", "/commits/{sha}/check-runs", "checks:read")
def checks(ask: Request) -> Any:
    found = [e for e in ask.store.all("checks") if e["head_sha"] == ask.found["sha"]]
    return ask.page(found, "check_runs")


_CHECK = ("status", "conclusion", "output", "details_url", "external_id", "started_at", "completed_at")
