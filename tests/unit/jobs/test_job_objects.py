"""Which objects a data source means and where they land."""

from __future__ import annotations

import pytest

from pipeline.local.sagemaker.jobs import channels, failure, objects
from pipeline.local.sagemaker.jobs.objects import BadDataSource, S3Object, Text


@pytest.mark.parametrize(
    ("uri", "key", "path"),
    [
        ("s3://b/data/train", "data/train/a.csv", "a.csv"),
        ("s3://b/data/train/", "data/train/deep/a.csv", "deep/a.csv"),
        ("s3://b/data/train/a.csv", "data/train/a.csv", "a.csv"),
        # a prefix that ends in the middle of a name keeps the name
        ("s3://b/data/tr", "data/train-01/a.csv", "train-01/a.csv"),
        ("s3://b", "a.csv", "a.csv"),
        ("s3://b/what?.csv", "what?.csv", "what?.csv"),
    ],
)
def test_a_key_lands_below_its_prefix(uri: str, key: str, path: str) -> None:
    assert objects.under_prefix(uri, [key]) == [S3Object("b", key, path)]


def test_keys_that_mark_folders_are_no_files() -> None:
    found = objects.under_prefix("s3://b/data/", ["data/", "data/sub/", "data/a.csv"])
    assert [each.key for each in found] == ["data/a.csv"]


@pytest.mark.parametrize("key", ["data/../../etc/passwd", "data/./a", "data//a"])
def test_a_key_cannot_leave_its_folder(key: str) -> None:
    with pytest.raises(BadDataSource, match="cannot be a file's path"):
        objects.under_prefix("s3://b/data", [key])


def test_a_manifest_is_a_prefix_and_relative_keys() -> None:
    text = '[{"prefix": "s3://bucket/some/prefix/"}, "one.csv", "deep/two.csv"]'
    assert objects.in_manifest(text) == [
        S3Object("bucket", "some/prefix/one.csv", "one.csv"),
        S3Object("bucket", "some/prefix/deep/two.csv", "deep/two.csv"),
    ]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{", "not valid JSON"),
        ('["a"]', "begins with"),
        ('[{"prefix": ""}, "a"]', "non-empty"),
        ('[{"prefix": "s3://b/"}]', "names no objects"),
        ('[{"prefix": "s3://b/"}, {"a": 1}]', "not a relative key"),
        ('[{"prefix": "s3://b/"}, "../a"]', "cannot be a file's path"),
        ('[{"prefix": "http://b/"}, "a"]', "not an S3 URI"),
    ],
)
def test_a_broken_manifest_says_what_is_wrong(text: str, why: str) -> None:
    with pytest.raises(BadDataSource, match=why):
        objects.in_manifest(text)


def test_an_augmented_manifest_gives_the_named_attributes_in_their_order() -> None:
    text = (
        '{"is-a-cat": 1, "image-ref": "s3://b/i/1.jpg", "ignored": "x"}\n\n'
        '{"image-ref": "s3://b/i/2.jpg", "is-a-cat": {"p": [0.5, null]}}\n'
    )
    assert list(objects.in_augmented_manifest(text, ["image-ref", "is-a-cat"])) == [
        [S3Object("b", "i/1.jpg", "1.jpg"), Text(b"1")],
        [S3Object("b", "i/2.jpg", "2.jpg"), Text(b'{"p":[0.5,null]}')],
    ]
    assert next(objects.in_augmented_manifest('{"line": "Call me"}', ["line"])) == [Text(b"Call me")]
    with pytest.raises(BadDataSource, match="line 1 of the augmented manifest has no attribute 'label'"):
        list(objects.in_augmented_manifest('{"a": 1}', ["label"]))


def test_shards_are_disjoint_and_together_everything() -> None:
    everything = [S3Object("b", f"k{number}", "p") for number in (3, 1, 4, 0, 2)]
    shards = [objects.shard(everything, index, 2) for index in range(2)]
    assert [[each.key for each in part] for part in shards] == [["k0", "k2", "k4"], ["k1", "k3"]]


def test_shuffling_keeps_a_line_together_and_depends_on_seed_and_epoch() -> None:
    source = {"S3DataSource": {"AttributeNames": ["a", "b"]}}
    parts: list[channels.Part] = [Text(f"{letter}{line}".encode()) for line in range(8) for letter in "ab"]
    channel = {"DataSource": source, "ShuffleConfig": {"Seed": 7}}
    first, second = channels.shuffled(channel, parts, 0), channels.shuffled(channel, parts, 1)
    assert first == channels.shuffled(channel, parts, 0)
    assert first != parts and first != second
    for shuffled in (first, second):
        pairs = list(zip(shuffled[::2], shuffled[1::2], strict=True))
        assert all(a.content[1:] == b.content[1:] for a, b in pairs)  # type: ignore[union-attr]
    assert channels.shuffled({"DataSource": source}, parts, 3) == parts


@pytest.mark.parametrize(
    ("uri", "keys", "whole"),
    [
        ("s3://b/train/", ["train/a"], True),
        ("s3://b/train", ["train/a", "train/b/c"], True),
        ("s3://b/train.csv", ["train.csv"], True),
        ("s3://b/train", ["train-01/a"], False),
        ("s3://b/train", ["train/a", "train-01/a"], False),
    ],
)
def test_fast_file_wants_a_whole_folder(uri: str, keys: list[str], whole: bool) -> None:
    parts = objects.under_prefix(uri, keys)
    if whole:
        channels.only_whole_folders({"S3Uri": uri}, parts)
        return
    with pytest.raises(failure.JobFailed, match=r"ClientError: Data download failed:.*partial S3 prefix"):
        channels.only_whole_folders({"S3Uri": uri}, parts)


def test_a_failure_reason_keeps_its_exit_code_and_1024_characters() -> None:
    assert failure.algorithm_error(1) == "AlgorithmError: , exit code: 1"
    assert failure.algorithm_error(3, "no data") == "AlgorithmError: no data, exit code: 3"
    long = failure.algorithm_error(137, "x" * 5000)
    assert len(long) == 1024
    assert long.endswith("x, exit code: 137")
