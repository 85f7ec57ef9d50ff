"""Compare a Task's parameters with the API they are sent to, by botocore's model of the service.

A value known only at run time (a key that ends in `.$`, a JSONata expression, a `${Token}` of the template)
fits everything. Names, required members, types, enums, lengths, ranges and patterns are compared.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from typing import Any

from pipeline.check.rule import Path
from pipeline.check.states import Integration

# Step Functions' name of a service -> botocore's, where they differ.
_SERVICES = {
    "applicationautoscaling": "application-autoscaling",
    "states": "stepfunctions",
    "sfn": "stepfunctions",
    "cloudwatchlogs": "logs",
    "eventbridge": "events",
    "elasticmapreduce": "emr",
    "sagemakerruntime": "sagemaker-runtime",
    "bedrockruntime": "bedrock-runtime",
    "secretsmanager": "secretsmanager",
}
# Members that Step Functions itself serialises to JSON, so any value will do.
_JSON_MEMBERS = {
    ("lambda", "Payload"),
    ("stepfunctions", "Input"),
    ("sqs", "MessageBody"),
    ("sns", "Message"),
    ("events", "Detail"),
}
# Written for Step Functions, not for the API.
_OWN_MEMBERS = {("stepfunctions", "AssociateWithExecution")}

_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "character": (str,),
    "integer": (int,),
    "long": (int,),
    "float": (int, float),
    "double": (int, float),
    "boolean": (bool,),
    "timestamp": (str, int, float),
    "blob": (str,),
    "structure": (dict,),
    "map": (dict,),
    "list": (list,),
}
_SAID = {"structure": "an object", "map": "an object", "list": "an array", "string": "a string"}


@functools.cache
def model(service: str) -> Any:
    """botocore's ServiceModel of a service as Step Functions names it; None when there is none."""
    from botocore.exceptions import UnknownServiceError
    from botocore.loaders import Loader
    from botocore.model import ServiceModel

    name = _SERVICES.get(service, service)
    try:
        return ServiceModel(Loader().load_service_model(name, "service-2"), name)
    except UnknownServiceError:
        return None


def problems(call: Integration, key: str, parameters: Any) -> Iterator[tuple[Path, str]]:
    """Every (path inside the Task, what is wrong); `key` is where its parameters stand."""
    service = model(call.service)
    if service is None:
        yield ("Resource",), f"Step Functions calls service {call.service!r}, which no API has"
        return
    if call.operation not in service.operation_names:
        near = _near(call.operation, service.operation_names)
        yield ("Resource",), f"{call.service} has no action {call.action!r}{near}"
        return
    shape = service.operation_model(call.operation).input_shape
    if shape is not None:
        yield from _compare(parameters if parameters is not None else {}, shape, (key,), service.service_name)


def _compare(value: Any, shape: Any, path: Path, service: str) -> Iterator[tuple[Path, str]]:
    if isinstance(value, str) and (value.startswith("{%") or "${" in value):
        return
    kind = shape.type_name
    expected = _TYPES.get(kind, (object,))
    fits: bool = isinstance(value, expected) and not (isinstance(value, bool) and kind != "boolean")
    if not fits:
        yield path, f"must be {_SAID.get(kind, 'of type ' + kind)}, not {value!r}"
    elif kind == "structure":
        yield from _structure(value, shape, path, service)
    elif kind == "map":
        for key, child in value.items():
            if not key.endswith(".$"):
                yield from _compare(child, shape.value, (*path, key), service)
        yield from _limits(len(value), shape, path, "entries")
    elif kind == "list":
        for index, child in enumerate(value):
            yield from _compare(child, shape.member, (*path, index), service)
        yield from _limits(len(value), shape, path, "items")
    elif kind == "string":
        yield from _string(value, shape, path)
    elif kind in ("integer", "long", "float", "double"):
        yield from _limits(value, shape, path, "")


def _structure(value: dict[str, Any], shape: Any, path: Path, service: str) -> Iterator[tuple[Path, str]]:
    # Step Functions writes every member with a capital first letter, whatever the API does.
    members = {name[0].upper() + name[1:]: name for name in shape.members}
    given = set()
    for key, child in value.items():
        name = key.removesuffix(".$")
        given.add(name)
        if (service, name) in _OWN_MEMBERS and len(path) == 1:
            continue
        if name not in members:
            yield (*path, key), f"unknown parameter {name!r}{_near(name, members)}"
        elif not key.endswith(".$") and (service, name) not in _JSON_MEMBERS:
            yield from _compare(child, shape.members[members[name]], (*path, key), service)
    for name in shape.required_members:
        label = name[0].upper() + name[1:]
        generated = shape.members[name].metadata.get("idempotencyToken")
        if label not in given and not generated:
            yield path, f"required parameter {label!r} is missing"


def _string(value: str, shape: Any, path: Path) -> Iterator[tuple[Path, str]]:
    allowed = shape.metadata.get("enum")
    if allowed and value not in allowed:
        listed = ", ".join(allowed[:12]) + (", …" if len(allowed) > 12 else "")
        yield path, f"{value!r} is not allowed{_near(value, allowed)} (allowed: {listed})"
        return
    yield from _limits(len(value), shape, path, "characters")
    pattern = shape.metadata.get("pattern")
    if pattern:
        try:
            fits = re.fullmatch(pattern, value) or re.match(pattern, value)
        except re.error:  # a few patterns are written for another engine; then nothing can be said
            return
        if not fits:
            yield path, f"{value!r} does not match {pattern}"


def _limits(size: float, shape: Any, path: Path, unit: str) -> Iterator[tuple[Path, str]]:
    low, high = shape.metadata.get("min"), shape.metadata.get("max")
    said = f"{size} {unit}".strip()
    if low is not None and size < low:
        yield path, f"{said} is less than the least allowed, {low}"
    if high is not None and size > high:
        yield path, f"{said} is more than the most allowed, {high}"


def _near(name: str, known: Any) -> str:
    import difflib

    same = [each for each in known if each.lower() == name.lower()]
    near = same or difflib.get_close_matches(name, list(known), n=1, cutoff=0.7)
    return f"; did you mean {near[0]!r}?" if near else ""


# Services whose statuses a state machine may wait for.
_STATUS_SERVICES = ("sagemaker", "glue", "codebuild", "stepfunctions", "cloudformation")


@functools.cache
def statuses() -> dict[str, tuple[str, ...]]:
    """Every documented status enumeration, by its name in the API: EndpointStatus, TrainingJobStatus, …"""
    found: dict[str, tuple[str, ...]] = {}
    for service in _STATUS_SERVICES:
        loaded = model(service)
        for name in loaded.shape_names if loaded is not None else ():
            if name.endswith(("Status", "State", "StatusType")):
                enum = loaded.shape_for(name).metadata.get("enum")
                if enum:
                    found.setdefault(name, tuple(enum))
    return found
