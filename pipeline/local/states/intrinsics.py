"""Intrinsic functions: `States.Format('{}', $.name)`, parsed here, computed by MiniStack."""

from __future__ import annotations

import math
import re
from functools import lru_cache
from typing import Any

from pipeline.local.states import jsonpath, seams
from pipeline.local.states.errors import Fault
from pipeline.local.states.jsontext import dumps
from pipeline.local.states.paths import Env, lookup

_NAME = re.compile(r"States\.[A-Za-z0-9]+\(")
_SPACE = re.compile(r"\s*")
_TEXT = re.compile(r"'((?:[^'\\]|\\.)*)'")
_LITERAL = re.compile(r"true|false|null|-?\d+(?:\.\d+)?")
_LITERALS = {"true": True, "false": False, "null": None}


@lru_cache(maxsize=1024)
def parse(text: str) -> tuple[Any, ...]:
    """The call tree: ("call", name, arguments), an argument being a call, ("path", text), ("text", as
    written, escapes and all) or ("value", value).

    Raises ValueError where the text is no call.
    """
    node, end = _parse_call(text, 0)
    if text[end:].strip():
        raise ValueError(f"'{text}' has more after the closing parenthesis")
    return node


def _parse_call(text: str, at: int) -> tuple[tuple[Any, ...], int]:
    name = _NAME.match(text, at)
    if not name:
        raise ValueError(f"'{text}' has no function at position {at}")
    at, arguments = _blank(text, name.end()), []
    while text[at : at + 1] != ")":
        argument, at = _parse_argument(text, at)
        arguments.append(argument)
        at = _blank(text, at)
        if text[at : at + 1] == ",":
            at = _blank(text, at + 1)
        elif text[at : at + 1] != ")":
            raise ValueError(f"'{text}' lacks a comma or parenthesis at position {at}")
    return ("call", name.group(0)[:-1], tuple(arguments)), at + 1


def _blank(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return found.end() if found else at


def _parse_argument(text: str, at: int) -> tuple[tuple[Any, ...], int]:
    if text.startswith("States.", at):
        return _parse_call(text, at)
    if text[at : at + 1] == "$":
        end = _path_end(text, at)
        jsonpath.parse(text[at:end])
        return ("path", text[at:end]), end
    quoted = _TEXT.match(text, at)
    if quoted:
        return ("text", quoted.group(1)), quoted.end()
    literal = _LITERAL.match(text, at)
    if not literal:
        raise ValueError(f"'{text}' has no argument at position {at}")
    word = literal.group(0)
    value: Any = _LITERALS[word] if word in _LITERALS else float(word) if "." in word else int(word)
    return ("value", value), literal.end()


def _path_end(text: str, at: int) -> int:
    """Where a path argument ends: at a comma or parenthesis outside its brackets and quotes."""
    depth, quote = 0, ""
    for index in range(at, len(text)):
        char = text[index]
        if quote:
            quote = "" if char == quote else quote
        elif char in "'\"" and depth:
            quote = char
        elif char in "[(":
            depth += 1
        elif depth and char in ")]":
            depth -= 1
        elif char in ",)":
            return len(text[:index].rstrip())
    raise ValueError(f"'{text}' has a path without an end at position {at}")


def evaluate(text: str, env: Env) -> Any:
    """A `States.*` call; wrong arguments are a States.Runtime error, worded as AWS words it."""
    try:
        return _call(parse(text), env)
    except Fault as error:
        raise Fault(f"The function '{text}' had the following error: {error.message}") from error
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, ArithmeticError) as error:
        raise Fault(f"The function '{text}' had the following error: {error}") from error


def _call(node: Any, env: Env) -> Any:
    _kind, name, arguments = node
    values = [_argument(argument, env) for argument in arguments]
    if name == "States.Format":
        # Format reads the escapes of its template itself.
        if arguments and arguments[0][0] == "text":
            values[0] = arguments[0][1]
        values = values[:1] + [_shown(value) for value in values[1:]]
        slots = values[0].replace("\\{", "").count("{}") if values and isinstance(values[0], str) else -1
        if slots != len(values) - 1:
            raise Fault(f"Invalid arguments in {name}")
    if name == "States.MathAdd":
        # AWS rounds first, halves upwards.
        values = [math.floor(value + 0.5) for value in values]
    if name == "States.StringToJson" and isinstance(values[0], str) and not values[0].strip():
        return None
    return seams.run_intrinsic(name, values)


def _shown(value: Any) -> str:
    """A value inside States.Format: objects and arrays as Java prints them, as on AWS."""
    if isinstance(value, str):
        return value
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}={_shown(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_shown, value)) + "]"
    return dumps(value)


def _argument(argument: Any, env: Env) -> Any:
    if argument[0] == "call":
        return _call(argument, env)
    if argument[0] == "text":
        return re.sub(r"\\(.)", r"\1", argument[1])
    if argument[0] == "value":
        return argument[1]
    try:
        return lookup(argument[1], env)
    except jsonpath.NotFound as error:
        source = env.context if argument[1].startswith("$$") else env.data
        raise Fault(
            f"The JsonPath argument for the field '{argument[1]}' could not be found in the "
            f"input '{dumps(source)}'"
        ) from error
