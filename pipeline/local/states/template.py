"""Payload templates: objects whose `key.$` hold a path or an intrinsic function call."""

from __future__ import annotations

from typing import Any

from pipeline.local.states import intrinsics, jsonpath
from pipeline.local.states.errors import Fault
from pipeline.local.states.jsontext import dumps
from pipeline.local.states.paths import Env, lookup


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
        return intrinsics.evaluate(text, env)
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
