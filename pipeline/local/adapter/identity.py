"""Seam: IAM's own part of authorization, where MiniStack leaves something out.

A role's ARN has its path. `aws:PrincipalArn` of a session is its role's ARN. Changing a role has the
condition key iam:PermissionsBoundary, a change set cloudformation:RoleArn, and whoever hands a role to a
service needs iam:PassRole: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_iam-condition-keys.html,
.../reference_policies_condition-keys.html#condition-keys-principalarn, .../id_roles_use_passrole.html
"""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import parse_qs

from ministack.core import iam_actions
from ministack.core import iam_evaluator as evaluator
from ministack.core.responses import get_account_id, get_region

# iam:PermissionsBoundary is what the request wants for these, for the others what the role has.
_WANTED = frozenset({"iam:CreateRole", "iam:PutRolePermissionsBoundary"})
_ATTACHED = frozenset(
    {
        *("iam:AttachRolePolicy", "iam:DeleteRole", "iam:DeleteRolePermissionsBoundary"),
        *("iam:DeleteRolePolicy", "iam:DetachRolePolicy", "iam:PutRolePolicy", "iam:UpdateAssumeRolePolicy"),
        *("iam:UpdateRole", "iam:UpdateRoleDescription"),
    }
)
# Action -> where the role it hands over stands in the request, and to which service.
_PASSES = {
    "lambda:CreateFunction": ("Role", "lambda"),
    "lambda:UpdateFunctionConfiguration": ("Role", "lambda"),
    "scheduler:CreateSchedule": ("Target.RoleArn", "scheduler"),
    "scheduler:UpdateSchedule": ("Target.RoleArn", "scheduler"),
    "states:CreateStateMachine": ("roleArn", "states"),
    "states:UpdateStateMachine": ("roleArn", "states"),
}
_PASSED, _PASSED_TO = "pipeline:passedrole", "pipeline:passedto"
_SESSION = re.compile(r"^arn:[a-z-]+:sts::(\d{12}):assumed-role/([^/]+)/")


def install() -> None:
    """Refine resources, condition keys and what is asked besides."""
    resource, context = iam_actions.extract_resource_arn, iam_actions.request_tag_context
    resolve, enforce = evaluator._resolve_condition_key, evaluator.enforce

    def refined_resource(
        service: str, method: str, path: str, headers: dict, body: bytes, params: dict, *more: Any
    ) -> str:
        if service == "iam":
            name = _one(_form(body, params), "RoleName")
            if name:
                return _role_arn(get_account_id(), name, _one(_form(body, params), "Path"))
        arn: str = resource(service, method, path, headers, body, params, *more)
        if service == "cloudformation" and arn == "*":
            return _stack_of(_one(_form(body, params), "ChangeSetName")) or arn
        if service == "ecr" and arn == "*":
            return _repository(body) or arn
        return arn

    def refined_context(service: str, iam_action: str, body: bytes, params: dict) -> dict:
        found: dict = context(service, iam_action, body, params)
        if iam_action in _WANTED:
            found["iam:permissionsboundary"] = _one(_form(body, params), "PermissionsBoundary") or None
        elif iam_action in _ATTACHED:
            found["iam:permissionsboundary"] = _role(_one(_form(body, params), "RoleName")).get(
                "PermissionsBoundary"
            )
        elif service == "cloudformation":
            found["cloudformation:rolearn"] = _one(_form(body, params), "RoleARN") or None
        elif iam_action in _PASSES:
            where, to = _PASSES[iam_action]
            found |= {_PASSED: _deep(body, where), _PASSED_TO: f"{to}.amazonaws.com"}
        return {key: value for key, value in found.items() if value is not None}

    def resolved(key: str, about: Any) -> Any:
        value = resolve(key, about)
        if key.lower() == "aws:principalarn":
            session = _SESSION.match(str(value))
            return _role_arn(session[1], session[2]) if session else value
        return value

    def enforced(
        access_key: str, iam_action: str, service: str, region: str, resource_arn: str = "*", **named: Any
    ) -> Any:
        given = dict(named.pop("service_context", None) or {})
        role, to = given.pop(_PASSED, None), given.pop(_PASSED_TO, None)
        denied = enforce(
            access_key, iam_action, service, region, resource_arn=resource_arn, service_context=given, **named
        )
        if denied is not None or not role:
            return denied
        passed = {"iam:passedtoservice": to}
        return enforce(access_key, "iam:PassRole", "iam", region, resource_arn=role, service_context=passed)

    iam_actions.extract_resource_arn = refined_resource
    iam_actions.request_tag_context = refined_context
    evaluator._resolve_condition_key = resolved
    evaluator.enforce = enforced


def _role(name: str, account: str = "") -> dict[str, Any]:
    from ministack.services import iam

    found: dict[str, Any] | None = iam._roles.get_scoped(account or get_account_id(), None, name)
    return found or {}


def _role_arn(account: str, name: str, path: str = "") -> str:
    """The role's own ARN; of one that is not there yet, the one it would have."""
    known = _role(name, account).get("Arn")
    return str(known) if known else f"arn:aws:iam::{account}:role{path or '/'}{name}"


def _stack_of(change_set: str) -> str | None:
    """ARN of the stack that a change set, named by its ARN alone, is of."""
    from ministack.services import cloudformation

    found = cloudformation._change_sets.get(change_set) if change_set else None
    return str(found["StackId"]) if found else None


def _repository(body: bytes) -> str | None:
    """ARN of the repository that DescribeRepositories asks for; of several, all below their folder."""
    try:
        names = [str(name) for name in json.loads(body or b"{}").get("repositoryNames") or []]
    except (ValueError, UnicodeDecodeError, AttributeError):
        return None
    if not names:
        return None
    folders = {name.rpartition("/")[0] for name in names}
    one = names[0] if len(names) == 1 else f"{folders.pop()}/*" if len(folders) == 1 else "*"
    return f"arn:aws:ecr:{get_region()}:{get_account_id()}:repository/{one}"


def _form(body: bytes, params: dict) -> dict[str, Any]:
    """A query protocol's parameters, wherever they stand."""
    return params if params.get("Action") else parse_qs(body.decode("utf-8", "replace"))


def _one(form: dict[str, Any], name: str) -> str:
    found = form.get(name) or [""]
    return str(found[0] if isinstance(found, list) else found)


def _deep(body: bytes, where: str) -> str | None:
    """A text of a JSON body by its dotted path."""
    try:
        value: Any = json.loads(body or b"{}")
    except (ValueError, UnicodeDecodeError):
        return None
    for key in where.split("."):
        value = value.get(key) if isinstance(value, dict) else None
    return value if isinstance(value, str) else None
