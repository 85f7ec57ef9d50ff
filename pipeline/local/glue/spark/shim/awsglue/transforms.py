"""Glue's transforms work on DynamicFrames: importing them all is well, using one is refused."""

from __future__ import annotations

from .refused import Refused

_INSTEAD = {
    "ApplyMapping": "frame.select(col(a).cast(type).alias(b), ...)",
    "DropFields": "frame.drop(...)",
    "DropNullFields": "frame.drop(...) of columns that are all null",
    "ErrorsAsDynamicFrame": "reading with mode PERMISSIVE and columnNameOfCorruptRecord",
    "Filter": "frame.where(...)",
    "FlatMap": "frame.select(explode(...))",
    "Join": "frame.join(...)",
    "Map": "frame.withColumn(...)",
    "MapToCollection": "one DataFrame after the other",
    "Relationalize": "frame.select(explode(...), col('a.b'))",
    "RenameField": "frame.withColumnRenamed(...)",
    "Repartition": "frame.repartition(...)",
    "ResolveChoice": "frame.withColumn(name, expr('try_cast(name AS type)'))",
    "SelectFields": "frame.select(...)",
    "SelectFromCollection": "the DataFrame itself",
    "Spigot": "frame.limit(...).write",
    "SplitFields": "two frame.select(...)",
    "SplitRows": "two frame.where(...)",
    "Unbox": "from_json(...)",
    "Union": "frame.unionByName(...)",
    "UnnestFrame": "frame.select(col('a.b'), ...)",
}

globals().update({name: Refused(f"awsglue.transforms.{name}", instead) for name, instead in _INSTEAD.items()})

__all__ = list(_INSTEAD)
