"""Job: a script's begin and end of its bookmark's state, of which plain Spark sources have none.

On Glue too a bookmark follows only sources read as DynamicFrames with a `transformation_ctx`; a DataFrame
reads everything on every run. So init and commit keep nothing, there and here, and a run that was told
to use bookmarks says so.
"""

from __future__ import annotations

import sys
from typing import Any

BOOKMARK = "--job-bookmark-option"
BOOKMARKS = ("job-bookmark-enable", "job-bookmark-pause", "job-bookmark-disable")
CONTINUATION = "--continuation-option"
CONTINUATIONS = ("continuation-enabled", "continuation-readonly", "continuation-ignore")
BOOKMARK_RANGE = ("--job-bookmark-from", "--job-bookmark-to")
IDS = ("--JOB_NAME", "--JOB_ID", "--JOB_RUN_ID", "--SECURITY_CONFIGURATION")
ENCRYPTION, ENCRYPTIONS = "--encryption-type", ("sse-s3",)
LINEAGE = "--enable-data-lineage"


class Job:
    """`Job(glue_context).init(name, args)` ... `.commit()`."""

    _name: str | None = None  # of the class: Glue has one job in a process

    def __init__(self, glue_context_or_spark_session: Any) -> None:
        from pyspark.sql import SparkSession

        from .context import GlueContext

        if not isinstance(glue_context_or_spark_session, GlueContext | SparkSession):
            raise Exception(
                f"cannot init Job instance given input parameter type: {type(glue_context_or_spark_session)}"
            )

    def init(self, job_name: str, args: dict[str, Any] | None = None) -> None:
        """Begin."""
        Job._name = job_name
        if (args or {}).get("job_bookmark_option", BOOKMARKS[2]) != BOOKMARKS[2]:
            print(
                "Job bookmarks follow sources read as DynamicFrames; what a DataFrame reads is read again by "
                "every run, on AWS Glue as well.",
                file=sys.stderr,
            )

    def isInitialized(self) -> bool:
        """Whether init was called and commit was not."""
        return Job._name is not None

    def commit(self) -> None:
        """End well."""
        Job._name = None
