"""Two templates in, the changes by resource and property out. Pure."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from pipeline.plan import template as templates
from pipeline.plan.model import PropertyChange, Replaces, ResourceChange, canonical

ABSENT = None
# Attributes beside Properties that AWS takes for a change of the resource.
ATTRIBUTES = ("DeletionPolicy", "UpdateReplacePolicy", "UpdatePolicy", "CreationPolicy", "Metadata")
# What tells the items of a list apart, so that an added one does not make all others look changed.
ITEM_KEYS = ("Sid", "PolicyName", "Id", "Key", "Name", "AttributeName", "ParameterKey")
MAX_DEPTH = 12

Registry = Callable[[str, tuple[str, ...]], Replaces]


def diff(
    old: Mapping[str, Any] | None,
    new: Mapping[str, Any],
    old_parameters: Mapping[str, str],
    new_parameters: Mapping[str, str],
    registry: Registry,
    physical: Mapping[str, str] | None = None,
) -> tuple[ResourceChange, ...]:
    """Changes from the deployed template to the rendered one, by logical id in the new template's order.

    Args:
        old, new: parsed templates; `old` None for a stack that is not there.
        old_parameters, new_parameters: their values; a changed value is a change where it is used.
        registry: (resource type, property path) -> whether a change there replaces the resource.
        physical: logical id -> the deployed resource's own name.
    """
    physical = physical or {}
    before = templates.filled(old, old_parameters)["Resources"] if old else {}
    after = templates.filled(new, new_parameters)["Resources"]
    changes: dict[str, ResourceChange] = {}
    for name, resource in after.items():
        if name not in before:
            changes[name] = ResourceChange("Add", name, resource["Type"])
        else:
            found = _resource(name, before[name], resource, registry, physical.get(name, ""))
            if found:
                changes[name] = found
    _follow_replacements(changes, after, registry, physical)
    for name, resource in before.items():
        if name not in after:
            kept = resource.get("DeletionPolicy") in {"Retain", "RetainExceptOnCreate"}
            why = f"its DeletionPolicy is {resource['DeletionPolicy']}: AWS lets it stand" if kept else ""
            changes[name] = ResourceChange("Remove", name, resource["Type"], physical.get(name, ""), why=why)
    order = {name: place for place, name in enumerate([*after, *before])}
    return tuple(sorted(changes.values(), key=lambda change: order[change.logical_id]))


def sections(
    old: Mapping[str, Any] | None,
    new: Mapping[str, Any],
    old_parameters: Mapping[str, str],
    new_parameters: Mapping[str, str],
    old_tags: Mapping[str, str],
    new_tags: Mapping[str, str],
) -> tuple[PropertyChange, ...]:
    """Changes beside the resources: outputs, the description, the stack's tags."""
    before = templates.filled(old, old_parameters) if old else {}
    after = templates.filled(new, new_parameters)
    found = list(values({"Outputs": before.get("Outputs") or {}}, {"Outputs": after.get("Outputs") or {}}))
    if before.get("Description") != after.get("Description"):
        found.append(PropertyChange("Description", before.get("Description"), after.get("Description")))
    found += values({"Tags": dict(old_tags)}, {"Tags": dict(new_tags)})
    return tuple(found)


def values(before: Any, after: Any, path: tuple[str, ...] = ()) -> Iterator[PropertyChange]:
    """The smallest differing values below two JSON values. JSON inside a string is looked into."""
    if canonical(before) == canonical(after):
        return
    if len(path) < MAX_DEPTH:
        inner = _pairs(before, after)
        if inner is not None:
            for key, left, right in inner:
                yield from values(left, right, (*path, key))
            return
    yield PropertyChange(".".join(path), before, after)


def _resource(
    name: str, before: Mapping[str, Any], after: Mapping[str, Any], registry: Registry, physical: str
) -> ResourceChange | None:
    kind = after["Type"]
    if before["Type"] != kind:
        changed = PropertyChange("Type", before["Type"], kind, "always")
        return ResourceChange("Replace", name, kind, physical, (changed,))
    found = [
        replace(change, replaces=registry(kind, _names(change.path)))
        for change in values(before.get("Properties") or {}, after.get("Properties") or {})
    ]
    for attribute in ATTRIBUTES:
        found += values({attribute: before.get(attribute)}, {attribute: after.get(attribute)})
    return _changed(name, kind, physical, tuple(found)) if found else None


def _changed(name: str, kind: str, physical: str, found: tuple[PropertyChange, ...]) -> ResourceChange:
    action: Any = "Replace" if any(change.replaces == "always" for change in found) else "Modify"
    return ResourceChange(action, name, kind, physical, found)


def _follow_replacements(
    changes: dict[str, ResourceChange],
    after: Mapping[str, Any],
    registry: Registry,
    physical: Mapping[str, str],
) -> None:
    """A resource that names a replaced one changes too, and may itself be replaced by that."""
    waiting = [name for name, change in changes.items() if change.action == "Replace"]
    while waiting:
        source = waiting.pop(0)
        for name, resource in after.items():
            present = changes.get(name)
            if name == source or (present and present.action == "Add"):
                continue
            more = tuple(
                PropertyChange(
                    key,
                    value,
                    value,
                    registry(resource["Type"], (key,)),
                    f"follows the replacement of {source}",
                )
                for key, value in (resource.get("Properties") or {}).items()
                if source in templates.references(value)
            )
            if not more:
                continue
            known = present.properties if present else ()
            changed = _changed(name, resource["Type"], physical.get(name, ""), known + more)
            if changed.action == "Replace" and (present is None or present.action != "Replace"):
                waiting.append(name)
            changes[name] = changed


def _pairs(before: Any, after: Any) -> list[tuple[str, Any, Any]] | None:
    """What to compare one by one inside two values; None if they are to be compared whole."""
    if isinstance(before, str) and isinstance(after, str):
        before, after = _json(before), _json(after)
        if before is None or after is None:
            return None
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        if _intrinsic(before) or _intrinsic(after):
            return None
        keys = [*before, *(key for key in after if key not in before)]
        return [(key, before.get(key, ABSENT), after.get(key, ABSENT)) for key in keys]
    if isinstance(before, list) and isinstance(after, list):
        return _items(before, after)
    return None


def _items(before: list[Any], after: list[Any]) -> list[tuple[str, Any, Any]] | None:
    for key in ITEM_KEYS:
        left, right = _by(key, before), _by(key, after)
        if left is not None and right is not None:
            names = [*left, *(name for name in right if name not in left)]
            return [(f"[{name}]", left.get(name, ABSENT), right.get(name, ABSENT)) for name in names]
    if len(before) != len(after):
        return None
    return [
        (f"[{place}]", left, right) for place, (left, right) in enumerate(zip(before, after, strict=True))
    ]


def _by(key: str, items: list[Any]) -> dict[str, Any] | None:
    if not all(isinstance(item, Mapping) and isinstance(item.get(key), str) for item in items):
        return None
    named = {item[key]: item for item in items}
    return named if len(named) == len(items) else None


def _intrinsic(value: Mapping[str, Any]) -> bool:
    return len(value) == 1 and next(iter(value)).startswith(("Fn::", "Ref"))


def _json(text: str) -> Any:
    if not text.lstrip().startswith("{"):
        return None
    try:
        return json.loads(text)
    except ValueError:
        return None


def _names(path: str) -> tuple[str, ...]:
    return tuple(part for part in path.split(".") if not part.startswith("["))
