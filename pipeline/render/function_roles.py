"""What each Lambda of a pipeline may do."""

from __future__ import annotations

from pipeline.functions import Function
from pipeline.render.context import Context
from pipeline.render.grants import listing, metrics
from pipeline.render.statement import Statement, allow


def statements(context: Context, function: Function) -> list[Statement]:
    """Of the function's role: its own log, and what its work needs."""
    return [*_function_log(context, function), *_FUNCTIONS[function.folder](context)]


def _function_log(context: Context, function: Function) -> list[Statement]:
    """The group exists with its retention already, so making groups is not allowed."""
    group = f"log-group:/aws/lambda/{context.names.function(function.folder)}"
    streams = context.names.arn("logs", f"{group}:log-stream:*")
    return [allow(["logs:CreateLogStream", "logs:PutLogEvents"], streams)]


def _check_data(context: Context) -> list[Statement]:
    data, names = context.settings.pipeline.data, context.names
    prefixes = [f"{data.prefix}{channel.prefix}/*" for _, channel in sorted(data.given.items())]
    manifests = names.bucket_arn(names.artifact_bucket, f"{names.runs_prefix}/*/manifests/*")
    return [
        listing(context, context.settings.data_bucket, prefixes),
        allow("ssm:GetParameter", names.arn("ssm", f"parameter{names.watermark}")),
        allow("s3:PutObject", manifests),
    ]


def _gate(context: Context) -> list[Statement]:
    names = context.names
    return [
        allow("s3:GetObject", _reports(context, "evaluation", "champion")),
        # Without it a report that is missing reads as access denied.
        listing(context, names.artifact_bucket, [f"{names.runs_prefix}/*"]),
    ]


def _reports(context: Context, *folders: str) -> list[str]:
    """Objects in these folders of every run: another run's evaluation is what the champion is known by."""
    names = context.names
    return [names.bucket_arn(names.artifact_bucket, f"{names.runs_prefix}/*/{each}/*") for each in folders]


def _gate_data(context: Context) -> list[Statement]:
    names, sagemaker = context.names, "sagemaker"
    runs = f"{names.runs_prefix}/*"
    kept = [f"{names.runs_prefix}/*/{name}" for name in ("data-profile.json", "data-quality.json")]
    return [
        allow("s3:GetObject", names.bucket_arn(names.artifact_bucket, runs)),
        # Without it a report that is missing reads as access denied.
        listing(context, names.artifact_bucket, [runs]),
        allow("s3:PutObject", [names.bucket_arn(names.artifact_bucket, key) for key in kept]),
        allow(
            ["sagemaker:DescribeModelPackage", "sagemaker:ListModelPackages"],
            names.arn(sagemaker, f"model-package/{names.stack}/*"),
        ),
    ]


def _find_champion(context: Context) -> list[Statement]:
    names, sagemaker = context.names, "sagemaker"
    return [
        allow("sagemaker:DescribeEndpoint", names.arn(sagemaker, f"endpoint/{names.stack}")),
        allow("sagemaker:DescribeEndpointConfig", names.arn(sagemaker, f"endpoint-config/{names.stack}-*")),
        allow("sagemaker:DescribeModel", names.arn(sagemaker, f"model/{names.stack}-*")),
        allow(
            ["sagemaker:DescribeModelPackage", "sagemaker:ListModelPackages"],
            names.arn(sagemaker, f"model-package/{names.stack}/*"),
        ),
        allow("s3:GetObject", _reports(context, "evaluation")),
        listing(context, names.artifact_bucket, [f"{names.runs_prefix}/*"]),
    ]


def _find_reusable(context: Context) -> list[Statement]:
    names, sagemaker = context.names, "sagemaker"
    models = f"{context.settings.pipeline.data.prefix}output-model/*"
    reports = f"{names.runs_prefix}/*"
    jobs = [names.arn(sagemaker, f"{kind}/{names.stack}-*") for kind in ("training-job", "processing-job")]
    container = context.settings.pipeline.container
    return [
        allow(
            ["sagemaker:DescribeModelPackage", "sagemaker:ListModelPackages"],
            names.arn(sagemaker, f"model-package/{names.stack}/*"),
        ),
        # Listing knows no resources.
        allow(["sagemaker:ListProcessingJobs", "sagemaker:ListTrainingJobs"], "*"),
        allow("sagemaker:ListTags", jobs),
        allow("sagemaker:DescribeTrainingJob", jobs[0]),
        allow("sagemaker:DescribeProcessingJob", jobs[1]),
        allow("s3:GetObject", [names.bucket_arn(names.artifact_bucket, key) for key in (models, reports)]),
        # Glue's runs have no tags: they are known by their arguments.
        allow("glue:GetJobRuns", names.arn("glue", f"job/{names.stack}-*")),
        # Without it an object that is gone reads as access denied.
        listing(context, names.artifact_bucket, [models, reports]),
        allow("ecr:DescribeImages", names.arn("ecr", f"repository/{names.project}/{container}")),
        *_find_tuning(context),
    ]


def _find_tuning(context: Context) -> list[Statement]:
    """Finished tuning jobs, and the training job that is the best of each."""
    names = context.names
    tuning = names.arn("sagemaker", f"hyper-parameter-tuning-job/{names.tuning}-*")
    best = names.arn("sagemaker", f"training-job/{names.tuning}-*")
    return [
        # Listing knows no resources.
        allow("sagemaker:ListHyperParameterTuningJobs", "*"),
        allow(["sagemaker:DescribeHyperParameterTuningJob", "sagemaker:ListTags"], tuning),
        allow("sagemaker:DescribeTrainingJob", best),
    ]


def _find_baseline(context: Context) -> list[Statement]:
    names, sagemaker = context.names, "sagemaker"
    captured = f"{names.capture_prefix}/*"
    return [
        allow("sagemaker:DescribeEndpoint", names.arn(sagemaker, f"endpoint/{names.stack}")),
        allow("sagemaker:DescribeEndpointConfig", names.arn(sagemaker, f"endpoint-config/{names.stack}-*")),
        allow("sagemaker:DescribeModel", names.arn(sagemaker, f"model/{names.stack}-*")),
        allow("sagemaker:DescribeModelPackage", names.arn(sagemaker, f"model-package/{names.stack}/*")),
        allow("sagemaker:DescribeTrainingJob", names.arn(sagemaker, f"training-job/{names.stack}-*")),
        listing(context, names.artifact_bucket, [captured]),
    ]


def _judge_drift(context: Context) -> list[Statement]:
    names = context.names
    reports = f"{names.monitor_prefix}/reports/*"
    return [
        allow("s3:GetObject", names.bucket_arn(names.artifact_bucket, reports)),
        metrics(names.monitor_namespace),
        allow("states:ListExecutions", names.state_machine_arn),
        allow("states:DescribeExecution", names.arn("states", f"execution:{names.stack}:drift-*")),
    ]


def _explain_build(context: Context) -> list[Statement]:
    streams = context.names.arn("logs", f"log-group:{context.names.build_log_group}:log-stream:*")
    return [allow("logs:GetLogEvents", streams)]


def _start_build(context: Context) -> list[Statement]:
    project = context.names.arn("codebuild", f"project/{context.names.build}")
    return [
        allow(["codebuild:BatchGetBuilds", "codebuild:ListBuildsForProject", "codebuild:StartBuild"], project)
    ]


def _notify(context: Context) -> list[Statement]:
    secret = context.settings.environment.notification.slack_secret
    if not (secret and context.settings.environment.notification.enabled):
        return []
    # Secrets Manager adds a hyphen and six characters to the name.
    return [
        allow("secretsmanager:GetSecretValue", context.names.arn("secretsmanager", f"secret:{secret}-??????"))
    ]


def _request_approval(context: Context) -> list[Statement]:
    names = context.names
    return [allow("s3:PutObject", names.bucket_arn(names.artifact_bucket, f"{names.approvals_prefix}/*"))]


def _query_training_metrics(context: Context) -> list[Statement]:
    names = context.names
    # Jobs of a search are called as it is, whose name is shorter where the stack's is long.
    begins = sorted({names.stack, names.tuning})
    jobs = [names.arn("sagemaker", f"training-job/{each}-*") for each in begins]
    return [allow("sagemaker:DescribeTrainingJob", jobs)]


def _smoke_test(context: Context) -> list[Statement]:
    names = context.names
    return [allow("sagemaker:InvokeEndpoint", names.arn("sagemaker", f"endpoint/{names.stack}"))]


def _collect_superseded(context: Context) -> list[Statement]:
    names = context.names
    configs = names.arn("sagemaker", f"endpoint-config/{names.stack}-*")
    return [
        allow("sagemaker:DescribeEndpoint", names.arn("sagemaker", f"endpoint/{names.stack}")),
        allow(["sagemaker:DeleteEndpointConfig", "sagemaker:DescribeEndpointConfig"], configs),
        allow("sagemaker:DeleteModel", names.arn("sagemaker", f"model/{names.stack}-*")),
        # Listing knows no resources.
        allow(["sagemaker:ListEndpointConfigs", "sagemaker:ListModels"], "*"),
        allow("cloudwatch:DescribeAlarms", names.arn("cloudwatch", "alarm:*")),
        allow("cloudwatch:DeleteAlarms", names.arn("cloudwatch", f"alarm:{names.stack}-*")),
    ]


_FUNCTIONS = {
    "check_data": _check_data,
    "find_reusable": _find_reusable,
    "find_champion": _find_champion,
    "gate": _gate,
    "find_baseline": _find_baseline,
    "judge_drift": _judge_drift,
    "gate_data": _gate_data,
    "explain_build": _explain_build,
    "start_build": _start_build,
    "notify": _notify,
    "query_training_metrics": _query_training_metrics,
    "request_approval": _request_approval,
    "smoke_test": _smoke_test,
    "collect_superseded": _collect_superseded,
}
