# /// script
# requires-python = ">=3.11"
# dependencies = ["polars==2.1.0"]
# ///
"""The compared part in Polars: engine_polars.py INPUT OUTPUT. Its threads come from POLARS_MAX_THREADS.

Sums are taken of each second first and moved on by one, so that ties in time see the same past.
"""

import sys
from pathlib import Path

import polars as pl

source, target = sys.argv[1:]


def past(rows: pl.LazyFrame, key: str, short: str) -> pl.LazyFrame:
    rating = pl.col("rating")
    sums = [pl.len().alias("n"), rating.sum().alias("s"), (rating * rating).sum().alias("q")]
    seconds = rows.group_by(key, "timestamp").agg(*sums).sort(key, "timestamp")
    before = [
        pl.col(each).cum_sum().shift(1).over(key).alias(f"{short}_{name}")
        for each, name in (("n", "count"), ("s", "sum"), ("q", "squares"))
    ]
    return seconds.select(key, "timestamp", *before).with_columns(pl.col(f"{short}_count").fill_null(0))


ratings = pl.scan_parquet(f"{source}/*.parquet")
joined = ratings.join(past(ratings, "movieId", "m"), on=["movieId", "timestamp"], how="left").join(
    past(ratings, "userId", "u"), on=["userId", "timestamp"], how="left"
)
Path(target).mkdir(parents=True, exist_ok=True)
joined.sink_parquet(f"{target}/part-0.parquet", compression="snappy")
