"""Requests that an endpoint captured, as records: one for each line of a body that is written line by line.

SageMaker lays them out as `<capture>/<yyyy>/<mm>/<dd>/<hh>/<file>.jsonl`, one request with its answer a line:
https://docs.aws.amazon.com/sagemaker/latest/dg/model-monitor-data-capture-endpoint.html
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from common import storage

# A file may lie in the folder of the hour before or after the one of its requests.
MARGIN = timedelta(hours=1)
_SIDE = "struct<observedContentType:string,mode:string,data:string,encoding:string>"
SCHEMA = (
    f"captureData struct<endpointInput:{_SIDE},endpointOutput:{_SIDE}>, "
    "eventMetadata struct<eventId:string,inferenceTime:string>"
)
# Content types whose bodies have a record a line.
_LINES = "^(text/csv|application/(x-)?json-?lines|application/x-ndjson)"
_HOUR = re.compile(r"/(\d{4})/(\d\d)/(\d\d)/(\d\d)/[^/]+\.jsonl$")


def files(path: str, since: datetime, until: datetime) -> list[str]:
    """Addresses of the files that may hold requests of [since, until), by their folders."""
    first, last = since - MARGIN, until + MARGIN
    found = []
    day = first.replace(hour=0, minute=0, second=0, microsecond=0)
    while day <= last:
        found += [item.uri for item in storage.under(f"{path.rstrip('/')}/{day:%Y/%m/%d}/") if item.bytes]
        day += timedelta(days=1)
    return [uri for uri in found if _is_within(uri, first, last)]


def _is_within(uri: str, first: datetime, last: datetime) -> bool:
    hour = _HOUR.search(uri)
    if hour is None:
        return False
    at = datetime(*(int(part) for part in hour.groups()), tzinfo=UTC)  # type: ignore[arg-type, misc]
    return first.replace(minute=0, second=0, microsecond=0) <= at <= last


def requests(spark: SparkSession, paths: list[str], since: datetime, until: datetime) -> DataFrame:
    """One row a request of the time: `body`, `answer`, `content_type`, `answer_type`; a line that is no
    request has only `unreadable` = true."""
    given, answered = F.col("captureData.endpointInput"), F.col("captureData.endpointOutput")
    at = F.to_timestamp("eventMetadata.inferenceTime")
    lines = spark.read.schema(SCHEMA).json(paths).withColumn("at", at)
    inside = (F.col("at") >= F.lit(since)) & (F.col("at") < F.lit(until))
    return lines.where(F.col("at").isNull() | inside).select(
        F.col("at").isNull().alias("unreadable"),
        _text(given).alias("body"),
        _text(answered).alias("answer"),
        given["observedContentType"].alias("content_type"),
        answered["observedContentType"].alias("answer_type"),
    )


def _text(side: Column) -> Column:
    encoded = F.unbase64(side["data"]).cast("string")
    return F.when(side["encoding"] == "BASE64", encoded).otherwise(side["data"])


def records(requests: DataFrame) -> DataFrame:
    """One row a record: `body` and `answer` of one line each, and `columns`, the body split at commas.

    Where the answer has not as many lines as the body, the first record has all of it and the others none.
    """
    body, answer = _lines("body", "content_type"), _lines("answer", "answer_type")
    whole = F.array(F.col("answer"))
    paired = F.when(F.size(body) == F.size(answer), answer).otherwise(whole)
    both = F.arrays_zip(body.alias("body"), paired.alias("answer"))
    rows = requests.select("content_type", "answer_type", F.explode(both).alias("row"))
    line = F.col("row.body")
    return rows.select(
        line.alias("body"),
        F.col("row.answer").alias("answer"),
        "content_type",
        "answer_type",
        F.split(line, r"\s*,\s*").alias("columns"),
    )


def _lines(name: str, kind: str) -> Column:
    """The lines of a text that is written line by line, else the text alone; empty lines are none."""
    split = F.filter(F.split(F.col(name), r"\r?\n"), lambda line: F.length(F.trim(line)) > 0)
    is_lined = F.lower(F.col(kind)).rlike(_LINES) & (F.size(split) > 0)
    return F.when(is_lined, split).otherwise(F.array(F.col(name)))
