"""Runs a Glue script on a real Spark of the same version, on this machine.

    prepare("5.1")                 the environment: pyspark, Java, our S3 file system; slow once
    launch(SparkJob(...), log)     one run in processes of its own, that do not outlive the server

Nothing here knows Glue's API: states, limits and permissions are the callers'.
"""

from pipeline.local.glue.spark.environment import prepare
from pipeline.local.glue.spark.model import (
    ERROR,
    OUTPUT,
    Ended,
    Environment,
    OnOutput,
    SparkJob,
    SparkRun,
    SparkUnavailable,
)
from pipeline.local.glue.spark.run import launch

__all__ = [
    "ERROR",
    "OUTPUT",
    "Ended",
    "Environment",
    "OnOutput",
    "SparkJob",
    "SparkRun",
    "SparkUnavailable",
    "launch",
    "prepare",
]
