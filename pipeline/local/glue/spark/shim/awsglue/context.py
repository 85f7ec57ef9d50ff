"""GlueContext over a plain Spark session: what scripts take from it is the session and the logger."""

from __future__ import annotations

import logging
from typing import Any

from pyspark.sql import SparkSession, SQLContext

from .dynamicframe import INSTEAD
from .refused import Refused, refuse


class GlueContext(SQLContext):
    """`GlueContext(SparkContext()).spark_session`; its readers and writers of DynamicFrames are refused."""

    def __init__(self, sparkContext: Any = None, **_options: Any) -> None:
        session = (
            sparkContext if isinstance(sparkContext, SparkSession) else SparkSession.builder.getOrCreate()
        )
        super().__init__(session.sparkContext, session)
        self.spark_session = session
        self.create_dynamic_frame = Refused("GlueContext.create_dynamic_frame", INSTEAD)
        self.create_data_frame = Refused("GlueContext.create_data_frame", INSTEAD)
        self.write_dynamic_frame = Refused("GlueContext.write_dynamic_frame", INSTEAD)
        self.write_data_frame = Refused("GlueContext.write_data_frame", INSTEAD)

    def get_logger(self) -> logging.Logger:
        """Has info, warn(ing) and error, as Glue's logger."""
        return logging.getLogger("GlueLogger")

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        refuse(f"GlueContext.{name}", INSTEAD)
