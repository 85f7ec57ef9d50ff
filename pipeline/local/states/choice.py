"""The data test rules of JSONPath Choice states, as strict about types as AWS is."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from typing import Any

from pipeline.local.states import jsonpath, paths
from pipeline.local.states.errors import Fault
from pipeline.local.states.paths import Env

_RFC3339 = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d{1,9})?(Z|[+-]\d{2}:\d{2})")


def timestamp(value: Any) -> datetime | None:
    """The moment an ISO-8601 extended offset date-time (RFC 3339 with capital T and Z) tells, else None."""
    if not isinstance(value, str) or not _RFC3339.fullmatch(value):
        return None
    short = re.sub(r"\.(\d{1,6})\d*", lambda part: "." + part.group(1).ljust(6, "0"), value)
    try:
        return datetime.fromisoformat(short)
    except ValueError:
        return None


def _number(value: Any) -> float | int | None:
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _boolean(value: Any) -> bool | None:
    return value if isinstance(value, bool) else None


_TYPES: dict[str, Callable[[Any], Any]] = {
    "String": _text,
    "Numeric": _number,
    "Boolean": _boolean,
    "Timestamp": timestamp,
}
_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "Equals": lambda left, right: left == right,
    "LessThan": lambda left, right: left < right,
    "GreaterThan": lambda left, right: left > right,
    "LessThanEquals": lambda left, right: left <= right,
    "GreaterThanEquals": lambda left, right: left >= right,
}
_OPERATOR = re.compile(
    r"(String|Numeric|Boolean|Timestamp)(Equals|LessThan|GreaterThan|LessThanEquals|GreaterThanEquals)(Path)?"
)
_IS: dict[str, Callable[[Any], bool]] = {
    "IsNull": lambda value: value is None,
    "IsNumeric": lambda value: _number(value) is not None,
    "IsString": lambda value: isinstance(value, str),
    "IsBoolean": lambda value: isinstance(value, bool),
    "IsTimestamp": lambda value: timestamp(value) is not None,
}


def holds(rule: dict[str, Any], env: Env) -> bool:
    """Whether a choice rule is met; a rule over a path that is not there is a Fault (but for IsPresent)."""
    if "And" in rule:
        return all(holds(part, env) for part in rule["And"])
    if "Or" in rule:
        return any(holds(part, env) for part in rule["Or"])
    if "Not" in rule:
        return not holds(rule["Not"], env)
    if "IsPresent" in rule:
        return _present(rule["Variable"], env) == rule["IsPresent"]
    value = _referenced(rule["Variable"], env)
    for name, test in _IS.items():
        if name in rule:
            return test(value) == rule[name]
    if "StringMatches" in rule:
        return isinstance(value, str) and bool(_wildcard(rule["StringMatches"]).fullmatch(value))
    for name, wanted in rule.items():
        operator = _OPERATOR.fullmatch(name)
        if operator:
            kind, comparison, by_path = operator.groups()
            other = _referenced(wanted, env) if by_path else wanted
            left, right = _TYPES[kind](value), _TYPES[kind](other)
            return left is not None and right is not None and _COMPARE[comparison](left, right)
    raise Fault(f"The choice rule over '{rule.get('Variable')}' has no comparison")


def _present(path: str, env: Env) -> bool:
    try:
        paths.lookup(path, env)
    except jsonpath.NotFound:
        return False
    except ValueError as error:
        raise Fault(f"Invalid path '{path}' : {error}") from error
    return True


def _referenced(path: str, env: Env) -> Any:
    try:
        return paths.lookup(path, env)
    except (jsonpath.NotFound, ValueError) as error:
        raise Fault(
            f"Invalid path '{path}': The choice state's condition path references an invalid value."
        ) from error


def _wildcard(pattern: str) -> re.Pattern[str]:
    """StringMatches: `*` is any run of characters, `\\\\*` an asterisk and `\\\\\\\\` a backslash."""
    out = []
    index = 0
    while index < len(pattern):
        char = pattern[index]
        if char == "\\" and pattern[index + 1 : index + 2] in ("*", "\\"):
            out.append(re.escape(pattern[index + 1]))
            index += 1
        else:
            out.append(".*" if char == "*" else re.escape(char))
        index += 1
    return re.compile("".join(out), re.DOTALL)
