"""Runs a Glue script on a real Spark of the same version, on this machine.

    prepare("5.1")                 the environment: pyspark, Java, our S3 file system; slow once
    launch(SparkJob(...), log)     one run in processes of its own, that do not outlive the server

Nothing here knows Glue's API: states, limits and permissions are the callers'.
"""

from __future__ import annotations

from pipeline.local.glue.spark.model import (
    Ended,
    Environment,
    OnOutput,
    SparkJob,
    SparkRun,
    SparkUnavailable,
)

__all__ = [
    "Ended",
    "Environment",
    "OnOutput",
    "SparkJob",
    "SparkRun",
    "SparkUnavailable",
    "launch",
    "prepare",
]


def prepare(glue_version: str) -> Environment:
    """The environment of a Glue version, made if need be (once for all clones, kept in the user's cache).

    Raises:
        SparkUnavailable: no such Glue version is known here, or something must be installed first.
    """
    raise SparkUnavailable(f"Glue {glue_version}: no environment is known yet.")


def launch(job: SparkJob, on_output: OnOutput) -> SparkRun:
    """Start `job`; `on_output` gets its lines as they come.

    Raises:
        SparkUnavailable: as `prepare`.
    """
    prepare(job.glue_version)
    raise SparkUnavailable(f"{job.job_name}: {on_output}")
