"""A target and its boto3 clients: made lazily, one a service, checked once against the expected account."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from pipeline import __version__
from pipeline.aws import endpoints, web_identity
from pipeline.aws.errors import as_target_error, told
from pipeline.errors import TargetError

# Attribute of Clients -> boto3's name. Anything else is a typing mistake and refused.
SERVICES = {
    "application_autoscaling": "application-autoscaling",
    "cloudformation": "cloudformation",
    "cloudwatch": "cloudwatch",
    "codebuild": "codebuild",
    "ecr": "ecr",
    "events": "events",
    "glue": "glue",
    "iam": "iam",
    "lambda_": "lambda",
    "logs": "logs",
    "s3": "s3",
    "sagemaker": "sagemaker",
    "sagemaker_runtime": "sagemaker-runtime",
    "scheduler": "scheduler",
    "secretsmanager": "secretsmanager",
    "ssm": "ssm",
    "stepfunctions": "stepfunctions",
    "sts": "sts",
}


@dataclass(frozen=True)
class Credentials:
    """Explicit credentials; without them boto3's own chain (environment, profile, SSO, role) is used."""

    access_key_id: str
    secret_access_key: str = field(repr=False)
    session_token: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Target:
    """Where commands go.

    Args:
        name: `aws` or `local`; only printed, never branched on.
        endpoint_url: the endpoint of all services; None for AWS's own.
        region: such as eu-west-1.
        account: 12 digits; what the credentials must belong to.
        credentials: explicit ones, or None for boto3's chain.
    """

    name: Literal["local", "aws"]
    endpoint_url: str | None
    region: str
    account: str
    credentials: Credentials | None = None


class Clients:
    """boto3 clients of one target, by attribute: `clients.s3`, `clients.lambda_`, ... Thread-safe."""

    s3: Any
    application_autoscaling: Any
    cloudformation: Any
    cloudwatch: Any
    codebuild: Any
    ecr: Any
    events: Any
    glue: Any
    iam: Any
    lambda_: Any
    logs: Any
    sagemaker: Any
    sagemaker_runtime: Any
    scheduler: Any
    secretsmanager: Any
    ssm: Any
    stepfunctions: Any
    sts: Any

    def __init__(self, target: Target, session: Any) -> None:
        self.target = target
        self._session = session
        self._lock = threading.Lock()

    @property
    def region(self) -> str:
        return self.target.region

    @property
    def account(self) -> str:
        return self.target.account

    @property
    def dns_suffix(self) -> str:
        """What AWS's host names end with in this region."""
        return "amazonaws.com.cn" if self.region.startswith("cn-") else "amazonaws.com"

    def __getattr__(self, name: str) -> Any:
        if name not in SERVICES:
            raise AttributeError(f"no AWS client named {name}; known: {', '.join(SERVICES)}")
        with self._lock:
            if name not in self.__dict__:
                self.__dict__[name] = self._make(SERVICES[name])
        return self.__dict__[name]

    def _make(self, service: str) -> Any:
        from botocore.config import Config

        # One prediction may take SageMaker's whole minute, and is not ours to repeat. STS is the first to be
        # asked: an endpoint that is not there should be told soon.
        runtime = service == "sagemaker-runtime"
        attempts = {"sagemaker-runtime": 1, "sts": 2}.get(service, 4)
        config = Config(
            retries={"mode": "standard", "total_max_attempts": attempts},
            user_agent_extra=f"gitops-ml-pipeline/{__version__}",
            connect_timeout=10,
            read_timeout=70 if runtime else 60,
        )
        where = {"region_name": self.target.region, "endpoint_url": self.target.endpoint_url}
        return endpoints.make(self._session.client, service, config, **where)

    def assume(self, role_arn: str, session: str, region: str | None = None) -> Clients:
        """Clients that act as a role, of this account or another, and renew its credentials as they expire.

        Args:
            session: stands last in the caller's ARN; STS takes 2 to 64 of `[A-Za-z0-9_+=,.@-]`.
            region: of the new clients; None: this one's.

        Raises:
            TargetError: the role is not there, or does not trust this caller (STS tells these apart for
                nobody).
        """
        import boto3
        import botocore.session
        from botocore.credentials import RefreshableCredentials

        def fetch() -> dict[str, str]:
            given = self.sts.assume_role(RoleArn=role_arn, RoleSessionName=session)["Credentials"]
            return {
                "access_key": given["AccessKeyId"],
                "secret_key": given["SecretAccessKey"],
                "token": given["SessionToken"],
                "expiry_time": given["Expiration"].isoformat(),
            }

        target = Target(
            self.target.name, self.target.endpoint_url, region or self.region, role_arn.split(":")[4]
        )
        with told(self.target.name):
            credentials = RefreshableCredentials.create_from_metadata(fetch(), fetch, "sts-assume-role")
        core = botocore.session.Session()
        if self.target.credentials is not None:
            _ignore_settings(core)
        core._credentials = credentials
        return Clients(target, boto3.Session(region_name=target.region, botocore_session=core))

    def http(self, method: str, url: str, headers: Mapping[str, str], body: Any = None) -> Any:
        """One plain request, such as a registry or a presigned URL takes; the answer's body is a stream.

        Args:
            body: bytes, or a file to read from with its Content-Length among the headers.

        Returns:
            `status_code`, `headers`, `raw` (a file of the body as it comes), `content` (all of it), `text`.
        """
        from pipeline.aws.http import send

        with told(self.target.name):
            return send(self._session, method, url, headers, body)


def connect(target: Target) -> Clients:
    """Clients of `target`, after one STS call that proves the credentials and their account.

    Raises:
        TargetError: no or expired credentials, an endpoint that does not answer, another account.
    """
    try:
        clients = Clients(target, _session(target))
        identity = clients.sts.get_caller_identity()
    except Exception as error:
        known = as_target_error(error, target.name)
        if known is None:
            raise
        raise known from error
    if identity["Account"] != target.account:
        raise TargetError(
            f"the credentials belong to account {identity['Account']}, the settings want {target.account}",
            where=identity["Arn"],
            hint="choose the right profile (export AWS_PROFILE=...), or mend `account` in pipeline.toml",
        )
    return clients


def _session(target: Target) -> Any:
    import boto3
    import botocore.session

    if target.credentials is None and not web_identity.wanted(os.environ):
        return boto3.Session(region_name=target.region)
    core = botocore.session.Session()
    if target.credentials is None:
        web_identity.provide(core, target.region)
        return boto3.Session(region_name=target.region, botocore_session=core)
    _ignore_settings(core)
    return boto3.Session(
        aws_access_key_id=target.credentials.access_key_id,
        aws_secret_access_key=target.credentials.secret_access_key,
        aws_session_token=target.credentials.session_token,
        region_name=target.region,
        botocore_session=core,
    )


def _ignore_settings(core: Any) -> None:
    """Explicit credentials want nothing of the user's AWS settings, neither files nor variables: a profile
    that is missing, or a mode that does not exist, would fail every command although it is not used.
    """
    for name, (_, _, default, convert) in list(core.session_var_map.items()):
        core.session_var_map[name] = (None, None, default, convert)
    core.set_config_variable("config_file", os.devnull)
    core.set_config_variable("credentials_file", os.devnull)
