"""What a state selects and where it puts things: paths, variables, InputPath, OutputPath, ResultPath."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from pipeline.local.states import jsonpath
from pipeline.local.states.errors import Fault
from pipeline.local.states.jsontext import dumps


@dataclass(frozen=True)
class Env:
    """What paths and expressions see.

    `data` is `$` (for JSONata: $states.input), `context` is `$$`, `variables` are those of Assign;
    `result` and `error_output` are JSONata's $states.result and $states.errorOutput.
    """

    data: Any
    context: dict[str, Any]
    variables: dict[str, Any] = field(default_factory=dict)
    result: Any = None
    error_output: Any = None

    def over(self, data: Any) -> Env:
        return Env(data, self.context, self.variables, self.result, self.error_output)


def lookup(path: str, env: Env) -> Any:
    """The value of a path, a context path or a variable; raises jsonpath.NotFound where there is none."""
    parsed = jsonpath.parse(path)
    if not parsed.variable:
        return parsed.select(env.data)
    if parsed.variable == "$":
        return parsed.select(env.context)
    if parsed.variable not in env.variables:
        raise jsonpath.NotFound(f"No variable named {parsed.variable}")
    return parsed.select(env.variables[parsed.variable])


def reference(path: str, env: Env) -> Any:
    """The value of InputPath, OutputPath, TimeoutSecondsPath and the like."""
    try:
        return lookup(path, env)
    except jsonpath.NotFound as error:
        raise Fault(f"Invalid path '{path}' : {error.reason}") from error
    except ValueError as error:
        raise Fault(f"Invalid path '{path}' : {error}") from error


def filtered(state: dict[str, Any], name: str, env: Env) -> Any:
    """InputPath or OutputPath applied: absent passes all on, null passes an empty object on."""
    path = state.get(name, "$")
    if path == "$":
        return env.data
    return {} if path is None else reference(path, env)


def placed(path: str | None, original: Any, result: Any) -> Any:
    """`result` put into `original` at ResultPath; neither is changed."""
    if path is None:
        return original
    if path == "$":
        return result
    parsed = jsonpath.parse(path)
    if parsed.variable or not parsed.definite:
        raise Fault(f"Invalid path '{path}' : ResultPath must be a reference path")
    return _with(original, [label for label, _step in parsed.steps], result, path)


def _with(value: Any, labels: list[str], result: Any, path: str) -> Any:
    if not labels:
        return result
    label, rest = labels[0], labels[1:]
    if label.startswith("['") and (value is None or isinstance(value, dict)):
        fields = value or {}
        return {**fields, label[2:-2]: _with(fields.get(label[2:-2]), rest, result, path)}
    digits = label[1:-1]
    if digits.lstrip("-").isdigit() and isinstance(value, list) and -len(value) <= int(digits) < len(value):
        copy = list(value)
        copy[int(digits)] = _with(copy[int(digits)], rest, result, path)
        return copy
    raise Fault(
        f"Unable to apply ReferencePath {path} to input {dumps(value)}", error="States.ResultPathMatchFailure"
    )
