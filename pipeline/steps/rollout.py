"""What an endpoint runs on, how a new model takes over, and the alarms that take it back.

Each alarm belongs to one endpoint configuration and watches that one alone: SageMaker reports the metrics of
a fleet also by EndpointConfigName, so neither does the old fleet hide what the new one does, nor is a new
model taken back for the old one's errors. Hence they are made here, where the configuration's name is known,
and not in the template; CollectSuperseded deletes them with their configuration.
https://docs.aws.amazon.com/sagemaker/latest/dg/deployment-guardrails-configuration.html
"""

from __future__ import annotations

from typing import Any

from pipeline.steps.block import call, tags
from pipeline.steps.intrinsics import fmt
from pipeline.steps.sdk import Task
from pipeline.steps.view import Settings

VARIANT = "AllTraffic"
ALARM_TOPIC = "${AlarmTopic}"
# CloudWatch counts requests of an endpoint by the minute.
PERIOD_SECONDS = 60
# The model's own metrics: the template's metric filter writes them there from the container's log.
MODEL_NAMESPACE = "{project}/Models"
_MICROSECONDS = 1000


def is_serverless(settings: Settings) -> bool:
    """Whether the endpoint has no instances of its own."""
    return bool(settings.environment.endpoint.capacity == "serverless")


def is_scaled(settings: Settings) -> bool:
    """Whether the number of instances follows the load."""
    return bool(settings.environment.endpoint.capacity == "autoscaling")


def variant(settings: Settings, model_name: str) -> dict[str, Any]:
    """The configuration's one production variant; `model_name` is an expression."""
    capacity = settings.environment.endpoint
    common = {"ModelName.$": model_name, "VariantName": VARIANT}
    if is_serverless(settings):
        given = capacity.serverless
        serverless = {"MemorySizeInMB": given.memory_mb, "MaxConcurrency": given.max_concurrency}
        if given.provisioned_concurrency:
            serverless["ProvisionedConcurrency"] = given.provisioned_concurrency
        return {**common, "ServerlessConfig": serverless}
    count = capacity.autoscaling.minimum if is_scaled(settings) else capacity.instance_count
    return {
        **common,
        "InitialInstanceCount": count,
        "InitialVariantWeight": 1,
        "InstanceType": capacity.instance_type,
    }


def update_options(settings: Settings) -> dict[str, Any]:
    """What UpdateEndpoint is told besides names: DeploymentConfig, and that scaled instances stay as many."""
    options: dict[str, Any] = {}
    if is_scaled(settings):
        options["RetainAllVariantProperties.$"] = "$.scaling.retain"
    rollout = settings.environment.rollout
    names = alarm_kinds(settings)
    if is_serverless(settings) or not (
        names or rollout.termination_wait_seconds or rollout.shift != "all_at_once"
    ):
        return options
    config: dict[str, Any] = {
        "BlueGreenUpdatePolicy": {
            "TrafficRoutingConfiguration": _routing(rollout),
            "TerminationWaitInSeconds": rollout.termination_wait_seconds,
            "MaximumExecutionTimeoutInSeconds": rollout.maximum_seconds,
        }
    }
    if names:
        config["AutoRollbackConfiguration"] = {
            "Alarms": [{"AlarmName.$": alarm_name(settings, kind)} for kind in names]
        }
    return {**options, "DeploymentConfig": config}


def _routing(rollout: Settings) -> dict[str, Any]:
    size = {"Type": "CAPACITY_PERCENT", "Value": rollout.percent}
    if rollout.shift == "canary":
        return {"Type": "CANARY", "CanarySize": size, "WaitIntervalInSeconds": rollout.wait_seconds}
    if rollout.shift == "linear":
        return {"Type": "LINEAR", "LinearStepSize": size, "WaitIntervalInSeconds": rollout.wait_seconds}
    return {"Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": 0}


# --- alarms


def alarm_kinds(settings: Settings) -> list[str]:
    """Which alarms are on, by the last part of their names."""
    if is_serverless(settings):
        return []
    alarms = settings.environment.rollout.alarms
    found = {
        "errors-percent": alarms.errors_percent,
        "errors-count": alarms.errors_count,
        "latency-p99": alarms.latency_p99_ms,
        "model-metric": alarms.model,
    }
    return [kind for kind, given in found.items() if given is not None]


def alarm_name(settings: Settings, kind: str) -> str:
    """Expression for an alarm's name: `<endpoint configuration>-<kind>`."""
    return fmt(f"{settings.stack_name}-{{}}-{kind}", "$.run.run_id")


def alarms(settings: Settings, config_name: str) -> list[Task]:
    """A state that makes each alarm; `config_name` is an expression. A repeated call changes nothing."""
    return [_alarm(settings, kind, config_name) for kind in alarm_kinds(settings)]


def _alarm(settings: Settings, kind: str, config_name: str) -> Task:
    given = settings.environment.rollout.alarms
    measured, meaning = {
        "errors-percent": _errors_percent,
        "errors-count": _errors_count,
        "latency-p99": _latency,
        "model-metric": _model_metric,
    }[kind](settings)
    own = {"Name": "EndpointConfigName", "Value.$": config_name}
    return call(
        "Alarm" + "".join(part.title() for part in kind.split("-")),
        "cloudwatch",
        "putMetricAlarm",
        {
            "AlarmName.$": alarm_name(settings, kind),
            "AlarmDescription": f"{meaning}; takes a new model of {settings.stack_name} back",
            "AlarmActions": [ALARM_TOPIC],
            "Period": PERIOD_SECONDS,
            "EvaluationPeriods": given.minutes,
            "DatapointsToAlarm": given.minutes,
            # Without requests nothing is known: it stays as it was, so that the reason of a rollback stays.
            "TreatMissingData": "ignore",
            "Tags": tags(settings),
            **measured,
            "Dimensions": [*measured["Dimensions"], own],
        },
        result_path=None,
    )


def _sagemaker(settings: Settings, metric: str) -> dict[str, Any]:
    return {
        "Namespace": "AWS/SageMaker",
        "MetricName": metric,
        "Dimensions": [
            {"Name": "EndpointName", "Value": settings.stack_name},
            {"Name": "VariantName", "Value": VARIANT},
        ],
    }


def _errors_percent(settings: Settings) -> tuple[dict[str, Any], str]:
    percent = settings.environment.rollout.alarms.errors_percent
    # SageMaker sends 1 for each such answer and 0 for every other: the average is the share.
    return {
        **_sagemaker(settings, "Invocation5XXErrors"),
        "Statistic": "Average",
        "ComparisonOperator": "GreaterThanThreshold",
        "Threshold": percent / 100,
    }, f"More than {percent:g} % of answers are 5xx"


def _errors_count(settings: Settings) -> tuple[dict[str, Any], str]:
    count = settings.environment.rollout.alarms.errors_count
    return {
        **_sagemaker(settings, "Invocation5XXErrors"),
        "Statistic": "Sum",
        "ComparisonOperator": "GreaterThanOrEqualToThreshold",
        "Threshold": count,
    }, f"{count} answers in a minute are 5xx"


def _latency(settings: Settings) -> tuple[dict[str, Any], str]:
    limit = settings.environment.rollout.alarms.latency_p99_ms
    return {
        **_sagemaker(settings, "ModelLatency"),
        "ExtendedStatistic": "p99",
        "ComparisonOperator": "GreaterThanThreshold",
        "Threshold": limit * _MICROSECONDS,
    }, f"1 % of requests take the model longer than {limit:g} ms"


def _model_metric(settings: Settings) -> tuple[dict[str, Any], str]:
    metric = settings.environment.rollout.alarms.model
    low = metric.minimum is not None
    bound = metric.minimum if low else metric.maximum
    return {
        "Namespace": MODEL_NAMESPACE.format(project=settings.project.name),
        "MetricName": metric.name,
        "Dimensions": [],
        "Statistic": metric.statistic,
        "ComparisonOperator": "LessThanThreshold" if low else "GreaterThanThreshold",
        "Threshold": bound,
    }, f"{metric.statistic} of the model's {metric.name} is {'below' if low else 'above'} {bound:g}"
