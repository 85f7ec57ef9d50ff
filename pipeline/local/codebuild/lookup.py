"""Variables whose value lies in Parameter Store or Secrets Manager, read as the build's role."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from botocore.exceptions import ClientError


class Lookup:
    """Gives values by name; LookupError has CodeBuild's words.

    Args:
        client: of a service's name, a boto3 client with the build's role.
    """

    def __init__(self, client: Callable[[str], Any]) -> None:
        self._client = client

    def parameter(self, name: str) -> str:
        """A parameter's value, decrypted."""
        try:
            found = self._client("ssm").get_parameter(Name=name, WithDecryption=True)
        except ClientError as error:
            raise LookupError(f"Parameter Store: {_said(error)}: {name}") from None
        return str(found["Parameter"]["Value"])

    def secret(self, reference: str) -> str:
        """A secret, or one key of it: `id[:key[:stage[:version]]]`; the id may be an ARN."""
        parts = reference.split(":")
        count = 7 if reference.startswith("arn:") else 1
        name, rest = ":".join(parts[:count]), parts[count:]
        key, stage, version = [*rest, "", "", ""][:3]
        wanted = {"VersionStage": stage} if stage else {}
        if version:
            wanted["VersionId"] = version
        try:
            found = self._client("secretsmanager").get_secret_value(SecretId=name, **wanted)
        except ClientError as error:
            raise LookupError(f"Secrets Manager: {_said(error)}: {name}") from None
        text = str(found["SecretString"])
        if not key:
            return text
        try:
            return str(json.loads(text)[key])
        except (ValueError, KeyError, TypeError):
            raise LookupError(f"Secrets Manager: the secret {name} has no key {key}") from None

    def variable(self, given: dict[str, str]) -> str:
        """The value of a project's variable, by its type."""
        kind = given.get("type", "PLAINTEXT")
        if kind == "PARAMETER_STORE":
            return self.parameter(given["value"])
        return self.secret(given["value"]) if kind == "SECRETS_MANAGER" else given["value"]


def _said(error: ClientError) -> str:
    return str(error.response["Error"]["Code"])
