"""Rules on IAM: each role may do what its users need, on what they need, and nothing else."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterator
from typing import Any

from pipeline.check import needs
from pipeline.check.cloudformation import (
    Statement,
    as_list,
    logical_role,
    of_type,
    policies,
    resources,
    statements,
)
from pipeline.check.globs import overlap
from pipeline.check.rule import Hit, rule
from pipeline.check.subject import Subject

SAGEMAKER = "https://docs.aws.amazon.com/step-functions/latest/dg/sagemaker-iam.html"
LEAST = "https://docs.aws.amazon.com/IAM/latest/UserGuide/best-practices.html#grant-least-privilege"
REFERENCE = "https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html"


def _managed(subject: Subject, role: str) -> list[str]:
    """Managed policies attached by ARN; what they allow is not in the template."""
    properties = resources(subject.template).get(role, {}).get("Properties", {})
    return [subject.resolver.text(arn) for arn in as_list(properties.get("ManagedPolicyArns"))]


def _grants(statement: Statement, action: str) -> bool:
    return any(fnmatch.fnmatchcase(action.lower(), granted.lower()) for granted in statement.actions)


@rule("ML401", "a role may do what its users need, dependent actions included", SAGEMAKER)
def missing_action(subject: Subject) -> Iterator[Hit]:
    for role, wanted in needs.of_roles(subject).items():
        if _managed(subject, role):
            continue
        granted = statements(subject.template, subject.resolver, role)
        told = set()
        for need in wanted:
            if need.optional or (need.action, need.resource) in told:
                continue
            told.add((need.action, need.resource))
            where = [s for s in granted if _grants(s, need.action)]
            if not where:
                what = f"{role} lacks {need.action}: {need.why}"
            elif not any(overlap(each, need.resource) for s in where for each in s.resources):
                listed = ", ".join(sorted({each for s in where for each in s.resources}))
                what = f"{role} may {need.action} on {listed}, not on {need.resource}: {need.why}"
            else:
                continue
            yield Hit("template", ("Resources", role), what, f"allow {need.action} on {need.resource}")


@rule("ML402", "a role is granted nothing that none of its users needs", LEAST, "warning")
def unneeded_action(subject: Subject) -> Iterator[Hit]:
    for role, wanted in needs.of_roles(subject).items():
        known = {need.action.lower() for need in wanted}
        for statement in statements(subject.template, subject.resolver, role):
            for index, action in enumerate(statement.actions):
                if "*" not in action and action.lower() not in known:
                    at = (*statement.path, "Action", index)
                    yield Hit(
                        "template",
                        at,
                        f"{role} may {action}, which nothing that uses it needs",
                        f"drop {action}",
                    )


# Actions whose resources AWS names by an id of its own: bound by a condition key instead.
_BOUND_BY = {"application-autoscaling": "application-autoscaling:service-namespace"}

# Actions that take no resource although the reference lists one: log delivery.
_ONLY_STAR = {action.lower() for action in needs.LOG_DELIVERY}
# Actions that are weighed on all of a kind whatever they are asked for, as AWS's denials show:
# https://github.com/aws-samples/amazon-cloudwatch-auto-alarms/issues/1
_ONLY_ALL = {"cloudwatch:describealarms"}


@rule("ML403", "a resource is named where the action takes an ARN, and an action by its name", REFERENCE)
def wildcard(subject: Subject) -> Iterator[Hit]:
    for role, _ in of_type(subject.template, "AWS::IAM::Role"):
        for arn in _managed(subject, role):
            if re.search(r"(FullAccess|AdministratorAccess|PowerUserAccess)$", arn):
                at = ("Resources", role, "Properties", "ManagedPolicyArns")
                yield Hit("template", at, f"{role} has {arn}", "grant the actions that are needed instead")
        for statement in statements(subject.template, subject.resolver, role):
            yield from _wild_statement(statement)


def _wild_statement(statement: Statement) -> Iterator[Hit]:
    for index, action in enumerate(statement.actions):
        if "*" in action:
            at = (*statement.path, "Action", index)
            yield Hit("template", at, f"{statement.role} may {action}", "name the actions that are needed")
    for resource in statement.resources:
        everything = resource == "*" or _all_of_a_kind(resource)
        if not everything:
            continue
        for action in statement.actions:
            if action.lower() in _ONLY_STAR | _ONLY_ALL or "*" in action or _bound(statement, action):
                continue
            forms = needs.arn_forms(action)
            if forms:
                what = f"{statement.role} may {action} on {resource}, which takes an ARN"
                yield Hit("template", (*statement.path, "Resource"), what, f"name it: {forms[0]}")


def _bound(statement: Statement, action: str) -> bool:
    key = _BOUND_BY.get(action.partition(":")[0])
    return key is not None and any(key in (condition or {}) for condition in statement.conditions.values())


def _all_of_a_kind(arn: str) -> bool:
    """Whether an ARN names no resource but all of its kind: `…:training-job/*`, `arn:aws:s3:::*`."""
    parts = arn.split(":", 5)
    return len(parts) == 6 and re.fullmatch(r"(?:[a-z-]+[/:])?\*(?:/\*)?", parts[5]) is not None


@rule(
    "ML404",
    "a role is handed on only to the service that is named",
    "https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_use_passrole.html",
)
def pass_role(subject: Subject) -> Iterator[Hit]:
    for role, _ in of_type(subject.template, "AWS::IAM::Role"):
        for statement in statements(subject.template, subject.resolver, role):
            named = any("iam:PassedToService" in (c or {}) for c in statement.conditions.values())
            if _grants(statement, "iam:PassRole") and not named:
                fix = 'add Condition {"StringEquals": {"iam:PassedToService": "…amazonaws.com"}}'
                yield Hit("template", statement.path, f"{role} may hand a role to any service", fix)


@rule(
    "ML405",
    "a role can be assumed by the service that uses it, and not by everybody",
    "https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_principal.html",
)
def trust(subject: Subject) -> Iterator[Hit]:
    wanted = _users(subject)
    for policy in policies(subject.template):
        if not policy.trust:
            continue
        trusted: set[str] = set()
        for body in as_list(policy.document.get("Statement")):
            principal = body.get("Principal") if isinstance(body, dict) else None
            if principal == "*" or (isinstance(principal, dict) and "*" in as_list(principal.get("AWS"))):
                yield Hit(
                    "template", policy.path, f"everybody may assume {policy.role}", "name the principal"
                )
            if isinstance(principal, dict):
                trusted |= {subject.resolver.text(each) for each in as_list(principal.get("Service"))}
        for service in sorted(wanted.get(policy.role, set()) - trusted):
            what = f"{policy.role} is used by {service}, which may not assume it"
            yield Hit("template", policy.path, what, f'add {service} to Principal "Service"')


def _users(subject: Subject) -> dict[str, set[str]]:
    """Role -> services that run with it."""
    found: dict[str, set[str]] = {}

    def add(value: Any, service: str) -> None:
        role = logical_role(value, subject.template)
        if role:
            found.setdefault(role, set()).add(service)

    add(subject.machine[1].get("RoleArn"), "states.amazonaws.com")
    for _, properties in of_type(subject.template, "AWS::Lambda::Function"):
        add(properties.get("Role"), "lambda.amazonaws.com")
    for _, properties in of_type(subject.template, "AWS::Scheduler::Schedule"):
        add((properties.get("Target") or {}).get("RoleArn"), "scheduler.amazonaws.com")
    for _, properties in of_type(subject.template, "AWS::Events::Rule"):
        for target in as_list(properties.get("Targets")):
            add(target.get("RoleArn") if isinstance(target, dict) else None, "events.amazonaws.com")
    for _, properties in of_type(subject.template, "AWS::CodeBuild::Project"):
        add(properties.get("ServiceRole"), "codebuild.amazonaws.com")
    for role, _ in needs.of_jobs(subject):
        found.setdefault(role, set()).add("sagemaker.amazonaws.com")
    return found
