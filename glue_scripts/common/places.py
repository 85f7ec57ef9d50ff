"""Where a bad row stands: its object, and its line if that is CSV; found only when there are bad rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from common.storage import Object

# Number of a line as monotonically_increasing_id gives it: the partition, and 33 bits of the line within it.
AT = "_at"
# Whether a line is a row: a header is none, and a blank line.
ROW = "_row"
BITS = 33
# Lines are counted in so many objects, of so many bytes each; of others the object is named, and no line.
OBJECTS_COUNTED = 3
LARGEST_BYTES = 256 * 1024 * 1024


@dataclass(frozen=True)
class Origin:
    """What a channel's rows were read from.

    Args:
        numbered: of a CSV object's address, all of its lines as rows of the channel, with AT and ROW. None:
            the channel has no lines.
    """

    objects: Sequence[Object]
    numbered: Callable[[str], DataFrame] | None = None


@dataclass(frozen=True)
class Example:
    """One row that broke a rule: what is said of it, and where it stands ("" where that is not known)."""

    reason: str
    at: str = ""


def examples(
    found: Mapping[str, tuple[str, str]], broken: Mapping[str, tuple[Column, Column]], origin: Origin | None
) -> dict[str, Example]:
    """An example of each rule, with its line where counting lines is cheap.

    Args:
        found: of each rule the object (as input_file_name says) of a row that broke it, and its reason.
        broken: of each rule what is true of a row that breaks it, and what is said of it then.
    """
    told = {name: Example(reason, file) for name, (file, reason) in found.items()}
    if origin is None:
        return {name: Example(example.reason) for name, example in told.items()}
    where = {file: _object(file, origin.objects) for file, _ in found.values() if file}
    counted = [
        (file, item)
        for file, item in sorted(where.items())
        if item is not None and item.bytes <= LARGEST_BYTES and origin.numbered is not None
    ]
    for file, item in counted[:OBJECTS_COUNTED]:
        names = [name for name, (of, _) in found.items() if of == file and name in broken]
        lines = _lines(origin.numbered(item.uri), {name: broken[name] for name in names})  # type: ignore[misc]
        for name, (line, reason) in lines.items():
            told[name] = Example(reason, f"{item.uri}, line {line:,}")
    return told


def _object(file: str, objects: Iterable[Object]) -> Object | None:
    """The object of that name; Spark tells names as URLs, with %20 for a blank."""
    plain = unquote(file)
    return next((item for item in objects if plain.endswith(item.uri.partition("://")[2] or item.uri)), None)


def _lines(frame: DataFrame, broken: Mapping[str, tuple[Column, Column]]) -> dict[str, tuple[int, str]]:
    """Of each rule the first line that breaks it, from 1, and what is said of it; one pass over the object.

    An object is cut into partitions in its own order, so a line's number is that within its partition and the
    lines of those before it.
    """
    names = list(broken)
    first = [
        F.min(F.when(F.col(ROW) & test, F.struct(F.col(AT), said.alias("said")))).alias(f"f{i}")
        for i, (test, said) in enumerate(broken[name] for name in names)
    ]
    part = F.shiftright(F.col(AT), BITS).alias("part")
    parts = frame.groupBy(part).agg(F.count(F.lit(1)).alias("lines"), *first).orderBy("part").collect()
    found: dict[str, tuple[int, str]] = {}
    before = 0
    for row in parts:  # one a partition of one object
        for i, name in enumerate(names):
            if row[f"f{i}"] is not None and name not in found:
                found[name] = (before + (row[f"f{i}"][AT] & ((1 << BITS) - 1)) + 1, row[f"f{i}"]["said"])
        before += row["lines"]
    return found


def result_at(example: Example | None) -> dict[str, Any]:
    """The part of a rule's result that shows an example."""
    return {"example": example.reason if example else "", "at": example.at if example else ""}
