"""The JSONPath of batch transform's filters: the subset that AWS documents, on JSON and rows of CSV. No I/O.

`$`, `.name`, `*`, `['a','b']`, `[1,-1]`, `[2:5]` and both mixed (`[0,5:]`). A slice's end is included, as the
developer guide says: `$[1:4]` is the second to the fifth column. A path that meets nothing is an error.
https://docs.aws.amazon.com/sagemaker/latest/dg/batch-transform-data-processing.html
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

_STEP = re.compile(r"\.?\[(?P<inside>[^\]]*)\]|\.(?P<name>[^.\[\]'\",\s]+)")
_NAMES = re.compile(r"\s*'(?:[^'\\]|\\.)*'\s*(?:,\s*'(?:[^'\\]|\\.)*'\s*)*")
_NAME = re.compile(r"'((?:[^'\\]|\\.)*)'")
_PLACE = re.compile(r"(-?\d+)|(-?\d*):(-?\d*)")


class BadPath(ValueError):
    """A path that is none of the subset, or that meets nothing; the message says what."""


@dataclass(frozen=True)
class Names:
    """One member of an object, or an object of several."""

    names: tuple[str, ...]


@dataclass(frozen=True)
class Places:
    """One element of an array, or an array of several: indexes and (from, to) pairs."""

    parts: tuple[int | tuple[int | None, int | None], ...]

    @property
    def single(self) -> bool:
        return len(self.parts) == 1 and isinstance(self.parts[0], int)


@dataclass(frozen=True)
class Everything:
    """`*`."""


Step = Names | Places | Everything


@dataclass(frozen=True)
class Path:
    """A compiled path; `whole` for `$`."""

    text: str
    steps: tuple[Step, ...]

    @property
    def whole(self) -> bool:
        return not self.steps

    @property
    def by_index(self) -> bool:
        """Whether it fits rows of CSV, which have no names."""
        return not any(isinstance(step, Names) for step in self.steps)

    def of(self, value: Any) -> Any:
        """What it selects. Raises BadPath."""
        return self._from(value, self.steps)

    def of_row(self, row: list[str]) -> list[str]:
        """The columns it selects. Raises BadPath."""
        found = self.of(row)
        return found if isinstance(found, list) else [found]

    def _from(self, value: Any, steps: tuple[Step, ...]) -> Any:
        if not steps:
            return value
        step, rest = steps[0], steps[1:]
        if isinstance(step, Names):
            return self._named(value, step.names, rest)
        if isinstance(step, Everything):
            inside = list(value.values()) if isinstance(value, dict) else value
            return [self._from(each, rest) for each in self._array(inside)]
        found = self._placed(self._array(value), step)
        if step.single:
            return self._from(found[0], rest)
        return [self._from(each, rest) for each in found]

    def _named(self, value: Any, names: tuple[str, ...], rest: tuple[Step, ...]) -> Any:
        if not isinstance(value, dict):
            raise BadPath(f"{self.text} asks for {names[0]!r} of what is no object")
        for name in names:
            if name not in value:
                raise BadPath(f"{self.text}: there is no {name!r}")
        if len(names) == 1:
            return self._from(value[names[0]], rest)
        return {name: self._from(value[name], rest) for name in names}

    def _placed(self, items: list[Any], step: Places) -> list[Any]:
        found: list[Any] = []
        for part in step.parts:
            if isinstance(part, int):
                found.append(items[self._index(part, items)])
                continue
            begin, end = part
            first = 0 if begin is None else self._index(begin, items)
            last = len(items) - 1 if end is None else self._index(end, items)
            found += items[first : last + 1]
        return found

    def _index(self, place: int, items: list[Any]) -> int:
        real = place + len(items) if place < 0 else place
        if not 0 <= real < len(items):
            raise BadPath(f"{self.text}: there is no index {place} among {len(items)}")
        return real

    def _array(self, value: Any) -> list[Any]:
        if not isinstance(value, list):
            raise BadPath(f"{self.text} asks for elements of what is no array")
        return value


WHOLE = Path("$", ())


def compiled(text: str) -> Path:
    """A path of the subset. Raises BadPath."""
    if not text.startswith("$"):
        raise BadPath(f"{text!r} does not begin with $")
    steps: list[Step] = []
    at = 1
    while at < len(text):
        found = _STEP.match(text, at)
        if found is None:
            raise BadPath(f"{text!r} cannot be read from {text[at:]!r} on")
        steps.append(_step(text, found))
        at = found.end()
    return Path(text, tuple(steps))


def _step(text: str, found: re.Match[str]) -> Step:
    name, inside = found["name"], found["inside"]
    if name is not None:
        return Everything() if name == "*" else Names((name,))
    if inside.strip() == "*":
        return Everything()
    if _NAMES.fullmatch(inside):
        return Names(tuple(re.sub(r"\\(.)", r"\1", each) for each in _NAME.findall(inside)))
    parts: list[int | tuple[int | None, int | None]] = []
    for piece in inside.split(","):
        place = _PLACE.fullmatch(piece.strip())
        if place is None:
            raise BadPath(f"{text!r}: [{inside}] is no index, slice or name in single quotes")
        if place[1] is not None:
            parts.append(int(place[1]))
        else:
            parts.append(tuple(int(end) if end else None for end in (place[2], place[3])))  # type: ignore[arg-type]
    return Places(tuple(parts))
