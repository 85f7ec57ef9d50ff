"""IAM statements that more than one kind of role is made of."""

from __future__ import annotations

from pipeline.render.context import Context
from pipeline.render.statement import Statement, allow


def listing(context: Context, bucket: str, prefixes: list[str]) -> Statement:
    """Listing what is under some prefixes of a bucket."""
    condition = {"StringLike": {"s3:prefix": prefixes}}
    return allow("s3:ListBucket", context.names.bucket_arn(bucket), condition)


def channels(context: Context, use: str, among: set[str] | None = None) -> list[Statement]:
    """Reading the channels of one use, by prefix, and what a run made: manifests, and datasets.

    Args:
        among: only these of them.
    """
    data, names = context.settings.pipeline.data, context.names
    bucket = context.settings.data_bucket
    named = sorted(data.channels.items())
    channels = [c for name, c in named if c.use == use and (among is None or name in among)]
    prefixes = [f"{data.prefix}{c.prefix}/*" for c in channels if not c.made_by]
    statements = []
    if prefixes:
        statements += [
            allow("s3:GetObject", [names.bucket_arn(bucket, prefix) for prefix in prefixes]),
            listing(context, bucket, prefixes),
        ]
    if channels and (data.window_days > 1 or len(prefixes) < len(channels)):
        # SageMaker lists the manifest's own key before it reads it.
        manifests = f"{names.runs_prefix}/*"
        statements.append(allow("s3:GetObject", names.bucket_arn(names.artifact_bucket, manifests)))
        statements.append(listing(context, names.artifact_bucket, [manifests]))
    return statements


def logs(context: Context, group: str) -> list[Statement]:
    """Writing one log group, and making it where nobody has.

    IAM weighs these on `<group>:log-stream:<stream>`, CreateLogGroup and DescribeLogStreams with an empty
    stream (https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/iam-access-control-overview-cwl.html):
    the ARN without the trailing `:*` allows none of them.
    """
    arn = context.names.arn("logs", f"log-group:{group}")
    return [
        allow(["logs:CreateLogGroup", "logs:DescribeLogStreams"], f"{arn}:*"),
        allow(["logs:CreateLogStream", "logs:PutLogEvents"], f"{arn}:log-stream:*"),
    ]


def metrics(namespace: str) -> Statement:
    return allow("cloudwatch:PutMetricData", "*", {"StringEquals": {"cloudwatch:namespace": namespace}})
