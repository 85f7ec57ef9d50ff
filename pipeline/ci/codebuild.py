"""CodeBuild's variables, as a Context.

https://docs.aws.amazon.com/codebuild/latest/userguide/build-env-ref-env-vars.html

They do not say whether a pull request comes from a fork: a build has the project's role from its first line
on, so the webhook must not start one for a fork (account.yaml's filters and pull request build policy).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pipeline.ci.context import Context, Event, commit
from pipeline.errors import SettingsError

_PULL_REQUEST = re.compile(r"pr/(\d+)")


def context(environment: Mapping[str, str]) -> Context:
    """The context of this build.

    Raises:
        SettingsError: the source's commit or repository is not known.
    """
    sha = commit(environment.get("CODEBUILD_RESOLVED_SOURCE_VERSION"))
    url = environment.get("CODEBUILD_SOURCE_REPO_URL", "")
    repository = _repository(url)
    if not sha or not repository:
        raise SettingsError(
            "the build's commit or repository is not known",
            where="CODEBUILD_RESOLVED_SOURCE_VERSION, CODEBUILD_SOURCE_REPO_URL",
            hint="give the project a GitHub source",
        )
    event, rest = _of_trigger(environment)
    initiator = environment.get("CODEBUILD_INITIATOR", "")
    server = url.split(repository)[0].rstrip("/") or "https://github.com"
    return Context(
        **{
            "event": event,
            "repository": repository,
            "ref": environment.get("CODEBUILD_WEBHOOK_HEAD_REF", ""),
            "sha": sha,
            "head": sha,
            "actor": environment.get("CODEBUILD_WEBHOOK_ACTOR_ACCOUNT_ID") or initiator,
            "run_url": _page(environment),
            "run_id": environment.get("CODEBUILD_BUILD_ID", ""),
            "service": "CodeBuild",
            "api_url": environment.get("GITHUB_API_URL")
            or ("https://api.github.com" if "//github.com" in url else f"{server}/api/v3"),
            "server_url": server,
            **rest,
        }
    )


def _of_trigger(environment: Mapping[str, str]) -> tuple[Event, dict[str, Any]]:
    """What the webhook said; without one somebody (or EventBridge) started the build."""
    said = environment.get("CODEBUILD_WEBHOOK_EVENT", "")
    head = environment.get("CODEBUILD_WEBHOOK_HEAD_REF", "")
    if said.startswith("PULL_REQUEST_") and said not in ("PULL_REQUEST_MERGED", "PULL_REQUEST_CLOSED"):
        number = _PULL_REQUEST.fullmatch(environment.get("CODEBUILD_WEBHOOK_TRIGGER", ""))
        base = environment.get("CODEBUILD_WEBHOOK_BASE_REF", "")
        return "pull_request", {
            "ref": base,
            # The branch, not a commit: the clone's own idea of it.
            "base": f"origin/{base.removeprefix('refs/heads/')}" if base else "",
            "pull_request": int(number[1]) if number else 0,
        }
    if head.startswith("refs/tags/"):
        return "tag", {}
    if head.startswith("refs/heads/"):
        return "push", {"base": commit(environment.get("CODEBUILD_WEBHOOK_PREV_COMMIT"))}
    if environment.get("CODEBUILD_INITIATOR", "").startswith("rule/"):
        return "schedule", {}
    return "manual", {}


def _repository(url: str) -> str:
    """owner/name of an https address; empty for anything else."""
    match = re.fullmatch(r"https?://[^/]+/([^/]+/[^/]+?)(?:\.git)?/?", url)
    return match[1] if match else ""


def _page(environment: Mapping[str, str]) -> str:
    arn = environment.get("CODEBUILD_BUILD_ARN", "").split(":", 5)
    if len(arn) < 6:
        return ""
    build, region, account = arn[5].removeprefix("build/"), arn[3], arn[4]
    project = build.partition(":")[0]
    host = "console.amazonaws.cn" if arn[1] == "aws-cn" else "console.aws.amazon.com"
    return (
        f"https://{region}.{host}/codesuite/codebuild/{account}/projects/{project}"
        f"/build/{build.replace(':', '%3A')}"
    )
