"""The rules of one frame as Spark expressions: which row breaks one, and what is said of it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import ArrayType, DoubleType, FloatType, NumericType

from common.errors import ScriptError

# What a frame without rules of its own must meet: a script that reads says nothing of bad rows otherwise.
DEFAULT_BAD_SHARE = 0.01
SHOWN = 40
# Between names of columns in one literal; no name holds it.
SEPARATOR = "\x1f"
MALFORMED, DUPLICATE = "malformed", "duplicate"


@dataclass(frozen=True)
class Limit:
    """How many rows may break a rule: `rows` of them, and a share of all; None: no such limit."""

    rows: int | None = None
    share: float | None = DEFAULT_BAD_SHARE

    @classmethod
    def of(cls, given: Mapping[str, Any], default: Limit | None = None) -> Limit:
        """The rule's own limit, else the frame's."""
        if given.get("bad_rows") is None and given.get("bad_share") is None:
            return default or cls()
        return cls(given.get("bad_rows"), given.get("bad_share"))

    def allows(self, bad: int, rows: int) -> bool:
        """Whether so many bad rows of all are few enough."""
        if self.rows is not None and bad > self.rows:
            return False
        return self.share is None or bad <= self.share * rows

    def __str__(self) -> str:
        said = [f"{self.rows:,} rows"] if self.rows is not None else []
        said += [f"{self.share * 100:g}%"] if self.share is not None else []
        return " and ".join(said) or "any number"


@dataclass(frozen=True)
class RowRule:
    """A rule a single row keeps or breaks.

    Args:
        name: what of the row is wrong, such as `rating.maximum`.
        broken: true where a row breaks it; null counts as kept.
        reason: what is said of such a row.
    """

    name: str
    column: str
    broken: Column
    reason: Column
    limit: Limit


@dataclass
class FrameRules:
    """What one frame must meet, from its part of `--QUALITY`."""

    given: Mapping[str, Any]
    limit: Limit = field(init=False)

    def __post_init__(self) -> None:
        self.limit = Limit.of(self.given)

    @property
    def key(self) -> list[str]:
        """The columns that tell rows apart."""
        return list(self.given.get("key") or [])

    @property
    def duplicate_limit(self) -> Limit:
        """How many rows may repeat a key."""
        return Limit.of(self.given.get("duplicates") or {}, self.limit)

    def columns(self, frame: DataFrame) -> Iterator[tuple[str, list[str], Mapping[str, Any]]]:
        """Name of the rule, the frame's columns it is about, and what it says; `/regex/` is about several."""
        for name, rule in (self.given.get("columns") or {}).items():
            if len(name) > 1 and name.startswith("/") and name.endswith("/"):
                yield name, [c for c in frame.columns if re.fullmatch(name[1:-1], c)], rule
            else:
                yield name, [name] if name in frame.columns else [], rule

    def misfits(self, frame: DataFrame) -> Iterator[tuple[str, str, str]]:
        """A column, its type and what is wrong: rules that its values cannot be asked, as a text's minimum.

        Spark would compare a text as a number where it is one and let all else pass, or fail in its words.
        """
        for _, columns, rule in self.columns(frame):
            for column in columns:
                kind = frame.schema[column].dataType
                element = kind.elementType if isinstance(kind, ArrayType) else kind
                for word in ("minimum", "maximum"):
                    if rule.get(word) is not None and not isinstance(element, NumericType):
                        yield column, kind.simpleString(), f"{word} is about numbers"
                if rule.get("width") is not None and not isinstance(kind, ArrayType):
                    yield column, kind.simpleString(), "width is about arrays"

    def of_rows(self, frame: DataFrame) -> list[RowRule]:
        """One expression a rule, also where it is about hundreds of columns.

        Raises:
            ScriptError: a pattern is none that Spark can read.
        """
        found: list[RowRule] = []
        unfit = {column for column, _, _ in self.misfits(frame)}
        for name, columns, rule in self.columns(frame):
            if rule.get("pattern") is not None:
                _readable(frame, name, rule["pattern"])
            if columns and not unfit & set(columns):
                value = (
                    F.col(f"`{name}`") if columns == [name] else F.array(*[F.col(f"`{c}`") for c in columns])
                )
                kind = frame.schema[columns[0]].dataType
                inside = isinstance(kind, ArrayType)
                element = kind.elementType if inside else kind
                # array<…> of an array column; of several columns, what their values have in common
                many = inside or columns != [name]
                found += _column_rules(name, columns, value, many, element, rule, Limit.of(rule, self.limit))
        return found


def _readable(frame: DataFrame, name: str, pattern: str) -> None:
    """Spark's patterns are Java's, which are not quite Python's, by which the settings were checked."""
    try:
        frame.sparkSession.range(1).select(F.lit("").rlike(_whole(pattern))).first()
    except Exception as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        said = next((line for line in lines if "PatternSyntax" in line or "near index" in line), lines[0])
        raise ScriptError(
            f"{name}.pattern: {pattern!r} is no regular expression of Java, which Spark matches by: {said}"
        ) from error


def _whole(pattern: str) -> str:
    return f"^(?:{pattern})$"


def _first(
    name: str, value: Column, test: Callable[[Column], Column], columns: list[str]
) -> tuple[Column, Column]:
    """Which element breaks the rule first, and its value: `pixels[17]`, or of several columns its name."""
    at = F.get(
        F.filter(F.transform(value, lambda x, i: F.when(test(x), i)), lambda i: i.isNotNull()), F.lit(0)
    )
    if columns == [name]:
        label = F.concat(F.lit(f"{name}["), at.cast("string"), F.lit("]"))
    else:
        # One literal: a plan with hundreds of them is slow to make.
        label = F.get(F.split(F.lit(SEPARATOR.join(columns)), SEPARATOR), at)
    return F.coalesce(label, F.lit(name)), F.get(value, at)


def _column_rules(
    name: str,
    columns: list[str],
    value: Column,
    many: bool,
    kind: Any,
    rule: Mapping[str, Any],
    limit: Limit,
) -> Iterator[RowRule]:
    def one(what: str, test: Callable[[Column], Column], said: str) -> RowRule:
        broken = F.exists(value, test) if many else test(value)
        if many and what == "required":
            # An array that is missing has no element that could be.
            broken = value.isNull() | broken
        label, shown = _first(name, value, test, columns) if many else (F.lit(name), value)
        text = F.substring(F.coalesce(shown.cast("string"), F.lit("null")), 1, SHOWN)
        reason = F.concat(label, F.lit(" "), text, F.lit(f" {said}"))
        return RowRule(f"{name}.{what}", name, broken, reason, limit)

    floating = isinstance(kind, (DoubleType, FloatType))
    if rule.get("required"):
        yield one("required", lambda x: x.isNull() | F.isnan(x) if floating else x.isNull(), "is required")
    low, high = rule.get("minimum"), rule.get("maximum")
    if low is not None:
        # NaN is greater than every number in Spark, and within no range.
        yield one(
            "minimum",
            lambda x: (x < F.lit(low)) | F.isnan(x) if floating else x < F.lit(low),
            f"< minimum {low:g}",
        )
    if high is not None:
        yield one("maximum", lambda x: x > F.lit(high), f"> maximum {high:g}")
    if rule.get("allowed") is not None:
        yield one("allowed", lambda x: ~x.isin(list(rule["allowed"])), "is not allowed")
    if rule.get("pattern") is not None:
        yield one("pattern", lambda x: ~x.rlike(_whole(rule["pattern"])), f"does not match {rule['pattern']}")
    if rule.get("width") is not None:
        width = rule["width"]
        found = F.size(value)
        yield RowRule(
            f"{name}.width",
            name,
            value.isNull() | (found != width),
            F.concat(F.lit(f"{name} has "), found.cast("string"), F.lit(f" elements, not {width}")),
            limit,
        )
