"""CSV and Parquet objects as a DataFrame of a declared schema, with the reason beside each malformed row.

Every column is read as text and cast by `try_cast`, which gives null where a value does not fit, with or
without ANSI mode (Spark 4, Glue 6). So a row says which of its values is malformed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import ArrayType, StringType, StructField, StructType

from common import source
from common.errors import InputError, ScriptError
from common.places import AT, ROW
from common.storage import Object

# The row as it stood in the object, and why it is malformed (null: it is not).
LINE, REASON = "_line", "_reason"
# A value in a reason is cut to so many characters.
SHOWN = 40
# So many values of a row are named.
MOST = 3
# Types that hold every value of another.
WIDER = {
    "byte": {"short", "integer", "long", "float", "double"},
    "short": {"integer", "long", "float", "double"},
    "integer": {"long", "double"},
    "long": set(),
    "float": {"double"},
    "date": {"timestamp"},
}


def schema_of(spark: SparkSession, given: str | StructType) -> StructType:
    """A schema from its text, such as `user int, movie int, rating double`."""
    if isinstance(given, StructType):
        return given
    # Spark 3.5 has no public parser of its own in Python.
    return spark.createDataFrame([], given).schema


def read_csv(
    spark: SparkSession,
    channel: str,
    objects: Sequence[Object],
    schema: StructType,
    *,
    header: bool,
    separator: str,
    arrays: Mapping[str, int],
) -> DataFrame:
    """The rows with LINE and REASON; see `job.Job.read_csv`."""
    names = _flat(schema, arrays)
    source.look_at_csv(channel, objects, source.Lines(names, header, separator))
    paths = [item.uri for item in objects]
    if arrays:
        raw = _split(spark, paths, schema, names, header, separator, arrays)
    else:
        raw = _parsed(spark, paths, schema, header, separator)
    return _cast(raw, schema)


def _flat(schema: StructType, arrays: Mapping[str, int]) -> list[str]:
    """The names of the columns as they lie in the object: an array of 3 is `p0`, `p1`, `p2`."""
    names: list[str] = []
    for field in schema.fields:
        is_array = isinstance(field.dataType, ArrayType)
        if is_array != (field.name in arrays):
            raise ScriptError(f"column {field.name}: an array<…> in the schema needs its width in `arrays`")
        names += [f"{field.name}{i}" for i in range(arrays[field.name])] if is_array else [field.name]
    return names


def _parsed(
    spark: SparkSession, paths: list[str], schema: StructType, header: bool, separator: str
) -> DataFrame:
    """All columns as text by Spark's own CSV parser, which knows quotes."""
    given = spark.read.schema(_as_text(schema)).options(header=header, enforceSchema=True)
    return _judged(given.options(**_options(separator)).csv(paths), schema)


def _as_text(schema: StructType) -> StructType:
    fields = [StructField(field.name, StringType()) for field in schema.fields]
    return StructType([*fields, StructField(LINE, StringType())])


def _options(separator: str) -> dict[str, str]:
    return {"sep": separator, "mode": "PERMISSIVE", "columnNameOfCorruptRecord": LINE, "escape": '"'}


def _judged(raw: DataFrame, schema: StructType) -> DataFrame:
    """Only a row with another number of columns is corrupt where all are text."""
    shown = F.concat(F.lit(f"not {len(schema.fields)} columns: '"), F.substring(LINE, 1, SHOWN), F.lit("'"))
    return raw.withColumn(REASON, F.when(F.col(LINE).isNotNull(), shown))


def numbered(
    spark: SparkSession,
    uri: str,
    schema: StructType,
    *,
    header: bool,
    separator: str,
    arrays: Mapping[str, int],
) -> DataFrame:
    """Every line of one CSV object as `read_csv` reads it, with places.AT and places.ROW."""
    lines = spark.read.text(uri).select(F.col("value"), F.monotonically_increasing_id().alias(AT))
    row = F.length(F.trim("value")) > 0
    if header:
        row = row & (F.col(AT) > 0)
    lines = lines.withColumn(ROW, row)
    if arrays:
        raw = _cut(lines.withColumnRenamed("value", LINE), schema, separator, arrays, [AT, ROW])
    else:
        kinds = ", ".join(f"`{field.name}` string" for field in _as_text(schema).fields)
        parsed = F.from_csv("value", kinds, _options(separator)).alias("_parsed")
        raw = _judged(lines.select(parsed, AT, ROW).select("_parsed.*", AT, ROW), schema)
    return _cast(raw, schema, [AT, ROW])


def _split(
    spark: SparkSession,
    paths: list[str],
    schema: StructType,
    names: list[str],
    header: bool,
    separator: str,
    arrays: Mapping[str, int],
) -> DataFrame:
    """Wide rows of numbers, split at the separator: one array column instead of hundreds of columns."""
    lines = spark.read.text(paths).withColumnRenamed("value", LINE)
    lines = lines.where(F.length(F.trim(LINE)) > 0)
    if header:
        lines = lines.where(F.trim(LINE) != F.lit(separator.join(names)))
    return _cut(lines, schema, separator, arrays, [])


def _cut(
    lines: DataFrame, schema: StructType, separator: str, arrays: Mapping[str, int], more: Sequence[str]
) -> DataFrame:
    parts = lines.withColumn("_parts", F.split(LINE, f"\\Q{separator}\\E", -1))
    columns: list[Column] = []
    at = 0
    for field in schema.fields:
        width = arrays.get(field.name)
        piece = F.slice("_parts", at + 1, width) if width else F.get("_parts", F.lit(at))
        columns.append(piece.alias(field.name))
        at += width or 1
    found = F.size("_parts")
    wrong = F.when(found != at, F.concat(found.cast("string"), F.lit(f" columns, not {at}")))
    return parts.select(*columns, LINE, wrong.alias(REASON), *more)


def _cast(raw: DataFrame, schema: StructType, more: Sequence[str] = ()) -> DataFrame:
    """Text columns as the schema's types; REASON gains what does not fit."""
    columns: list[Column] = []
    problems: list[Column] = [F.col(REASON)]
    for field in schema.fields:
        kind = field.dataType
        name = f"`{field.name}`"
        if isinstance(kind, StringType):
            columns.append(F.col(name))
        elif isinstance(kind, ArrayType):
            inner = kind.elementType.simpleString()
            columns.append(F.expr(f"transform({name}, x -> try_cast(trim(x) as {inner}))").alias(field.name))
            no = f"trim(x) <> '' and try_cast(trim(x) as {inner}) is null"
            at = F.expr(f"get(filter(transform({name}, (x, i) -> if({no}, i, null)), i -> i is not null), 0)")
            text = F.substring(F.get(F.col(name), at), 1, SHOWN)
            said = F.concat(
                F.lit(f"{field.name}["), at.cast("string"), F.lit("]: '"), text, F.lit(f"' is no {inner}")
            )
            problems.append(F.when(F.expr(f"exists({name}, x -> {no})"), said))
        else:
            word = kind.simpleString()
            text = f"nullif(trim({name}), '')"
            columns.append(F.expr(f"try_cast({text} as {word})").alias(field.name))
            bad = F.expr(f"{text} is not null and try_cast({text} as {word}) is null")
            shown = F.substring(F.col(name), 1, SHOWN)
            problems.append(F.when(bad, F.concat(F.lit(f"{field.name}: '"), shown, F.lit(f"' is no {word}"))))
    reason = F.concat_ws("; ", *problems)
    line = F.coalesce(F.col(LINE), F.to_json(F.struct(*[F.col(f"`{f.name}`") for f in schema.fields])))
    malformed = F.length(reason) > 0
    return raw.select(
        *columns, F.when(malformed, line).alias(LINE), F.when(malformed, _few(reason)).alias(REASON), *more
    )


def _few(reason: Column) -> Column:
    """A row that is shifted by a column has hundreds of wrong values: the first ones tell it."""
    parts = F.split(reason, "; ")
    rest = F.concat(F.lit(" and "), (F.size(parts) - MOST).cast("string"), F.lit(" more"))
    first = F.concat(F.array_join(F.slice(parts, 1, MOST), "; "), rest)
    return F.when(F.size(parts) > MOST, first).otherwise(reason)


def read_parquet(
    spark: SparkSession, channel: str, objects: Sequence[Object], schema: StructType
) -> DataFrame:
    """The rows with LINE and REASON, both null: Parquet has no malformed rows, only damaged objects.

    Raises:
        InputError: an object is none, lacks a column, or has one of another type; names it.
    """
    source.look_at_parquet(channel, objects)
    paths = [item.uri for item in objects]
    try:
        found = spark.read.option("mergeSchema", True).parquet(*paths).schema
    except Exception as error:
        raise InputError(f"channel {channel}: {_first_line(error)}") from error
    columns: list[Any] = []
    fields = {field.name: field for field in found.fields}
    for field in schema.fields:
        there = fields.get(field.name)
        if there is None:
            raise InputError(
                f"channel {channel}: {_lacking(spark, objects, field.name)} has no column {field.name}; "
                f"it has {', '.join(sorted(fields))}"
            )
        if not _fits(there.dataType, field.dataType):
            raise InputError(
                f"channel {channel}: column {field.name} of {paths[0]} is {there.dataType.simpleString()}, "
                f"expected {field.dataType.simpleString()}"
            )
        columns.append(F.col(f"`{field.name}`").cast(field.dataType).alias(field.name))
    nothing = F.lit(None).cast("string")
    return (
        spark.read.option("mergeSchema", True)
        .parquet(*paths)
        .select(*columns, nothing.alias(LINE), nothing.alias(REASON))
    )


def _fits(there: Any, wanted: Any) -> bool:
    if isinstance(there, ArrayType) and isinstance(wanted, ArrayType):
        return _fits(there.elementType, wanted.elementType)
    return there == wanted or wanted.typeName() in WIDER.get(there.typeName(), set())


def _lacking(spark: SparkSession, objects: Sequence[Object], column: str) -> str:
    for item in objects:
        if column not in spark.read.parquet(item.uri).columns:
            return item.uri
    return objects[0].uri


def _first_line(error: BaseException) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
