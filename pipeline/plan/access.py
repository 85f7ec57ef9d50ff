"""Whom a change of templates lets do what, in words: by role, with what the role is for. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from pipeline.plan.iam import Grant, grants, moved, text
from pipeline.plan.model import canonical

ATTACHED = ("AWS::IAM::Policy", "AWS::IAM::ManagedPolicy", "AWS::IAM::RolePolicy")
# Resource types with a policy of their own -> the properties that hold it and what it is on.
RESOURCE_POLICIES = {
    "AWS::S3::BucketPolicy": ("PolicyDocument", "Bucket"),
    "AWS::SNS::TopicPolicy": ("PolicyDocument", "Topics"),
    "AWS::ECR::Repository": ("RepositoryPolicyText", "RepositoryName"),
    "AWS::KMS::Key": ("KeyPolicy", ""),
    "AWS::SecretsManager::ResourcePolicy": ("ResourcePolicy", "SecretId"),
}


@dataclass(frozen=True)
class AccessChange:
    """One fact about one holder of rights. `wider` is what a reviewer should look at first."""

    action: Literal["gains", "loses", "changes"]
    words: str
    wider: bool


@dataclass(frozen=True)
class HolderChange:
    """What changes for one role, or in one resource's own policy.

    Args:
        name: for a person: `the training role`, `the policy of ArtifactBucket`.
        purpose: who uses it for what, from the template's own words.
        action: whether the holder itself is added, changed or removed.
    """

    logical_id: str
    name: str
    purpose: str
    action: Literal["added", "changed", "removed"]
    changes: tuple[AccessChange, ...]


@dataclass(frozen=True)
class _Holder:
    name: str
    purpose: str
    rights: frozenset[Grant]
    trust: frozenset[Grant] = frozenset()
    managed: frozenset[str] = frozenset()
    others: dict[str, str] = field(default_factory=dict)


def compare(before: Mapping[str, Any] | None, after: Mapping[str, Any]) -> tuple[HolderChange, ...]:
    """Changes of rights between two templates (with parameters filled in; None: there was none)."""
    old = _holders(before) if before else {}
    new = _holders(after)
    found = []
    for logical_id in [*new, *(name for name in old if name not in new)]:
        then, now = old.get(logical_id), new.get(logical_id)
        changes = tuple(_changes(then, now))
        shown = now or then
        if changes and shown:
            action: Any = "added" if then is None else "removed" if now is None else "changed"
            found.append(HolderChange(logical_id, shown.name, shown.purpose, action, changes))
    return tuple(found)


def words(changes: Iterable[HolderChange]) -> list[str]:
    """One sentence a fact: `the training role gains s3:GetObject on arn:...`."""
    return [f"{h.name} {change.words}" for h in changes for change in h.changes]


def _holders(template: Mapping[str, Any]) -> dict[str, _Holder]:
    resources: Mapping[str, Any] = template.get("Resources") or {}
    found: dict[str, _Holder] = {}
    for logical_id, resource in resources.items():
        properties = resource.get("Properties") or {}
        if resource["Type"] == "AWS::IAM::Role":
            found[logical_id] = _role(logical_id, properties, resources)
        elif resource["Type"] in RESOURCE_POLICIES:
            key, target = RESOURCE_POLICIES[resource["Type"]]
            rights = grants(_document(properties.get(key)))
            if rights:
                named = properties.get(target) or logical_id
                of = ", ".join(map(text, named)) if isinstance(named, list) else text(named)
                found[logical_id] = _Holder(f"the policy of {logical_id}", f"on {of}", rights)
        elif resource["Type"] == "AWS::Lambda::Permission":
            found[logical_id] = _Holder(
                f"the policy of {text(properties.get('FunctionName', logical_id))}",
                "who may invoke the function",
                frozenset({_permission(properties)}),
            )
    for logical_id, resource in resources.items():
        if resource["Type"] in ATTACHED:
            _attach(logical_id, resource.get("Properties") or {}, found)
    return found


def _role(logical_id: str, properties: Mapping[str, Any], resources: Mapping[str, Any]) -> _Holder:
    policies = [_document(p.get("PolicyDocument")) for p in properties.get("Policies") or []]
    others = {
        "permissions boundary": text(properties.get("PermissionsBoundary", "")),
        "longest session": text(properties.get("MaxSessionDuration", "")),
    }
    return _Holder(
        f"the {_spoken(logical_id)}",
        _purpose(logical_id, properties, resources),
        frozenset(g for document in policies for g in grants(document)),
        grants(_document(properties.get("AssumeRolePolicyDocument"))),
        frozenset(text(arn) for arn in properties.get("ManagedPolicyArns") or []),
        {key: value for key, value in others.items() if value},
    )


def _attach(logical_id: str, properties: Mapping[str, Any], found: dict[str, _Holder]) -> None:
    """A policy beside the roles: to the roles of this template that it names, else a holder by itself."""
    rights = grants(_document(properties.get("PolicyDocument")))
    named = [*(properties.get("Roles") or []), properties.get("RoleName")]
    roles = [role for role in (text(name).strip("${}") for name in named if name) if role in found]
    for role in roles:
        found[role] = _Holder(**{**found[role].__dict__, "rights": found[role].rights | rights})
    if not roles:
        found[logical_id] = _Holder(f"the policy {logical_id}", "attached elsewhere", rights)


def _permission(properties: Mapping[str, Any]) -> Grant:
    source = properties.get("SourceArn") or properties.get("SourceAccount")
    condition = canonical({"source": text(source)}) if source else ""
    return Grant(
        "Allow",
        str(properties.get("Action", "")),
        text(properties.get("FunctionName", "")),
        text(properties.get("Principal", "")),
        condition,
    )


def _purpose(logical_id: str, properties: Mapping[str, Any], resources: Mapping[str, Any]) -> str:
    """What uses the role, and for what: its function's own description, else the role's."""
    for resource in resources.values():
        own = resource.get("Properties") or {}
        if resource["Type"] == "AWS::Lambda::Function" and text(own.get("Role")) == f"${{{logical_id}.Arn}}":
            return str(own.get("Description") or own.get("FunctionName") or "")
    return text(properties.get("Description", ""))


def _changes(then: _Holder | None, now: _Holder | None) -> Iterator[AccessChange]:
    nothing = _Holder("", "", frozenset())
    old, new = then or nothing, now or nothing
    yield from _rights(old.rights, new.rights)
    gained, lost = moved(old.trust, new.trust)
    for grant in gained:
        yield AccessChange("gains", f"may be assumed by {_who(grant)}", True)
    for grant in lost:
        yield AccessChange("loses", f"may no longer be assumed by {_who(grant)}", False)
    for arn in sorted(new.managed - old.managed):
        yield AccessChange("gains", f"gains the managed policy {arn}", True)
    for arn in sorted(old.managed - new.managed):
        yield AccessChange("loses", f"loses the managed policy {arn}", False)
    for key in sorted({*old.others, *new.others}):
        was, is_ = old.others.get(key, ""), new.others.get(key, "")
        if was != is_ and now is not None:
            change = f"{key} {is_ or 'gone'}" + (f" (was {was})" if was else "")
            # A boundary that is new only takes away; any other change of these has to be looked at.
            wider = not (key == "permissions boundary" and not was)
            yield AccessChange("changes", f"gets the {change}", wider)


def _rights(old: frozenset[Grant], new: frozenset[Grant]) -> Iterator[AccessChange]:
    gained, lost = moved(old, new)
    was, now = _by_right(old), _by_right(new)
    # The same right under another condition is one fact, not a gain and a loss.
    turned = {_right(g) for g in (*gained, *lost)} & was.keys() & now.keys()
    for right in sorted(turned):
        effect, _, resource, *_ = right
        action = now[right][0].action
        verb = "may" if effect == "Allow" else "is denied"
        where = f" on {resource}" if resource else ""
        said = f"{verb} {action}{where} now {_or(map(_if, now[right]))}, was {_or(map(_if, was[right]))}"
        # Whether one condition is wider than another is not for a program to say.
        yield AccessChange("changes", said, True)
    for effect, verb, said in _grouped([g for g in gained if _right(g) not in turned], "gains"):
        yield AccessChange(verb, said, effect == "Allow")
    for effect, verb, said in _grouped([g for g in lost if _right(g) not in turned], "loses"):
        yield AccessChange(verb, said, effect == "Deny")


def _right(grant: Grant) -> tuple[str, str, str, str, tuple[str, ...]]:
    """What a grant is about, its condition aside."""
    return grant.effect, grant.action.lower(), grant.resource, grant.principal, grant.inverted


def _by_right(found: frozenset[Grant]) -> dict[tuple[str, str, str, str, tuple[str, ...]], list[Grant]]:
    groups: dict[tuple[str, str, str, str, tuple[str, ...]], list[Grant]] = {}
    for grant in sorted(found):
        groups.setdefault(_right(grant), []).append(grant)
    return groups


def _grouped(found: list[Grant], verb: Literal["gains", "loses"]) -> Iterator[tuple[str, Any, str]]:
    """Grants alike but for the action, then alike but for the resource, as one sentence each."""
    actions: dict[tuple[Any, ...], list[str]] = {}
    for g in found:
        actions.setdefault((g.effect, g.principal, g.condition, g.inverted, g.resource), []).append(g.action)
    resources: dict[tuple[Any, ...], list[str]] = {}
    for (effect, principal, condition, inverted, resource), names in actions.items():
        key = (effect, principal, condition, inverted, tuple(sorted(names)))
        resources.setdefault(key, []).append(resource)
    for (effect, principal, condition, inverted, names), where in resources.items():
        grant = Grant(effect, names[0], where[0], principal, condition, inverted)
        what = f"{'all but ' if 'NotAction' in inverted else ''}{_and(names)}"
        on = f"{'everything but ' if 'NotResource' in inverted else ''}{_and(sorted(where))}"
        who = f" for {'everybody but ' if 'NotPrincipal' in inverted else ''}{principal}" if principal else ""
        deny = "a denial of " if effect == "Deny" else ""
        if on == "*":
            on = "any resource (*)"
        condition_said = f" {_if(grant)}" if condition else ""
        yield effect, verb, f"{verb} {deny}{what}{f' on {on}' if on else ''}{who}{condition_said}"


def _who(grant: Grant) -> str:
    verb = "" if grant.action.lower() == "sts:assumerole" else f" by {grant.action}"
    denied = " (denied)" if grant.effect == "Deny" else ""
    return f"{grant.principal or 'anybody'}{verb}{f' {_if(grant)}' if grant.condition else ''}{denied}"


def _if(grant: Grant) -> str:
    """A condition in words: `if s3:prefix is like a/* or b/*`."""
    if not grant.condition:
        return "without a condition"
    parts = []
    for operator, keys in json.loads(grant.condition).items():
        if not isinstance(keys, Mapping):
            parts.append(f"{operator} is {keys if isinstance(keys, str) else _or(keys)}")
            continue
        parts += [f"{key} {_operator(operator)} {_or(values)}" for key, values in keys.items()]
    return f"if {' and '.join(parts)}"


OPERATORS = {"StringEquals": "is", "StringLike": "is like", "ArnLike": "is like", "ArnEquals": "is like"}


def _operator(name: str) -> str:
    return OPERATORS.get(name) or " ".join(re.findall(r"[A-Z][a-z]*|[a-z]+|:", name)).lower()


def _and(items: Iterable[str]) -> str:
    return ", ".join(items)


def _or(items: Iterable[str]) -> str:
    return " or ".join(items)


def _spoken(logical_id: str) -> str:
    """`CheckDataRole` -> `check data role`."""
    return " ".join(re.findall(r"[A-Z]+(?![a-z])|[A-Z][a-z0-9]*|[a-z0-9]+", logical_id)).lower()


def _document(value: Any) -> Any:
    """A policy given as JSON text is read; anything else is left as it is."""
    if isinstance(value, str):
        try:
            return json.loads(value)
        except ValueError:
            return None
    return value
