"""A transform's output: datasets, manifests, the report; transform.json last, which makes them exist."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pyspark.sql import DataFrame, Observation
from pyspark.sql import functions as F
from pyspark.sql.types import ArrayType

from common import storage
from common.quality import Checked
from common.storage import Object


@dataclass(frozen=True)
class Dataset:
    """A dataset that was written: rows, format, column types by name, objects."""

    rows: int
    format: str
    columns: Mapping[str, str]
    objects: list[Object]


def write(
    place: str,
    frame: DataFrame,
    *,
    format: str,
    partitions: int | None,
    header: bool,
    compression: str | None,
) -> Dataset:
    """Write a frame, counting its rows as they pass."""
    columns = {item.name: item.dataType.simpleString() for item in frame.schema.fields}
    if partitions:
        frame = frame.repartition(partitions)
    counted = Observation()
    frame = frame.observe(counted, F.count(F.lit(1)).alias("rows"))
    if format == "parquet":
        frame.write.mode("overwrite").parquet(place, compression=compression or "snappy")
    elif format == "csv":
        if any(isinstance(item.dataType, ArrayType) for item in frame.schema.fields):
            _write_wide(place, frame, header, compression)
        else:
            frame.write.mode("overwrite").csv(place, header=header, compression=compression, escape='"')
    else:
        raise ValueError(f"format {format!r} is neither parquet nor csv")
    rows = int(counted.get["rows"])
    return Dataset(rows, format, columns, [item for item in storage.under(place) if item.bytes])


def _write_wide(place: str, frame: DataFrame, header: bool, compression: str | None) -> None:
    """CSV with array columns: elements become columns. Numbers only, so nothing needs quotes."""
    if header:
        raise ValueError("CSV with array columns is written without a header")
    # array_join and concat_ws leave nulls out, and with them a column.
    parts = [
        F.array_join(F.col(f"`{item.name}`").cast("array<string>"), ",", "")
        if isinstance(item.dataType, ArrayType)
        else F.coalesce(F.col(f"`{item.name}`").cast("string"), F.lit(""))
        for item in frame.schema.fields
    ]
    line = F.concat_ws(",", *parts).alias("value")
    frame.select(line).write.mode("overwrite").text(place, compression=compression or "none")


def finish(
    place: str,
    fingerprint: str,
    written: Mapping[str, Dataset],
    checked: Mapping[str, Checked],
    *,
    rejected: bool,
) -> None:
    """Manifests, profile.json, quality.json, and transform.json when all else is there."""
    datasets = {} if rejected else written
    for name, dataset in datasets.items():
        manifest: list[Any] = [{"prefix": storage.base(place)}, *(item.key for item in dataset.objects)]
        storage.write_json(f"{place}/manifests/{name}.json", manifest)
    storage.write_json(
        f"{place}/profile.json",
        {"version": 1, "frames": {name: one.profile for name, one in checked.items()}},
    )
    report = _report(fingerprint, checked, rejected)
    storage.write_json(f"{place}/quality.json", report)
    storage.write_json(
        f"{place}/transform.json",
        {
            "fingerprint": fingerprint,
            "datasets": {name: _described(dataset) for name, dataset in datasets.items()},
            "quality": {"passed": report["passed"], "reasons": report["reasons"]},
        },
    )


def _described(dataset: Dataset) -> dict[str, Any]:
    return {
        "rows": dataset.rows,
        "format": dataset.format,
        "columns": dict(dataset.columns),
        "objects": [{"key": o.key, "etag": o.etag, "bytes": o.bytes} for o in dataset.objects],
    }


def _report(fingerprint: str, checked: Mapping[str, Checked], rejected: bool) -> dict[str, Any]:
    return {
        "version": 1,
        "fingerprint": fingerprint,
        "passed": not rejected,
        "reasons": [f"{name}: {why}" for name, one in checked.items() for why in one.failed],
        "frames": {
            name: {
                "rows": one.rows,
                "bad": one.bad_rows,
                "good": one.rows - one.bad_rows,
                "quarantine": one.quarantine,
                "checks": one.checks,
            }
            for name, one in checked.items()
        },
    }
