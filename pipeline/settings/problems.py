"""Turn what validation found into errors a user can act on: file, line, key, value and what is allowed."""

from __future__ import annotations

import difflib
import json
import types
import typing
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ValidationError

from pipeline.errors import SettingsError
from pipeline.settings.layers import Merged, dotted
from pipeline.settings.toml_file import Key


def unknown(key: str, allowed: Iterable[str]) -> tuple[str, str]:
    """What is wrong and the hint for a name that is not among `allowed`."""
    names = sorted(allowed)
    near = difflib.get_close_matches(key, names, n=1, cutoff=0.6)
    near = near or [name for name in names if len(key) > 2 and name.startswith(key)]
    return (f"; did you mean {near[0]!r}?" if near else "", "allowed: " + ", ".join(names) if names else "")


def validation_errors(
    model: type[BaseModel], merged: Merged, elsewhere: Mapping[str, tuple[str, str]] | None = None
) -> list[SettingsError]:
    """Every error of `merged.data` against `model`; an empty list when it is valid.

    `elsewhere`: top-level keys that another file has; which one, and how to write it there.
    """
    try:
        model.model_validate(merged.data)
    except ValidationError as found:
        return _errors(model, merged, found, elsewhere or {})
    return []


def _errors(
    model: type[BaseModel],
    merged: Merged,
    found: ValidationError,
    elsewhere: Mapping[str, tuple[str, str]],
) -> list[SettingsError]:
    by_key: dict[tuple[Key, bool], list[Any]] = {}
    for detail in found.errors(include_url=False):
        # `loc` may end in names of union members or "[key]", which are not keys of the user's file.
        key = tuple(detail["loc"])
        missing = detail["type"] == "missing"
        while key and not missing and not _has(merged.data, key):
            key = key[:-1]
        by_key.setdefault((key, missing), []).append(detail)
    return [_error(model, merged, key, details, elsewhere) for (key, _), details in by_key.items()]


def _error(
    model: type[BaseModel],
    merged: Merged,
    key: Key,
    details: Sequence[Any],
    elsewhere: Mapping[str, tuple[str, str]],
) -> SettingsError:
    first = details[0]
    place = merged.place(key)
    allowed = _description(model, key)
    if first["type"] == "extra_forbidden":
        known = _fields_at(model, key[:-1])
        near, hint = unknown(str(key[-1]), known)
        if len(key) == 1 and str(key[0]) in elsewhere:
            file, how = elsewhere[str(key[0])]
            # `transform` may be either file's; `training` was never meant to be `tuning`.
            meant = near if difflib.get_close_matches(str(key[0]), known, n=1, cutoff=0.9) else ""
            return SettingsError(f"unknown key here{meant}; {file} has it", where=place.where, hint=how)
        return SettingsError(f"unknown key{near}", where=place.where, hint=hint)
    if first["type"] == "missing":
        hint = f"add {dotted(key[-1:])} = … ({allowed})" if allowed else f"add {dotted(key[-1:])} = …"
        return SettingsError("a value is missing", where=place.where, hint=hint)
    parts = list(dict.fromkeys(_say(detail) for detail in details))
    return SettingsError(
        f"{_show(first['input'])} {' or '.join(parts)}",
        where=place.where,
        hint=f"allowed: {allowed}" if allowed else "",
    )


def _say(detail: Any) -> str:
    text: str = detail["msg"]
    for old, new in (("Input should be", "must be"), ("String should", "must"), (" should ", " must ")):
        text = text.replace(old, new)
    return text[0].lower() + text[1:]


def _show(value: Any) -> str:
    text = json.dumps(value, default=str, ensure_ascii=False)
    return text if len(text) <= 80 else text[:77] + "..."


def _has(data: Any, key: Key) -> bool:
    for part in key:
        if isinstance(data, list):
            inside = isinstance(part, int) and part < len(data)
        else:
            inside = isinstance(data, dict) and part in data
        if not inside:
            return False
        data = data[part]
    return True


def _models(annotation: Any) -> list[type[BaseModel]]:
    """The models a field of this type may hold, through Optional, list and dict."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    found: list[type[BaseModel]] = []
    if typing.get_origin(annotation) in (typing.Union, types.UnionType, list, dict, typing.Annotated):
        for inner in typing.get_args(annotation):
            found += _models(inner)
    return found


def _model_at(model: type[BaseModel], key: Key) -> type[BaseModel] | None:
    current: type[BaseModel] | None = model
    for part in key:
        info = current.model_fields.get(str(part)) if current is not None else None
        if info is None:
            continue  # a name or index inside a dict or list: the model stays the same
        inner = _models(info.annotation)
        current = inner[0] if inner else None
    return current


def _fields_at(model: type[BaseModel], key: Key) -> list[str]:
    found = _model_at(model, key)
    return list(found.model_fields) if found is not None else []


def _description(model: type[BaseModel], key: Key) -> str:
    """What may stand at `key`: the field's description, or that of the items of its list or table."""
    for length in range(len(key), 0, -1):
        parent = _model_at(model, key[: length - 1])
        info = parent.model_fields.get(str(key[length - 1])) if parent is not None else None
        if info is not None:
            return info.description or "" if length == len(key) else _item_description(info.annotation)
    return ""


def _item_description(annotation: Any) -> str:
    for inner in typing.get_args(annotation):
        for extra in getattr(inner, "__metadata__", ()):
            if getattr(extra, "description", None):
                return str(extra.description)
    return ""
