"""What changing a resource takes of whoever changes a stack."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.local.adapter.needs import Change, needs

ACCOUNT, REGION = "111122223333", "eu-west-1"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/ml/dev/made"
TRUST: dict[str, Any] = {"Statement": []}


def asked(kind: str, old: dict[str, Any], new: dict[str, Any], physical: str = "made") -> list[str]:
    """`action resource` of each need."""
    change = Change(ACCOUNT, REGION, "stack", "Made", physical if old else "", old, new)
    found = needs(kind, change)
    assert found is not None
    return [f"{need.action} {need.resource}" for need in found]


def role(**more: Any) -> dict[str, Any]:
    return {"Path": "/ml/dev/", "RoleName": "made", "AssumeRolePolicyDocument": TRUST, **more}


POLICY: dict[str, Any] = {"PolicyName": "p", "PolicyDocument": {"Statement": []}}


@pytest.mark.parametrize(
    ("old", "new", "actions"),
    [
        ({}, role(), {"CreateRole"}),
        ({}, role(Policies=[POLICY], Tags=[{}]), {"CreateRole", "PutRolePolicy", "TagRole"}),
        (role(), role(AssumeRolePolicyDocument={}), {"UpdateAssumeRolePolicy"}),
        (role(), role(Description="x"), {"UpdateRole"}),
        (role(Policies=[POLICY]), role(), {"DeleteRolePolicy"}),
        (role(), role(PermissionsBoundary="b"), {"PutRolePermissionsBoundary"}),
        (role(PermissionsBoundary="b"), role(), {"DeleteRolePermissionsBoundary"}),
        (role(), role(ManagedPolicyArns=["a"]), {"AttachRolePolicy"}),
        (role(ManagedPolicyArns=["a"]), role(), {"DetachRolePolicy"}),
        (role(Policies=[POLICY]), {}, {"DeleteRolePolicy", "DeleteRole"}),
    ],
)
def test_a_role_takes_what_changes(old: dict[str, Any], new: dict[str, Any], actions: set[str]) -> None:
    assert set(asked("AWS::IAM::Role", old, new)) == {f"iam:{name} {ROLE}" for name in {*actions, "GetRole"}}


def test_a_role_is_made_with_its_boundary_as_a_condition() -> None:
    change = Change(
        ACCOUNT, REGION, "stack", "Made", "", {}, role(PermissionsBoundary="b", Policies=[POLICY])
    )
    found = {need.action: need.context for need in needs("AWS::IAM::Role", change) or []}
    assert found["iam:CreateRole"] == found["iam:PutRolePolicy"] == {"iam:permissionsboundary": "b"}


def test_handing_a_role_to_a_service_takes_passing_it() -> None:
    code = {"S3Bucket": "b", "S3Key": "k"}
    function = {"FunctionName": "f", "Role": "r", "Code": code}
    found = asked("AWS::Lambda::Function", {}, function)
    arn = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:f"
    assert {f"lambda:CreateFunction {arn}", "iam:PassRole r", "s3:GetObject arn:aws:s3:::b/k"} <= set(found)
    only_code = asked("AWS::Lambda::Function", function, {**function, "Code": {**code, "S3Key": "l"}}, "f")
    assert f"lambda:UpdateFunctionCode {arn}" in only_code
    assert not [need for need in only_code if "PassRole" in need or "Configuration" in need]


def test_what_is_done_to_a_log_group_is_weighed_as_iam_does() -> None:
    group = f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:/aws/x"
    made = asked("AWS::Logs::LogGroup", {}, {"LogGroupName": "/aws/x", "RetentionInDays": 7, "Tags": [{}]})
    assert made == [
        f"logs:CreateLogGroup {group}:log-stream:",
        f"logs:PutRetentionPolicy {group}:log-stream:",
        f"logs:TagResource {group}",
    ]


def test_a_type_that_is_not_known_is_not_nothing() -> None:
    assert needs("AWS::EC2::VPC", Change(ACCOUNT, REGION, "s", "V", "", {}, {"CidrBlock": "x"})) is None
