"""What happened, in the shape GitHub tells it: https://docs.github.com/en/webhooks/webhook-events-and-payloads.

An event is a JSON file (a delivery). Times are ISO 8601 in UTC, commits full ids.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pipeline.local.forge import git

OWNER_ID, REPOSITORY_ID = 1, 2


@dataclass(frozen=True)
class Event:
    """One delivery.

    Args:
        name: `push`, `pull_request`, `merge_group`, `workflow_dispatch`, `schedule`, `workflow_run`.
        payload: as GitHub sends it.
        ref: what GITHUB_REF is; `refs/pull/N/merge` for a pull request.
        sha: what is checked out.
        workflows: the commit whose workflow files hold; the default branch's for workflow_run.
        branch: what branch filters look at: the branch pushed, or the one a pull request is for.
        tag: the tag pushed, else "".
        paths: changed files; None where there is nothing to compare.
        base_ref, head_ref: of a pull request, names of branches.
        fork: nothing of it may hold a secret or a right to write.
        cron: of a schedule.
        only: the workflow asked for, of a workflow_dispatch.
    """

    name: str
    payload: dict[str, Any]
    ref: str
    sha: str
    workflows: str
    branch: str = ""
    tag: str = ""
    paths: list[str] | None = None
    base_ref: str = ""
    head_ref: str = ""
    fork: bool = False
    cron: str = ""
    only: str = ""
    actor: str = field(default="you")

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> Event:
        return cls(**data)


@dataclass(frozen=True)
class Repository:
    """The bare repository, and what it is called on the forge."""

    path: Path
    full_name: str
    default_branch: str = "main"

    def facts(self, full_name: str = "") -> dict[str, Any]:
        """`repository` in payloads; of a fork, under the fork's name."""
        owner, _, name = (full_name or self.full_name).partition("/")
        return {
            "id": REPOSITORY_ID if not full_name else REPOSITORY_ID + 1,
            "name": name,
            "full_name": f"{owner}/{name}",
            "owner": {"login": owner, "id": OWNER_ID},
            "private": True,
            "fork": bool(full_name and full_name != self.full_name),
            "default_branch": self.default_branch,
            "html_url": f"https://github.com/{owner}/{name}",
        }


def now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def push(repository: Repository, ref: str, before: str, after: str, actor: str = "you") -> Event:
    """A branch or a tag moved to `after`."""
    tag = ref.removeprefix("refs/tags/") if ref.startswith("refs/tags/") else ""
    branch = "" if tag else ref.removeprefix("refs/heads/")
    commit = git.commit_of(repository.path, after)
    forced = before != git.ZERO and not tag and not git.is_ancestor(repository.path, before, commit)
    head = _commit(repository.path, commit)
    payload = {
        "ref": ref,
        "before": before,
        "after": after,
        "created": before == git.ZERO,
        "deleted": False,
        "forced": forced,
        "base_ref": None,
        "head_commit": head,
        "commits": [] if tag else [head],
        "pusher": {"name": actor},
        **_common(repository, actor),
    }
    paths = None if tag else git.changed(repository.path, before, commit)
    return Event("push", payload, ref, commit, commit, branch, tag, paths, actor=actor)


def pull_request(repository: Repository, pull: Mapping[str, Any], action: str, actor: str = "you") -> Event:
    """A pull request was opened, or its head moved; `pull` is as the forge keeps it."""
    number, base, head = pull["number"], pull["base"], pull["head"]
    payload = {
        "action": action,
        "number": number,
        "pull_request": {
            **{key: pull[key] for key in ("number", "id", "state", "title", "user", "base", "head")},
            "draft": False,
            "merged": bool(pull.get("merged_at")),
            "merge_commit_sha": pull["merge_commit_sha"],
            "html_url": f"https://github.com/{repository.full_name}/pull/{number}",
        },
        **_common(repository, actor),
    }
    return Event(
        "pull_request",
        payload,
        f"refs/pull/{number}/merge",
        pull["merge_commit_sha"],
        pull["merge_commit_sha"],
        base["ref"],
        "",
        git.changed(repository.path, base["sha"], head["sha"]),
        base_ref=base["ref"],
        head_ref=head["ref"],
        fork=bool(head["repo"].get("fork")),
        actor=str(pull["user"]["login"]),
    )


def merge_group(repository: Repository, number: int, base: str, head: str) -> Event:
    """What the merge queue asks before it lets a pull request in."""
    branch = repository.default_branch
    ref = f"refs/heads/gh-readonly-queue/{branch}/pr-{number}-{base}"
    payload = {
        "action": "checks_requested",
        "merge_group": {
            "head_sha": head,
            "head_ref": ref,
            "base_sha": base,
            "base_ref": f"refs/heads/{branch}",
            "head_commit": _commit(repository.path, head),
        },
        **_common(repository, "you"),
    }
    paths = git.changed(repository.path, base, head)
    return Event("merge_group", payload, ref, head, head, branch, "", paths)


def dispatch(repository: Repository, workflow: str, inputs: Mapping[str, str], ref: str) -> Event:
    """Somebody starts a workflow by hand."""
    commit = git.commit_of(repository.path, ref)
    payload = {
        "inputs": dict(inputs),
        "ref": ref,
        "workflow": workflow,
        **_common(repository, "you"),
    }
    branch = ref.removeprefix("refs/heads/")
    return Event("workflow_dispatch", payload, ref, commit, commit, branch, only=workflow)


def schedule(repository: Repository, workflow: str, cron: str) -> Event:
    """The time of a workflow's cron entry has come; on the default branch."""
    ref = f"refs/heads/{repository.default_branch}"
    commit = git.commit_of(repository.path, ref)
    payload = {"schedule": cron, "workflow": workflow, **_common(repository, "you")}
    return Event(
        "schedule", payload, ref, commit, commit, repository.default_branch, cron=cron, only=workflow
    )


def workflow_run(repository: Repository, run: Mapping[str, Any], event: Event) -> Event:
    """A workflow has completed; what answers runs from the default branch, with its rights."""
    ref = f"refs/heads/{repository.default_branch}"
    commit = git.commit_of(repository.path, ref)
    asked = event.payload.get("pull_request") or {}
    head = (asked.get("head") or {}).get("sha") or event.sha
    theirs = (asked.get("head") or {}).get("repo") or repository.facts()
    payload = {
        "action": "completed",
        "workflow_run": {
            "id": run["id"],
            "name": run["name"],
            "path": run["path"],
            "event": event.name,
            "status": "completed",
            "conclusion": run["conclusion"],
            "head_sha": head,
            "head_branch": event.head_ref or event.branch or None,
            "run_number": run["id"],
            "run_attempt": 1,
            "html_url": f"https://github.com/{repository.full_name}/actions/runs/{run['id']}",
            "head_repository": theirs,
            "repository": repository.facts(),
            # GitHub leaves it empty for a fork's pull request.
            "pull_requests": []
            if event.fork or not asked
            else [
                {
                    "number": asked["number"],
                    "head": {"ref": asked["head"]["ref"], "sha": head},
                    "base": {"ref": asked["base"]["ref"], "sha": asked["base"]["sha"]},
                }
            ],
        },
        "workflow": {"name": run["name"], "path": run["path"]},
        **_common(repository, event.actor),
    }
    branch = event.head_ref or event.branch
    return Event("workflow_run", payload, ref, commit, commit, branch, actor=event.actor)


def _common(repository: Repository, actor: str) -> dict[str, Any]:
    return {"repository": repository.facts(), "sender": {"login": actor, "id": 1, "type": "User"}}


def _commit(path: Path, commit: str) -> dict[str, Any]:
    text = git.git(path, "show", "-s", "--format=%H%x00%an%x00%ae%x00%cI%x00%B", commit)
    sha, name, mail, when, message = text.split("\0", 4)
    author = {"name": name, "email": mail}
    return {
        "id": sha,
        "message": message.strip(),
        "timestamp": when,
        "author": author,
        "committer": author,
        "added": [],
        "removed": [],
        "modified": [],
    }
