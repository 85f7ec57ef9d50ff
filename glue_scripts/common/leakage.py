"""Whether a feature gives the label away: how pure the label is within the feature's bins."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from common.profile import Plan

# Purity is counted on so many rows at most, a sample with a fixed seed.
SAMPLE_ROWS = 1_000_000
SEED = 7
# A number is cut at so many of its quantiles.
BINS = 32
# A label with more values is a number to be predicted, not a class: correlation alone is computed.
MOST_LABELS = 100
# A category with so few rows a value is an identifier; it determines every label and can teach none.
ROWS_A_VALUE = 10
# No column of a frame is called so.
NOTHING = ""


def purity(
    frame: DataFrame, label: str, plan: Plan, profile: Mapping[str, Any], names: list[str]
) -> dict[str, tuple[float, float]]:
    """For each feature: the purity of the label within it, and without it (the largest label's share).

    Purity is the share of rows whose label is the most frequent one of their bin; 1.0 says that the feature
    alone determines the label. Bins are a category's values, or a number cut at its quantiles. Features that
    tell rows apart (less than ROWS_A_VALUE rows a value) are left out, as are labels of many values.
    """
    rows = profile["rows"]
    bins = {}
    for name in names:
        about = profile["columns"][name]
        if about["kind"] == "number" and about["count"]:
            bins[name] = _binned(plan.numbers[name], about["quantiles"])
        elif about["kind"] == "category" and 0 < about["distinct"] * ROWS_A_VALUE <= rows:
            bins[name] = plan.categories[name]
    if not bins or not rows:
        return {}
    if rows > SAMPLE_ROWS:
        frame = frame.sample(SAMPLE_ROWS / rows, seed=SEED)
    # A feature of one bin tells nothing: its purity is the share of the most frequent label.
    bins[NOTHING] = F.lit("")
    cells = F.explode(
        F.array(
            *[
                F.struct(F.lit(name).alias("feature"), value.cast("string").alias("bin"))
                for name, value in bins.items()
            ]
        )
    )
    counts = (
        frame.select(F.col(f"`{label}`").cast("string").alias("label"), cells.alias("cell"))
        .select("label", "cell.*")
        .groupBy("feature", "bin", "label")
        .count()
    )
    largest = counts.groupBy("feature", "bin").agg(F.max("count").alias("most"), F.sum("count").alias("rows"))
    by_feature = largest.groupBy("feature").agg((F.sum("most") / F.sum("rows")).alias("purity"))
    found = {row["feature"]: row["purity"] for row in by_feature.collect()}  # one row a feature
    alone = found.pop(NOTHING, 1.0)
    return {name: (pure, alone) for name, pure in found.items()}


def _binned(value: Any, quantiles: list[float]) -> Any:
    """The number of quantile edges that are not above the value: the bin it falls in."""
    last = len(quantiles) - 1
    edges = sorted({quantiles[round(i * last / BINS)] for i in range(1, BINS + 1)})
    column = F.lit(0)
    for edge in edges:
        column = column + (value > F.lit(edge)).cast("int")
    return F.when(value.isNotNull(), column)
