"""JSONPath as the Amazon States Language uses it: `$.a['b'][0]`, wildcards, slices, unions, `..`, filters.

A path with none of those selects one value or fails; a path with any selects a list, maybe empty.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from pipeline.local.states.errors import Fault
from pipeline.local.states.pathfilter import compile_filter

_ROOT = re.compile(r"\$\$|\$(?![A-Za-z_])|\$([A-Za-z_][A-Za-z0-9_]*)")
_NAME = re.compile(r"[^.\[\]()?*,'\"\s]+")
_SLICE = re.compile(r"^(-?\d*):(-?\d*)(?::(-?\d+))?$")
_QUOTED = re.compile(r"'((?:[^'\\]|\\.)*)'|\"((?:[^\"\\]|\\.)*)\"")

Step = Callable[[Any], Iterator[Any]]


class PathError(ValueError):
    """The path is not JSONPath; the text says where."""


class NotFound(LookupError):
    """A definite path leads nowhere. `reason` reads as in AWS's cause."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True)
class Path:
    """A parsed path. `variable` is "" for `$`, "$" for the context object `$$`, else a variable's name."""

    text: str
    variable: str
    steps: tuple[tuple[str, Step], ...]
    definite: bool

    def select(self, root: Any) -> Any:
        """The value the path leads to; raises NotFound for a definite path without one."""
        if self.definite:
            return self._walk(root)
        values = [root]
        for _label, step in self.steps:
            values = [found for value in values for found in step(value)]
        return values

    def _walk(self, value: Any) -> Any:
        done = "$"
        for index, (label, step) in enumerate(self.steps):
            found = next(step(value), _NOTHING)
            if found is _NOTHING:
                if index == len(self.steps) - 1:
                    raise NotFound(f"No results for path: {done}{label}")
                raise NotFound(f"Missing property in path {done}{label}")
            value, done = found, done + label
        return value


_NOTHING = object()


def _field(name: str) -> Step:
    def step(value: Any) -> Iterator[Any]:
        if isinstance(value, dict) and name in value:
            yield value[name]

    return step


def _index(position: int) -> Step:
    def step(value: Any) -> Iterator[Any]:
        if isinstance(value, list) and -len(value) <= position < len(value):
            yield value[position]

    return step


def _every(value: Any) -> Iterator[Any]:
    if isinstance(value, list):
        yield from value
    elif isinstance(value, dict):
        yield from value.values()


def _deep(value: Any) -> Iterator[Any]:
    yield value
    for child in _every(value):
        yield from _deep(child)


def _slice(start: int | None, stop: int | None, stride: int | None) -> Step:
    def step(value: Any) -> Iterator[Any]:
        if isinstance(value, list):
            yield from value[slice(start, stop, stride)]

    return step


def _union(steps: list[Step]) -> Step:
    def step(value: Any) -> Iterator[Any]:
        for one in steps:
            yield from one(value)

    return step


def _filter(test: Callable[[Any], bool]) -> Step:
    def step(value: Any) -> Iterator[Any]:
        yield from (item for item in _every(value) if test(item))

    return step


@lru_cache(maxsize=4096)
def parse(text: str) -> Path:
    """The path's steps; raises PathError where the text is not a path."""
    root = _ROOT.match(text)
    if not root:
        raise PathError(f"'{text}' does not start with $")
    variable = "$" if root.group(0) == "$$" else root.group(1) or ""
    steps: list[tuple[str, Step]] = []
    definite, at = True, root.end()
    while at < len(text):
        if text.startswith("..", at):
            definite, at = False, at + 2
            steps.append(("..", _deep))
            if at < len(text) and text[at] != "[":
                at = _member(text, at, steps)
        elif text[at] == ".":
            at += 1
            if at < len(text) and text[at] == "[":
                continue
            if text[at : at + 1] == "*":
                definite = False
            at = _member(text, at, steps)
        elif text[at] == "[":
            end = _closing(text, at)
            label, step, single = _bracket(text[at + 1 : end].strip(), text)
            definite = definite and single
            steps.append((label, step))
            at = end + 1
        else:
            raise PathError(f"'{text}' is not a path at position {at}")
    return Path(text, variable, tuple(steps), definite)


def _member(text: str, at: int, steps: list[tuple[str, Step]]) -> int:
    if text[at : at + 1] == "*":
        steps.append(("[*]", _every))
        return at + 1
    name = _NAME.match(text, at)
    if not name:
        raise PathError(f"'{text}' lacks a name at position {at}")
    steps.append((f"['{name.group(0)}']", _field(name.group(0))))
    return name.end()


def _closing(text: str, at: int) -> int:
    depth, quote, index = 0, "", at
    while index < len(text):
        char = text[index]
        if quote:
            if char == "\\":
                index += 1
            elif char == quote:
                quote = ""
        elif char in "'\"":
            quote = char
        elif char == "[":
            depth += 1
        elif char == "]":
            depth -= 1
            if depth == 0:
                return index
        index += 1
    raise PathError(f"'{text}' has an unclosed bracket at position {at}")


def _bracket(inner: str, text: str) -> tuple[str, Step, bool]:
    """A bracket's label, step, and whether it selects at most one value."""
    if inner == "*":
        return "[*]", _every, False
    if inner.startswith("?"):
        return f"[{inner}]", _filter(compile_filter(inner[1:].strip(), parse)), False
    ranged = _SLICE.match(inner)
    if ranged:
        start, stop, stride = (int(part) if part else None for part in ranged.groups())
        return f"[{inner}]", _slice(start, stop, stride), False
    parts = _parts(inner)
    steps: list[Step] = []
    for part in parts:
        quoted = _QUOTED.fullmatch(part)
        if quoted:
            # Only the quote itself and the backslash are escaped; any other backslash is part of the name.
            quote, raw = ("'", quoted.group(1)) if quoted.group(1) is not None else ('"', quoted.group(2))
            steps.append(_field(re.sub(rf"\\([{quote}\\])", r"\1", raw)))
        elif re.fullmatch(r"-?\d+", part):
            steps.append(_index(int(part)))
        else:
            raise PathError(f"'{text}' has '[{inner}]', which is no index, name, slice or filter")
    if len(steps) == 1:
        return f"[{parts[0]}]", steps[0], True
    return f"[{inner}]", _union(steps), False


def _parts(inner: str) -> list[str]:
    """The bracket's comma separated members; commas inside quotes belong to the name."""
    found = re.findall(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"|[^,\s]+", inner)
    if not found:
        raise PathError("empty brackets")
    return found


def select(text: str, root: Any) -> Any:
    """The value of a path over `root`; a path error is a Fault, a path without a value NotFound."""
    try:
        return parse(text).select(root)
    except ValueError as error:  # PathError and FilterError
        raise Fault(f"Invalid path '{text}' : {error}") from error
