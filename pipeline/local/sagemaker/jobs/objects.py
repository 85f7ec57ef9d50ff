"""Which S3 objects a data source means, and where each lands in the container. No I/O.

SageMaker's rules: a prefix means every key that begins with it; a manifest is a JSON array of
`{"prefix": uri}` and relative keys; an augmented manifest is JSON Lines of which the named attributes
are streamed, those ending in `-ref` as the object's content.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit


class BadDataSource(ValueError):
    """A manifest or URI that cannot be read; the message says what about it."""


@dataclass(frozen=True)
class S3Object:
    """One object, and its path below the folder of its channel."""

    bucket: str
    key: str
    path: str

    @property
    def uri(self) -> str:
        """`s3://bucket/key`."""
        return f"s3://{self.bucket}/{self.key}"


@dataclass(frozen=True)
class Text:
    """A literal part of a stream: an attribute of an augmented manifest that is no reference."""

    content: bytes


def split(uri: str) -> tuple[str, str]:
    """Bucket and key (or prefix) of an s3:// URI."""
    parts = urlsplit(uri, allow_fragments=False)
    if parts.scheme != "s3" or not parts.netloc:
        raise BadDataSource(f"{uri!r} is not an S3 URI (s3://bucket/prefix)")
    # A '?' is an ordinary character of a key.
    return parts.netloc, (parts.path + ("?" + parts.query if parts.query else "")).lstrip("/")


def path_under(prefix: str, key: str) -> str:
    """Where the object `key`, found under `prefix`, lands below the channel's folder.

    The prefix is a folder where it can be read as one; else the folder it ends in is kept:
    `data/train` and `data/train-01/x.csv` give `train-01/x.csv`.
    """
    folder = prefix if prefix.endswith("/") or not prefix else prefix + "/"
    relative = key[len(folder) :] if key.startswith(folder) else key[prefix.rfind("/") + 1 :]
    if any(part in ("", ".", "..") for part in relative.split("/")):
        raise BadDataSource(f"the key {key!r} cannot be a file's path")
    return relative


def under_prefix(uri: str, keys: Sequence[str]) -> list[S3Object]:
    """The objects of an S3Prefix source, given the keys found; keys that only mark a folder are left out."""
    bucket, prefix = split(uri)
    return [S3Object(bucket, key, path_under(prefix, key)) for key in keys if not key.endswith("/")]


def in_manifest(text: str) -> list[S3Object]:
    """The objects of a ManifestFile source."""
    try:
        entries = json.loads(text)
    except ValueError as error:
        raise BadDataSource(f"the manifest is not valid JSON: {error}") from None
    if not isinstance(entries, list) or not entries or not isinstance(entries[0], dict):
        raise BadDataSource('the manifest must be a JSON array that begins with {"prefix": "s3://..."}')
    uri = entries[0].get("prefix")
    if not isinstance(uri, str) or not uri:
        raise BadDataSource("the manifest's prefix must be a non-empty S3 URI")
    bucket, prefix = split(uri)
    objects = []
    for entry in entries[1:]:
        if not isinstance(entry, str) or not entry:
            raise BadDataSource(f"the manifest's entry {entry!r} is not a relative key")
        objects.append(S3Object(bucket, prefix + entry, path_under("", entry.lstrip("/"))))
    if not objects:
        raise BadDataSource("the manifest names no objects")
    return objects


def in_augmented_manifest(text: str, attributes: Sequence[str]) -> Iterator[list[S3Object | Text]]:
    """One list a line: its attributes in the given order, references as objects, others as their text."""
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except ValueError as error:
            raise BadDataSource(
                f"line {number} of the augmented manifest is not valid JSON: {error}"
            ) from None
        yield [_attribute(record, name, number) for name in attributes]


def _attribute(record: Any, name: str, number: int) -> S3Object | Text:
    if not isinstance(record, dict) or name not in record:
        raise BadDataSource(f"line {number} of the augmented manifest has no attribute {name!r}")
    value = record[name]
    if name.endswith("-ref"):
        if not isinstance(value, str):
            raise BadDataSource(f"line {number} of the augmented manifest: {name!r} is not an S3 URI")
        bucket, key = split(value)
        return S3Object(bucket, key, key.rpartition("/")[2])
    text = value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))
    return Text(text.encode())


def shard(objects: Sequence[S3Object], index: int, count: int) -> list[S3Object]:
    """The part of ShardedByS3Key that instance `index` of `count` gets: every count-th key in their order."""
    return sorted(objects, key=lambda each: each.key)[index::count]
