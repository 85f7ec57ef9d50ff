"""What Glue weighs beside the action: the role that a job is given, and tags."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pipeline.local.api.access import Caller, Resources
from pipeline.local.glue import role

__all__ = ["Caller", "Resources", "authorise", "by_name"]


def by_name(name: str) -> Resources:
    """The job that an operation is about, and `*` for those that list."""

    def resources(request: dict[str, Any], scope: Any) -> Iterable[str]:
        if name == "BatchGetJobs":
            return [scope.arn(f"job/{each}") for each in request["JobNames"]]
        own = request.get("JobName") or request.get("Name")
        return [scope.arn(f"job/{own}") if own else "*"]

    return resources


def authorise(caller: Caller, operation: str, request: dict[str, Any], resources: Iterable[str]) -> None:
    """Weigh one operation: the action itself, the role it passes, the tags it sets."""
    arns = list(resources) or ["*"]
    context = _tags(request)
    for arn in arns:
        caller.check(f"glue:{operation}", arn, context)
    passed = request.get("Role") or (request.get("JobUpdate") or {}).get("Role")
    if passed:
        given = {"iam:PassedToService": "glue.amazonaws.com", "iam:AssociatedResourceArn": arns[0]}
        caller.check("iam:PassRole", role.arn(passed, caller.scope), given)
    if request.get("Tags") and operation.startswith("Create"):
        caller.check("glue:TagResource", arns[0], context)


def _tags(request: dict[str, Any]) -> dict[str, Any]:
    tags = {**(request.get("Tags") or {}), **(request.get("TagsToAdd") or {})}
    context: dict[str, Any] = {f"aws:RequestTag/{key}": value for key, value in tags.items()}
    keys = [*tags, *(request.get("TagsToRemove") or [])]
    return {**context, "aws:TagKeys": keys} if keys else context
