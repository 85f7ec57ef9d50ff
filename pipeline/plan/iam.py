"""Policies as sets of grants, and what one set lets somebody do that another does not. Pure.

Statements are taken apart into grants (one action on one resource) and put side by side as sets, so that a
statement that is split, merged or renamed is no change. A grant that a wider one covers is none either.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from pipeline.plan.model import canonical


@dataclass(frozen=True, order=True)
class Grant:
    """One action on one resource, as a policy allows or denies it.

    Args:
        effect: Allow or Deny.
        action: such as `s3:GetObject`; IAM ignores its case, and so does `covers`.
        resource: an ARN, or a template's expression as `${TrainingRole.Arn}`; empty in a trust policy.
        principal: who, in a policy that names whom it is for: `Service: states.amazonaws.com`.
        condition: canonical JSON; empty without one.
        inverted: which of action and resource stand under NotAction and NotResource.
    """

    effect: str
    action: str
    resource: str
    principal: str = ""
    condition: str = ""
    inverted: tuple[str, ...] = ()


def grants(document: Any) -> frozenset[Grant]:
    """A policy document, taken apart. What is not one gives nothing."""
    if not isinstance(document, Mapping):
        return frozenset()
    return frozenset(g for s in _listed(document.get("Statement")) for g in _statement(s))


def moved(before: frozenset[Grant], after: frozenset[Grant]) -> tuple[list[Grant], list[Grant]]:
    """Grants that are gained and lost; those that another one covers are left out."""
    gained = [g for g in after - before if not any(covers(other, g) for other in before)]
    lost = [g for g in before - after if not any(covers(other, g) for other in after)]
    return sorted(gained), sorted(lost)


def covers(wide: Grant, narrow: Grant) -> bool:
    """Whether `wide` says all that `narrow` says, as far as patterns tell."""
    if (wide.effect, wide.principal, wide.inverted) != (narrow.effect, narrow.principal, narrow.inverted):
        return False
    # Without a condition it holds always; of two conditions only equal ones are known to imply each other.
    if wide.condition not in ("", narrow.condition):
        return False
    if wide.inverted:
        return (wide.action, wide.resource) == (narrow.action, narrow.resource)
    return _matches(wide.action.lower(), narrow.action.lower()) and _matches(wide.resource, narrow.resource)


def _statement(statement: Any) -> Iterator[Grant]:
    if not isinstance(statement, Mapping):
        return
    inverted = tuple(key for key in ("NotAction", "NotPrincipal", "NotResource") if key in statement)
    condition = canonical(_sorted(statement["Condition"])) if statement.get("Condition") else ""
    whom = _principals(statement.get("Principal", statement.get("NotPrincipal")))
    for action in _listed(statement.get("Action", statement.get("NotAction"))):
        for resource in _listed(statement.get("Resource", statement.get("NotResource"))) or [""]:
            for principal in whom:
                yield Grant(
                    str(statement.get("Effect", "Allow")),
                    str(action),
                    text(resource),
                    principal,
                    condition,
                    inverted,
                )


def _principals(value: Any) -> list[str]:
    if value is None:
        return [""]
    if not isinstance(value, Mapping) or set(value) & {"Ref", "Fn::Sub", "Fn::GetAtt"}:
        return [text(value)]
    return [f"{kind}: {text(who)}" for kind, many in value.items() for who in _listed(many)]


def _sorted(value: Any) -> Any:
    """A condition with its values in one order and as lists: IAM takes them for sets."""
    if isinstance(value, Mapping):
        return {key: _sorted(inner) for key, inner in value.items()}
    return sorted(text(item) for item in _listed(value))


def text(value: Any) -> str:
    """A resource as one string: what only CloudFormation knows stays as its expression."""
    if isinstance(value, str):
        return value
    if isinstance(value, Mapping) and len(value) == 1:
        ((key, inner),) = value.items()
        if key == "Ref":
            return f"${{{inner}}}"
        if key == "Fn::GetAtt":
            return f"${{{'.'.join(map(str, _listed(inner)))}}}"
        if key == "Fn::Sub":
            return str(inner if isinstance(inner, str) else inner[0])
    return canonical(value)


def _listed(value: Any) -> list[Any]:
    if value is None:
        return []
    return list(value) if isinstance(value, list | tuple) else [value]


def _matches(pattern: str, value: str) -> bool:
    """IAM's wildcards: `*` is any text, `?` one character; a `*` in the value is more than one character."""
    return pattern == value or bool(_compiled(pattern).fullmatch(value))


@lru_cache(maxsize=4096)
def _compiled(pattern: str) -> re.Pattern[str]:
    parts = (".*" if c == "*" else "[^*]" if c == "?" else re.escape(c) for c in pattern)
    return re.compile("".join(parts), re.S)
