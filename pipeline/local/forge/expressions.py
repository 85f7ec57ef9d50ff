"""The few expressions that a workflow's own concurrency group has: lookups, ==, !=, || and literals.

Jobs' groups are evaluated by act itself; a workflow's has to be known before act starts.
https://docs.github.com/en/actions/reference/workflows-and-actions/expressions
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pipeline.errors import SettingsError

_WHOLE = re.compile(r"\$\{\{(.*?)\}\}", re.DOTALL)
_LITERAL = re.compile(r"'((?:[^']|'')*)'|(true|false|null)|(-?\d+(?:\.\d+)?)")
_PATH = re.compile(r"[A-Za-z_][\w-]*(?:\.[A-Za-z_*][\w-]*)*")


def text(value: str, context: Mapping[str, Any]) -> str:
    """`value` with each `${{ }}` replaced by what it means.

    Raises:
        SettingsError: an expression beyond these few.
    """
    return _WHOLE.sub(lambda match: _shown(evaluate(match[1], context)), value)


def evaluate(expression: str, context: Mapping[str, Any]) -> Any:
    """The value of one expression; names that lead nowhere are null, as on GitHub."""
    for part in _split(expression, "||"):
        value = _all(part, context)
        if _true(value):
            return value
    return value


def _all(expression: str, context: Mapping[str, Any]) -> Any:
    value: Any = None
    for part in _split(expression, "&&"):
        value = _compared(part, context)
        if not _true(value):
            return value
    return value


def _compared(expression: str, context: Mapping[str, Any]) -> Any:
    for operator in ("==", "!="):
        parts = _split(expression, operator)
        if len(parts) == 2:
            left, right = (_operand(part, context) for part in parts)
            # Text is compared without regard to case.
            same = _shown(left).lower() == _shown(right).lower()
            return same if operator == "==" else not same
    return _operand(expression, context)


def _operand(expression: str, context: Mapping[str, Any]) -> Any:
    word = expression.strip()
    literal = _LITERAL.fullmatch(word)
    if literal:
        if literal[1] is not None:
            return literal[1].replace("''", "'")
        return {"true": True, "false": False, "null": None}.get(literal[2] or "", literal[3])
    if not _PATH.fullmatch(word):
        raise SettingsError(
            f"the local remote cannot evaluate ${{{{ {word} }}}} in a workflow's concurrency",
            hint="use lookups, literals, ==, !=, && and || there",
        )
    value: Any = context
    for name in word.split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def _split(expression: str, operator: str) -> list[str]:
    """Cut at an operator that stands outside quotes."""
    parts, rest, quoted, start = [], expression, False, 0
    for i, letter in enumerate(rest):
        if letter == "'":
            quoted = not quoted
        elif not quoted and rest.startswith(operator, i):
            parts.append(rest[start:i])
            start = i + len(operator)
    return [*parts, rest[start:]]


def _true(value: Any) -> bool:
    return value not in (None, False, "", 0)


def _shown(value: Any) -> str:
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)
