"""GitHub Actions' variables and event payload, as a Context.

Variables: https://docs.github.com/en/actions/reference/workflows-and-actions/variables
Payloads:  https://docs.github.com/en/webhooks/webhook-events-and-payloads
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.ci.context import Context, Event, commit
from pipeline.errors import SettingsError

# GITHUB_EVENT_NAME -> ours. A push of a tag is told by its ref.
EVENTS: dict[str, Event] = {
    "pull_request": "pull_request",
    "merge_group": "merge_group",
    "push": "push",
    "workflow_dispatch": "manual",
    "schedule": "schedule",
    "workflow_run": "workflow_run",
}


def context(environment: Mapping[str, str]) -> Context:
    """The context of this job.

    Raises:
        SettingsError: an event that no workflow of ours has, or variables that are missing.
    """
    name = environment.get("GITHUB_EVENT_NAME", "")
    event = EVENTS.get(name)
    if event is None:
        raise SettingsError(
            f"no workflow of this repository is for the event {name!r}",
            where="GITHUB_EVENT_NAME",
            hint=f"known: {', '.join(EVENTS)}; pull_request_target is left out on purpose",
        )
    payload = _payload(environment)
    ref = environment.get("GITHUB_REF", "")
    if event == "push" and ref.startswith("refs/tags/"):
        event = "tag"
    sha = commit(environment.get("GITHUB_SHA"))
    repository = environment.get("GITHUB_REPOSITORY", "")
    if not sha or "/" not in repository:
        raise SettingsError(
            "the job's commit or repository is not known", where="GITHUB_SHA, GITHUB_REPOSITORY"
        )
    server = environment.get("GITHUB_SERVER_URL", "https://github.com")
    run = environment.get("GITHUB_RUN_ID", "")
    common: dict[str, Any] = {
        "event": event,
        "repository": repository,
        "ref": ref,
        "sha": sha,
        "head": sha,
        "actor": environment.get("GITHUB_ACTOR", ""),
        "run_url": f"{server}/{repository}/actions/runs/{run}" if run else "",
        "run_id": run,
        "attempt": int(environment.get("GITHUB_RUN_ATTEMPT") or 1),
        "service": "GitHub Actions",
        "api_url": environment.get("GITHUB_API_URL", "https://api.github.com"),
        "server_url": server,
        "workflow": _workflow(environment),
        "payload": payload,
    }
    return Context(**{**common, **_of_event(event, payload)})


def _of_event(event: Event, payload: Mapping[str, Any]) -> dict[str, Any]:
    if event == "pull_request":
        asked = _table(payload, "pull_request")
        head, base = _table(asked, "head"), _table(asked, "base")
        theirs, ours = _table(head, "repo").get("full_name"), _table(base, "repo").get("full_name")
        return {
            "ref": f"refs/heads/{base.get('ref', '')}",
            "head": commit(head.get("sha")),
            "base": commit(base.get("sha")),
            "pull_request": int(asked.get("number") or payload.get("number") or 0),
            # A fork that was deleted has no repository any more: not ours either.
            "fork": not theirs or theirs != ours,
        }
    if event == "merge_group":
        group = _table(payload, "merge_group")
        return {
            "ref": str(group.get("base_ref") or ""),
            "head": commit(group.get("head_sha")),
            "base": commit(group.get("base_sha")),
        }
    if event == "push":
        return {"base": commit(payload.get("before")), "forced": bool(payload.get("forced"))}
    return {}


def _payload(environment: Mapping[str, str]) -> dict[str, Any]:
    path = environment.get("GITHUB_EVENT_PATH", "")
    try:
        data = json.loads(Path(path).read_text(encoding="utf-8")) if path else {}
    except (OSError, ValueError) as error:
        raise SettingsError(f"the event cannot be read: {error}", where=path) from error
    return data if isinstance(data, dict) else {}


def _table(data: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """A nested object; an empty one where the payload has none."""
    value = data.get(key)
    return value if isinstance(value, dict) else {}


def _workflow(environment: Mapping[str, str]) -> str:
    """From `owner/name/.github/workflows/merge.yml@refs/heads/main`."""
    return environment.get("GITHUB_WORKFLOW_REF", "").partition("@")[0].rpartition("/")[2]
