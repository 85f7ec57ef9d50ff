"""DynamicFrames are Glue's closed code: importing them is well, using them is refused."""

from __future__ import annotations

from .refused import Refused

INSTEAD = "a Spark DataFrame: spark.read.parquet/csv/json(path), frame.write.parquet(path)"

DynamicFrame = Refused("DynamicFrame", INSTEAD)
DynamicFrameReader = Refused("DynamicFrameReader", INSTEAD)
DynamicFrameWriter = Refused("DynamicFrameWriter", INSTEAD)
DynamicFrameCollection = Refused("DynamicFrameCollection", INSTEAD)
