"""One role per actor, each with what it needs by name and nothing else.

What a SageMaker execution role needs: https://docs.aws.amazon.com/sagemaker/latest/dg/sagemaker-roles.html
(sections CreateTrainingJob, CreateProcessingJob, CreateModel). Three of its actions know no resources:
ecr:GetAuthorizationToken, cloudwatch:PutMetricData (bound by namespace) and the log delivery.
"""

from __future__ import annotations

from typing import Any

from pipeline.render import function_roles, permissions
from pipeline.render.context import Context, Resource
from pipeline.render.grants import listing
from pipeline.render.permissions import Statement, allow, merge
from pipeline.settings.hosting_problems import ALARM_KINDS

POLICY_VERSION = "2012-10-17"


def resources(context: Context) -> dict[str, Resource]:
    """All roles of the template by logical id."""
    statements = {
        "StateMachine": ("states", permissions.derive(context.asl, context.names, context.permissions)),
        "Training": ("sagemaker", _training(context)),
        "Processing": ("sagemaker", _processing(context)),
        "Model": ("sagemaker", _model(context)),
        **({"Transform": ("glue", _transform(context))} if context.settings.pipeline.transforms else {}),
        "Scheduler": ("scheduler", [allow("states:StartExecution", {"Ref": "StateMachine"})]),
    }
    roles = {
        f"{actor}Role": role(context, service, actor, merge(found))
        for actor, (service, found) in statements.items()
    }
    for function in context.functions:
        found = function_roles.statements(context, function)
        roles[f"{function.logical_id}Role"] = role(context, "lambda", function.logical_id, merge(found))
    return roles


def role(context: Context, service: str, actor: str, statements: list[Statement]) -> Resource:
    """A role that only `<service>.amazonaws.com`, acting for this account, may assume."""
    trust: Statement = {
        "Effect": "Allow",
        "Principal": {"Service": f"{service}.amazonaws.com"},
        "Action": "sts:AssumeRole",
    }
    condition: dict[str, Any] = {"StringEquals": {"aws:SourceAccount": context.names.account}}
    if service == "states":
        condition["ArnEquals"] = {"aws:SourceArn": context.names.state_machine_arn}
    # The guides of Lambda and Glue do not promise these keys when they assume a job's or function's role; a
    # role can only be passed within its account anyway.
    if service not in ("lambda", "glue"):
        trust["Condition"] = condition
    return {
        "Type": "AWS::IAM::Role",
        "Properties": {
            "Description": f"{actor} of {context.names.stack}",
            # By the path, the deploy role's policy tells these from all other roles of the account, its own
            # among them; and it may only make roles with this boundary (account.yaml).
            "Path": f"/{context.names.project}/{context.names.environment}/",
            "PermissionsBoundary": boundary(context),
            "AssumeRolePolicyDocument": {"Version": POLICY_VERSION, "Statement": [trust]},
            "Policies": [
                {
                    "PolicyName": actor,
                    "PolicyDocument": {"Version": POLICY_VERSION, "Statement": statements},
                }
            ],
            "Tags": context.tags,
        },
    }


def boundary(context: Context) -> str:
    """ARN of the policy that says the most a role of this environment may do."""
    names = context.names
    return names.arn("iam", f"policy/{names.project}-{names.environment}-boundary", region="")


# --- SageMaker


def _training(context: Context) -> list[Statement]:
    data, names = context.settings.pipeline.data, context.names
    bucket = names.artifact_bucket
    writes = [names.bucket_arn(bucket, f"{data.prefix}output-model/*")]
    # A search's jobs keep none: they run side by side, and would share one place.
    resumes = context.settings.environment.training.spot and not context.settings.pipeline.tuning
    if resumes:
        checkpoints = names.bucket_arn(bucket, f"{names.checkpoints_prefix}/*")
        writes.append(checkpoints)
    statements = [
        *_channels(context, "train"),
        *_job(context, "TrainingJobs"),
        allow("s3:PutObject", writes),
    ]
    if resumes:
        # A resumed job reads what the interrupted one left, and SageMaker replaces it.
        statements += [
            allow(["s3:GetObject", "s3:DeleteObject"], checkpoints),
            listing(context, bucket, [f"{names.checkpoints_prefix}/*"]),
        ]
    return statements


def _processing(context: Context) -> list[Statement]:
    data, names = context.settings.pipeline.data, context.names
    models = f"{data.prefix}output-model/*"
    return [
        *_channels(context, "evaluate"),
        *_job(context, "ProcessingJobs"),
        allow("s3:GetObject", names.bucket_arn(names.artifact_bucket, models)),
        listing(context, names.artifact_bucket, [models]),
        allow("s3:PutObject", names.bucket_arn(names.artifact_bucket, f"{names.runs_prefix}/*")),
    ]


def _model(context: Context) -> list[Statement]:
    names = context.names
    models = f"{context.settings.pipeline.data.prefix}output-model/*"
    return [
        allow("s3:GetObject", names.bucket_arn(names.artifact_bucket, models)),
        listing(context, names.artifact_bucket, [models]),
        *_image(context),
        *_logs(context, f"/aws/sagemaker/Endpoints/{names.stack}"),
        _metrics("/aws/sagemaker/Endpoints"),
        *_rollback_alarms(context),
        *_capture(context),
    ]


def _capture(context: Context) -> list[Statement]:
    """SageMaker writes what it captures as the model's role.

    https://docs.aws.amazon.com/sagemaker/latest/dg/model-monitor-data-capture-endpoint.html
    """
    if not context.settings.pipeline.captured_percent:
        return []
    names = context.names
    return [allow("s3:PutObject", names.bucket_arn(names.artifact_bucket, f"{names.capture_prefix}/*"))]


def _rollback_alarms(context: Context) -> list[Statement]:
    """SageMaker reads the alarms of a rollout; AWS asks this of the execution role, besides the caller's.

    https://docs.aws.amazon.com/sagemaker/latest/dg/deployment-guardrails-configuration.html
    """
    alarms = context.settings.environment.rollout.alarms
    if not any(getattr(alarms, kind) is not None for kind in ALARM_KINDS):
        return []
    return [allow("cloudwatch:DescribeAlarms", context.names.arn("cloudwatch", "alarm:*"))]


def _channels(context: Context, use: str) -> list[Statement]:
    """Reading the channels of one use, by prefix, and what a run made: manifests, and datasets."""
    data, names = context.settings.pipeline.data, context.names
    bucket = context.settings.data_bucket
    channels = [c for _, c in sorted(data.channels.items()) if c.use == use]
    prefixes = [f"{data.prefix}{c.prefix}/*" for c in channels if not c.made_by]
    statements = []
    if prefixes:
        statements += [
            allow("s3:GetObject", [names.bucket_arn(bucket, prefix) for prefix in prefixes]),
            listing(context, bucket, prefixes),
        ]
    if data.window_days > 1 or len(prefixes) < len(channels):
        # SageMaker lists the manifest's own key before it reads it.
        manifests = f"{names.runs_prefix}/*"
        statements.append(allow("s3:GetObject", names.bucket_arn(names.artifact_bucket, manifests)))
        statements.append(listing(context, names.artifact_bucket, [manifests]))
    return statements


def _job(context: Context, kind: str) -> list[Statement]:
    return [
        *_image(context),
        *_logs(context, f"/aws/sagemaker/{kind}"),
        _metrics(f"/aws/sagemaker/{kind}"),
    ]


def _image(context: Context) -> list[Statement]:
    container = context.settings.pipeline.container
    repository = context.names.arn("ecr", f"repository/{context.names.project}/{container}")
    return [
        allow(
            ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"], repository
        ),
        allow("ecr:GetAuthorizationToken", "*"),
    ]


def _logs(context: Context, group: str) -> list[Statement]:
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


def _metrics(namespace: str) -> Statement:
    return allow("cloudwatch:PutMetricData", "*", {"StringEquals": {"cloudwatch:namespace": namespace}})


# --- Glue


def _transform(context: Context) -> list[Statement]:
    """Reading what transforms read and their code, writing to the run's own place.

    Spark writes through s3:PutObject and clears what it wrote in vain by s3:DeleteObject. Logs:
    https://docs.aws.amazon.com/glue/latest/dg/create-service-policy.html
    """
    names = context.names
    runs = f"{names.runs_prefix}/*"
    own = names.bucket_arn(names.artifact_bucket, runs)
    return [
        *_channels(context, "transform"),
        allow("s3:GetObject", names.bucket_arn(names.artifact_bucket, "code/*")),
        allow(["s3:DeleteObject", "s3:GetObject", "s3:PutObject"], own),
        listing(context, names.artifact_bucket, [runs]),
        *_logs(context, "/aws-glue/jobs/*"),
        _metrics("Glue"),
    ]
