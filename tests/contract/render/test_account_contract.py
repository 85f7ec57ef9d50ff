"""The account's policies against IAM's definitions: real actions, bound to resources, within the boundary."""

from __future__ import annotations

import fnmatch
import functools
import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from parliament import analyze_policy_string
from policy_sentry.querying.actions import get_action_data

from pipeline import settings
from pipeline.render import account, render

REPOSITORY = Path(__file__).parents[3]
GITHUB = """
[project.github]
repository = "acme/shop"
owner_id = 7
repository_id = 8
codebuild = true
codebuild_connection = "arn:aws:codeconnections:eu-west-1:222222222222:connection/0a"
codebuild_actors = [5]
"""
MORE = '\nbudget_usd_per_month = 50\nbudget_email = "a@b.c"\nartifact_encryption = "kms"\n'
POLICIES = ("Boundary", "ReadPolicy", "StacksPolicy", "RunsPolicy", "SourcePolicy")
# Weighed on a resource only where the request names one; ours lists by prefix.
LISTS_ALL = {"cloudwatch:DescribeAlarms"}
# Statements of the boundary about what environments share, and what AWS makes.
SHARED = ("SharedResources", "OwnResources", "ScalingRole")
Statement = dict[str, Any]


@functools.cache
def template(environment: str = "staging") -> dict[str, Any]:
    """The account's template with all its parts."""
    root = Path(tempfile.mkdtemp(prefix="account-"))
    try:
        for name in ("cloudformation", "pipeline/definitions", "container"):
            shutil.copytree(REPOSITORY / name, root / name)
        text = (REPOSITORY / "pipeline.toml").read_text()
        text = re.sub(r"(?m)^default_environment.*$", r"\g<0>\n" + GITHUB, text, count=1)
        text = re.sub(r"(?m)^\[environments\.staging\]\n.*$", lambda m: m[0] + MORE, text, count=1)
        (root / "pipeline.toml").write_text(text)
        return account(settings.load(root, "iris", environment))
    finally:
        shutil.rmtree(root)


def document(name: str) -> dict[str, Any]:
    found: dict[str, Any] = template()["Resources"][f"Staging{name}"]["Properties"]["PolicyDocument"]
    return found


def statements(*names: str) -> Iterator[tuple[str, Statement]]:
    for name in names:
        for statement in document(name)["Statement"]:
            yield f"{name}.{statement['Sid']}", statement


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def kinds(action: str) -> set[str]:
    """ARN formats of the resources an action is weighed on; {"*"} for one that knows none."""
    service, name = action.split(":")
    data = get_action_data(service, name)
    assert data, f"{action} is no action of IAM"
    return {entry["resource_arn_format"] for entry in data[service]}


def fits(arn: str, kind: str) -> bool:
    """Whether a pattern of ours can match an ARN of that format."""
    if kind == "*":
        return False
    made = re.sub(r"\$\{\w+\}", "x", kind).replace(":x:", ":", 0)
    ours = [re.escape(part).replace(r"\*", ".*").replace(r"\?", ".") for part in arn.split(":", 5)]
    theirs = made.split(":", 5)
    if len(ours) < 6 or len(theirs) < 6 or ours[2] != re.escape(theirs[2]):
        return False
    # The types differ in what their resource begins with, up to the first variable.
    fixed = re.sub(r"\$\{\w+\}.*", "", kind.split(":", 5)[5])
    resource = arn.split(":", 5)[5]
    return resource.startswith(fixed) or fnmatch.fnmatchcase(fixed, f"{resource.split('*')[0]}*")


@pytest.mark.parametrize("name", POLICIES[1:])
def test_actions_are_named_and_bound_to_resources_where_iam_can(name: str) -> None:
    for place, statement in statements(name):
        actions, resources = listed(statement["Action"]), listed(statement["Resource"])
        for action in actions:
            assert "*" not in action, f"{place}: {action}"
            known = kinds(action)
            if resources == ["*"]:
                assert known == {"*"} or action in LISTS_ALL, f"{place}: {action} could be bound to {known}"
            else:
                assert any(fits(arn, kind) for arn in resources for kind in known), (
                    f"{place}: {action} on none"
                )
        for arn in resources if resources != ["*"] else []:
            used = [action for action in actions if any(fits(arn, kind) for kind in kinds(action))]
            assert used, f"{place}: nothing is done to {arn}"
            assert ":222222222222:" in arn or arn.startswith("arn:aws:s3:::ml-222222222222-"), arn


def test_the_plan_and_the_promotion_only_read() -> None:
    for place, statement in statements("ReadPolicy", "SourcePolicy"):
        for action in listed(statement["Action"]):
            service, name = action.split(":")
            levels = {entry["access_level"] for entry in get_action_data(service, name)[service]}
            assert levels <= {"Read", "List"}, f"{place}: {action} is {levels}"
            assert service != "secretsmanager", place


def test_deploying_changes_roles_only_below_its_own_path_and_with_the_boundary() -> None:
    boundary = {"Ref": "StagingBoundary"}
    own = "arn:aws:iam::222222222222:role/ml/staging/*"
    for place, statement in statements("StacksPolicy", "RunsPolicy"):
        mine = [action for action in listed(statement["Action"]) if action.startswith("iam:")]
        if not mine:
            continue
        assert listed(statement["Resource"]) == [own], place
        if {"iam:CreateRole", "iam:PutRolePolicy", "iam:PutRolePermissionsBoundary"} & set(mine):
            assert statement["Condition"] == {"StringEquals": {"iam:PermissionsBoundary": boundary}}, place
        if "iam:PassRole" in mine:
            assert mine == ["iam:PassRole"] and "iam:PassedToService" in str(statement["Condition"])
        escalating = {"iam:AttachRolePolicy", "iam:DeleteRolePermissionsBoundary", "iam:CreatePolicyVersion"}
        assert not escalating & set(mine), place


@pytest.mark.parametrize("name", POLICIES)
def test_parliament_finds_nothing_wrong(name: str) -> None:
    text = json.dumps(document(name)).replace(
        json.dumps({"Ref": "StagingBoundary"}), '"arn:aws:iam::222222222222:policy/ml-staging-boundary"'
    )
    found = [f"{f.issue}: {f.detail}" for f in analyze_policy_string(text).findings]
    # Its copy of IAM's definitions is older than these; StringEquals on an ARN is how IAM's guide has it.
    known = ("UNKNOWN_ACTION", "RESOURCE_MISMATCH", "RESOURCE_STAR", "MISMATCHED_TYPE_BUT_USABLE")
    assert [f for f in found if not f.startswith(known)] == []


@pytest.mark.parametrize("environment", ["dev", "staging", "production"])
def test_the_boundary_lets_the_pipelines_roles_do_their_work(environment: str) -> None:
    loaded = settings.load(REPOSITORY, "iris", environment)
    limit = account(loaded)["Resources"][f"{environment.title()}Boundary"]["Properties"]["PolicyDocument"]
    for name, resource in render(loaded).template["Resources"].items():
        if resource["Type"] != "AWS::IAM::Role":
            continue
        role = resource["Properties"]
        assert role["PermissionsBoundary"].endswith(f":policy/ml-{environment}-boundary")
        assert role["Path"] == f"/ml/{environment}/"
        for policy in role["Policies"]:
            for statement in policy["PolicyDocument"]["Statement"]:
                for action in listed(statement["Action"]):
                    for arn in listed(statement["Resource"]):
                        assert within(action, arn, limit, environment), f"{name}: {action} on {arn}"


def within(action: str, arn: Any, limit: dict[str, Any], environment: str) -> bool:
    """Whether a statement of the boundary covers all that one of a role allows."""
    if isinstance(arn, dict):
        # What the template itself makes: a role below the path, or the state machine.
        made = {"Fn::GetAtt": f"arn:aws:iam::*:role/ml/{environment}/made", "Ref": "*:*-" + environment}
        arn = made[next(iter(arn))]
    return any(
        any(fnmatch.fnmatchcase(action, each) for each in listed(statement["Action"]))
        and any(covers(each, arn) for each in listed(statement["Resource"]))
        for statement in limit["Statement"]
    )


def covers(wide: str, narrow: str) -> bool:
    if wide == "*":
        return True
    if narrow.startswith(("*", "arn:aws:iam::*")):
        return wide.rpartition(":")[2] == narrow.rpartition(":")[2] or wide.endswith("/*")
    return fnmatch.fnmatchcase(narrow, wide)


def test_the_boundary_gives_nobody_power_over_iam_or_other_environments() -> None:
    for place, statement in statements("Boundary"):
        for action in listed(statement["Action"]):
            if action in ("iam:PassRole", "iam:CreateServiceLinkedRole"):
                assert re.search(r"iam:(PassedToService|AWSServiceName)", str(statement["Condition"])), place
            else:
                assert not action.startswith(("iam:", "sts:", "kms:", "*")), place
        for arn in listed(statement["Resource"]):
            assert arn == "*" or "staging" in arn or statement["Sid"] in SHARED, arn


def test_policies_fit_the_limits_of_iam() -> None:
    resources = template()["Resources"]
    for name in POLICIES:
        text = json.dumps(document(name), separators=(",", ":"))
        assert len(text.replace(" ", "")) <= 6144, name
    for role in (r["Properties"] for r in resources.values() if r["Type"] == "AWS::IAM::Role"):
        assert len(role["ManagedPolicyArns"]) <= 10
        assert len(role["RoleName"]) <= 64
        assert len(json.dumps(role["AssumeRolePolicyDocument"], separators=(",", ":"))) <= 2048


@pytest.mark.parametrize("environment", ["staging", "production"])
def test_cfn_lint_has_nothing_to_say(environment: str, tmp_path: Path) -> None:
    file = tmp_path / "account.json"
    file.write_text(json.dumps(template(environment)))
    command = [str(Path(sys.executable).parent / "cfn-lint"), "--regions", "eu-west-1", "--", str(file)]
    lint = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (lint.returncode, lint.stdout.strip()) == (0, ""), lint.stdout + lint.stderr
