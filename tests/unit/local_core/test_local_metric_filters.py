"""JSON patterns of metric filters, as far as they are judged here."""

from __future__ import annotations

import pytest

from pipeline.local.adapter.metric_filters import compiled, found

EVENT = {"event": "metric", "name": "confidence", "value": 0.75, "of": {"kind": "a b"}, "good": True}


@pytest.mark.parametrize(
    ("pattern", "matches"),
    [
        ('{ $.event = "metric" && $.name = "confidence" }', True),
        ('{ $.event = "metric" && $.name = "other" }', False),
        ('{$.name="conf*"}', True),
        ('{ $.name != "other" }', True),
        ('{ $.missing != "other" }', False),
        ("{ $.value >= 0.75 }", True),
        ("{ $.value < 0.75 }", False),
        ("{ $.name > 1 }", False),
        ('{ $.of.kind = "a b" }', True),
        ("{ $.good = true }", True),
    ],
)
def test_patterns(pattern: str, matches: bool) -> None:
    judge = compiled(pattern)
    assert judge is not None and judge(EVENT) is matches


@pytest.mark.parametrize("pattern", ['{ $.a = "x" || $.b = "y" }', "{ $.a IS NULL }", "{ ($.a = 1) }"])
def test_others_are_not_guessed_at(pattern: str) -> None:
    assert compiled(pattern) is None


def test_values_by_path() -> None:
    assert found(EVENT, "$.of.kind") == "a b"
    assert found(EVENT, "$.of.kind.more") is None and found(None, "$.value") is None
