"""Whom a change lets do what: sets of grants, and the words for what moves between them."""

from __future__ import annotations

import random
from fnmatch import fnmatchcase
from typing import Any

import pytest

from pipeline.plan import access
from pipeline.plan.iam import Grant, covers, grants, moved
from tests.unit.plan import example

TEMPLATE = example.plan_example.template()


def said(change: Any) -> list[str]:
    return access.words(access.compare(TEMPLATE, example.changing(change)(TEMPLATE)))


def policy(resources: dict[str, Any], role: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = resources[role]["Properties"]["Policies"][0]["PolicyDocument"]["Statement"]
    return found


def test_no_change_is_no_change() -> None:
    assert access.compare(TEMPLATE, TEMPLATE) == ()


def test_a_statement_that_is_split_and_renamed_is_no_change_of_rights() -> None:
    def split(resources: dict[str, Any]) -> None:
        statements = policy(resources, "TrainingRole")
        whole = statements.pop(next(i for i, s in enumerate(statements) if len(s["Action"]) > 1))
        for number, action in enumerate(whole["Action"]):
            # IAM ignores the case of an action, and takes a string for a list of one.
            statements.append({**whole, "Sid": f"Part{number}", "Action": action.upper()})

    assert [line for line in said(split) if "gains" in line or "loses" in line] == []


def test_a_role_gains_and_loses_in_words() -> None:
    def change(resources: dict[str, Any]) -> None:
        statements = policy(resources, "TrainingRole")
        gone = next(s for s in statements if s["Action"] == ["s3:PutObject"])
        statements.remove(gone)
        statements.append(
            {
                "Effect": "Allow",
                "Action": "s3:GetObject",
                "Resource": ["arn:aws:s3:::other/*", "arn:aws:s3:::more/*"],
            }
        )

    lines = said(change)
    assert "the training role gains s3:GetObject on arn:aws:s3:::more/*, arn:aws:s3:::other/*" in lines
    assert any(
        line.startswith("the training role loses s3:PutObject on arn:aws:s3:::ml-222222222222")
        for line in lines
    )
    assert len(lines) == 2


def test_a_condition_that_goes_is_told_and_marked() -> None:
    def change(resources: dict[str, Any]) -> None:
        for statement in policy(resources, "TrainingRole"):
            if statement["Action"] == ["cloudwatch:PutMetricData"]:
                del statement["Condition"]

    (holder,) = access.compare(TEMPLATE, example.changing(change)(TEMPLATE))
    (fact,) = holder.changes
    assert fact.wider
    assert "now without a condition, was if cloudwatch:namespace is /aws/sagemaker/TrainingJobs" in fact.words


def test_trust_managed_policies_and_boundary() -> None:
    def change(resources: dict[str, Any]) -> None:
        properties = resources["ModelRole"]["Properties"]
        trust = properties["AssumeRolePolicyDocument"]["Statement"][0]
        trust["Principal"] = {"AWS": "arn:aws:iam::999999999999:root"}
        properties["ManagedPolicyArns"] = ["arn:aws:iam::aws:policy/AdministratorAccess"]
        properties["PermissionsBoundary"] = {"Fn::Sub": "arn:aws:iam::${AWS::AccountId}:policy/other"}

    found = {
        (f.action, f.wider): f.words
        for holder in access.compare(TEMPLATE, example.changing(change)(TEMPLATE))
        for f in holder.changes
        if f.action == "gains" or not f.wider or "boundary" in f.words
    }
    text = "\n".join(found.values())
    assert "gains the managed policy arn:aws:iam::aws:policy/AdministratorAccess" in text
    assert "may no longer be assumed by Service: sagemaker.amazonaws.com" in text
    lines = said(change)
    assert any("may be assumed by AWS: arn:aws:iam::999999999999:root" in line for line in lines)
    assert any("permissions boundary arn:aws:iam::${AWS::AccountId}:policy/other" in line for line in lines)


def test_a_role_tells_what_it_is_for() -> None:
    holders = {h.logical_id: h for h in access.compare(None, TEMPLATE)}
    assert holders["TrainingRole"].name == "the training role"
    assert "new data" in holders["CheckDataRole"].purpose
    assert {h.action for h in holders.values()} == {"added"}


def test_a_denial_that_goes_is_wider_and_one_that_comes_is_not() -> None:
    def deny(resources: dict[str, Any]) -> None:
        policy(resources, "GateRole").append(
            {"Effect": "Deny", "Action": "s3:*", "Resource": "arn:aws:s3:::secret/*"}
        )

    after = example.changing(deny)(TEMPLATE)
    (there,), (back,) = access.compare(TEMPLATE, after), access.compare(after, TEMPLATE)
    assert [(c.words, c.wider) for c in there.changes] == [
        ("gains a denial of s3:* on arn:aws:s3:::secret/*", False)
    ]
    assert [(c.words, c.wider) for c in back.changes] == [
        ("loses a denial of s3:* on arn:aws:s3:::secret/*", True)
    ]


def test_policies_beside_roles_and_on_resources() -> None:
    def role(name: str) -> dict[str, Any]:
        return {"Type": "AWS::IAM::Role", "Properties": {"Description": name}}

    def document(action: str) -> dict[str, Any]:
        return {"Statement": [{"Effect": "Allow", "Action": action, "Resource": "*", "Principal": "*"}]}

    before = {"Resources": {"ARole": role("a")}}
    after = {
        "Resources": {
            "ARole": role("a"),
            "Extra": {
                "Type": "AWS::IAM::Policy",
                "Properties": {"Roles": [{"Ref": "ARole"}], "PolicyDocument": document("ec2:RunInstances")},
            },
            "Open": {
                "Type": "AWS::S3::BucketPolicy",
                "Properties": {"Bucket": {"Ref": "B"}, "PolicyDocument": document("s3:GetObject")},
            },
        }
    }
    lines = access.words(access.compare(before, after))
    assert "the a role gains ec2:RunInstances on any resource (*) for *" in lines
    assert "the policy of Open gains s3:GetObject on any resource (*) for *" in lines


def test_not_action_and_not_resource_are_not_mistaken_for_their_opposite() -> None:
    one = grants({"Statement": {"Effect": "Allow", "NotAction": "iam:*", "Resource": "*"}})
    two = grants({"Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}})
    gained, lost = moved(one, two)
    assert [g.action for g in gained] == ["*"]
    assert [(g.action, g.inverted) for g in lost] == [("iam:*", ("NotAction",))]


def test_one_sign_covers_no_wildcard() -> None:
    def grant(resource: str) -> Grant:
        return Grant("Allow", "s3:GetObject", resource)

    assert covers(grant("a/*"), grant("a/b?"))
    assert not covers(grant("a/?"), grant("a/*"))
    assert not covers(grant("a/[b]"), grant("a/b"))


ACTIONS = ("s3:GetObject", "s3:PutObject", "s3:Get*", "s3:*", "*", "S3:getobject", "iam:PassRole")
RESOURCES = ("*", "arn:a/*", "arn:a/b", "arn:a/b*", "arn:?/b", "arn:c")
CONDITIONS: tuple[Any, ...] = (None, {"StringEquals": {"k": "1"}}, {"StringEquals": {"k": ["1", "2"]}})


def _document(luck: random.Random) -> dict[str, Any]:
    statements = []
    for _ in range(luck.randint(0, 4)):
        statement = {
            "Effect": luck.choice(["Allow", "Allow", "Deny"]),
            "Action": luck.sample(ACTIONS, luck.randint(1, 3)),
            "Resource": luck.sample(RESOURCES, luck.randint(1, 2)),
        }
        condition = luck.choice(CONDITIONS)
        if condition:
            statement["Condition"] = condition
        statements.append(statement)
    return {"Statement": statements}


def _matches(found: Any, effect: str, action: str, resource: str, condition: str) -> bool:
    """Whether one of the grants speaks of this request; the oracle is fnmatch, not the code under test."""
    return any(
        g.effect == effect
        and g.condition in ("", condition)
        and fnmatchcase(action.lower(), g.action.lower())
        and fnmatchcase(resource, g.resource)
        for g in found
    )


@pytest.mark.parametrize("seed", range(150))
def test_every_request_that_is_newly_allowed_or_refused_is_told(seed: int) -> None:
    luck = random.Random(seed)
    before, after = grants(_document(luck)), grants(_document(luck))
    gained, lost = moved(before, after)
    conditions = {g.condition for g in before | after} | {""}
    for effect in ("Allow", "Deny"):
        for action in ("s3:GetObject", "s3:PutObject", "s3:GetBucketAcl", "iam:PassRole", "ec2:RunInstances"):
            for resource in ("arn:a/b", "arn:a/bc", "arn:c", "arn:c/b", "arn:x"):
                for condition in conditions:
                    request = (effect, action, resource, condition)
                    was, now = _matches(before, *request), _matches(after, *request)
                    if now and not was:
                        assert _matches(gained, *request), request
                    if was and not now:
                        assert _matches(lost, *request), request
    assert moved(before, before) == ([], [])
