"""The plan that people saw before they merged: found by commit, believed only as far as it can be checked.

A plan that is found is not executed. `pipeline apply --plan` computes a fresh one and refuses unless it leads
to the same digest, so the worst that a forged artifact can do is to have nothing applied.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from pipeline.ci.bundle import Bundle, artifact_name, unpack
from pipeline.ci.context import Context
from pipeline.ci.github import Artifact, Forge, PullRequest
from pipeline.errors import ApplyError

# The one workflow that plans; any other could upload something under the same name.
WORKFLOW = ".github/workflows/pull-request.yml"
EVENTS = ("pull_request", "merge_group")
_BY_HAND = "look at `pipeline plan`, then start the workflow merge by hand with the digest it shows"


@dataclass(frozen=True)
class Reviewed:
    """A plan, and the pull request that people saw it in."""

    bundle: Bundle
    pull_request: int


def find(
    forge: Forge, context: Context, commits: Iterable[str], pipeline: str, environment: str
) -> Reviewed | None:
    """The newest reviewed plan for the pipeline among these commits; None if no pull request brought them.

    Args:
        commits: what was pushed, newest first.

    Raises:
        ApplyError: there was a pull request, and no plan of it that can be applied.
    """
    name = artifact_name(pipeline, environment)
    # Asked by name, because the list by name is short; then held against each commit.
    known = [artifact for artifact in forge.artifacts(name=name) if artifact.name == name]
    seen: dict[int, PullRequest] = {}
    for sha in commits:
        brought = [p for p in forge.pull_requests_of(sha) if p.merged and p.base == context.branch]
        for pull in brought:
            seen.setdefault(pull.number, pull)
        # The merge queue planned the commit itself; a pull request was planned at its head.
        for head in dict.fromkeys([sha, *(pull.head for pull in brought)]):
            for artifact in known:
                if artifact.head == head:
                    number = brought[0].number if brought else 0
                    return Reviewed(_open(forge, artifact, pipeline, environment), number)
    if seen:
        numbers = ", ".join(f"#{number}" for number in seen)
        raise ApplyError(
            f"pull request {numbers} has no plan for {pipeline} in {environment}",
            where=name,
            hint=f"its artifacts may have ended; {_BY_HAND}",
        )
    return None


def _open(forge: Forge, artifact: Artifact, pipeline: str, environment: str) -> Bundle:
    where = f"artifact {artifact.name} of run {artifact.run}"
    run = forge.run(artifact.run)
    if not artifact.own or run.head_repository.lower() != forge.repository.lower():
        raise ApplyError("the plan was made by a fork, without looking at what is deployed", where=where)
    if run.path != WORKFLOW or run.event not in EVENTS or run.head != artifact.head:
        raise ApplyError(
            f"the plan is not from {WORKFLOW} ({run.path or 'no file'}, event {run.event})", where=where
        )
    bundle = unpack(forge.archive(artifact), where)
    if (bundle.pipeline, bundle.environment) != (pipeline, environment):
        raise ApplyError(f"the plan is for {bundle.pipeline} in {bundle.environment}", where=where)
    if bundle.failed or bundle.offline or not bundle.plan:
        raise ApplyError(
            "the pull request was merged without a plan that can be applied",
            where=where,
            hint=_BY_HAND,
        )
    return bundle
