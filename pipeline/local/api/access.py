"""Who signed a request, and what their policies allow: every call is weighed, as AWS would."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from pipeline.local.api.errors import AccessDeniedException
from pipeline.local.api.store import Scope

Resources = Callable[[dict[str, Any], Any], Iterable[str]]


class Caller:
    """The signer of one request; `check` raises AccessDeniedException in AWS's words.

    Args:
        access_key: the request's access key id, whose signature the gateway has verified.
        scope: account and region of the request.
        service: of which an action is asked, as IAM calls it.
    """

    def __init__(self, access_key: str, scope: Scope, service: str) -> None:
        self.access_key = access_key
        self.scope = scope
        self.service = service

    def check(self, action: str, resource: str, context: dict[str, Any] | None = None) -> None:
        """Raise unless the caller's policies allow the action on the resource."""
        from ministack import app
        from ministack.core.iam_actions import identity_denial_message
        from ministack.core.iam_evaluator import AuthError, enforce

        if not app.AUTH:
            return
        denied = enforce(
            self.access_key,
            action,
            self.service,
            self.scope.region,
            resource_arn=resource,
            service_context=context,
        )
        if denied is None:
            return
        if isinstance(denied, AuthError):
            raise AccessDeniedException(denied.message)
        explicit = denied.decision == "Deny"
        raise AccessDeniedException(identity_denial_message(action, denied.principal_arn, resource, explicit))


def scoped(scope_type: type[Any]) -> Any:
    """Account, region and caller of the request this context belongs to, as a service's scope."""
    from ministack.core.iam_evaluator import caller_arn
    from ministack.core.responses import get_account_id, get_region

    return scope_type(get_account_id(), get_region(), caller_arn())


def signer(headers: dict[str, str], query_params: dict[str, Any], scope: Scope, service: str) -> Caller:
    """The signer of a request."""
    from ministack.core.router import extract_access_key_id

    return Caller(extract_access_key_id(headers, query_params), scope, service)
