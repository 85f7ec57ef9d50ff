"""Lay TOML tables over one another, and remember which file and line each value came from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.settings.toml_file import Key, TomlFile


@dataclass(frozen=True)
class Layer:
    """One table of one file. `path` is where it stands in the file; () is the file itself."""

    file: TomlFile
    path: Key
    skip: frozenset[str] = frozenset()

    @property
    def table(self) -> dict[str, Any] | None:
        """The table's own keys without `skip`; None when it is absent or not a table."""
        node: Any = self.file.data
        for part in self.path:
            node = node.get(part) if isinstance(node, dict) else None
        if not isinstance(node, dict):
            return None
        return {key: value for key, value in node.items() if key not in self.skip}

    def place(self, key: Key) -> Place:
        """Where `key` of this layer stands."""
        return Place(self.file, (*self.path, *key), dotted(self.path))


@dataclass(frozen=True)
class Place:
    """A key in a file; `table` is the layer's table, "" for the file's own keys."""

    file: TomlFile
    key: Key
    table: str

    def __str__(self) -> str:
        line = self.file.line(self.key)
        return f"{self.file.label}:{line}" if line else self.file.label

    @property
    def where(self) -> str:
        """File, line and key."""
        return f"{self}: {dotted(self.key)}" if self.key else str(self)

    @property
    def origin(self) -> str:
        """File, line and table, such as `pipeline.toml:14 [environments.dev]`."""
        return f"{self} [{self.table}]" if self.table else str(self)


@dataclass(frozen=True)
class Merged:
    """The result of laying tables over one another. `places` holds every table and every leaf.

    `home` is the layer in which a value that nobody set belongs.
    """

    data: dict[str, Any]
    places: dict[Key, Place]
    home: Layer

    def place(self, key: Key) -> Place:
        """Where `key` was set; for a key nobody set, where it would be."""
        for length in range(len(key), 0, -1):
            found = self.places.get(key[:length])
            if found:
                return Place(found.file, (*found.key, *key[length:]), found.table)
        return self.home.place(key)


def merge(layers: Sequence[Layer], home: Layer | None = None) -> Merged:
    """Tables merge key by key; lists and plain values of a later layer replace those of an earlier one."""
    data: dict[str, Any] = {}
    places: dict[Key, Place] = {}
    for layer in layers:
        if layer.table is not None:
            _merge_into(data, layer.table, (), layer, places)
    return Merged(data, places, home or layers[-1])


def _merge_into(
    target: dict[str, Any], source: dict[str, Any], at: Key, layer: Layer, places: dict[Key, Place]
) -> None:
    for name, value in source.items():
        key = (*at, name)
        if isinstance(value, dict) and isinstance(target.get(name), dict):
            _merge_into(target[name], value, key, layer, places)
            continue
        for old in [old for old in places if old[: len(key)] == key]:
            del places[old]
        if isinstance(value, dict):
            target[name] = {}
            places[key] = layer.place(key)
            _merge_into(target[name], value, key, layer, places)
        else:
            target[name] = value
            _remember(value, key, layer, places)


def _remember(value: Any, key: Key, layer: Layer, places: dict[Key, Place]) -> None:
    places[key] = layer.place(key)
    children = (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    )
    for name, child in children:
        _remember(child, (*key, name), layer, places)


def dotted(key: Key) -> str:
    """A key as a user writes it: `gate[0].metric`, `channels."odd name"`."""
    text = ""
    for part in key:
        if isinstance(part, int):
            text += f"[{part}]"
            continue
        plain = part and all(char.isalnum() or char in "-_" for char in part)
        text += ("." if text else "") + (part if plain else f'"{part}"')
    return text
