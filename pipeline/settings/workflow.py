"""A workflow given as a file of Amazon States Language instead of the definition's, and its lines."""

from __future__ import annotations

import hashlib
import json
import re
from functools import cached_property
from pathlib import Path
from typing import Any

from pipeline.errors import SettingsError
from pipeline.settings.base import Model

Key = tuple[str | int, ...]
HINT = "`pipeline render NAME --asl-only` writes one to begin with"
# What else than a bracket can stand in JSON: a string, a number or a word; and what only parts them.
_SCALAR = re.compile(r'"(?:[^"\\]|\\.)*"|[^\s,:{}\[\]"]+')
_BLANK = re.compile(r"[\s,:]*")


class GivenWorkflow(Model):
    """The text of a file that was read by `read`.

    Args:
        label: the file as shown to a user.
        text: JSON, an object with StartAt and States.
    """

    label: str
    text: str

    @property
    def asl(self) -> dict[str, Any]:
        """The definition, made anew at each call."""
        found: dict[str, Any] = json.loads(self.text)
        return found

    @property
    def sha256(self) -> str:
        """Of the definition, not of how it is written."""
        return hashlib.sha256(json.dumps(self.asl, sort_keys=True).encode()).hexdigest()

    @cached_property
    def _lines(self) -> dict[Key, int]:
        return lines(self.text)

    def line(self, key: Key) -> int | None:
        """The line (from 1) of what is at `key`, or of the nearest thing above it."""
        while key and key not in self._lines:
            key = key[:-1]
        return self._lines.get(key)

    def line_of(self, text: str) -> int | None:
        """The line (from 1) where `text` is the first time."""
        at = self.text.find(text)
        return self.text.count("\n", 0, at) + 1 if at >= 0 else None


def read(path: Path) -> GivenWorkflow:
    """Read a definition.

    Raises:
        SettingsError: it is missing, no JSON (with line and column), or no state machine.
    """
    label = str(path)
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise SettingsError("file not found", where=label, hint=HINT) from None
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"cannot be read: {error}", where=label) from error
    try:
        data = json.loads(text, object_pairs_hook=_without_twins, parse_constant=_no_number)
    except json.JSONDecodeError as error:
        where = f"{label}:{error.lineno}:{error.colno}"
        raise SettingsError(f"no JSON: {error.msg}", where=where, hint=HINT) from error
    except _Refused as error:
        raise SettingsError(str(error), where=f"{label}{_place(text, error.sought)}") from None
    if not isinstance(data, dict) or not isinstance(data.get("States"), dict):
        what = "no state machine: an object with StartAt and States is wanted"
        raise SettingsError(what, where=label, hint=HINT)
    if not isinstance(data.get("StartAt"), str):
        raise SettingsError("StartAt is missing: the name of the first state", where=label)
    return GivenWorkflow(label=label, text=text)


class _Refused(Exception):
    """What Python's reader would take and Step Functions would not."""

    def __init__(self, what: str, sought: str) -> None:
        super().__init__(what)
        self.sought = sought


def _without_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise _Refused(f"{key!r} is there twice; only one of them would count", json.dumps(key))
        found[key] = value
    return found


def _no_number(word: str) -> Any:
    raise _Refused(f"{word} is no JSON", word)


def _place(text: str, sought: str) -> str:
    """`:12`, the line where `sought` is there the last time."""
    at = text.rfind(sought)
    return f":{text.count(chr(10), 0, at) + 1}" if at >= 0 else ""


def lines(text: str) -> dict[Key, int]:
    """Of every value in a JSON text the line where its key (in a list: itself) begins; () is the whole."""
    found: dict[Key, int] = {}
    at = 0

    def skip() -> None:
        nonlocal at
        blank = _BLANK.match(text, at)
        at = blank.end() if blank else at

    def scalar() -> str:
        nonlocal at
        match = _SCALAR.match(text, at)
        assert match, "the text was parsed before"
        at = match.end()
        return match[0]

    def value(key: Key, begins: int) -> None:
        nonlocal at
        found[key] = text.count("\n", 0, begins) + 1
        if text[at] not in "{[":
            scalar()
            return
        closing, is_object = ("}", True) if text[at] == "{" else ("]", False)
        at += 1
        number = 0
        while True:
            skip()
            if text[at] == closing:
                at += 1
                return
            start = at
            inner: str | int = json.loads(scalar()) if is_object else number
            skip()
            value((*key, inner), start)
            number += 1

    skip()
    value((), at)
    return found
