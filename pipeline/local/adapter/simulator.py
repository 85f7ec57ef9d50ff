"""Seam: SimulatePrincipalPolicy. MiniStack weighs one resource, no context and no boundary.

https://docs.aws.amazon.com/IAM/latest/APIReference/API_SimulatePrincipalPolicy.html
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from xml.sax.saxutils import escape

_DECISIONS = {"Allow": "allowed", "Deny": "explicitDeny", "ImplicitDeny": "implicitDeny"}


def install(iam: Any) -> None:
    """Simulate what enforcement does: every resource, the given context, the principal's boundary."""
    iam._IAM_HANDLERS["SimulatePrincipalPolicy"] = lambda params: _simulate(iam, params)


def _simulate(iam: Any, params: dict[str, Any]) -> Any:
    from ministack.core import iam_evaluator as evaluator
    from ministack.core.responses import get_account_id, get_region

    one: Callable[[str], str] = lambda name: str(iam._p(params, name) or "")  # noqa: E731
    source, account = one("PolicySourceArn"), get_account_id()
    kind, _, name = source.rpartition(":")[2].partition("/")
    name = name.rpartition("/")[2]
    store = {"role": iam._roles, "user": iam._users}.get(kind)
    if store is None or store.get_scoped(account, None, name) is None:
        return iam._error(404, "NoSuchEntity", f"Principal {escape(source)} does not exist.", ns="iam")
    gather = evaluator._gather_role_policies if kind == "role" else evaluator._gather_user_policies
    policies, limits = gather(name, account), evaluator._permissions_boundary(store, name, account)
    context = dict(_context(one))
    members = []
    for action in _members(one, "ActionNames.member.{}"):
        for resource in list(_members(one, "ResourceArns.member.{}")) or ["*"]:
            about = evaluator.EvalContext(
                principal_arn=source,
                principal_type="AssumedRole" if kind == "role" else "User",
                principal_account=account,
                action=action,
                resource_arn=resource,
                region=get_region(),
                service_context=context,
            )
            decision = _DECISIONS[evaluator.evaluate(about, policies, *limits).decision]
            within = all(evaluator.evaluate(about, layer).decision == "Allow" for layer in limits)
            boundary = (
                "<PermissionsBoundaryDecisionDetail><AllowedByPermissionsBoundary>"
                f"{str(within).lower()}</AllowedByPermissionsBoundary></PermissionsBoundaryDecisionDetail>"
                if limits
                else ""
            )
            members.append(
                f"<member><EvalActionName>{escape(action)}</EvalActionName>"
                f"<EvalResourceName>{escape(resource)}</EvalResourceName>"
                f"<EvalDecision>{decision}</EvalDecision><MatchedStatements/><MissingContextValues/>"
                f"{boundary}</member>"
            )
    return iam._xml(
        200,
        "SimulatePrincipalPolicyResponse",
        "<SimulatePrincipalPolicyResult><IsTruncated>false</IsTruncated>"
        f"<EvaluationResults>{''.join(members)}</EvaluationResults></SimulatePrincipalPolicyResult>",
        ns="iam",
    )


def _context(one: Callable[[str], str]) -> Iterator[tuple[str, Any]]:
    number = 1
    while key := one(f"ContextEntries.member.{number}.ContextKeyName"):
        values = list(_members(one, f"ContextEntries.member.{number}.ContextKeyValues.member.{{}}"))
        yield key.lower(), values[0] if len(values) == 1 else values
        number += 1


def _members(one: Callable[[str], str], pattern: str) -> Iterator[str]:
    number = 1
    while value := one(pattern.format(number)):
        yield value
        number += 1
