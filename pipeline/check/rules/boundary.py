"""What a role is granted beyond its boundary, and therefore cannot do."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator

from pipeline.check.cloudformation import as_list, of_type, statements
from pipeline.check.globs import overlap
from pipeline.check.rule import Hit, rule
from pipeline.check.subject import Subject

BOUNDARIES = "https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies_boundaries.html"


@rule("ML406", "what a role is granted lies within the environment's boundary", BOUNDARIES)
def beyond(subject: Subject) -> Iterator[Hit]:
    if not subject.boundary:
        return
    for role, properties in of_type(subject.template, "AWS::IAM::Role"):
        if not properties.get("PermissionsBoundary"):
            continue
        for statement in statements(subject.template, subject.resolver, role):
            for action in statement.actions:
                # A role that the template makes has its path, which its name here does not show.
                if action.lower() == "iam:passrole":
                    continue
                for resource in statement.resources:
                    if not _within(subject, action, resource):
                        what = f"{role} may {action} on {resource}, which its boundary does not let through"
                        fix = "add it to Boundary in cloudformation/account.yaml, then: pipeline account up"
                        yield Hit("template", statement.path, what, fix)


def _within(subject: Subject, action: str, resource: str) -> bool:
    return any(
        any(fnmatch.fnmatchcase(action.lower(), each.lower()) for each in as_list(limit.get("Action")))
        and any(overlap(each, resource) for each in as_list(limit.get("Resource")))
        for limit in subject.boundary
    )
