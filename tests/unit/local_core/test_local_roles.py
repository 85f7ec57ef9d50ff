"""Service roles: who may act as which role."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from ministack.services import iam, sts

from pipeline.local import roles

ACCOUNT = "111122223333"
ARN = f"arn:aws:iam::{ACCOUNT}:role/path/worker"


@pytest.fixture(autouse=True)
def clean() -> Iterator[None]:
    yield
    iam._roles.clear()
    sts._sessions.clear()


def role(*statements: dict[str, Any], text: bool = False) -> None:
    document: Any = {"Version": "2012-10-17", "Statement": list(statements)}
    record = {
        "Arn": ARN,
        "RoleName": "worker",
        "AssumeRolePolicyDocument": json.dumps(document) if text else document,
    }
    iam._roles.set_scoped(ACCOUNT, None, "worker", record)


def allow(service: Any = "sagemaker.amazonaws.com", **more: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole", **more}


@pytest.mark.parametrize("text", [True, False])
def test_a_trusted_service_gets_a_session_of_the_role(text: bool) -> None:
    role(allow(), text=text)
    given = roles.credentials_for(ARN, "job/with spaces", "sagemaker")
    session = sts._sessions[given["AccessKeyId"]]
    assert session["Arn"] == f"arn:aws:sts::{ACCOUNT}:assumed-role/worker/job-with-spaces"
    assert session["SecretAccessKey"] == given["SecretAccessKey"]
    assert given == roles.credentials_for(ARN, "job/with spaces", "sagemaker")
    assert given["AccessKeyId"] != roles.credentials_for(ARN, "another", "sagemaker")["AccessKeyId"]


def test_one_of_several_services() -> None:
    role(allow(["lambda.amazonaws.com", "sagemaker.amazonaws.com"]))
    assert roles.check(ARN, "sagemaker") == (ACCOUNT, "worker")


@pytest.mark.parametrize(
    "statements",
    [
        [allow("lambda.amazonaws.com")],
        [],
        [{**allow(), "Action": "sts:TagSession"}],
        [allow(), {**allow(), "Effect": "Deny"}],
        [{**allow(), "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}}],
        [allow(Condition={"StringEquals": {"aws:SourceAccount": "999999999999"}})],
    ],
)
def test_a_service_that_is_not_trusted_is_refused(statements: list[dict[str, Any]]) -> None:
    role(*statements)
    with pytest.raises(
        roles.RoleNotAssumable, match=r"trust policy does not let sagemaker\.amazonaws\.com in"
    ):
        roles.credentials_for(ARN, "job", "sagemaker")


def test_a_condition_on_the_source() -> None:
    source = f"arn:aws:states:eu-west-1:{ACCOUNT}:stateMachine:iris"
    condition = {"ArnEquals": {"aws:SourceArn": source}, "StringEquals": {"aws:SourceAccount": ACCOUNT}}
    role(allow("states.amazonaws.com", Condition=condition))
    assert roles.check(ARN, "states", source)
    assert roles.check(ARN, "states"), "a caller that does not know the source is not judged by it"
    with pytest.raises(roles.RoleNotAssumable):
        roles.check(ARN, "states", source + "-other")


@pytest.mark.parametrize(
    "arn", ["", "worker", f"arn:aws:iam::{ACCOUNT}:role/none", f"arn:aws:iam::{ACCOUNT}:role/worker"]
)
def test_a_role_that_does_not_exist(arn: str) -> None:
    role(allow())
    with pytest.raises(roles.RoleNotAssumable, match="no such role"):
        roles.check(arn, "sagemaker")
