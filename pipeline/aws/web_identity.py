"""Credentials from a job's own identity token: AssumeRoleWithWebIdentity, renewed while it runs.

GitHub gives a job with `permissions: id-token: write` an address to ask for a token at. botocore exchanges a
token for an hour's credentials, and asks for a new one when they are about to end, so that a run of many
hours can be followed. Nothing is written to disk or to the environment of later steps.

https://docs.github.com/en/actions/reference/security/oidc
https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html
"""

from __future__ import annotations

import ipaddress
import json
import os
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from typing import Any

from pipeline.aws import endpoints
from pipeline.errors import TargetError

ROLE = "AWS_ROLE_ARN"
SESSION_NAME = "AWS_ROLE_SESSION_NAME"
AUDIENCE = "sts.amazonaws.com"
_URL, _TOKEN = "ACTIONS_ID_TOKEN_REQUEST_URL", "ACTIONS_ID_TOKEN_REQUEST_TOKEN"
TIMEOUT_SECONDS = 20


def available(environment: Mapping[str, str]) -> bool:
    """Whether this job may ask for an identity token. A pull request from a fork may not."""
    return bool(environment.get(_URL) and environment.get(_TOKEN))


def wanted(environment: Mapping[str, str]) -> bool:
    """Whether a role was named and a token can be had for it."""
    return bool(environment.get(ROLE)) and available(environment)


def provide(core: Any, region: str) -> None:
    """Give a botocore session the credentials of the role that $AWS_ROLE_ARN names."""
    from botocore.credentials import (
        AssumeRoleWithWebIdentityCredentialFetcher,
        DeferredRefreshableCredentials,
    )

    core.set_config_variable("region", region)
    fetcher = AssumeRoleWithWebIdentityCredentialFetcher(
        client_creator=lambda service, config=None, **more: endpoints.make(
            core.create_client, service, config, **more
        ),
        web_identity_token_loader=lambda: token(os.environ),
        role_arn=os.environ[ROLE],
        extra_args={"RoleSessionName": os.environ.get(SESSION_NAME) or "gitops-ml-pipeline"},
    )
    core._credentials = DeferredRefreshableCredentials(
        method="assume-role-with-web-identity", refresh_using=fetcher.fetch_credentials
    )


def token(environment: Mapping[str, str]) -> str:
    """A fresh identity token of this job, for AWS's audience.

    Raises:
        TargetError: the service does not answer, or with something else.
    """
    url = f"{environment[_URL]}&{urllib.parse.urlencode({'audience': AUDIENCE})}"
    request = urllib.request.Request(url, headers={"Authorization": f"bearer {environment[_TOKEN]}"})
    host = urllib.parse.urlsplit(url).hostname or ""
    # A proxy leads to the world outside, and would be shown the token.
    handlers = [urllib.request.ProxyHandler({})] if _loopback(host) else []
    try:
        with urllib.request.build_opener(*handlers).open(request, timeout=TIMEOUT_SECONDS) as answer:
            value = json.load(answer)["value"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise TargetError(
            f"no identity token for this job: {error}",
            where=host,
            hint="give the job `permissions: id-token: write`; a fork's pull request cannot have it",
        ) from error
    return str(value)


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
