"""A job's role: named by its name or its ARN, assumed by Glue, and all that a run may use."""

from __future__ import annotations

from typing import Any

from pipeline.local import context, roles
from pipeline.local.api.store import Scope

# Glue names its sessions so; that it is one name for all runs lets them share clients, too.
SESSION = "GlueJobRunnerSession"


def arn(given: str, scope: Scope) -> str:
    """The ARN of a role that a job names by its ARN or by its name alone."""
    if given.startswith("arn:"):
        return given
    from ministack.services import iam

    known: Any = iam._roles.get_scoped(scope.account, None, given)
    return str(known["Arn"]) if known else f"arn:{scope.partition}:iam::{scope.account}:role/{given}"


class Session:
    """A job's role, assumed by Glue.

    Raises:
        roles.RoleNotAssumable: there is no such role, or it does not trust Glue.
    """

    def __init__(self, scope: Scope, given: str, job_arn: str) -> None:
        self._scope = scope
        self.role_arn = arn(given, scope)
        self._credentials = roles.credentials_for(self.role_arn, SESSION, "glue", job_arn)

    def client(self, service: str) -> Any:
        """A boto3 client of the role."""
        return roles.client(service, self._scope.region, self._credentials)

    def variables(self) -> dict[str, str]:
        """What a program needs to call AWS as the role, and as nobody else."""
        return {
            "AWS_REGION": self._scope.region,
            "AWS_DEFAULT_REGION": self._scope.region,
            "AWS_ENDPOINT_URL": context.endpoint_url(),
            "AWS_ACCESS_KEY_ID": self._credentials["AccessKeyId"],
            "AWS_SECRET_ACCESS_KEY": self._credentials["SecretAccessKey"],
            "AWS_SESSION_TOKEN": self._credentials["SessionToken"],
            "AWS_EC2_METADATA_DISABLED": "true",
        }
