"""[transforms.X.quality]: what may stand there, and what is impossible about it."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from pipeline.settings.quality import ColumnRule, DataDrift, FrameQuality
from pipeline.settings.quality_problems import quality_problems

CHANNELS = {
    "ratings": {"prefix": "r", "use": "transform"},
    "movies": {"prefix": "m", "use": "transform"},
    "train": {"made_by": "features"},
}


def problems(**frames: Any) -> list[tuple[str, str]]:
    transforms = {"features": {"reads": ["ratings"], "quality": frames}}
    return [(".".join(map(str, key[3:])), what) for key, what, _ in quality_problems(CHANNELS, transforms)]


def test_what_makes_sense_has_no_problems() -> None:
    found = problems(
        ratings={"key": ["a"], "duplicates": {"bad_rows": 0}, "columns": {"a": {"minimum": 1, "maximum": 1}}},
        train={"label": "y", "leakage": {}, "drift": {}},
        validation={"apart_from": ["train"], "apart_key": ["a"], "shared_rows": 2},
    )
    assert found == []


@pytest.mark.parametrize(
    ("frames", "where", "said"),
    [
        ({"movies": {}}, "movies", "does not read the channel 'movies'"),
        ({"ratings": {"minimum_rows": 9, "maximum_rows": 5}}, "ratings.minimum_rows", "nothing can pass"),
        ({"ratings": {"columns": {"a": {}}}}, "ratings.columns.a", "judges nothing"),
        ({"ratings": {"columns": {"a": {"required": False}}}}, "ratings.columns.a", "judges nothing"),
        (
            {"ratings": {"columns": {"a": {"minimum": 2, "maximum": 1}}}},
            "ratings.columns.a.minimum",
            "nothing",
        ),
        (
            {"ratings": {"columns": {"a": {"nulls": 0.1, "bad_rows": 3}}}},
            "ratings.columns.a.bad_rows",
            "no rule",
        ),
        ({"ratings": {"columns": {"/a[/": {"minimum": 1}}}}, "ratings.columns./a[/", "no regular expression"),
        (
            {"ratings": {"columns": {"a": {"pattern": "("}}}},
            "ratings.columns.a.pattern",
            "no regular expression",
        ),
        ({"train": {"leakage": {}}}, "train.leakage", "none is named"),
        ({"train": {"duplicates": {"bad_rows": 1}}}, "train.duplicates", "none is named"),
        ({"train": {"apart_from": ["train"], "key": ["a"]}}, "train.apart_from.0", "with itself"),
        ({"train": {"apart_from": ["test"], "key": ["a"]}}, "train.apart_from.0", "has no rules here"),
        ({"train": {"apart_from": ["ratings"]}, "ratings": {}}, "train.apart_from", "No key is named"),
        ({"train": {"shared_rows": 3}}, "train.shared_rows", "no effect"),
    ],
)
def test_what_is_impossible_is_named(frames: dict[str, Any], where: str, said: str) -> None:
    ((place, what),) = problems(**frames)
    assert place == where and said in what


@pytest.mark.parametrize(
    ("model", "given"),
    [
        (ColumnRule, {"minimun": 1}),
        (ColumnRule, {"minimum": "1"}),
        (ColumnRule, {"nulls": 1.5}),
        (ColumnRule, {"allowed": []}),
        (FrameQuality, {"bad_share": -0.1}),
        (FrameQuality, {"key": "user"}),
        (DataDrift, {"action": "ignore"}),
        (DataDrift, {"psi": 0.0}),
    ],
)
def test_a_misspelt_or_impossible_value_is_refused(model: Any, given: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        model.model_validate(given)
