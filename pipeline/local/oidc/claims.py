"""What GitHub says of a job in its OIDC token: https://docs.github.com/en/actions/reference/security/oidc."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any

ISSUER = "https://token.actions.githubusercontent.com"
# GitHub's tokens hold from ten minutes before they are issued until five minutes after.
LIFETIME_SECONDS = 300
BEFORE_SECONDS = 600


@dataclass(frozen=True)
class Job:
    """The job that asks for a token. Empty text where GitHub says nothing.

    Args:
        repository: owner/name.
        ref: the ref that triggered the run; a pull request's is `refs/pull/N/merge`.
        sha: the commit, 40 hex digits.
        event_name: `push`, `pull_request`, `merge_group`, `release`, `workflow_dispatch`, `schedule`, ...
        environment: of the job, if it has one.
        workflow: the workflow's name; `workflow_path` its file, such as `.github/workflows/deploy.yml`.
        job_workflow_ref: of a called workflow; else it is the workflow's own.
        repository_id, owner_id: numbers; with `immutable`, part of the subject.
        immutable: whether the repository has immutable subjects, as those made since July 2026.
        runner_environment: `github-hosted` or `self-hosted`.
    """

    repository: str
    ref: str
    sha: str
    event_name: str
    environment: str = ""
    workflow: str = ""
    workflow_path: str = ""
    job_workflow_ref: str = ""
    base_ref: str = ""
    head_ref: str = ""
    actor: str = ""
    actor_id: int = 0
    repository_id: int = 0
    owner_id: int = 0
    immutable: bool = False
    repository_visibility: str = "private"
    run_id: int = 1
    run_number: int = 1
    run_attempt: int = 1
    runner_environment: str = "self-hosted"

    @property
    def owner(self) -> str:
        return self.repository.partition("/")[0]

    @property
    def default_audience(self) -> str:
        """What `aud` is when the job names none."""
        return f"https://github.com/{self.owner}"


def subject(job: Job) -> str:
    """The `sub` claim: by environment, else by pull request, else by ref.

    A merge queue's run has the ref of its own branch, `refs/heads/gh-readonly-queue/...`. A colon inside
    a value becomes `%3A`.
    """
    owner, _, name = job.repository.partition("/")
    prefix = (
        f"repo:{owner}@{job.owner_id}/{name}@{job.repository_id}" if job.immutable else f"repo:{owner}/{name}"
    )
    if job.environment:
        return f"{prefix}:environment:{job.environment.replace(':', '%3A')}"
    if job.event_name == "pull_request":
        return f"{prefix}:pull_request"
    return f"{prefix}:ref:{job.ref.replace(':', '%3A')}"


def claims(job: Job, audience: str, now: float) -> dict[str, Any]:
    """All claims of a token issued at `now` (seconds since the epoch); GitHub writes its numbers as text."""
    issued = int(now)
    workflow_ref = f"{job.repository}/{job.workflow_path}@{job.ref}"
    return {
        "jti": str(uuid.uuid4()),
        "iss": ISSUER,
        "sub": subject(job),
        "aud": audience,
        "iat": issued,
        "nbf": issued - BEFORE_SECONDS,
        "exp": issued + LIFETIME_SECONDS,
        "actor": job.actor,
        "actor_id": str(job.actor_id),
        "base_ref": job.base_ref,
        "event_name": job.event_name,
        "head_ref": job.head_ref,
        "job_workflow_ref": job.job_workflow_ref or workflow_ref,
        "job_workflow_sha": job.sha,
        "ref": job.ref,
        "ref_type": "tag" if job.ref.startswith("refs/tags/") else "branch",
        "repository": job.repository,
        "repository_id": str(job.repository_id),
        "repository_owner": job.owner,
        "repository_owner_id": str(job.owner_id),
        "repository_visibility": job.repository_visibility,
        "run_attempt": str(job.run_attempt),
        "run_id": str(job.run_id),
        "run_number": str(job.run_number),
        "runner_environment": job.runner_environment,
        "sha": job.sha,
        "workflow": job.workflow,
        "workflow_ref": workflow_ref,
        "workflow_sha": job.sha,
        **({"environment": job.environment} if job.environment else {}),
    }
