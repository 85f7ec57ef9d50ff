"""Profiles of Spark SQL expressions over a frame: numbers and categories, arrays element by element."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import ArrayType, BooleanType, DataType, NumericType, StringType

from common import profile
from common.errors import ScriptError

NUMBER, CATEGORY = "number", "category"
_ANSWER = re.compile(r"\banswer(_type)?\b")


def kinds(frame: DataFrame, expressions: Mapping[str, str], what: str) -> dict[str, str]:
    """Whether each expression gives a number or a category; an array counts by its elements.

    Raises:
        ScriptError: an expression cannot be understood, or gives neither; names the feature.
    """
    return {name: _kind(_type(frame, name, text, what), name, what) for name, text in expressions.items()}


def profiles(
    frame: DataFrame, expressions: Mapping[str, str], kinds: Mapping[str, str], what: str
) -> dict[str, dict[str, Any]]:
    """The profile of each expression's values.

    Args:
        frame: what the expressions speak of. Rows without an answer do not count for one that asks for it.
        kinds: number or category, which values are taken as.
        what: `request` or `training`, for errors.
    """
    groups: dict[tuple[bool, str], list[str]] = {}
    for name, text in expressions.items():
        is_array = isinstance(_type(frame, name, text, what), ArrayType)
        groups.setdefault((bool(_ANSWER.search(text)), name if is_array else ""), []).append(name)
    found: dict[str, dict[str, Any]] = {}
    for (of_answer, array), names in sorted(groups.items()):
        rows = frame.where(F.col("answer").isNotNull()) if of_answer and "answer" in frame.columns else frame
        if array:
            chosen = rows.select(F.explode(F.expr(expressions[array])).alias(array))
        else:
            chosen = rows.select(*[F.expr(expressions[name]).alias(name) for name in names])
        taken = chosen.select(*[_taken(name, kinds[name]) for name in names])
        found |= profile.of(taken)["columns"]
    return found


def _taken(name: str, kind: str) -> Any:
    if kind == NUMBER:
        return F.expr(f"try_cast(`{name}` as double)").alias(name)
    return F.col(f"`{name}`").cast("string").alias(name)


def _type(frame: DataFrame, name: str, text: str, what: str) -> DataType:
    try:
        return frame.select(F.expr(text).alias("value")).schema["value"].dataType
    except Exception as error:
        said = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
        raise ScriptError(f"feature {name}: {what} = {text!r}: {said}") from error


def _kind(given: DataType, name: str, what: str) -> str:
    kind = given.elementType if isinstance(given, ArrayType) else given
    if isinstance(kind, NumericType):
        return NUMBER
    if isinstance(kind, (StringType, BooleanType)):
        return CATEGORY
    raise ScriptError(
        f"feature {name}: {what} gives {given.simpleString()}; what can be compared is a number, a text, a "
        "truth value or an array of these"
    )
