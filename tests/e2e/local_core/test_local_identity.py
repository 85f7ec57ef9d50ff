"""Identity on the local target: GitHub's tokens, roles of other accounts, permission boundaries."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from typing import Any

import boto3
import botocore.exceptions
import pytest
from botocore import UNSIGNED
from botocore.config import Config

from pipeline.local.oidc import ISSUER, Job, Key, claims, issuer, sign
from pipeline.local.paths import StatePaths
from tests.e2e.local_core.conftest import ACCOUNT, REGION, Target, until

HOST = ISSUER.removeprefix("https://")
JOB = Job(
    "acme/shop", "refs/heads/main", "a" * 40, "push", environment="staging", owner_id=1, repository_id=2
)
TEMPLATE = {
    "Resources": {
        "Provider": {
            "Type": "AWS::IAM::OIDCProvider",
            "Properties": {"Url": ISSUER, "ClientIdList": ["sts.amazonaws.com"]},
        },
        "Boundary": {
            "Type": "AWS::IAM::ManagedPolicy",
            "Properties": {
                "ManagedPolicyName": "shop-boundary",
                "PolicyDocument": {
                    "Version": "2012-10-17",
                    "Statement": [{"Effect": "Allow", "Action": "ssm:*", "Resource": "*"}],
                },
            },
        },
        "Role": {
            "Type": "AWS::IAM::Role",
            "Properties": {
                "RoleName": "shop-staging",
                "PermissionsBoundary": {"Ref": "Boundary"},
                "AssumeRolePolicyDocument": {
                    "Version": "2012-10-17",
                    "Statement": [
                        {
                            "Effect": "Allow",
                            "Principal": {"Federated": {"Ref": "Provider"}},
                            "Action": "sts:AssumeRoleWithWebIdentity",
                            "Condition": {
                                "StringEquals": {
                                    f"{HOST}:aud": "sts.amazonaws.com",
                                    f"{HOST}:sub": [
                                        "repo:acme/shop:environment:staging",
                                        "repo:acme@1/shop@2:environment:staging",
                                    ],
                                }
                            },
                        }
                    ],
                },
                "Policies": [
                    {
                        "PolicyName": "own",
                        "PolicyDocument": {
                            "Version": "2012-10-17",
                            "Statement": [
                                {
                                    "Effect": "Allow",
                                    "Action": ["ssm:DescribeParameters", "s3:ListAllMyBuckets"],
                                    "Resource": "*",
                                }
                            ],
                        },
                    }
                ],
            },
        },
    }
}


@pytest.fixture(scope="module")
def role(target: Target) -> str:
    """A role for GitHub's jobs, deployed as a stack."""
    client = target.client("cloudformation")
    client.create_stack(
        StackName="account", TemplateBody=json.dumps(TEMPLATE), Capabilities=["CAPABILITY_NAMED_IAM"]
    )
    until(lambda: status(target) == "CREATE_COMPLETE")
    return f"arn:aws:iam::{ACCOUNT}:role/shop-staging"


def status(target: Target) -> str:
    return str(
        target.client("cloudformation").describe_stacks(StackName="account")["Stacks"][0]["StackStatus"]
    )


def token(
    target: Target, job: Job = JOB, audience: str = "sts.amazonaws.com", at: float | None = None
) -> str:
    key = Key.at(StatePaths.of(target.root).oidc_key)
    return sign(key, claims(job, audience, at or time.time()))


def assume(target: Target, role: str, token: str, **more: Any) -> dict[str, Any]:
    """AssumeRoleWithWebIdentity as a job calls it: without any credentials."""
    sts = boto3.client(
        "sts",
        endpoint_url=target.up.endpoint_url,
        region_name=REGION,
        config=Config(signature_version=UNSIGNED, retries={"total_max_attempts": 1}),
    )
    answer: dict[str, Any] = sts.assume_role_with_web_identity(
        RoleArn=role, RoleSessionName="job", WebIdentityToken=token, **more
    )
    return answer


def refused(call: Any) -> str:
    with pytest.raises(botocore.exceptions.ClientError) as raised:
        call()
    return str(raised.value.response["Error"]["Code"])


def test_a_job_of_the_environment_becomes_its_role(target: Target, role: str) -> None:
    for job in (JOB, replace(JOB, immutable=True)):
        answer = assume(target, role, token(target, job))
        assert answer["Provider"] == f"arn:aws:iam::{ACCOUNT}:oidc-provider/{HOST}"
        assert answer["Audience"] == "sts.amazonaws.com"
        assert answer["SubjectFromWebIdentityToken"].endswith(":environment:staging")
        identity = target.client("sts", answer["Credentials"]).get_caller_identity()
        assert identity["Arn"] == f"arn:aws:sts::{ACCOUNT}:assumed-role/shop-staging/job"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"environment": "production"}, "AccessDenied"),
        ({"environment": ""}, "AccessDenied"),
        ({"repository": "acme/other"}, "AccessDenied"),
        ({"immutable": True, "repository_id": 3}, "AccessDenied"),
    ],
)
def test_a_job_of_anything_else_does_not(
    target: Target, role: str, change: dict[str, Any], code: str
) -> None:
    assert refused(lambda: assume(target, role, token(target, replace(JOB, **change)))) == code


def test_sts_names_what_is_wrong_with_a_token(target: Target, role: str) -> None:
    stranger = sign(issuer.generate(), claims(JOB, "sts.amazonaws.com", time.time()))
    elsewhere = role.replace(ACCOUNT, "999999999999")
    assert refused(lambda: assume(target, role, stranger)) == "InvalidIdentityToken"
    assert refused(lambda: assume(target, role, token(target, audience="x"))) == "InvalidIdentityToken"
    assert refused(lambda: assume(target, elsewhere, token(target))) == "InvalidIdentityToken"
    assert (
        refused(lambda: assume(target, role, token(target, at=time.time() - 400))) == "ExpiredTokenException"
    )
    assert refused(lambda: assume(target, role, token(target, at=time.time() + 3600))) == "IDPRejectedClaim"
    assert refused(lambda: assume(target, role, token(target), DurationSeconds=7200)) == "ValidationError"


def test_a_boundary_limits_what_the_role_was_given(target: Target, role: str) -> None:
    session = assume(target, role, token(target))["Credentials"]
    target.client("ssm", session).describe_parameters()
    assert refused(target.client("s3", session).list_buckets) == "AccessDenied"
    found = target.client("iam").get_role(RoleName="shop-staging")["Role"]["PermissionsBoundary"]
    assert found["PermissionsBoundaryArn"].endswith(":policy/shop-boundary")


def test_a_role_of_another_account_lets_in_whom_it_trusts(target: Target) -> None:
    other = "444455556666"
    there = {"AccessKeyId": other, "SecretAccessKey": "any"}
    source = f"arn:aws:iam::{other}:role/source"
    mine = target.role("deployer", "", {"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": source})
    stranger = target.role("stranger", "", {"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": "*"})
    unasked = target.role("unasked", "")
    trusted = [mine, unasked]
    trust = {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Principal": {"AWS": trusted}, "Action": "sts:AssumeRole"}],
    }
    target.client("iam", there).create_role(RoleName="source", AssumeRolePolicyDocument=json.dumps(trust))

    def become(role: str) -> Any:
        session = target.client("sts").assume_role(RoleArn=role, RoleSessionName="me")["Credentials"]
        return target.client("sts", session).assume_role(RoleArn=source, RoleSessionName="copy")[
            "Credentials"
        ]

    assert target.client("sts", become(mine)).get_caller_identity()["Account"] == other
    assert refused(lambda: become(stranger)) == "AccessDenied", "its trust policy does not name it"
    assert refused(lambda: become(unasked)) == "AccessDenied", "trusted, but its own policy does not allow it"


def test_the_provider_outlives_a_restart(target: Target, role: str) -> None:
    from pipeline.local import down

    down(target.root)
    target.again()
    assert assume(target, role, token(target))["Credentials"]
    provider = target.client("iam").get_open_id_connect_provider(
        OpenIDConnectProviderArn=f"arn:aws:iam::{ACCOUNT}:oidc-provider/{HOST}"
    )
    assert provider["ClientIDList"] == ["sts.amazonaws.com"]
