"""`awsglue` for scripts that use plain Spark: arguments, context and job; DynamicFrames are refused by name.

On AWS Glue the service's own package of this name takes its place.
"""

from .dynamicframe import DynamicFrame

__all__ = ["DynamicFrame"]
