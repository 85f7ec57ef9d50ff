"""Read one TOML file, and know on which line each of its keys stands."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.errors import SettingsError

Key = tuple[str | int, ...]


@dataclass(frozen=True)
class TomlFile:
    """A parsed file: its name as shown to a user, its content and the line (from 1) of every key."""

    label: str
    data: dict[str, Any]
    lines: dict[Key, int]

    def line(self, key: Key) -> int | None:
        """The line of `key`, or of the nearest table above it; None for the file itself."""
        while key:
            if key in self.lines:
                return self.lines[key]
            key = key[:-1]
        return None


def read(path: Path, label: str) -> TomlFile:
    """Parse `path`; raise SettingsError with the line when it is missing, unreadable or not TOML."""
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        raise SettingsError("file not found", where=label, hint=f"create {label}") from None
    except OSError as error:
        raise SettingsError(f"cannot be read: {error.strerror}", where=label) from error
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise SettingsError("is not UTF-8 text", where=f"{label}:{line}") from error
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        message, line = _syntax_error(str(error), text)
        raise SettingsError(f"TOML syntax: {message}", where=f"{label}:{line}") from error
    return TomlFile(label=label, data=data, lines=_Scanner(text).scan())


def _syntax_error(message: str, text: str) -> tuple[str, int]:
    """Split tomllib's "… (at line 3, column 7)" into the text and the line."""
    body, _, place = message.rpartition(" (at ")
    if place.startswith("line "):
        line, _, column = place.removeprefix("line ").rstrip(")").partition(", column ")
        return f"{body} (column {column})", int(line)
    return body or message, text.count("\n") + 1


class _Scanner:
    """Finds the line of every key of a text that tomllib has already accepted."""

    def __init__(self, text: str) -> None:
        self.text = text.replace("\r\n", "\n") + "\n"
        self.at = 0
        self.lines: dict[Key, int] = {}
        self.arrays: dict[Key, int] = {}

    def scan(self) -> dict[Key, int]:
        prefix: Key = ()
        while self._skip_blank():
            line = self.text.count("\n", 0, self.at) + 1
            if self.text.startswith("[[", self.at):
                self.at += 2
                prefix = self._resolve(self._key())
                self.arrays[prefix] = self.arrays.get(prefix, -1) + 1
                prefix = (*prefix, self.arrays[prefix])
                self.at += 2
                self._record(prefix, line)
            elif self.text[self.at] == "[":
                self.at += 1
                prefix = self._resolve(self._key())
                self.at += 1
                self._record(prefix, line)
            else:
                self._pair(prefix)
        return self.lines

    def _record(self, key: Key, line: int) -> None:
        for length in range(1, len(key) + 1):
            self.lines.setdefault(key[:length], line)

    def _resolve(self, key: Key) -> Key:
        """A header's path with the index of the last element put in where it crosses an array of tables."""
        path: Key = ()
        for position, part in enumerate(key):
            path = (*path, part)
            if path in self.arrays and position < len(key) - 1:
                path = (*path, self.arrays[path])
        return path

    def _skip_blank(self, more: str = "") -> bool:
        """Move over white space, line ends, comments and `more`; False at the end of the text."""
        while self.at < len(self.text):
            char = self.text[self.at]
            if char == "#":
                self.at = self.text.index("\n", self.at)
            elif char in " \t\n" or char in more:
                self.at += 1
            else:
                return True
        return False

    def _key(self) -> Key:
        parts: list[str | int] = []
        while True:
            while self.text[self.at] in " \t.":
                self.at += 1
            if self.text[self.at] in "\"'":
                start = self.at
                self._string()
                parts.append(next(iter(tomllib.loads(f"{self.text[start : self.at]} = 0"))))
            elif self.text[self.at] in "]=":
                return tuple(parts)
            else:
                start = self.at
                while self.text[self.at] not in " \t.]=":
                    self.at += 1
                parts.append(self.text[start : self.at])

    def _pair(self, prefix: Key) -> None:
        line = self.text.count("\n", 0, self.at) + 1
        key = (*prefix, *self._key())
        self._record(key, line)
        self.at += 1
        self._value(key)

    def _value(self, key: Key) -> None:
        self._skip_blank()
        char = self.text[self.at]
        if char in "\"'":
            self._string()
        elif char == "[":
            self.at += 1
            index = 0
            while self._skip_blank(",") and self.text[self.at] != "]":
                self._record((*key, index), self.text.count("\n", 0, self.at) + 1)
                self._value((*key, index))
                index += 1
            self.at += 1
        elif char == "{":
            self.at += 1
            while self._skip_blank(",") and self.text[self.at] != "}":
                self._pair(key)
            self.at += 1
        else:
            while self.text[self.at] not in ",]}#\n":
                self.at += 1

    def _string(self) -> None:
        quote = self.text[self.at]
        mark = quote * 3 if self.text.startswith(quote * 3, self.at) else quote
        self.at += len(mark)
        while not self.text.startswith(mark, self.at):
            self.at += 2 if quote == '"' and self.text[self.at] == "\\" else 1
        self.at += len(mark)
        while len(mark) == 3 and self.text.startswith(quote, self.at):
            self.at += 1  # a multi-line string may end in up to two quotes of its own
