"""Requests checked and responses shaped by botocore's model of a service, in AWS's wording.

AWS answers all constraint violations of a request at once:
`2 validation errors detected: Value 'a_b' at 'modelName' failed to satisfy constraint: Member must ...; ...`
A wrong JSON type is a SerializationException. AWS drops members it does not know; here they are
refused, because a misspelt member that silently does nothing is what a local run should find.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from pipeline.local.api.errors import SerializationException, ValidationException
from pipeline.local.api.patterns import compiled

_JSON_KIND = {bool: "TRUE_VALUE", int: "NUMBER_VALUE", float: "DECIMAL_VALUE", str: "STRING_VALUE"}
_TARGET_KIND = {
    "string": "String",
    "integer": "Integer",
    "long": "Long",
    "float": "Float",
    "double": "Double",
    "boolean": "Boolean",
}


@lru_cache(maxsize=8)
def model(service: str) -> Any:
    """botocore's model of a service (SageMaker's takes 0.07 s, once)."""
    import botocore.session

    return botocore.session.get_session().get_service_model(service)


def operations(service: str) -> frozenset[str]:
    """Names of all operations the service has."""
    return frozenset(model(service).operation_names)


def decode(body: bytes) -> Any:
    """The JSON of a request's body; an empty body is an empty request.

    Raises:
        SerializationException: it is not JSON.
    """
    try:
        return json.loads(body or b"{}")
    except ValueError as error:
        raise SerializationException(f"The request body is not valid JSON: {error}") from None


def check(service: str, operation: str, raw: Any) -> dict[str, Any]:
    """The request's members as Python values, checked; timestamps as epoch seconds (float).

    Raises:
        SerializationException: a value of the wrong type.
        ValidationException: a constraint of the model is violated.
    """
    return check_shape(model(service).operation_model(operation).input_shape, raw)


def check_shape(shape: Any, raw: Any) -> dict[str, Any]:
    """As check(), by the input shape of an operation."""
    if shape is None:
        return {}
    typed = _typed(shape, raw, "")
    violations = list(_violations(shape, typed, ""))
    if violations:
        count = f"{len(violations)} validation error{'s' if len(violations) > 1 else ''} detected: "
        raise ValidationException(count + "; ".join(violations))
    return dict(typed)


def shaped(service: str, operation: str, response: dict[str, Any]) -> dict[str, Any]:
    """The response with only the members of the operation's output shape; None means absent."""
    return shaped_by(model(service).operation_model(operation).output_shape, response)


def shaped_by(shape: Any, response: dict[str, Any]) -> dict[str, Any]:
    """As shaped(), by an output shape."""
    return {} if shape is None else _shaped(shape, response)


def faults(service: str, operation: str, response: dict[str, Any]) -> list[str]:
    """What is wrong with a response by the output shape: for tests. Empty when nothing is."""
    shape = model(service).operation_model(operation).output_shape
    if shape is None:
        return [f"{name}: not a member" for name in response]
    try:
        return list(_violations(shape, _typed(shape, response, ""), ""))
    except (SerializationException, ValidationException) as error:
        return [error.message]


# --- types -------------------------------------------------------------------------------------


def _typed(shape: Any, value: Any, path: str) -> Any:
    kind = shape.type_name
    if kind == "structure":
        if not isinstance(value, dict):
            raise SerializationException(f"Expected a structure at '{path}', found {_kind(value)}")
        unknown = sorted(set(value) - set(shape.members))
        if unknown:
            raise ValidationException(
                f"Unknown member '{unknown[0]}' at '{path or shape.name}'. "
                f"Members of {shape.name}: {', '.join(shape.members)}"
            )
        return {
            name: _typed(shape.members[name], item, _join(path, name))
            for name, item in value.items()
            if item is not None
        }
    if kind == "list":
        if not isinstance(value, list):
            raise SerializationException(f"Expected a list at '{path}', found {_kind(value)}")
        return [_typed(shape.member, item, f"{path}.{i}.member") for i, item in enumerate(value, 1)]
    if kind == "map":
        if not isinstance(value, dict):
            raise SerializationException(f"Expected a map at '{path}', found {_kind(value)}")
        return {key: _typed(shape.value, item, f"{path}.{key}.member") for key, item in value.items()}
    return _scalar(kind, value)


def _scalar(kind: str, value: Any) -> Any:
    if kind == "timestamp":
        return _epoch(value)
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    fits = {
        "string": isinstance(value, str),
        "character": isinstance(value, str),
        "blob": isinstance(value, str),
        "boolean": isinstance(value, bool),
        "integer": is_number and float(value).is_integer(),
        "long": is_number and float(value).is_integer(),
        "float": is_number,
        "double": is_number,
    }[kind]
    if not fits:
        raise SerializationException(
            f"{_kind(value)} can not be converted to {_article(_TARGET_KIND.get(kind, kind))}"
        )
    return int(value) if kind in ("integer", "long") else value


def _epoch(value: Any) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, datetime):
        return value.timestamp()
    try:
        moment = datetime.fromisoformat(str(value))
    except ValueError:
        raise SerializationException(f"{_kind(value)} can not be converted to a Timestamp") from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _kind(value: Any) -> str:
    if isinstance(value, dict):
        return "a structure or map"
    if isinstance(value, list):
        return "a list"
    return "FALSE_VALUE" if value is False else _JSON_KIND.get(type(value), "NULL_VALUE")


def _article(word: str) -> str:
    return f"an {word}" if word[0] in "AEIOU" else f"a {word}"


# --- constraints -------------------------------------------------------------------------------


def _violations(shape: Any, value: Any, path: str) -> Iterator[str]:
    kind = shape.type_name
    if kind == "structure":
        for name in shape.required_members:
            if name not in value:
                missing = _join(path, name)
                yield f"Value null at '{missing}' failed to satisfy constraint: Member must not be null"
        for name, item in value.items():
            yield from _violations(shape.members[name], item, _join(path, name))
        return
    for text in _constraints(shape, value):
        shown = "Value" if shape.metadata.get("sensitive") else f"Value '{_java(value)}'"
        yield f"{shown} at '{path}' failed to satisfy constraint: {text}"
    if kind == "list":
        if shape.member.type_name in ("structure", "list", "map"):
            for i, item in enumerate(value, 1):
                yield from _violations(shape.member, item, f"{path}.{i}.member")
        elif any(list(_constraints(shape.member, item)) for item in value):
            yield (
                f"Value '{_java(value)}' at '{path}' failed to satisfy constraint: "
                f"Member must satisfy constraint: [{', '.join(_declared(shape.member))}]"
            )
    elif kind == "map":
        if any(list(_constraints(shape.key, key)) for key in value):
            yield (
                f"Value '{_java(value)}' at '{path}' failed to satisfy constraint: "
                f"Map keys must satisfy constraint: [{', '.join(_declared(shape.key))}]"
            )
        if shape.value.type_name in ("structure", "list", "map"):
            for key, item in value.items():
                yield from _violations(shape.value, item, f"{path}.{key}.member")
        elif any(list(_constraints(shape.value, item)) for item in value.values()):
            yield (
                f"Value '{_java(value)}' at '{path}' failed to satisfy constraint: "
                f"Map value must satisfy constraint: [{', '.join(_declared(shape.value))}]"
            )


def _constraints(shape: Any, value: Any) -> Iterator[str]:
    kind, meta = shape.type_name, shape.metadata
    high, low = _bounds(shape)
    if kind in ("string", "list", "map"):
        if "max" in meta and len(value) > meta["max"]:
            yield high
        if "min" in meta and len(value) < meta["min"]:
            yield low
        if kind == "string" and "pattern" in meta and not compiled(meta["pattern"])(value):
            yield f"Member must satisfy regular expression pattern: {meta['pattern']}"
        if kind == "string" and getattr(shape, "enum", None) and value not in shape.enum:
            yield f"Member must satisfy enum value set: [{', '.join(shape.enum)}]"
    elif kind in ("integer", "long", "float", "double"):
        if "max" in meta and value > meta["max"]:
            yield high
        if "min" in meta and value < meta["min"]:
            yield low


def _declared(shape: Any) -> list[str]:
    """All constraints a shape declares, as AWS lists them for members of lists and maps."""
    meta = shape.metadata
    high, low = _bounds(shape)
    texts = [text for key, text in (("max", high), ("min", low)) if key in meta]
    if "pattern" in meta:
        texts.append(f"Member must satisfy regular expression pattern: {meta['pattern']}")
    if getattr(shape, "enum", None):
        texts.append(f"Member must satisfy enum value set: [{', '.join(shape.enum)}]")
    return texts


def _bounds(shape: Any) -> tuple[str, str]:
    what = "length" if shape.type_name in ("string", "list", "map") else "value"
    return (
        f"Member must have {what} less than or equal to {shape.metadata.get('max')}",
        f"Member must have {what} greater than or equal to {shape.metadata.get('min')}",
    )


def _join(path: str, name: str) -> str:
    """AWS names members by their Java property: first letter small."""
    member = name[:1].lower() + name[1:]
    return f"{path}.{member}" if path else member


def _java(value: Any) -> str:
    """A value as AWS prints it: Java's toString."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}={_java(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_java(item) for item in value) + "]"
    if isinstance(value, bool):
        return str(value).lower()
    return str(value)


# --- responses ---------------------------------------------------------------------------------


def _shaped(shape: Any, value: Any) -> Any:
    kind = shape.type_name
    if kind == "structure":
        return {
            name: _shaped(member, value[name])
            for name, member in shape.members.items()
            if value.get(name) is not None
        }
    if kind == "list":
        return [_shaped(shape.member, item) for item in value]
    if kind == "map":
        return {key: _shaped(shape.value, item) for key, item in value.items()}
    return _epoch(value) if kind == "timestamp" else value
