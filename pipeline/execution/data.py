"""A pipeline's data in S3, by channel and date: put there, and listed."""

from __future__ import annotations

import csv
import io
import random
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from pipeline.aws.errors import code, told
from pipeline.errors import ApplyError, SettingsError
from pipeline.execution import sample

if TYPE_CHECKING:
    from pipeline.aws import Clients
    from pipeline.settings.model import Settings


@dataclass(frozen=True)
class DataObject:
    """One object of a channel on a day (YYYY-MM-DD).

    Args:
        etag: S3's.
        was: what lay there before it was put: `same`, `other`, or nothing ("").
    """

    channel: str
    date: str
    uri: str
    bytes: int
    etag: str = ""
    was: str = ""

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def parse_day(text: str | None) -> date:
    """The day `YYYY-MM-DD`; None is yesterday (UTC), which a run started today reads.

    Raises:
        SettingsError: not a date.
    """
    if text is None:
        return datetime.now(UTC).date() - timedelta(days=1)
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise SettingsError(f"not a date: {text!r}", where="--date", hint="YYYY-MM-DD") from error


def run_date(day: str) -> str:
    """The DATE of the run that reads the data of `day`: the day after."""
    return (date.fromisoformat(day) + timedelta(days=1)).isoformat()


def key_prefix(settings: Settings, channel: str) -> str:
    """What all keys of a channel begin with, up to the date."""
    data = settings.pipeline.data
    return f"{data.prefix}{data.channels[channel].prefix}/"


def put(
    settings: Settings,
    clients: Clients,
    *,
    day: date,
    folder: Path | None = None,
    shuffle_seed: int | None = None,
    label_column: int = 0,
    say: Callable[[str], None] = lambda _: None,
) -> list[DataObject]:
    """Upload `folder` (default: the pipeline's sample), one sub-folder a channel, for `day`.

    Args:
        say: told what takes long.
        shuffle_seed: shuffle the labels of the channels that are trained on. Held-out data stays honest, so
            that the gate sees what such a model is worth.

    Raises:
        SettingsError: the folder does not hold exactly the channels' folders, or one is empty; or there are
            labels to be shuffled, and only transforms make any.
        ApplyError: the bucket is not there.
    """
    given = settings.pipeline.data.given
    if shuffle_seed is not None and not any(channel.use == "train" for channel in given.values()):
        raise SettingsError(
            "no labels to shuffle: what is trained on is made by a transform",
            where="--shuffle-labels",
            hint=f"give --from FOLDER with data that is broken already, a folder each of {', '.join(given)}",
        )
    source = folder or sample.folder(settings, say)
    files = _files(settings, source)
    before = {item.uri: item.etag for item in listing(settings, clients, day)}
    made = []
    with told(clients.target.name):
        for channel, relative in files:
            content = (source / channel / relative).read_bytes()
            trained_on = settings.pipeline.data.channels[channel].use == "train"
            if shuffle_seed is not None and trained_on:
                content = shuffle_labels(content, shuffle_seed, label_column)
            suffix = settings.pipeline.data.suffix
            key = f"{key_prefix(settings, channel)}{day.isoformat()}/{suffix}{relative.as_posix()}"
            etag = _put(settings, clients, key, content)
            uri = f"s3://{settings.data_bucket}/{key}"
            was = "" if uri not in before else "same" if before[uri] == etag else "other"
            made.append(DataObject(channel, day.isoformat(), uri, len(content), etag, was))
    return made


def listing(settings: Settings, clients: Clients, day: date | None = None) -> list[DataObject]:
    """What lies in the channels, by channel and date; of one day if given."""
    with told(clients.target.name):
        return [
            DataObject(channel, found, f"s3://{settings.data_bucket}/{key}", size, etag)
            for channel in settings.pipeline.data.given
            for found, key, size, etag in _list(settings, clients, channel)
            if day is None or found == day.isoformat()
        ]


def shuffle_labels(content: bytes, seed: int, column: int = 0) -> bytes:
    """A CSV with the values of one column shuffled; a header line stays. Same seed, same result."""
    rows = list(csv.reader(io.StringIO(content.decode())))
    rows = [row for row in rows if row]
    if not rows:
        return content
    first = 1 if _is_header(rows) else 0
    if any(column >= len(row) for row in rows):
        raise SettingsError(f"there is no column {column}", where="--label-column")
    labels = [row[column] for row in rows[first:]]
    random.Random(seed).shuffle(labels)
    for row, label in zip(rows[first:], labels, strict=True):
        row[column] = label
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows(rows)
    return out.getvalue().encode()


def _is_header(rows: list[list[str]]) -> bool:
    """No number in the first line, but one in the second."""
    return len(rows) > 1 and not any(map(_number, rows[0])) and any(map(_number, rows[1]))


def _number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _files(settings: Settings, source: Path) -> list[tuple[str, Path]]:
    channels = settings.pipeline.data.given
    where = f"folders {', '.join(channels)} under {source}"
    if not source.is_dir():
        raise SettingsError("there is no such folder", where=str(source), hint=f"it needs {where}")
    unknown = [p.name for p in sorted(source.iterdir()) if p.is_dir() and p.name not in channels]
    if unknown:
        raise SettingsError(
            f"not channels: {', '.join(unknown)}", where=str(source), hint=f"known: {', '.join(channels)}"
        )
    found: list[tuple[str, Path]] = []
    for channel in channels:
        inside = sorted(
            p for p in (source / channel).rglob("*") if p.is_file() and not p.name.startswith(".")
        )
        if not inside:
            raise SettingsError(
                f"no file for channel {channel}", where=str(source / channel), hint=f"it needs {where}"
            )
        found += [(channel, path.relative_to(source / channel)) for path in inside]
    return found


def _put(settings: Settings, clients: Clients, key: str, content: bytes) -> str:
    try:
        answer = clients.s3.put_object(Bucket=settings.data_bucket, Key=key, Body=content)
    except ClientError as error:
        if code(error) == "NoSuchBucket":
            raise ApplyError(
                f"there is no bucket {settings.data_bucket}",
                where=f"target {clients.target.name}",
                hint=f"pipeline apply {settings.name} -e {settings.environment_name}",
            ) from error
        raise
    return str(answer["ETag"])


def _list(settings: Settings, clients: Clients, channel: str) -> Iterator[tuple[str, str, int, str]]:
    prefix = key_prefix(settings, channel)
    pages = clients.s3.get_paginator("list_objects_v2").paginate(Bucket=settings.data_bucket, Prefix=prefix)
    try:
        for page in pages:
            for item in page.get("Contents", []):
                day = item["Key"][len(prefix) :].split("/", 1)[0]
                yield day, item["Key"], item["Size"], item["ETag"]
    except ClientError as error:
        if code(error) != "NoSuchBucket":
            raise
