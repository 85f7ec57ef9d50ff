"""Who may do what on the local target: roles, trust policies, and services that it does not offer."""

from __future__ import annotations

import json
from typing import Any

import botocore.exceptions
import pytest
import urllib3

from tests.e2e.local_core.conftest import ACCOUNT, REGION, Target


def code(raised: Any) -> str:
    return str(raised.value.response["Error"]["Code"])


def test_an_assumed_role_may_do_what_its_policy_allows(target: Target) -> None:
    s3 = target.client("s3")
    s3.create_bucket(Bucket="assumed", CreateBucketConfiguration={"LocationConstraint": REGION})
    s3.put_object(Bucket="assumed", Key="a", Body=b"1")
    arn = target.role(
        "limited", "", {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::assumed/*"}
    )
    session = target.client("sts").assume_role(RoleArn=arn, RoleSessionName="me")["Credentials"]
    assert target.client("s3", session).get_object(Bucket="assumed", Key="a")["Body"].read() == b"1"
    with pytest.raises(botocore.exceptions.ClientError) as raised:
        target.client("s3", session).delete_object(Bucket="assumed", Key="a")
    assert code(raised) == "AccessDenied"
    with pytest.raises(botocore.exceptions.ClientError) as raised:
        target.client("iam", session).list_roles()
    assert code(raised) == "AccessDenied"


def test_a_wrong_secret_is_refused_for_a_role(target: Target) -> None:
    arn = target.role("signed", "", {"Effect": "Allow", "Action": "*", "Resource": "*"})
    session = target.client("sts").assume_role(RoleArn=arn, RoleSessionName="me")["Credentials"]
    with pytest.raises(botocore.exceptions.ClientError) as raised:
        target.client("ssm", {**session, "SecretAccessKey": "guessed"}).describe_parameters()
    assert code(raised) == "InvalidSignatureException"


@pytest.mark.parametrize(
    ("service", "operation"),
    [
        ("athena", "list_work_groups"),
        ("redshift", "describe_clusters"),
        ("ec2", "describe_instances"),
        ("cloudfront", "list_distributions"),
    ],
)
def test_a_service_that_is_not_offered_is_refused_by_name(
    target: Target, service: str, operation: str
) -> None:
    with pytest.raises(botocore.exceptions.ClientError) as raised:
        getattr(target.client(service), operation)()
    error = raised.value.response["Error"]
    assert error["Code"] == "NotImplementedException"
    assert f"does not offer {service}" in error["Message"]


def test_state_cannot_be_wiped_without_credentials(target: Target) -> None:
    for path in ("/_ministack/reset", "/_ministack/config"):
        assert urllib3.request("POST", target.up.endpoint_url + path, body=b"{}").status == 403


def test_the_account_is_the_access_key(target: Target) -> None:
    assert target.client("sts").get_caller_identity()["Arn"] == f"arn:aws:iam::{ACCOUNT}:root"
    other = {"AccessKeyId": "999988887777", "SecretAccessKey": "x"}
    target.client("ssm").put_parameter(Name="/mine", Value="1", Type="String")
    assert json.dumps(target.client("ssm", other).describe_parameters()["Parameters"]) == "[]"
