"""Transforms and channels: names that fit together, sources that are one, no circles."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from pydantic import ValidationError

from pipeline.settings.model import Channel, Data
from pipeline.settings.transform_problems import transform_problems
from pipeline.settings.transforms import Transform, TransformCapacity

CHANNELS: dict[str, Any] = {
    "ratings": {"prefix": "input-ratings", "use": "transform"},
    "train": {"made_by": "features"},
    "test": {"made_by": "features", "use": "evaluate"},
}
TRANSFORMS: dict[str, Any] = {"features": {"script": "demo/features.py", "reads": ["ratings"]}}


def problems(channels: dict[str, Any] | None = None, transforms: dict[str, Any] | None = None) -> list[str]:
    found = transform_problems({**CHANNELS, **(channels or {})}, {**TRANSFORMS, **(transforms or {})})
    return [f"{'.'.join(map(str, key))}: {what}" for key, what, _ in found]


def test_what_fits_together_is_no_problem() -> None:
    assert problems() == []


@pytest.mark.parametrize(
    ("channels", "transforms", "expected"),
    [
        ({"x": {"use": "train"}}, {}, "data.channels.x.prefix: a value is missing"),
        (
            {"x": {"prefix": "a", "made_by": "features"}},
            {},
            "data.channels.x.made_by: a channel has a prefix or",
        ),
        ({"x": {"made_by": "featured"}}, {}, "data.channels.x.made_by: 'featured' is no transform"),
        (
            {},
            {"b": {"script": "a/b.py", "reads": ["nothing"]}},
            "transforms.b.reads.0: 'nothing' is no channel",
        ),
        (
            {},
            {"b": {"script": "a/b.py", "reads": ["train"]}},
            "transforms.b.reads.0: channel 'train' has not use",
        ),
        (
            {"the-ratings": {"prefix": "input", "use": "transform"}},
            {"b": {"script": "a/b.py", "reads": ["the-ratings"]}},
            "data.channels.the-ratings: a channel that a Glue script reads has no hyphen in its name",
        ),
        (
            {},
            {"train": {"script": "a/b.py", "reads": ["ratings"]}},
            "transforms.train: 'train' is a name of the",
        ),
        (
            {},
            {"b": {"script": "a/b.py", "reads": ["ratings"], "arguments": {"RATINGS_PATH": "x"}}},
            "transforms.b.arguments.RATINGS_PATH: --RATINGS_PATH is given",
        ),
        (
            {},
            {"b": {"script": "a/b.py", "reads": ["ratings"], "arguments": {"TempDir": "x"}}},
            "transforms.b.arguments.TempDir: --TempDir is given",
        ),
        (
            {"one": {"made_by": "b", "use": "transform"}, "two": {"made_by": "c", "use": "transform"}},
            {"b": {"script": "a/b.py", "reads": ["two"]}, "c": {"script": "a/c.py", "reads": ["one"]}},
            "transforms.b.reads: 'b' reads what it makes itself",
        ),
    ],
)
def test_what_cannot_be_is_said_at_its_place(
    channels: dict[str, Any], transforms: dict[str, Any], expected: str
) -> None:
    found = problems(channels, transforms)
    assert [text for text in found if text.startswith(expected)], found


@pytest.mark.parametrize("broken", [[], "text", {"features": "x"}, {"features": {"reads": "ratings"}}])
def test_tables_of_the_wrong_shape_are_other_errors(broken: Any) -> None:
    tables = broken if isinstance(broken, dict) else {}
    assert isinstance(list(transform_problems(copy.deepcopy(CHANNELS), tables)), list)


def test_a_transform_may_read_what_another_makes() -> None:
    more = {"middle": {"made_by": "features", "use": "transform"}}
    assert problems(more, {"later": {"script": "a/later.py", "reads": ["middle"]}}) == []


def test_a_program_finds_its_channels_as_folders_so_that_their_names_may_have_hyphens() -> None:
    more = {"the-ratings": {"prefix": "input", "use": "transform"}}
    assert problems(more, {"later": {"program": "preprocess", "reads": ["the-ratings"]}}) == []


def test_only_channels_of_the_training_are_sharded() -> None:
    assert problems({"more": {"prefix": "input", "sharded": True}}, {}) == []
    (found,) = problems({"more": {"prefix": "input", "use": "evaluate", "sharded": True}}, {})
    assert "only a channel of the training" in str(found)


def test_channels_that_transforms_make_have_no_data_of_their_own() -> None:
    data = Data.model_validate(
        {"channels": {name: Channel.model_validate(c) for name, c in CHANNELS.items()}}
    )
    assert list(data.given) == ["ratings"]


@pytest.mark.parametrize("script", ["features.py", "../demo/a.py", "/demo/a.py", "demo/a.scala", "demo/A.py"])
def test_a_script_lies_below_glue_scripts(script: str) -> None:
    with pytest.raises(ValidationError):
        Transform.model_validate({"script": script, "reads": ["ratings"]})


@pytest.mark.parametrize(
    "size", [{"workers": 1}, {"worker_type": "G.025X"}, {"glue_version": "4.0"}, {"timeout_minutes": 10081}]
)
def test_sizes_are_those_of_spark_jobs(size: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        TransformCapacity.model_validate(size)


@pytest.mark.parametrize(
    ("transform", "key", "says"),
    [
        ({"reads": ["ratings"]}, "script", "a value is missing"),
        (
            {"script": "a/b.py", "program": "c", "reads": ["ratings"]},
            "program",
            "a transform is a Glue script or a program of the container, not both",
        ),
        ({"program": "train", "reads": ["ratings"]}, "program", "'train' is run by another step"),
        (
            {"program": "c", "reads": ["ratings"], "quality": {"ratings": {"minimum_rows": 1}}},
            "quality",
            "rules of quality are applied by the library of the Glue scripts",
        ),
    ],
)
def test_a_transform_is_a_script_or_a_program(transform: dict[str, Any], key: str, says: str) -> None:
    assert problems({}, {"b": transform}) == [f"transforms.b.{key}: {says}"]


def test_a_program_is_a_name_and_its_channels_are_not_the_jobs_own_folders() -> None:
    Transform.model_validate({"program": "preprocess", "reads": ["ratings"]})
    for odd in ("Preprocess", "../a", "a/b", ""):
        with pytest.raises(ValidationError):
            Transform.model_validate({"program": odd, "reads": ["ratings"]})
    channels = {"output": {"prefix": "x", "use": "transform"}}
    found = problems(channels, {"b": {"program": "c", "reads": ["output"]}})
    assert found == ["transforms.b.reads.0: 'output' is a folder of the job's own"]
    assert problems(channels, {"b": {"script": "a/b.py", "reads": ["output"]}}) == []
