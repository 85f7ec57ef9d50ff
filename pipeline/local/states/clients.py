"""Clients of a state machine: boto3 at our own endpoint, with a session of its role."""

from __future__ import annotations

import hashlib
from typing import Any

from botocore.exceptions import ClientError

from pipeline.local import roles

SERVICE = "states"


def check(role_arn: str, region: str, source_arn: str) -> str:
    """The principal (`states`, or AWS's regional form of it) that the role lets in.

    Raises RoleNotAssumable. `source_arn` is the state machine, for aws:SourceArn in the trust policy.
    """
    try:
        roles.check(role_arn, SERVICE, source_arn)
        return SERVICE
    except roles.RoleNotAssumable:
        regional = f"{SERVICE}.{region}"
        try:
            roles.check(role_arn, regional, source_arn)
            return regional
        except roles.RoleNotAssumable:
            pass
        raise


def client(service: str, role_arn: str, region: str, source_arn: str) -> Any:
    """A client of a service with the role's permissions; raises RoleNotAssumable."""
    # One session a role: AWS shows a random name, ours is stable so that clients can be kept.
    session = hashlib.sha256(role_arn.encode()).hexdigest()[:32]
    principal = check(role_arn, region, source_arn)
    credentials = roles.credentials_for(role_arn, session, principal, source_arn=source_arn)
    return roles.client(service, region, credentials)


def assumed(service: str, role_arn: str, region: str, source_arn: str, task_role: str) -> Any:
    """A client with the permissions of a Task's own role (Credentials), assumed by the machine's role.

    Raises TaskRoleRefused where the one may not assume the other.
    """
    sts = client("sts", role_arn, region, source_arn)
    try:
        answer = sts.assume_role(RoleArn=task_role, RoleSessionName="states")
    except ClientError as error:
        raise TaskRoleRefused(
            f"The role {role_arn} is not authorized to assume the task state's role, {task_role}."
        ) from error
    return roles.client(service, region, answer["Credentials"])


class TaskRoleRefused(Exception):
    """The machine's role may not assume a Task's role; the text is AWS's."""


def not_assumable(error: roles.RoleNotAssumable) -> str:
    """AWS's words for a role that Step Functions cannot take."""
    return (
        "Neither the global service principal states.amazonaws.com, nor the regional one is authorized to "
        f"assume the provided role. ({error.role_arn}: {error.why})"
    )
