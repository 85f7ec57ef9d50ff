"""The profile of a frame, in one pass for its numbers and one for its categories; drift.py says its format.

Nothing of it grows with the rows: quantiles are percentile_approx's, categories the most frequent hundred. An
array column is profiled by each row's least, mean and greatest element (`pixels[mean]`). Over WIDE columns of
numbers, which would make a plan of thousands of expressions, are packed into one array called `numbers`.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from typing import Any

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F
from pyspark.sql.types import ArrayType, BooleanType, DataType, NumericType, StringType

POINTS = 101
# percentile_approx is off by one rank in so many.
ACCURACY = 2000
# Most frequent categories that are kept, and how many different ones a column may have to be counted at all.
TOP = 100
MOST_CATEGORIES = 20_000
WIDE = 100
PACKED = "numbers"


class Plan:
    """What is profiled of a frame, as expressions by name: numbers and categories.

    Args:
        ignore: columns that are not.
        alone: columns that are never packed with others, such as the label.
    """

    def __init__(self, frame: DataFrame, ignore: Sequence[str] = (), alone: Sequence[str] = ()) -> None:
        self.numbers: dict[str, Column] = {}
        self.categories: dict[str, Column] = {}
        scalars: list[str] = []
        for field in frame.schema.fields:
            name, kind = field.name, field.dataType
            if name in ignore:
                continue
            if isinstance(kind, NumericType):
                scalars.append(name)
            elif isinstance(kind, (StringType, BooleanType)):
                self.categories[name] = F.col(f"`{name}`").cast("string")
            elif is_numbers(kind):
                self._elements(name, F.col(f"`{name}`").cast("array<double>"))
        packed = [name for name in scalars if name not in alone] if len(scalars) > WIDE else []
        if packed:
            self._elements(PACKED, F.array(*[F.col(f"`{name}`").cast("double") for name in packed]))
        own = [name for name in scalars if not packed or name in alone]
        self.numbers.update({name: _value(F.col(f"`{name}`")) for name in own})

    def _elements(self, name: str, array: Column) -> None:
        total = F.aggregate(array, F.lit(0.0), lambda sum_, x: sum_ + x)
        size = F.when(F.size(array) > 0, F.size(array))
        self.numbers[f"{name}[min]"] = _value(F.array_min(array))
        self.numbers[f"{name}[mean]"] = _value(total / size)
        self.numbers[f"{name}[max]"] = _value(F.array_max(array))

    def select(self, frame: DataFrame, *others: Column) -> DataFrame:
        """The frame as n0, n1, ... and c0, c1, ..., and what else is wanted."""
        return frame.select(
            *[column.alias(f"n{i}") for i, column in enumerate(self.numbers.values())],
            *[column.alias(f"c{i}") for i, column in enumerate(self.categories.values())],
            *others,
        )

    def aggregates(self, where: Column | None = None) -> list[Column]:
        """What one `agg` over `select` gives; `where` says which rows count."""
        found: list[Column] = []
        points = [i / (POINTS - 1) for i in range(POINTS)]
        for i in range(len(self.numbers)):
            column = F.col(f"n{i}") if where is None else F.when(where, F.col(f"n{i}"))
            found += [
                F.count(column).alias(f"n{i}_count"),
                F.avg(column).alias(f"n{i}_mean"),
                F.stddev_pop(column).alias(f"n{i}_deviation"),
                F.percentile_approx(column, points, ACCURACY).alias(f"n{i}_quantiles"),
            ]
        for i in range(len(self.categories)):
            column = F.col(f"c{i}") if where is None else F.when(where, F.col(f"c{i}"))
            found += [
                F.count(column).alias(f"c{i}_count"),
                F.approx_count_distinct(column).alias(f"c{i}_distinct"),
            ]
        return found

    def read(self, row: Any, rows: int, tops: dict[str, list[list[Any]]]) -> dict[str, Any]:
        """The profile, from the aggregates' one row and the categories' counts."""
        columns: dict[str, Any] = {}
        for i, name in enumerate(self.numbers):
            count = row[f"n{i}_count"]
            quantiles = [_number(point) for point in row[f"n{i}_quantiles"] or []]
            columns[name] = {
                "kind": "number",
                "count": count,
                "nulls": rows - count,
                "mean": _number(row[f"n{i}_mean"]),
                "deviation": _number(row[f"n{i}_deviation"]),
                "min": quantiles[0] if quantiles else None,
                "max": quantiles[-1] if quantiles else None,
                "quantiles": quantiles,
            }
        for i, name in enumerate(self.categories):
            count = row[f"c{i}_count"]
            top = tops.get(name, [])
            columns[name] = {
                "kind": "category",
                "count": count,
                "nulls": rows - count,
                "distinct": row[f"c{i}_distinct"],
                "top": top,
                "others": count - sum(number for _, number in top),
            }
        return {"rows": rows, "columns": columns}

    def tops(self, selected: DataFrame, row: Any) -> dict[str, list[list[Any]]]:
        """The most frequent values of every category that has not too many, counted in one pass."""
        counted = {
            f"c{i}": name
            for i, name in enumerate(self.categories)
            if 0 < row[f"c{i}_distinct"] <= MOST_CATEGORIES
        }
        if not counted:
            return {}
        pairs = F.explode(
            F.array(*[F.struct(F.lit(key).alias("column"), F.col(key).alias("value")) for key in counted])
        )
        counts = (
            selected.select(pairs.alias("pair"))
            .select("pair.*")
            .where(F.col("value").isNotNull())
            .groupBy("column", "value")
            .count()
        )
        order = Window.partitionBy("column").orderBy(F.desc("count"), F.asc("value"))
        kept = counts.withColumn("rank", F.row_number().over(order)).where(F.col("rank") <= TOP)
        found: dict[str, list[list[Any]]] = {name: [] for name in counted.values()}
        for item in kept.orderBy("column", "rank").collect():  # TOP rows a column at most
            found[counted[item["column"]]].append([item["value"], item["count"]])
        return found


def of(frame: DataFrame, ignore: Sequence[str] = ()) -> dict[str, Any]:
    """The profile of a whole frame."""
    plan = Plan(frame, ignore)
    selected = plan.select(frame)
    row = selected.agg(F.count(F.lit(1)).alias("rows"), *plan.aggregates()).first()
    return plan.read(row, row["rows"], plan.tops(selected, row))


def is_numbers(kind: DataType) -> bool:
    """Whether it is an array of numbers."""
    return isinstance(kind, ArrayType) and isinstance(kind.elementType, NumericType)


def _value(column: Column) -> Column:
    """As a double; NaN and the infinities, which JSON has not, count as null."""
    value = column.cast("double")
    return F.when(value.between(-sys.float_info.max, sys.float_info.max), value)


def _number(value: Any) -> float | None:
    """JSON has no NaN and no infinity."""
    return float(value) if value is not None and math.isfinite(value) else None
