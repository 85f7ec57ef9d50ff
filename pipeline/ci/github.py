"""What we ask of the forge: pull requests, runs, artifacts, comments, issues. The shapes are GitHub's."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.ci.context import Context
from pipeline.ci.rest import NotThere, Rest
from pipeline.errors import ApplyError

TOKEN = "GITHUB_TOKEN"
_REPOSITORY = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]*/[A-Za-z0-9._-]+")


@dataclass(frozen=True)
class PullRequest:
    """A pull request: its number, the commit it ends with, where that commit was pushed."""

    number: int
    head: str
    head_repository: str
    base: str
    merged: bool
    open: bool


@dataclass(frozen=True)
class Artifact:
    """What a run kept.

    Args:
        digest: `sha256:<hex>` of the archive, as the forge computed it; empty if it does not say.
        own: the run was one of this repository itself, not of a fork.
    """

    id: int
    name: str
    bytes: int
    digest: str
    run: int
    head: str
    own: bool


@dataclass(frozen=True)
class Run:
    """A workflow run: what started it, on which commit of which repository, by which file."""

    id: int
    event: str
    path: str
    head: str
    head_repository: str
    head_branch: str
    conclusion: str


@dataclass(frozen=True)
class Review:
    """What a reviewer of environments said about a run."""

    approved: bool
    environments: tuple[str, ...]
    login: str
    comment: str


class Forge:
    """One repository on GitHub (or on the local remote, which answers the same way)."""

    def __init__(self, rest: Rest, repository: str) -> None:
        if not _REPOSITORY.fullmatch(repository):
            raise ValueError(f"not owner/name: {repository!r}")
        self.rest = rest
        self.repository = repository
        self._at = f"repos/{repository}"

    @classmethod
    def of(cls, context: Context, environment: Mapping[str, str]) -> Forge | None:
        """With the job's token; None if it was not given to this step."""
        token = environment.get(TOKEN, "")
        if not token or not context.api_url:
            return None
        return cls(Rest(context.api_url, token), context.repository)

    def successful_runs(self, workflow: str, branch: str) -> list[str]:
        """Commits whose run of this workflow file ended well, newest first."""
        told = self.rest.get(
            f"{self._at}/actions/workflows/{workflow}/runs", branch=branch, status="success", per_page=20
        )
        return [str(run["head_sha"]) for run in told["workflow_runs"]]

    def run(self, number: int) -> Run:
        """One workflow run."""
        return _run(self.rest.get(f"{self._at}/actions/runs/{number}"))

    def approvals(self, number: int) -> list[Review]:
        """What reviewers said of a run's environments."""
        return [
            Review(
                approved=each.get("state") == "approved",
                environments=tuple(str(e["name"]) for e in each.get("environments") or ()),
                login=str((each.get("user") or {}).get("login", "")),
                comment=str(each.get("comment") or ""),
            )
            for each in self.rest.get(f"{self._at}/actions/runs/{number}/approvals")
        ]

    def pull_requests_of(self, sha: str) -> list[PullRequest]:
        """Pull requests that brought this commit, or that it is part of."""
        try:
            return [_pull(each) for each in self.rest.pages(f"{self._at}/commits/{sha}/pulls")]
        except NotThere:
            return []

    def open_pull_requests(self, owner: str, branch: str) -> list[PullRequest]:
        """Open ones from a branch of `owner`'s repository."""
        return [
            _pull(e) for e in self.rest.pages(f"{self._at}/pulls", state="open", head=f"{owner}:{branch}")
        ]

    def artifacts(self, *, name: str = "", run: int = 0) -> Iterator[Artifact]:
        """Of a run, or of the whole repository, newest first; those that ended are left out."""
        path = f"{self._at}/actions/runs/{run}/artifacts" if run else f"{self._at}/actions/artifacts"
        query = {"name": name} if name else {}
        for each in self.rest.pages(path, key="artifacts", **query):
            if not each.get("expired"):
                yield _artifact(each)

    def archive(self, artifact: Artifact) -> bytes:
        """The artifact's zip.

        Raises:
            ApplyError: it is not the one whose digest the forge told.
        """
        content = self.rest.download(f"{self._at}/actions/artifacts/{artifact.id}/zip")
        found = f"sha256:{hashlib.sha256(content).hexdigest()}"
        if artifact.digest and artifact.digest != found:
            raise ApplyError(
                f"artifact {artifact.name} was changed on its way: {found}, not {artifact.digest}",
                where=f"run {artifact.run}",
            )
        return content

    def comments(self, number: int) -> Iterator[dict[str, Any]]:
        """Of a pull request or issue, oldest first."""
        yield from self.rest.pages(f"{self._at}/issues/{number}/comments")

    def comment(self, number: int, body: str) -> str:
        """Write a new one; its page."""
        return str(self.rest.send("POST", f"{self._at}/issues/{number}/comments", {"body": body})["html_url"])

    def edit_comment(self, comment: int, body: str) -> str:
        """Replace one; its page."""
        told = self.rest.send("PATCH", f"{self._at}/issues/comments/{comment}", {"body": body})
        return str(told["html_url"])

    def delete_comment(self, comment: int) -> None:
        """Take one away."""
        self.rest.send("DELETE", f"{self._at}/issues/comments/{comment}", {})

    def issues(self, label: str) -> Iterator[dict[str, Any]]:
        """Open issues with this label; GitHub lists pull requests among them, and this does not."""
        for each in self.rest.pages(f"{self._at}/issues", state="open", labels=label):
            if "pull_request" not in each:
                yield each

    def open_issue(self, title: str, body: str, label: str) -> str:
        """A new one; its page."""
        data = {"title": title, "body": body, "labels": [label]}
        return str(self.rest.send("POST", f"{self._at}/issues", data)["html_url"])

    def edit_issue(self, number: int, **fields: str) -> str:
        """Change body, title or state; its page."""
        return str(self.rest.send("PATCH", f"{self._at}/issues/{number}", fields)["html_url"])


def _pull(data: Mapping[str, Any]) -> PullRequest:
    return PullRequest(
        number=int(data["number"]),
        head=str(data["head"]["sha"]),
        # A fork that was deleted has none.
        head_repository=str((data["head"].get("repo") or {}).get("full_name", "")),
        base=str(data["base"]["ref"]),
        merged=bool(data.get("merged_at")),
        open=data.get("state") == "open",
    )


def _artifact(data: Mapping[str, Any]) -> Artifact:
    run = data.get("workflow_run") or {}
    ours = run.get("repository_id")
    return Artifact(
        id=int(data["id"]),
        name=str(data["name"]),
        bytes=int(data.get("size_in_bytes") or 0),
        digest=str(data.get("digest") or ""),
        run=int(run.get("id") or 0),
        head=str(run.get("head_sha") or ""),
        own=ours is not None and ours == run.get("head_repository_id"),
    )


def _run(data: Mapping[str, Any]) -> Run:
    return Run(
        id=int(data["id"]),
        event=str(data.get("event") or ""),
        # GitHub appends the ref in some answers: `.github/workflows/x.yml@main`.
        path=str(data.get("path") or "").partition("@")[0],
        head=str(data.get("head_sha") or ""),
        head_repository=str((data.get("head_repository") or {}).get("full_name", "")),
        head_branch=str(data.get("head_branch") or ""),
        conclusion=str(data.get("conclusion") or ""),
    )
