"""What a state does to data: paths, payload templates, intrinsic functions, ResultPath, JSONata values."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from pipeline.local.states import jsonpath, seams
from pipeline.local.states.errors import QUERY_EVALUATION, Fault
from pipeline.local.states.jsontext import dumps

JSONATA = "JSONata"


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


def payload(template: Any, env: Env, name: str = "Parameters") -> Any:
    """A payload template with every `key.$` replaced by its path's or intrinsic's value."""
    if isinstance(template, dict):
        filled = {}
        for key, value in template.items():
            if key.endswith(".$"):
                filled[key[:-2]] = expression(value, env, key)
            else:
                filled[key] = payload(value, env, name)
        return filled
    if isinstance(template, list):
        return [payload(item, env, name) for item in template]
    return template


def expression(text: Any, env: Env, field_name: str) -> Any:
    """The value of one path or intrinsic function call standing in `field_name`."""
    if not isinstance(text, str):
        raise Fault(f"The value for the field '{field_name}' must be a valid JSONPath")
    if text.startswith("States."):
        return intrinsic(text, env)
    try:
        return lookup(text, env)
    except jsonpath.NotFound as error:
        source = env.context if text.startswith("$$") else env.data
        raise Fault(
            f"The JSONPath '{text}' specified for the field '{field_name}' could not be found in the "
            f"input '{dumps(source)}'"
        ) from error
    except ValueError as error:
        raise Fault(f"The value for the field '{field_name}' must be a valid JSONPath: {error}") from error


def intrinsic(text: str, env: Env) -> Any:
    """A `States.*` call; wrong arguments are a States.Runtime error, worded as AWS words it."""
    try:
        return _call(seams.parse_intrinsic(text), env)
    except Fault as error:
        raise Fault(f"The function '{text}' had the following error: {error.message}") from error
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, ArithmeticError) as error:
        raise Fault(f"The function '{text}' had the following error: {error}") from error


def _call(node: Any, env: Env) -> Any:
    _kind, name, arguments = node
    values = [_argument(argument, env) for argument in arguments]
    if name == "States.Format":
        values = values[:1] + [value if isinstance(value, str) else dumps(value) for value in values[1:]]
        slots = values[0].replace("\\{", "").count("{}") if values and isinstance(values[0], str) else -1
        if slots != len(values) - 1:
            raise Fault(f"Invalid arguments in {name}")
    return seams.run_intrinsic(name, values)


def _argument(argument: Any, env: Env) -> Any:
    if argument[0] == "call":
        return _call(argument, env)
    if argument[0] != "path":
        return argument[1]
    try:
        return lookup(argument[1], env)
    except jsonpath.NotFound as error:
        source = env.context if argument[1].startswith("$$") else env.data
        raise Fault(
            f"The JsonPath argument for the field '{argument[1]}' could not be found in the "
            f"input '{dumps(source)}'"
        ) from error


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


# --- JSONata ------------------------------------------------------------------------------------------------


def query(template: Any, env: Env, name: str) -> Any:
    """A JSONata template: every string of the form `{% ... %}` is evaluated."""
    if isinstance(template, str):
        text = template.strip()
        if not (text.startswith("{%") and text.endswith("%}")):
            return template
        context = {**env.context, "variables": env.variables}
        value = seams.jsonata(
            text[2:-2].strip(), name, env.data, context, result=env.result, error_output=env.error_output
        )
        return _plain(value, text[2:-2].strip(), name)
    if isinstance(template, dict):
        return {key: query(value, env, f"{name}/{key}") for key, value in template.items()}
    if isinstance(template, list):
        return [query(item, env, f"{name}[{index}]") for index, item in enumerate(template)]
    return template


def _plain(value: Any, text: str, name: str) -> Any:
    """The value as JSON data; the engine's lists and numbers are subclasses of Python's."""
    try:
        return json.loads(dumps(value))
    except (TypeError, ValueError) as error:
        raise Fault(
            f"The JSONata expression '{text}' specified for the field '{name}' returned an unsupported result type.",
            error=QUERY_EVALUATION,
            location=name,
        ) from error


def typed_query(state: dict[str, Any], name: str, expected: str, env: Env) -> Any:
    """A state's field that may be JSONata and must be of the JSON type `expected`."""
    value = query(state[name], env, name)
    if json_type(value) != expected:
        text = state[name].strip()[2:-2].strip() if isinstance(state[name], str) else dumps(state[name])
        raise Fault(
            f"The JSONata expression '{text}' specified for the field '{name}' returned an unexpected result type. "
            f"Expected '{expected}', but was '{json_type(value)}' for value: {dumps(value)}",
            error=QUERY_EVALUATION,
            location=name,
        )
    return value


def json_type(value: Any) -> str:
    """The JSON type's name as AWS writes it."""
    if value is None:
        return "null"
    for kind, name in ((bool, "boolean"), ((int, float), "number"), (str, "string"), (list, "array")):
        if isinstance(value, kind):
            return name
    return "object"
