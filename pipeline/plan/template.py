"""CloudFormation templates as plain data: parsed, parameters and conditions filled in."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import yaml

SUB_NAME = re.compile(r"\$\{([A-Za-z0-9]+)\}")
# What AWS::NoValue leaves behind is nothing at all, so it needs a value that no template can hold.
_NOTHING = object()


def parse(body: str | Mapping[str, Any]) -> dict[str, Any]:
    """A template (JSON or YAML text, or data as botocore gives it) with intrinsic functions in long form."""
    if isinstance(body, str):
        body = json.loads(body) if body.lstrip().startswith("{") else yaml.load(body, Loader=_Loader)
    return dict(_long_form(body))


def defaults(template: Mapping[str, Any]) -> dict[str, str]:
    """Default values of the template's parameters, as text."""
    declared = template.get("Parameters") or {}
    return {name: _text(p["Default"]) for name, p in declared.items() if "Default" in p}


def filled(template: Mapping[str, Any], parameters: Mapping[str, str]) -> dict[str, Any]:
    """The template with parameters in place of their references, and conditions decided where they can be.

    Resources and outputs whose condition is false are left out.
    """
    values = {**defaults(template), **parameters}
    conditions: dict[str, bool | None] = {}
    for name in template.get("Conditions") or {}:
        _condition(name, template["Conditions"], values, conditions)
    result = dict(template)
    for section in ("Resources", "Outputs"):
        kept = {
            name: item
            for name, item in (template.get(section) or {}).items()
            if conditions.get(item.get("Condition", ""), True) is not False
        }
        result[section] = _fill(kept, values, conditions)
    return result


def references(value: Any) -> set[str]:
    """Logical names that `value` refers to by Ref, Fn::GetAtt or Fn::Sub."""
    found: set[str] = set()
    if isinstance(value, Mapping):
        if len(value) == 1:
            ((key, inner),) = value.items()
            if key == "Ref" and isinstance(inner, str):
                return {inner}
            if key == "Fn::GetAtt" and isinstance(inner, list) and inner:
                return {str(inner[0])}
            if key == "Fn::Sub":
                text, own = (inner[0], inner[1]) if isinstance(inner, list) else (inner, {})
                names = {m.split(".")[0] for m in re.findall(r"\$\{([^!}][^}]*)\}", text)}
                return (names - set(own)) | references(list(own.values()))
        for inner in value.values():
            found |= references(inner)
    elif isinstance(value, list):
        for inner in value:
            found |= references(inner)
    return found


def _fill(value: Any, values: Mapping[str, str], conditions: Mapping[str, bool | None]) -> Any:
    if isinstance(value, Mapping):
        if len(value) == 1:
            ((key, inner),) = value.items()
            if key == "Ref":
                if inner == "AWS::NoValue":
                    return _NOTHING
                return values.get(inner, dict(value))
            if key == "Fn::If" and conditions.get(inner[0]) is not None:
                return _fill(inner[1] if conditions[inner[0]] else inner[2], values, conditions)
            if key == "Fn::Sub":
                return _sub(inner, values, conditions)
        pairs = {k: _fill(v, values, conditions) for k, v in value.items()}
        return {k: v for k, v in pairs.items() if v is not _NOTHING}
    if isinstance(value, list):
        items = [_fill(item, values, conditions) for item in value]
        return [item for item in items if item is not _NOTHING]
    return value


def _sub(inner: Any, values: Mapping[str, str], conditions: Mapping[str, bool | None]) -> Any:
    text, own = (inner[0], inner[1]) if isinstance(inner, list) else (inner, {})
    own = _fill(own, values, conditions)
    plain = {k: v for k, v in own.items() if isinstance(v, str)}
    text = SUB_NAME.sub(lambda m: {**values, **plain}.get(m[1], m[0]), text)
    rest = {k: v for k, v in own.items() if k not in plain}
    if rest:
        return {"Fn::Sub": [text, rest]}
    return {"Fn::Sub": text} if "${" in text else text


def _condition(
    name: str, all_of: Mapping[str, Any], values: Mapping[str, str], known: dict[str, bool | None]
) -> bool | None:
    if name not in known:
        known[name] = None  # a circle decides nothing
        known[name] = _decide(all_of.get(name), all_of, values, known)
    return known[name]


def _decide(
    test: Any, all_of: Mapping[str, Any], values: Mapping[str, str], known: dict[str, bool | None]
) -> bool | None:
    """True, False, or None where only AWS can say (pseudo parameters, imports)."""
    if not isinstance(test, Mapping) or len(test) != 1:
        return None
    ((key, inner),) = test.items()
    if key == "Condition":
        return _condition(inner, all_of, values, known)
    if key == "Fn::Equals":
        left, right = (_fill(side, values, known) for side in inner)
        return (
            None if isinstance(left, Mapping) or isinstance(right, Mapping) else _text(left) == _text(right)
        )
    if key not in {"Fn::Not", "Fn::And", "Fn::Or"}:
        return None
    parts = [_decide(part, all_of, values, known) for part in inner]
    if key == "Fn::Not":
        return None if parts[0] is None else not parts[0]
    decisive = key == "Fn::Or"
    if decisive in parts:
        return decisive
    return None if None in parts else not decisive


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return ",".join(map(_text, value)) if isinstance(value, list) else str(value)


def _long_form(value: Any) -> Any:
    if isinstance(value, Mapping):
        plain = {str(k): _long_form(v) for k, v in value.items()}
        if set(plain) == {"Fn::GetAtt"} and isinstance(plain["Fn::GetAtt"], str):
            return {"Fn::GetAtt": plain["Fn::GetAtt"].split(".", 1)}
        return plain
    if isinstance(value, list | tuple):
        return [_long_form(item) for item in value]
    return value


class _Loader(yaml.SafeLoader):
    """YAML with CloudFormation's short tags; a date stays the text it is."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def _short_tag(loader: yaml.SafeLoader, suffix: str, node: yaml.Node) -> Any:
    if isinstance(node, yaml.ScalarNode):
        value: Any = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        assert isinstance(node, yaml.MappingNode)
        value = loader.construct_mapping(node, deep=True)
    return {suffix if suffix in {"Ref", "Condition"} else f"Fn::{suffix}": value}


_Loader.add_multi_constructor("!", _short_tag)
