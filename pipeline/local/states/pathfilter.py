"""The filter expressions of JSONPath: `?(@.price < 10 && @.kind == 'book')`."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

Test = Callable[[Any], bool]
Operand = Callable[[Any], Any]

_TOKEN = re.compile(
    r"\s*(&&|\|\||==|!=|<=|>=|=~|<|>|!|\(|\)"
    r"|'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\""
    r"|/(?:[^/\\]|\\.)+/i?"
    r"|-?\d+(?:\.\d+)?|true|false|null"
    r"|@(?:\.[^\s.\[\]()=!<>&|~]+|\[[^\]]*\])*)"
)
_ABSENT = object()


class FilterError(ValueError):
    """The expression is not a filter."""


def compile_filter(text: str, parse_path: Callable[[str], Any]) -> Test:
    """A test over one item. `parse_path` is jsonpath.parse: neither module needs the other first."""
    tokens, at = [], 0
    while at < len(text.rstrip()):
        token = _TOKEN.match(text, at)
        if not token:
            raise FilterError(f"'{text}' is not a filter at position {at}")
        tokens.append(token.group(1))
        at = token.end()
    parser = _Parser(tokens, parse_path)
    test = parser.either()
    if parser.tokens:
        raise FilterError(f"'{text}' has '{parser.tokens[0]}' too much")
    return test


class _Parser:
    def __init__(self, tokens: list[str], parse_path: Callable[[str], Any]) -> None:
        self.tokens = tokens
        self.parse_path = parse_path

    def take(self, *wanted: str) -> str:
        if self.tokens and (not wanted or self.tokens[0] in wanted):
            return self.tokens.pop(0)
        if wanted:
            return ""
        raise FilterError("the filter ends too early")

    def either(self) -> Test:
        tests = [self.both()]
        while self.take("||"):
            tests.append(self.both())
        return lambda item: any(test(item) for test in tests)

    def both(self) -> Test:
        tests = [self.single()]
        while self.take("&&"):
            tests.append(self.single())
        return lambda item: all(test(item) for test in tests)

    def single(self) -> Test:
        if self.take("!"):
            inner = self.single()
            return lambda item: not inner(item)
        if self.take("("):
            inner = self.either()
            if not self.take(")"):
                raise FilterError("a parenthesis is not closed")
            return inner
        left = self.operand()
        operator = self.take("==", "!=", "<=", ">=", "<", ">", "=~")
        if not operator:
            return lambda item: left(item) is not _ABSENT
        if operator == "=~":
            pattern = self.pattern()
            return lambda item: isinstance(left(item), str) and bool(pattern.search(left(item)))
        right = self.operand()
        return lambda item: _compare(operator, left(item), right(item))

    def pattern(self) -> re.Pattern[str]:
        token = self.take()
        if not token.startswith("/"):
            raise FilterError("=~ needs a /pattern/")
        body, _slash, flags = token[1:].rpartition("/")
        return re.compile(body, re.IGNORECASE if flags == "i" else 0)

    def operand(self) -> Operand:
        token = self.take()
        if token.startswith("@"):
            path = self.parse_path("$" + token[1:])

            def value(item: Any) -> Any:
                try:
                    return path.select(item)
                except LookupError:
                    return _ABSENT

            return value
        literal = _literal(token)
        return lambda _item: literal


def _literal(token: str) -> Any:
    if token in ("true", "false", "null"):
        return {"true": True, "false": False, "null": None}[token]
    if token[0] in "'\"":
        return re.sub(r"\\(.)", r"\1", token[1:-1])
    try:
        return float(token) if "." in token else int(token)
    except ValueError as error:
        raise FilterError(f"'{token}' is no value") from error


def _compare(operator: str, left: Any, right: Any) -> bool:
    if left is _ABSENT or right is _ABSENT:
        return operator == "!="
    if operator == "==":
        return _same(left, right)
    if operator == "!=":
        return not _same(left, right)
    numbers = isinstance(left, (int, float)) and isinstance(right, (int, float))
    texts = isinstance(left, str) and isinstance(right, str)
    if not (numbers or texts):
        return False
    outcomes = {"<": left < right, "<=": left <= right, ">": left > right, ">=": left >= right}
    return outcomes[operator]


def _same(left: Any, right: Any) -> bool:
    if isinstance(left, bool) != isinstance(right, bool):
        return False
    return bool(left == right)
