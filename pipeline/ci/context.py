"""What happened in the repository, in one form for every build service."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from typing import Any, Literal

# What the rest of this room distinguishes; each service has many more names for them.
Event = Literal["pull_request", "merge_group", "push", "tag", "manual", "schedule", "workflow_run"]

_SHA = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_ZERO = re.compile(r"0+")


@dataclass(frozen=True)
class Context:
    """One build.

    Args:
        event: what happened.
        repository: owner/name.
        ref: the full git ref, such as `refs/heads/main`; for a pull request the branch it is for.
        sha: the commit that is checked out and judged.
        head: the commit a person pushed: of a pull request its head, else `sha`.
        base: the commit to compare with; empty where there is none (a first push, a tag, a schedule).
        forced: the branch was rewritten, so `base` may not be an ancestor, or not exist any more.
        pull_request: its number; 0 without one.
        fork: the pull request comes from another repository, so nothing here may hold a credential.
        actor: who caused it.
        run_url: the page of this build.
        run_id: the service's own id of it.
        attempt: 1 for the first try.
        service: for messages; never branched on.
        api_url: of the forge's REST API; empty where it is not known.
        server_url: what links to the forge begin with.
        workflow: file name of the workflow, such as `merge.yml`; empty outside GitHub Actions.
        payload: the event as it came, for the few fields that only one verb needs. Written by others.
    """

    event: Event
    repository: str
    ref: str
    sha: str
    head: str
    base: str = ""
    forced: bool = False
    pull_request: int = 0
    fork: bool = False
    actor: str = ""
    run_url: str = ""
    run_id: str = ""
    attempt: int = 1
    service: str = ""
    api_url: str = ""
    server_url: str = ""
    workflow: str = ""
    payload: dict[str, Any] | None = None

    @property
    def branch(self) -> str:
        """Of a push or a pull request's target: the branch's name; empty for a tag."""
        return self.ref.removeprefix("refs/heads/") if self.ref.startswith("refs/heads/") else ""

    @property
    def tag(self) -> str:
        """The tag's name; empty for anything else."""
        return self.ref.removeprefix("refs/tags/") if self.ref.startswith("refs/tags/") else ""

    def as_dict(self) -> dict[str, Any]:
        """For `--json`: all but the payload."""
        return {key: value for key, value in asdict(self).items() if key != "payload"}


def commit(value: Any) -> str:
    """A commit id as the services write one; empty for none, for zeros and for anything else."""
    text = str(value or "")
    return text if _SHA.fullmatch(text) and not _ZERO.fullmatch(text) else ""
