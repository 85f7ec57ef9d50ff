"""Seam: CloudFormation's types of an account that MiniStack lacks, or of which it drops a part."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from typing import Any

Handler = dict[str, Any]


def handlers() -> dict[str, Handler]:
    """Type -> MiniStack's table of functions, for the types that are ours altogether."""
    return {
        "AWS::IAM::OIDCProvider": {
            "create": _provider_create,
            "update": _provider_update,
            "delete": _provider_delete,
        },
        "AWS::Budgets::Budget": {
            "create": _budget_create,
            "update": _budget_update,
            "update_with_logical_id": True,
            "delete": _budget_delete,
        },
    }


# --- AWS::IAM::OIDCProvider


def _provider_create(_: str, props: dict[str, Any], __: str) -> tuple[str, dict[str, Any]]:
    from ministack.core.responses import get_account_id
    from ministack.services import iam

    url = str(props["Url"])
    arn = f"arn:aws:iam::{get_account_id()}:oidc-provider/{url.removeprefix('https://').rstrip('/')}"
    if arn in iam._oidc_providers:
        # https://docs.aws.amazon.com/IAM/latest/APIReference/API_CreateOpenIDConnectProvider.html
        raise ValueError(
            f"Provider with url {url} already exists. (Service: Iam, Status Code: 409, "
            f"Request ID: {uuid.uuid4()})"
        )
    iam._oidc_providers[arn] = {"Arn": arn, "Url": url, "CreateDate": iam._now(), **_provider(props)}
    return arn, {"Arn": arn}


def _provider_update(
    physical_id: str, _: dict[str, Any], new: dict[str, Any], *__: Any
) -> tuple[str, dict[str, Any]]:
    from ministack.services import iam

    iam._oidc_providers[physical_id] = {**iam._oidc_providers[physical_id], **_provider(new)}
    return physical_id, {"Arn": physical_id}


def _provider_delete(physical_id: str, _: dict[str, Any]) -> None:
    from ministack.services import iam

    iam._oidc_providers.pop(physical_id, None)


def _provider(props: dict[str, Any]) -> dict[str, Any]:
    return {
        "ClientIDList": list(props.get("ClientIdList") or []),
        # IAM trusts GitHub's certificate authority by itself and keeps a thumbprint of its own finding.
        "ThumbprintList": list(props.get("ThumbprintList") or []),
        "Tags": list(props.get("Tags") or []),
    }


# --- AWS::Budgets::Budget


def _budget_create(logical_id: str, props: dict[str, Any], stack: str) -> tuple[str, dict[str, Any]]:
    name = (props.get("Budget") or {}).get("BudgetName") or f"{stack}-{logical_id}-{uuid.uuid4().hex[:12]}"
    _budgets(
        "_create_budget",
        {
            "Budget": _budget(props, name),
            "NotificationsWithSubscribers": props.get("NotificationsWithSubscribers") or [],
            "ResourceTags": props.get("ResourceTags") or [],
        },
    )
    return name, {}


def _budget_update(
    physical_id: str, old: dict[str, Any], new: dict[str, Any], stack: str, logical_id: str
) -> tuple[str, dict[str, Any]]:
    if (old.get("NotificationsWithSubscribers") or []) != (new.get("NotificationsWithSubscribers") or []):
        # Create-only: a new budget takes its place, unless the template gave it a name that is taken.
        return _budget_create(logical_id, new, stack)
    _budgets("_update_budget", {"NewBudget": _budget(new, physical_id)})
    return physical_id, {}


def _budget_delete(physical_id: str, _: dict[str, Any]) -> None:
    from ministack.services import budgets

    if physical_id in budgets._budgets:
        _budgets("_delete_budget", {"BudgetName": physical_id})


def _budget(props: dict[str, Any], name: str) -> dict[str, Any]:
    budget = {**(props.get("Budget") or {}), "BudgetName": name}
    limit = budget.get("BudgetLimit")
    if limit:
        # A template's amount is a number, the API's is text.
        budget["BudgetLimit"] = {"Amount": str(limit["Amount"]), "Unit": limit["Unit"]}
    return budget


def _budgets(function: str, request: dict[str, Any]) -> None:
    from ministack.services import budgets

    call: Callable[[dict[str, Any]], tuple[int, Any, Any]] = getattr(budgets, function)
    status, _, body = call(request)
    if status != 200:
        answer = json.loads(body)
        what = answer.get("message") or answer.get("Message") or answer
        raise ValueError(f"{what} (Service: Budgets, Status Code: {status})")


# --- AWS::IAM::Role: MiniStack drops the permissions boundary


def role(handler: Handler) -> None:
    """Keep PermissionsBoundary, which MiniStack's evaluator then enforces; the policy must exist."""
    create, update = handler["create"], handler["update"]

    def created(logical_id: str, props: dict[str, Any], stack: str) -> Any:
        _boundary_exists(props)
        answer = create(logical_id, props, stack)
        _limit(answer[0], props)
        return answer

    def updated(physical_id: str, old: dict[str, Any], new: dict[str, Any], *rest: Any) -> Any:
        _boundary_exists(new)
        answer = update(physical_id, old, new, *rest)
        _limit(answer[0], new)
        return answer

    handler["create"], handler["update"] = created, updated


def _boundary_exists(props: dict[str, Any]) -> None:
    from ministack.services import iam

    boundary = props.get("PermissionsBoundary")
    if boundary and not iam.policy_known(boundary, boundary.split(":")[4]):
        raise ValueError(
            f"Scope ARN: {boundary} does not exist or is not attachable. (Service: Iam, Status Code: 404)"
        )


def _limit(name: str, props: dict[str, Any]) -> None:
    from ministack.services import iam

    iam._roles[name]["PermissionsBoundary"] = props.get("PermissionsBoundary") or None
