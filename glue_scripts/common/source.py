"""Which objects a channel is, and a look at each before Spark reads it: errors that name the object."""

from __future__ import annotations

import csv
import json
import zlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from common import storage
from common.errors import InputError
from common.storage import Object

# So much of the beginning of an object is looked at.
LOOK_BYTES = 65536
# An object whose first lines all have another number of columns is another table, not one with a bad row.
LOOK_LINES = 20
PARQUET = b"PAR1"
# Of an object of text that does not end with a line, so much of its end.
TAIL_LOOK = 65536
# The footer's length and the magic, at a Parquet object's end.
TAIL_BYTES = 8


@dataclass(frozen=True)
class Lines:
    """How a CSV object is written."""

    columns: Sequence[str]
    header: bool
    separator: str = ","
    quote: str = '"'


def locate(channel: str, path: str) -> list[Object]:
    """A channel's objects with something in them, by prefix or by SageMaker manifest.

    Raises:
        InputError: there are none, or the manifest names one that is not there.
    """
    if path.endswith(".json"):
        found = storage.look(_manifest(channel, path))
        where = f"the manifest {path}"
    else:
        path = path if path.endswith("/") else f"{path}/"
        found = storage.under(path)
        where = path
    if not found:
        raise InputError(f"channel {channel}: {where} holds no objects (missing prefix, or nothing was put)")
    full = [item for item in found if item.bytes]
    if not full:
        raise InputError(
            f"channel {channel}: all {len(found)} objects of {where} are empty, {found[0].uri} first"
        )
    return full


def _manifest(channel: str, uri: str) -> list[str]:
    """A ManifestFile as SageMaker takes it: `[{"prefix": "s3://bucket/"}, "key", ...]`."""
    try:
        entries = json.loads(storage.read(uri))
        prefix = entries[0]["prefix"]
        return [f"{prefix}{entry}" for entry in entries[1:]]
    except (ValueError, TypeError, LookupError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"channel {channel}: {uri} is no SageMaker manifest: {error}") from error


def look_at_csv(channel: str, objects: Sequence[Object], lines: Lines) -> None:
    """Refuse an object whose header, or whose first lines' number of columns, is another.

    Raises:
        InputError: names the first such object, what was expected and what stands there.
    """
    _first_error(objects, lambda item: _csv_problem(channel, item, lines))


def look_at_parquet(channel: str, objects: Sequence[Object]) -> None:
    """Refuse what is no whole Parquet object. Raises InputError, which names the first."""
    _first_error(objects, lambda item: _parquet_problem(channel, item))


def diagnose(objects: Sequence[Object]) -> str:
    """What Spark could not read, found by reading each compressed object as a stream; "" if all are whole."""
    for item in objects:
        if not item.uri.endswith(".gz"):
            continue
        unpacker = zlib.decompressobj(31)
        try:
            for piece in storage.chunks(item.uri):
                while piece:
                    unpacker.decompress(piece)
                    piece = unpacker.unused_data
                    if unpacker.eof and piece:
                        unpacker = zlib.decompressobj(31)
        except zlib.error as error:
            return f"{item.uri} is damaged: {error}"
        if not unpacker.eof:
            return f"{item.uri} is truncated: its gzip stream has no end ({item.bytes:,} bytes are there)"
    return ""


def _first_error(objects, problem) -> None:  # type: ignore[no-untyped-def]
    with ThreadPoolExecutor(storage.AT_ONCE) as pool:
        for said in pool.map(problem, objects):
            if said:
                raise InputError(said)


def _csv_problem(channel: str, item: Object, lines: Lines) -> str:
    text, problem = _beginning(item)
    if problem:
        return f"channel {channel}: {problem}"
    # The last line may be cut where the look ends.
    whole = text.splitlines()
    whole = whole[:-1] if item.bytes > LOOK_BYTES and len(whole) > 1 else whole
    rows = list(csv.reader(whole[: LOOK_LINES + 1], delimiter=lines.separator, quotechar=lines.quote))
    rows = [row for row in rows if row]
    expected = list(lines.columns)
    if lines.header:
        found = [name.strip() for name in rows[0]] if rows else []
        if found != expected:
            return (
                f"channel {channel}: {item.uri} has another header: expected {_names(expected)}, "
                f"found {_names(found)}"
            )
        rows = rows[1:]
    if rows and all(len(row) != len(expected) for row in rows):
        return (
            f"channel {channel}: {item.uri} has {len(rows[0])} columns, expected {len(expected)} "
            f"({_names(expected)})"
        )
    return _cut_off(channel, item, lines)


def _cut_off(channel: str, item: Object, lines: Lines) -> str:
    """Whether the object ends in the midst of a row: no end of line, and too few columns before it.

    A compressed one says so itself. One that was cut between two rows looks whole; that is what
    `minimum_rows` is for.
    """
    if item.uri.endswith(".gz"):
        return ""
    start = max(0, item.bytes - TAIL_LOOK)
    tail = storage.read(item.uri, start, TAIL_LOOK)
    if not tail or tail.endswith((b"\n", b"\r")) or (start and b"\n" not in tail):
        return ""
    last = tail.rpartition(b"\n")[2].decode("utf-8", "replace")
    found = next(csv.reader([last], delimiter=lines.separator, quotechar=lines.quote), [])
    if len(found) >= len(lines.columns):
        return ""
    return (
        f"channel {channel}: {item.uri} is truncated: after {item.bytes:,} bytes it ends in the midst of a "
        f"row, with {len(found)} of {len(lines.columns)} columns"
    )


def _beginning(item: Object) -> tuple[str, str]:
    """The object's first text, and what is wrong with it."""
    data = storage.read(item.uri, 0, LOOK_BYTES)
    if item.uri.endswith(".gz"):
        try:
            data = zlib.decompressobj(31).decompress(data)
        except zlib.error as error:
            return "", f"{item.uri} is no gzip object: {error}"
    if b"\0" in data[:1024]:
        return "", f"{item.uri} is not text (it begins with {data[:8]!r})"
    return data.decode("utf-8-sig", "replace"), ""


def _parquet_problem(channel: str, item: Object) -> str:
    if item.bytes < TAIL_BYTES + len(PARQUET):
        return f"channel {channel}: {item.uri} is no Parquet object: it has {item.bytes} bytes"
    if storage.read(item.uri, 0, len(PARQUET)) != PARQUET:
        return f"channel {channel}: {item.uri} is no Parquet object: it does not begin with PAR1"
    tail = storage.read(item.uri, item.bytes - TAIL_BYTES, TAIL_BYTES)
    if tail[4:] != PARQUET or int.from_bytes(tail[:4], "little") > item.bytes:
        return (
            f"channel {channel}: {item.uri} is truncated: a Parquet object ends in PAR1, "
            f"this one after {item.bytes:,} bytes without"
        )
    return ""


def _names(names: Sequence[str], most: int = 12) -> str:
    shown = ",".join(names[:most])
    return f"{shown},… ({len(names)})" if len(names) > most else shown or "nothing"
