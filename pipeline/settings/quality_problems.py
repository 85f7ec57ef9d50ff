"""Quality rules that are valid one by one, and judge nothing or ask for the impossible together."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from pipeline.settings.toml_file import Key

Problem = tuple[Key, str, str]

_JUDGES = ("type", "required", "minimum", "maximum", "allowed", "pattern", "width", "nulls")
_ABOUT_ROWS = ("required", "minimum", "maximum", "allowed", "pattern", "width")


def quality_problems(channels: dict[str, Any], transforms: dict[str, Any]) -> Iterator[Problem]:
    """Problems of `[transforms.X.quality]` in one pipeline's merged tables."""
    for name, transform in transforms.items():
        if not isinstance(transform, dict) or not isinstance(transform.get("quality"), dict):
            continue
        reads = transform.get("reads") if isinstance(transform.get("reads"), list) else []
        frames = transform["quality"]
        for frame, rules in frames.items():
            if isinstance(rules, dict):
                for key, what, hint in _frame(frame, rules, frames, channels, reads or []):
                    yield ("transforms", name, "quality", frame, *key), what, hint


def _frame(
    frame: str, rules: dict[str, Any], frames: dict[str, Any], channels: dict[str, Any], reads: list[Any]
) -> Iterator[Problem]:
    about = channels.get(frame)
    if (
        isinstance(about, dict)
        and about.get("use") == "transform"
        and "made_by" not in about
        and frame not in reads
    ):
        yield (), f"the transform does not read the channel {frame!r}", f'add "{frame}" to its reads'
    low, high = rules.get("minimum_rows"), rules.get("maximum_rows")
    if isinstance(low, int) and isinstance(high, int) and low > high:
        yield (
            ("minimum_rows",),
            f"minimum_rows {low} is above maximum_rows {high}; nothing can pass",
            "swap them",
        )
    for column, rule in _items(rules.get("columns")):
        for key, what, hint in _column(column, rule):
            yield ("columns", column, *key), what, hint
    yield from _keys(frame, rules, frames)
    if isinstance(rules.get("leakage"), dict) and not rules.get("label"):
        yield ("leakage",), "leakage is about a label, and none is named", 'add label = "<column>"'
    if "shared_rows" in rules and not rules.get("apart_from"):
        yield ("shared_rows",), "without apart_from it has no effect", "drop it, or add apart_from"


def _keys(frame: str, rules: dict[str, Any], frames: dict[str, Any]) -> Iterator[Problem]:
    if "duplicates" in rules and not rules.get("key"):
        yield ("duplicates",), "duplicates are rows with the same key, and none is named", "add key = [...]"
    others = rules.get("apart_from") if isinstance(rules.get("apart_from"), list) else []
    if others and not (rules.get("key") or rules.get("apart_key")):
        yield (
            ("apart_from",),
            "which rows are the same? No key is named",
            "add key = [...] or apart_key = [...]",
        )
    for index, other in enumerate(others or []):
        if other == frame:
            yield ("apart_from", index), "a frame shares all its keys with itself", "name another frame"
        elif isinstance(other, str) and other not in frames:
            yield (
                ("apart_from", index),
                f"{other!r} has no rules here, so it is not checked and its keys are not known",
                f"add a table [….quality.{other}], which may be empty",
            )


def _column(name: str, rule: dict[str, Any]) -> Iterator[Problem]:
    if not any(rule.get(key) not in (None, False) for key in _JUDGES):
        yield (), "a column's rule judges nothing", f"add one of {', '.join(_JUDGES)}"
    low, high = rule.get("minimum"), rule.get("maximum")
    if isinstance(low, int | float) and isinstance(high, int | float) and low > high:
        yield ("minimum",), f"minimum {low:g} is above maximum {high:g}; nothing can pass", "swap them"
    if ("bad_rows" in rule or "bad_share" in rule) and not any(
        rule.get(key) is not None for key in _ABOUT_ROWS
    ):
        limit = "bad_rows" if "bad_rows" in rule else "bad_share"
        yield (limit,), "it limits bad rows, and no rule here makes a row bad", f"drop {limit}"
    patterns = [((), name[1:-1])] if len(name) > 1 and name[0] == name[-1] == "/" else []
    if isinstance(rule.get("pattern"), str):
        patterns.append((("pattern",), rule["pattern"]))  # type: ignore[arg-type]
    for key, pattern in patterns:
        try:
            re.compile(pattern)
        except re.error as error:
            yield key, f"{pattern!r} is no regular expression: {error}", "mend it"


def _items(table: Any) -> list[tuple[str, dict[str, Any]]]:
    found = table.items() if isinstance(table, dict) else []
    return [(name, rule) for name, rule in found if isinstance(rule, dict)]
