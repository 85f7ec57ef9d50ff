"""Service roles: what a state machine, a job or an endpoint may do is what its role allows, nothing else.

A service assumes a role here as on AWS: the role exists, its trust policy lets the service's principal in,
and the temporary credentials are weighed by MiniStack's evaluator at every request that uses them.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import threading
from collections import OrderedDict
from typing import Any

from pipeline.local import context

_ROLE_ARN = re.compile(r"^arn:(?:aws|aws-cn|aws-us-gov):iam::(\d{12}):role/(?:.*/)?([\w+=,.@-]{1,64})$")
_NOT_IN_SESSION_NAME = re.compile(r"[^\w+=,.@-]")
# Longer than any request of ours waits: a Lambda function runs 900 s at most.
_READ_SECONDS = 910
_CLIENTS = 128

# Credentials are derived from it, so that one session has one key, and no other process can guess it.
_SALT = secrets.token_hex(32)

_lock = threading.Lock()
_session: Any = None
_clients: OrderedDict[tuple[str, str, str], Any] = OrderedDict()


class RoleNotAssumable(Exception):
    """A service cannot act as a role.

    Args:
        role_arn: the role.
        service: short name of the service, such as `states`.
        why: `no such role`, or what about its trust policy forbids it.
    """

    def __init__(self, role_arn: str, service: str, why: str) -> None:
        super().__init__(f"{service}.amazonaws.com cannot assume {role_arn}: {why}")
        self.role_arn = role_arn
        self.service = service
        self.why = why


def credentials_for(
    role_arn: str, session_name: str, service: str, source_arn: str | None = None
) -> dict[str, str]:
    """Credentials of a role for `<service>.amazonaws.com`, as if the service had called sts:AssumeRole.

    Args:
        role_arn: ARN of the role.
        session_name: what stands last in the caller's ARN; characters that STS refuses become `-`.
        service: `states`, `sagemaker`, `lambda`, `scheduler`, ...
        source_arn: the resource on whose behalf the service acts, for `aws:SourceArn` in the trust policy;
            None: not known, and conditions on it are not judged.

    Returns:
        AccessKeyId, SecretAccessKey, SessionToken. The same session gives the same ones.

    Raises:
        RoleNotAssumable: there is no such role, or it does not trust the service.
    """
    from ministack.services import sts

    account, name = check(role_arn, service, source_arn)
    session = _NOT_IN_SESSION_NAME.sub("-", session_name)[:64].ljust(2, "-")
    seed = f"{_SALT}:{role_arn}:{service}:{session}"
    key = "ASIA" + hashlib.sha256(f"key:{seed}".encode()).hexdigest()[:16].upper()
    secret = hashlib.sha256(f"secret:{seed}".encode()).hexdigest()
    token = hashlib.sha256(f"token:{seed}".encode()).hexdigest()
    sts.register_session(
        key,
        {
            "Arn": f"arn:aws:sts::{account}:assumed-role/{name}/{session}",
            "UserId": f"{name}:{session}",
            "SecretAccessKey": secret,
            "SessionToken": token,
        },
    )
    return {"AccessKeyId": key, "SecretAccessKey": secret, "SessionToken": token}


def check(role_arn: str, service: str, source_arn: str | None = None) -> tuple[str, str]:
    """Account and name of a role that exists and trusts the service; raises RoleNotAssumable otherwise."""
    from ministack.services import iam

    found = _ROLE_ARN.match(role_arn or "")
    role = iam._roles.get_scoped(found[1], None, found[2]) if found else None
    if found is None or role is None or role.get("Arn") != role_arn:
        raise RoleNotAssumable(role_arn, service, "no such role")
    if not _trusts(role.get("AssumeRolePolicyDocument") or {}, found[1], service, source_arn):
        raise RoleNotAssumable(role_arn, service, f"its trust policy does not let {service}.amazonaws.com in")
    return found[1], found[2]


def client(service: str, region: str, credentials: dict[str, str]) -> Any:
    """A boto3 client at our own endpoint, for worker threads: the event loop would wait for itself."""
    import boto3
    from botocore.config import Config

    global _session
    cached = (service, region, credentials["AccessKeyId"])
    with _lock:
        if cached in _clients:
            _clients.move_to_end(cached)
            return _clients[cached]
        # Making a client is not thread-safe, and the session caches the parsed service models.
        _session = _session or boto3.Session()
        made = _session.client(
            service,
            region_name=region,
            endpoint_url=context.endpoint_url(),
            aws_access_key_id=credentials["AccessKeyId"],
            aws_secret_access_key=credentials["SecretAccessKey"],
            aws_session_token=credentials.get("SessionToken"),
            config=Config(
                inject_host_prefix=False,
                connect_timeout=10,
                read_timeout=_READ_SECONDS,
                max_pool_connections=32,
                # Retrying is the caller's matter: a state machine has Retry, and AWS counts its attempts.
                retries={"total_max_attempts": 1},
            ),
        )
        _clients[cached] = made
        while len(_clients) > _CLIENTS:
            _clients.popitem(last=False)
        return made


def _trusts(document: Any, account: str, service: str, source_arn: str | None) -> bool:
    """Whether a trust policy allows sts:AssumeRole to the service's principal; a matching Deny wins."""
    from ministack.core import iam_evaluator as evaluator

    principal = f"{service}.amazonaws.com"
    conditions: dict[str, Any] = {"aws:sourceaccount": account}
    if source_arn:
        conditions["aws:sourcearn"] = source_arn
    about = evaluator.EvalContext(
        principal_arn=principal,
        principal_type="Service",
        principal_account=account,
        action="sts:AssumeRole",
        resource_arn="*",
        region="",
        service_context=conditions,
    )
    allowed = False
    # Trust policies name no resource, which the parser reads as one that matches none: only the parts
    # about action and condition are taken from it.
    for raw in _statements(document):
        if not evaluator._service_principal_matches(raw.get("Principal"), principal):
            continue
        if not evaluator._action_matches(
            about.action, _listed(raw.get("Action")), _listed(raw.get("NotAction"))
        ):
            continue
        if not evaluator._conditions_met(_judged(raw.get("Condition") or {}, source_arn), about):
            continue
        if raw.get("Effect") == "Deny":
            return False
        allowed = allowed or raw.get("Effect") == "Allow"
    return allowed


def _judged(conditions: dict[str, Any], source_arn: str | None) -> dict[str, Any]:
    """The conditions, without those on the source where the caller does not know it."""
    if source_arn:
        return conditions
    return {
        operator: {key: value for key, value in keys.items() if key.lower() != "aws:sourcearn"}
        for operator, keys in conditions.items()
        if isinstance(keys, dict)
    }


def _statements(document: Any) -> list[dict[str, Any]]:
    import json

    try:
        parsed = json.loads(document) if isinstance(document, str) else document
    except ValueError:
        return []
    return [each for each in _listed((parsed or {}).get("Statement")) if isinstance(each, dict)]


def _listed(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]
