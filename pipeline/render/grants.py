"""IAM statements that more than one kind of role is made of."""

from __future__ import annotations

from pipeline.render.context import Context
from pipeline.render.statement import Statement, allow


def listing(context: Context, bucket: str, prefixes: list[str]) -> Statement:
    """Listing what is under some prefixes of a bucket."""
    condition = {"StringLike": {"s3:prefix": prefixes}}
    return allow("s3:ListBucket", context.names.bucket_arn(bucket), condition)
