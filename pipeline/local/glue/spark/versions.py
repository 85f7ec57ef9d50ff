"""Which Spark, Python and Java a Glue version has.

Source: https://docs.aws.amazon.com/glue/latest/dg/release-notes.html ("AWS Glue versions").
"""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.local.glue.spark.model import SparkUnavailable


@dataclass(frozen=True)
class GlueVersion:
    """One row of AWS's table."""

    name: str
    spark: str
    python: tuple[int, int]
    java: int


KNOWN = {
    "5.1": GlueVersion("5.1", spark="3.5.6", python=(3, 11), java=17),
    "5.0": GlueVersion("5.0", spark="3.5.4", python=(3, 11), java=17),
}


def known(name: str) -> GlueVersion:
    """The version of that name.

    Raises:
        SparkUnavailable: it is not one that runs here.
    """
    if name not in KNOWN:
        listed = ", ".join(f"{each.name} (Spark {each.spark})" for each in KNOWN.values())
        raise SparkUnavailable(f"Glue {name} does not run on this machine. Known here: {listed}.")
    return KNOWN[name]
