"""The account's stack: a template too large for a new account, and whom a denial sends to whom."""

from __future__ import annotations

import pytest
from botocore.exceptions import ClientError

from pipeline.apply.account import hinted, with_bucket_alone
from pipeline.errors import ApplyError
from pipeline.plan.model import StackAction

ACTION = StackAction("account", "ml-account", "update", "{}")
TEMPLATE = {
    "Description": "x",
    "Parameters": {"Project": {"Type": "String"}},
    "Resources": {
        "ArtifactBucket": {"Properties": {"Key": {"Fn::GetAtt": ["Key", "Arn"]}, "Name": {"Ref": "Project"}}},
        "ArtifactBucketPolicy": {"Properties": {"Bucket": {"Ref": "ArtifactBucket"}}},
        "Key": {"Properties": {"By": {"Fn::Sub": "${AWS::AccountId}"}}},
        "Role": {"Properties": {"Bucket": {"Ref": "ArtifactBucket"}}},
    },
    "Outputs": {"Bucket": {"Value": {"Ref": "ArtifactBucket"}}, "Role": {"Value": {"Ref": "Role"}}},
}


def test_a_bucket_alone_is_a_whole_template() -> None:
    first = with_bucket_alone(TEMPLATE)
    assert set(first["Resources"]) == {"ArtifactBucket", "ArtifactBucketPolicy", "Key"}
    assert set(first["Outputs"]) == {"Bucket"}
    assert first["Parameters"] == TEMPLATE["Parameters"]


@pytest.mark.parametrize(
    "error",
    [
        ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "CreateChangeSet"),
        ApplyError("Role (AWS::IAM::Role): User: x is not authorized to perform: iam:PutRolePolicy"),
    ],
)
def test_a_denial_names_who_can_do_it(error: Exception) -> None:
    with pytest.raises(ApplyError) as raised, hinted(ACTION, "staging"):
        raise error
    assert raised.value.hint.endswith("pipeline account up --environment staging")
    assert raised.value.where == "stack ml-account"


@pytest.mark.parametrize(
    "error",
    [
        ClientError({"Error": {"Code": "Throttling", "Message": "slow"}}, "CreateChangeSet"),
        ApplyError("the bucket exists already"),
    ],
)
def test_another_failure_is_left_as_it_is(error: Exception) -> None:
    with pytest.raises(type(error)) as raised, hinted(ACTION, "staging"):
        raise error
    assert raised.value is error
