"""Compare the requests of a time with what the model that serves was trained on, and write what was found.

Arguments: --CAPTURE_PATH, --SINCE and --UNTIL (ISO), --FEATURES and --LIMITS (JSON by feature), --MINIMUM,
--TRAINING_PATH and --TRAINING_TYPE, --PACKAGE, --BASELINE_PATH (kept for the next comparison), --OUTPUT_PATH.
Under --OUTPUT_PATH it leaves report.html, and at last report.json.
"""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from typing import Any

from awsglue.context import GlueContext
from awsglue.utils import getResolvedOptions
from common import captured, drift_page, drift_report, features, source, storage
from common.errors import InputError
from pyspark.context import SparkContext
from pyspark.sql import DataFrame, SparkSession

NAMES = ("CAPTURE_PATH", "SINCE", "UNTIL", "FEATURES", "LIMITS", "MINIMUM", "TRAINING_PATH", "TRAINING_TYPE")
PLACES = ("PACKAGE", "BASELINE_PATH", "OUTPUT_PATH")


def main() -> None:
    options = getResolvedOptions(sys.argv, [*NAMES, *PLACES])
    since, until = (datetime.fromisoformat(options[name]).astimezone(UTC) for name in ("SINCE", "UNTIL"))
    wanted: dict[str, dict[str, str]] = json.loads(options["FEATURES"])
    minimum = int(options["MINIMUM"])
    found = {"package": options["PACKAGE"], "since": options["SINCE"], "until": options["UNTIL"]}
    found |= {"minimum": minimum, "requests": 0, "records": 0, "unreadable": 0}

    paths = captured.files(options["CAPTURE_PATH"], since, until)
    if not paths:
        write(drift_report.nothing(found), options["OUTPUT_PATH"])
        return
    spark = GlueContext(SparkContext.getOrCreate()).spark_session
    spark.conf.set("spark.sql.session.timeZone", "UTC")
    lines = captured.requests(spark, paths, since, until).persist()
    bad = lines.where("unreadable").count()
    records = captured.records(lines.where("not unreadable")).persist()
    found |= {"unreadable": bad, "requests": lines.count() - bad, "records": records.count()}
    print(f"{found['requests']} requests with {found['records']} records in {len(paths)} files")
    if found["records"] < minimum:
        write(drift_report.nothing(found), options["OUTPUT_PATH"])
        return

    asked = {name: feature["request"] for name, feature in wanted.items()}
    kinds = features.kinds(records, asked, "request")
    current = features.profiles(records, asked, kinds, "request")
    known = kept(options["BASELINE_PATH"])
    baseline = known or {"package": options["PACKAGE"], "training": options["TRAINING_PATH"], "features": {}}
    if known is None:
        trained = {name: feature["training"] for name, feature in wanted.items() if feature.get("training")}
        if trained:
            frame = training(spark, options["TRAINING_PATH"], options["TRAINING_TYPE"])
            baseline["features"] = features.profiles(frame, trained, kinds, "training")
    # What training data does not know is compared with the first requests that were enough.
    first = sorted(
        name for name in wanted if name not in baseline["features"] and current[name]["count"] >= minimum
    )
    baseline["features"] |= {name: current[name] for name in first}
    if known is None or first:
        storage.write_json(options["BASELINE_PATH"], baseline)
    limits: dict[str, dict[str, float]] = json.loads(options["LIMITS"])
    report = drift_report.judged(found, baseline, current, limits, first)
    write(report, options["OUTPUT_PATH"])


def kept(uri: str) -> dict[str, Any] | None:
    """The baseline of an earlier comparison; None: this is the first."""
    try:
        storage.look([uri])
    except InputError as error:
        if "does not exist" in str(error):
            return None
        raise
    baseline: dict[str, Any] = json.loads(storage.read(uri))
    return baseline


def training(spark: SparkSession, path: str, content_type: str) -> DataFrame:
    """The training channel as SageMaker read it: Parquet, or CSV without a header as _c0, _c1, ..."""
    objects = source.locate("training", path)
    paths = [item.uri for item in objects]
    if "parquet" in content_type:
        source.look_at_parquet("training", objects)
        return spark.read.parquet(*paths)
    if "csv" in content_type:
        return spark.read.csv(paths)
    raise InputError(f"training data is {content_type}; text/csv and application/x-parquet can be read")


def write(report: dict[str, Any], output: str) -> None:
    """The page first: who finds the report finds both."""
    storage.write_text(f"{output}/report.html", drift_page.page(report), "text/html; charset=utf-8")
    storage.write_json(f"{output}/report.json", report)
    for line in drift_report.told(report):
        print(line)


main()
