"""What CodeBuild weighs beside the action: the role that a project, or one build of it, is given.

Builds have no resource of their own in IAM: what may be done with them hangs on their project
(https://docs.aws.amazon.com/service-authorization/latest/reference/list_awscodebuild.html).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pipeline.local.api.access import Caller, Resources

__all__ = ["Caller", "Resources", "authorise", "by_name"]

# Their resource is `*`.
_LISTING = frozenset({"ListProjects", "ListBuilds"})


def by_name(name: str) -> Resources:
    """The projects that an operation is about."""

    def resources(request: dict[str, Any], scope: Any) -> Iterable[str]:
        if name in _LISTING:
            return ["*"]
        builds = [
            str(given).rpartition("build/")[2]
            for given in [request.get("id"), *request.get("ids", [])]
            if given
        ]
        given = [request.get("name"), request.get("projectName"), *request.get("names", [])]
        projects = [str(each).rpartition("project/")[2] for each in given if each]
        projects += [build.partition(":")[0] for build in builds]
        return [scope.arn(f"project/{project}") for project in dict.fromkeys(projects)] or ["*"]

    return resources


def authorise(caller: Caller, operation: str, request: dict[str, Any], resources: Iterable[str]) -> None:
    """Weigh one operation: the action itself, and the role it passes."""
    arns = list(resources) or ["*"]
    tags = request.get("tags") or []
    context: dict[str, Any] = {f"aws:RequestTag/{tag['key']}": tag.get("value", "") for tag in tags}
    if tags:
        context["aws:TagKeys"] = [tag["key"] for tag in tags]
    for arn in arns:
        caller.check(f"codebuild:{operation}", arn, context)
    role = request.get("serviceRole") or request.get("serviceRoleOverride")
    if role:
        passed = {"iam:PassedToService": "codebuild.amazonaws.com", "iam:AssociatedResourceArn": arns[0]}
        caller.check("iam:PassRole", role, passed)
