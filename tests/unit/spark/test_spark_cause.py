"""The one line of why a script failed, out of what Python and Java say."""

from __future__ import annotations

import pytest

from pipeline.local.glue.spark.driver import cause

JOB_ABORTED = """org.apache.spark.SparkException: Job aborted due to stage failure: Task 0 in stage 0.0 \
failed 1 times, most recent failure: Lost task 0.0 in stage 0.0 (TID 0) (localhost executor driver): \
org.apache.spark.SparkException: Exception thrown in awaitResult:
	at org.apache.spark.util.SparkThreadUtils$.awaitResult(SparkThreadUtils.scala:56)
Caused by: org.apache.spark.SparkException: [CANNOT_READ_FILE_FOOTER] Could not read footer for file: s3://b/x.parquet.
	at a.b.C(D.scala:1)
Caused by: java.lang.RuntimeException: corrupted file: the footer index is not within the file
	at a.b.C(D.scala:2)
"""


@pytest.mark.parametrize(
    ("kind", "text", "java", "line"),
    [
        ("ValueError", "bad\n   value", "", "ValueError: bad value"),
        ("KeyboardInterrupt", "", "", "KeyboardInterrupt"),
        (
            "AnalysisException",
            "[PATH_NOT_FOUND] Path does not exist: s3://b/k.",
            "org.apache.spark.sql.AnalysisException: [PATH_NOT_FOUND] Path does not exist: s3://b/k.\n\tat x",
            "AnalysisException: [PATH_NOT_FOUND] Path does not exist: s3://b/k.",
        ),
        (
            "Py4JJavaError",
            "An error occurred while calling o38.csv.\n: java.nio...",
            "java.nio.file.AccessDeniedException: s3://b/secret: AccessDenied: s3:GetObject\n\tat x",
            "An error occurred while calling o38.csv. "
            "AccessDeniedException: s3://b/secret: AccessDenied: s3:GetObject",
        ),
        (
            "Py4JJavaError",
            "An error occurred while calling o1.parquet.",
            JOB_ABORTED,
            "An error occurred while calling o1.parquet. SparkException: [CANNOT_READ_FILE_FOOTER] Could not "
            "read footer for file: s3://b/x.parquet. "
            "(RuntimeException: corrupted file: the footer index is not within the file)",
        ),
        (
            "PythonException",
            "An exception was thrown from the Python worker. Please see the stack trace below.\n"
            "Traceback (most recent call last):\n  File ...\nZeroDivisionError: division by zero",
            "org.apache.spark.api.python.PythonException: Traceback",
            "PythonException: ZeroDivisionError: division by zero",
        ),
    ],
)
def test_a_cause_is_one_line_with_the_deepest_reason(kind: str, text: str, java: str, line: str) -> None:
    assert cause.of_exception(kind, text, java) == line


def test_the_failed_task_speaks_when_nothing_caused_it_further() -> None:
    text = JOB_ABORTED.partition("\n")[0] + " java.lang.OutOfMemoryError: Java heap space\n\tat x"
    text = text.replace("org.apache.spark.SparkException: Exception thrown in awaitResult: ", "")
    assert cause.of_java(text) == "OutOfMemoryError: Java heap space"


def test_a_cause_that_is_too_long_is_cut() -> None:
    line = cause.of_exception("ValueError", "x" * 5000)
    assert len(line) == cause.LONGEST
    assert line.endswith("…")


@pytest.mark.parametrize(
    ("text", "memory"),
    [
        ("OutOfMemoryError: Java heap space", True),
        ("OutOfMemoryError: GC overhead limit exceeded", True),
        ("MemoryError", True),
        ("AnalysisException: no such column: memory", False),
    ],
)
def test_want_of_memory_is_known(text: str, memory: bool) -> None:
    assert cause.of_memory(text) is memory
