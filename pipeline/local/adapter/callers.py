"""Seam: in whose name a stack is changed. MiniStack asks nobody; AWS asks IAM at every resource.

The caller is who signed the request that began the change. An account's root may do everything.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

from ministack.core import iam_evaluator as evaluator
from ministack.core.responses import get_account_id, get_region

from pipeline.local.adapter.needs import Change, Need, needs

Handler = dict[str, Any]


class NotAuthorizedError(ValueError):
    """The caller may not do what a resource's change takes; the text is AWS's."""


def install(handlers: dict[str, Handler]) -> None:
    """Ask at every type. Call last, when all types are there."""
    for name, handler in handlers.items():
        handlers[name] = _asking(name, handler)


def _asking(name: str, handler: Handler) -> Handler:
    create: Callable[..., Any] | None = handler.get("create")
    update: Callable[..., Any] | None = handler.get("update")
    delete: Callable[..., Any] | None = handler.get("delete")
    asking = dict(handler)

    if create is not None:

        def created(logical_id: str, props: dict[str, Any], stack: str) -> Any:
            require(name, stack, logical_id, "", {}, props)
            return create(logical_id, props, stack)

        asking["create"] = created
    if update is not None:

        def updated(
            physical_id: str, old: dict[str, Any], new: dict[str, Any], stack: str, *rest: Any
        ) -> Any:
            require(name, stack, rest[0] if rest else "", physical_id, old, new)
            return update(physical_id, old, new, stack, *rest)

        asking["update"] = updated
    if delete is not None:

        def deleted(physical_id: str, props: dict[str, Any], *rest: Any) -> Any:
            require(name, "", rest[0] if rest else "", physical_id, props, {})
            return delete(physical_id, props, *rest)

        asking["delete"] = deleted
    return asking


def require(
    name: str, stack: str, logical_id: str, physical_id: str, old: dict[str, Any], new: dict[str, Any]
) -> None:
    """That the caller may change a resource of this type so.

    Raises:
        NotAuthorizedError: an action is not allowed, or nobody knows what the type takes.
    """
    key = evaluator._verified_key.get()
    if not key:
        # Roots' signatures are not verified: the account's root, or the server itself.
        return
    account, region = get_account_id(), get_region()
    principal = evaluator.resolve_principal(key, account)
    if isinstance(principal, evaluator.AuthError):
        raise NotAuthorizedError(f"{principal.message} (Status Code: 403)")
    if principal.policies is None:
        return
    wanted = needs(name, Change(account, region, stack, logical_id, physical_id, old, new))
    if wanted is None:
        raise NotAuthorizedError(
            f"the local target does not know which permissions {name} takes; only the account's root may "
            "change one here"
        )
    for need in wanted:
        if not allowed(principal, need, region):
            raise NotAuthorizedError(
                f"User: {principal.arn} is not authorized to perform: {need.action} on resource: "
                f"{need.resource} because no identity-based policy allows the {need.action} action "
                f"(Service: {name.split('::')[1]}, Status Code: 403, Request ID: {uuid.uuid4()})"
            )


def allowed(principal: Any, need: Need, region: str) -> bool:
    """Whether the caller's policies, and what limits them, allow one action on one resource."""
    about = evaluator.EvalContext(
        principal_arn=principal.arn,
        principal_type=principal.type,
        principal_account=principal.account,
        action=need.action,
        resource_arn=need.resource,
        region=region,
        service_context={key: value for key, value in need.context.items() if value is not None},
        principal_keys=principal.keys,
    )
    return evaluator.evaluate(about, principal.policies, *principal.limits).decision == "Allow"
