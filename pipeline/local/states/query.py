"""JSONata in states: values of the form `{% expression %}`, evaluated and held to their JSON types."""

from __future__ import annotations

import json
from typing import Any

from pipeline.local.states import seams
from pipeline.local.states.errors import QUERY_EVALUATION, Fault
from pipeline.local.states.jsontext import dumps
from pipeline.local.states.paths import Env

JSONATA = "JSONata"


def evaluate(template: Any, env: Env, name: str) -> Any:
    """A JSONata template: every string of the form `{% ... %}` is evaluated."""
    if isinstance(template, str):
        text = template
        if not (text.startswith("{%") and text.endswith("%}")):
            return template
        value = seams.jsonata(
            text[2:-2].strip(),
            name,
            env.data,
            env.context,
            env.variables,
            result=env.result,
            error_output=env.error_output,
        )
        return _plain(value, text[2:-2].strip(), name)
    if isinstance(template, dict):
        return {key: evaluate(value, env, f"{name}/{key}") for key, value in template.items()}
    if isinstance(template, list):
        return [evaluate(item, env, f"{name}[{index}]") for index, item in enumerate(template)]
    return template


def _plain(value: Any, text: str, name: str) -> Any:
    """The value as JSON data; the engine's lists and numbers are subclasses of Python's."""
    try:
        return json.loads(dumps(value))
    except (TypeError, ValueError) as error:
        raise Fault(
            f"The JSONata expression '{text}' specified for the field '{name}' returned "
            "an unsupported result type.",
            error=QUERY_EVALUATION,
            location=name,
        ) from error


def typed(state: dict[str, Any], name: str, expected: str, env: Env) -> Any:
    """A state's field that may be JSONata and must be of the JSON type `expected`."""
    value = evaluate(state[name], env, name)
    if json_type(value) != expected:
        text = state[name].strip()[2:-2].strip() if isinstance(state[name], str) else dumps(state[name])
        raise Fault(
            f"The JSONata expression '{text}' specified for the field '{name}' returned an unexpected "
            f"result type. "
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
