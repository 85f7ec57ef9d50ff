"""One role per actor, each with what it needs by name and nothing else.

What a SageMaker execution role needs: https://docs.aws.amazon.com/sagemaker/latest/dg/sagemaker-roles.html
(sections CreateTrainingJob, CreateProcessingJob, CreateModel). Three of its actions know no resources:
ecr:GetAuthorizationToken, cloudwatch:PutMetricData (bound by namespace) and the log delivery.
"""

from __future__ import annotations

from typing import Any, Literal

from pipeline import algorithms
from pipeline.render import build, function_roles, monitor, permissions
from pipeline.render.context import Context, Resource
from pipeline.render.grants import channels, listing, logs, metrics
from pipeline.render.model import canonical
from pipeline.render.permissions import Statement, allow, merge
from pipeline.render.tasks import tasks
from pipeline.settings.hosting_problems import ALARM_KINDS

POLICY_VERSION = "2012-10-17"


def _workflow(context: Context) -> list[Statement]:
    given = context.settings.workflow

    def place(resource: str) -> str:
        line = given.line_of(f'"{resource}"') if given else None
        return "" if given is None else f"{given.label}:{line}" if line else given.label

    return permissions.derive(context.asl, context.names, context.permissions, place)


def resources(context: Context) -> dict[str, Resource]:
    """All roles of the template by logical id."""
    statements = {
        "StateMachine": ("states", _workflow(context)),
        "Training": ("sagemaker", _training(context)),
        "Processing": ("sagemaker", _processing(context)),
        "Model": ("sagemaker", _model(context)),
        **({"Transform": ("glue", _transform(context))} if _reads(context, "script") else {}),
        **({"Build": ("codebuild", build.statements(context))} if context.settings.pipeline.build else {}),
        "Scheduler": ("scheduler", [allow("states:StartExecution", _machines(context))]),
        **monitor.roles(context),
    }
    roles = {
        f"{actor}Role": role(context, service, actor, merge(found))
        for actor, (service, found) in statements.items()
    }
    for function in context.functions:
        found = function_roles.statements(context, function)
        roles[f"{function.logical_id}Role"] = role(context, "lambda", function.logical_id, merge(found))
    return roles


def _machines(context: Context) -> list[dict[str, str]]:
    """What the clock starts."""
    return [{"Ref": "StateMachine"}, *([{"Ref": "MonitorStateMachine"}] if context.monitor else [])]


def role(context: Context, service: str, actor: str, statements: list[Statement]) -> Resource:
    """A role that only `<service>.amazonaws.com`, acting for this account, may assume."""
    trust: Statement = {
        "Effect": "Allow",
        "Principal": {"Service": f"{service}.amazonaws.com"},
        "Action": "sts:AssumeRole",
    }
    condition: dict[str, Any] = {"StringEquals": {"aws:SourceAccount": context.names.account}}
    if service == "states":
        names = context.names
        machine = names.monitor_arn if actor == "MonitorMachine" else names.state_machine_arn
        condition["ArnEquals"] = {"aws:SourceArn": machine}
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
        *channels(context, "train"),
        *_job(context, "TrainingJobs", _algorithms(context)),
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
    statements = [
        *channels(context, "evaluate"),
        *channels(context, "transform", _reads(context, "program")),
        *_job(context, "ProcessingJobs"),
        allow("s3:GetObject", names.bucket_arn(names.artifact_bucket, models)),
        listing(context, names.artifact_bucket, [models]),
        allow("s3:PutObject", names.bucket_arn(names.artifact_bucket, f"{names.runs_prefix}/*")),
    ]
    if _makes_models(context):
        # What it ships with the model, a run's transform left; the whole is a model like any other.
        runs = f"{names.runs_prefix}/*"
        bundles = f"{data.prefix}output-model/*{names.stack}-*-bundle/*"
        statements += [
            allow("s3:GetObject", names.bucket_arn(names.artifact_bucket, runs)),
            listing(context, names.artifact_bucket, [runs]),
            allow("s3:PutObject", names.bucket_arn(names.artifact_bucket, bundles)),
        ]
    return statements


def _makes_models(context: Context) -> bool:
    """Whether a processing job leaves a model: one with what its requests go through (steps/bundle.py)."""
    outputs = [state.get("Parameters", {}).get("ProcessingOutputConfig") for _, state in tasks(context.asl)]
    return "output-model/" in canonical(outputs)


def _reads(context: Context, kind: Literal["script", "program"]) -> set[str]:
    """Channels that the transforms of one kind read."""
    transforms = context.settings.pipeline.transforms.values()
    return {read for transform in transforms if getattr(transform, kind) for read in transform.reads}


def _model(context: Context) -> list[Statement]:
    names = context.names
    models = f"{context.settings.pipeline.data.prefix}output-model/*"
    return [
        allow("s3:GetObject", names.bucket_arn(names.artifact_bucket, models)),
        listing(context, names.artifact_bucket, [models]),
        *_image(context),
        *logs(context, f"/aws/sagemaker/Endpoints/{names.stack}"),
        metrics("/aws/sagemaker/Endpoints"),
        *_rollback_alarms(context),
        *_capture(context),
        *_batch(context),
    ]


def _batch(context: Context) -> list[Statement]:
    """A transform job runs as its model's role: `pipeline batch` reads and writes in a place of its own."""
    names = context.names
    own = names.bucket_arn(names.artifact_bucket, f"{names.batch_prefix}/*")
    return [
        allow("s3:GetObject", own),
        allow("s3:PutObject", own),
        listing(context, names.artifact_bucket, [f"{names.batch_prefix}/*"]),
        *logs(context, "/aws/sagemaker/TransformJobs"),
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


def _job(context: Context, kind: str, repositories: list[str] | None = None) -> list[Statement]:
    return [
        *_image(context, repositories),
        *logs(context, f"/aws/sagemaker/{kind}"),
        metrics(f"/aws/sagemaker/{kind}"),
    ]


def _algorithms(context: Context) -> list[str]:
    """ARNs of the repositories, in AWS's own accounts, that built-in algorithms are pulled from."""
    found = set()
    for _, state in tasks(context.asl):
        given = state.get("Parameters", {})
        for job in (given, given.get("TrainingJobDefinition")):
            specification = job.get("AlgorithmSpecification") if isinstance(job, dict) else None
            uri = specification.get("TrainingImage") if isinstance(specification, dict) else None
            if isinstance(uri, str) and algorithms.of_image(uri) and (place := algorithms.repository(uri)):
                account, region, name = place
                found.add(context.names.arn("ecr", f"repository/{name}", region=region, account=account))
    return sorted(found)


def _image(context: Context, repositories: list[str] | None = None) -> list[Statement]:
    container = context.settings.pipeline.container
    own = context.names.arn("ecr", f"repository/{context.names.project}/{container}")
    return [
        allow(
            ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"],
            repositories or own,
        ),
        allow("ecr:GetAuthorizationToken", "*"),
    ]


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
        *channels(context, "transform", _reads(context, "script")),
        allow("s3:GetObject", names.bucket_arn(names.artifact_bucket, "code/*")),
        allow(["s3:AbortMultipartUpload", "s3:DeleteObject", "s3:GetObject", "s3:PutObject"], own),
        listing(context, names.artifact_bucket, [runs]),
        *logs(context, "/aws-glue/jobs/*"),
        metrics("Glue"),
    ]
