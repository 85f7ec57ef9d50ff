# /// script
# requires-python = ">=3.11"
# dependencies = ["pandas==3.1.1", "pyarrow==26.0.1"]
# ///
"""The compared part in plain pandas: engine_pandas.py INPUT OUTPUT."""

import sys
from pathlib import Path

import pandas as pd

source, target = sys.argv[1:]
rows = pd.concat(
    [pd.read_parquet(file) for file in sorted(Path(source).glob("*.parquet"))], ignore_index=True
)
rows["square"] = rows["rating"] ** 2


def past(key: str, short: str) -> pd.DataFrame:
    seconds = (
        rows.groupby([key, "timestamp"], sort=True)
        .agg(n=("rating", "size"), s=("rating", "sum"), q=("square", "sum"))
        .reset_index()
    )
    sums = seconds.groupby(key)[["n", "s", "q"]].cumsum()
    sums = sums - seconds[["n", "s", "q"]]  # exact: whole numbers and quarters
    sums.columns = [f"{short}_{name}" for name in ("count", "sum", "squares")]
    return pd.concat([seconds[[key, "timestamp"]], sums], axis=1)


for key, short in (("movieId", "m"), ("userId", "u")):
    rows = rows.merge(past(key, short), on=[key, "timestamp"], how="left")
Path(target).mkdir(parents=True, exist_ok=True)
rows.drop(columns="square").to_parquet(f"{target}/part-0.parquet", compression="snappy")
