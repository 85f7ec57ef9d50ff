"""Bring a model to the endpoint and believe it only when the endpoint says and shows so.

    CreateModel -> CreateEndpointConfig -> DescribeEndpoint
        not found                 -> CreateEndpoint
        serves                    -> UpdateEndpoint
        failed                    -> DeleteFailedEndpoint -> describe again
        somebody else is changing it -> wait, describe again
    -> watch every status until InService -> does it run OUR config? -> SmokeTest
    -> CommitWatermark -> CollectSuperseded

UpdateEndpoint keeps the old instances serving until the new ones are healthy. If SageMaker rolls back, the
endpoint says InService again, with the old config: hence the comparison. If the smoke test fails, the
earlier config is put back.

How it waits, and for what: endpoint.py.
"""

from __future__ import annotations

from typing import Any

from pipeline.steps import retry
from pipeline.steps.block import (
    CALL_SECONDS,
    IMAGE,
    Block,
    FailWithCaught,
    Unheeded,
    call,
    go_on,
    integration_arn,
    invoke,
    tags,
)
from pipeline.steps.endpoint import WAIT_SECONDS, finding, watching
from pipeline.steps.intrinsics import fmt
from pipeline.steps.notify import tell
from pipeline.steps.sdk import Catch, Choice, ChoiceRule, EndpointConfigStep, EndpointStep, Task
from pipeline.steps.train import Train
from pipeline.steps.view import Settings

VARIANT = "AllTraffic"


class Deploy(Block):
    """Creates or updates the pipeline's endpoint with the model; see the module's text.

    Args:
        network_isolation: the serving container gets no network besides its requests.
        vpc_config: `{"Subnets": [...], "SecurityGroupIds": [...]}`.
    """

    wait_seconds = 2 * WAIT_SECONDS  # for others before, for our own change after

    def __init__(
        self,
        settings: Settings,
        model: Train,
        *,
        network_isolation: bool = True,
        vpc_config: dict[str, list[str]] | None = None,
    ) -> None:
        name = settings.stack_name
        config_name = fmt(name + "-{}", "$.run.run_id")
        watch, healthy = watching(name)
        update = _endpoint("UpdateEndpoint", name, config_name, {}, update=True)
        create = _endpoint("CreateEndpoint", name, config_name, {"Tags": tags(settings)}, update=False)
        create.next(watch)
        find = finding(name, create)
        prepare = [
            _model(settings, model, config_name, network_isolation, vpc_config),
            _config(settings, config_name),
        ]
        finish = [
            _smoke_test(settings, name),
            _commit(settings),
            _collect(settings, name, config_name),
            _told(settings, name),
        ]
        super().__init__(settings, [*prepare, *find, update, watch, *healthy, *finish])


def _model(
    settings: Settings,
    model: Train,
    name: str,
    network_isolation: bool,
    vpc_config: dict[str, list[str]] | None,
) -> Task:
    # Not the SDK's ModelStep: it drops VPC and isolation, and nothing it adds is of use.
    parameters: dict[str, Any] = {
        "ModelName.$": name,
        "PrimaryContainer": {"Image": IMAGE, "ModelDataUrl.$": model.artifacts},
        "ExecutionRoleArn": "${ModelRoleArn}",
        "EnableNetworkIsolation": network_isolation,
        "Tags": tags(settings),
    }
    if vpc_config:
        parameters["VpcConfig"] = vpc_config
    return Task(
        "CreateModel",
        resource=integration_arn("sagemaker:createModel"),
        parameters=parameters,
        timeout_seconds=CALL_SECONDS,
        retry=retry.for_sagemaker(),
        result_path="$.model",
    ).select({"ModelArn.$": "$.ModelArn"})


def _config(settings: Settings, name: str) -> EndpointConfigStep:
    capacity = settings.environment.endpoint
    step = EndpointConfigStep(
        "CreateEndpointConfig",
        endpoint_config_name="unused",
        model_name="unused",
        initial_instance_count=capacity.instance_count,
        instance_type=capacity.instance_type,
        variant_name=VARIANT,
        timeout_seconds=CALL_SECONDS,
        retry=retry.for_sagemaker(),
        result_path="$.deployment",
    )
    variant = {
        "InitialInstanceCount": capacity.instance_count,
        "InitialVariantWeight": 1,
        "InstanceType": capacity.instance_type,
        "ModelName.$": name,
        "VariantName": VARIANT,
    }
    return step.amend(
        {"EndpointConfigName.$": name, "ProductionVariants": [variant], "Tags": tags(settings)},
        drop=("EndpointConfigName",),
    ).select({"EndpointConfigArn.$": "$.EndpointConfigArn", "change": "none", "polls": 0})


def _endpoint(
    state_id: str, name: str, config_name: str, more: dict[str, Any], *, update: bool
) -> EndpointStep:
    # UpdateEndpoint takes no tags: the endpoint keeps those it was created with.
    step = EndpointStep(
        state_id,
        endpoint_name=name,
        endpoint_config_name="unused",
        update=update,
        timeout_seconds=CALL_SECONDS,
        retry=retry.for_sagemaker(),
        result_path="$.deployment",
    )
    return step.amend({"EndpointConfigName.$": config_name, **more}, drop=("EndpointConfigName",)).select(
        {"EndpointArn.$": "$.EndpointArn", "change": "update" if update else "create", "polls": 0}
    )


def _smoke_test(settings: Settings, name: str) -> Any:
    smoke = settings.pipeline.smoke
    step = invoke(
        settings,
        "SmokeTest",
        "smoke_test",
        {
            "endpoint_name": name,
            "content_type": smoke.content_type,
            "accept": smoke.accept,
            "body": smoke.body,
        },
        comment="One real request; an endpoint that does not answer it is taken back.",
        result_path="$.smoke",
    ).select({"status.$": "$.Payload.status", "latency_ms.$": "$.Payload.latency_ms"})
    failed = FailWithCaught("SmokeTestFailed", "$.smoke_error")
    restore = _endpoint("RestoreEarlierConfig", name, "$.before.EndpointConfigName", {}, update=True)
    go_on(restore, failed)
    updated = ChoiceRule.StringEquals(variable="$.deployment.change", value="update")
    earlier = Choice("IsThereAnEarlierConfig")
    earlier.add_choice(updated, restore)
    earlier.default_choice(failed)
    step.add_catch(Catch(error_equals=["States.ALL"], next_step=earlier, result_path="$.smoke_error"))
    return step


def _commit(settings: Settings) -> Task:
    return call(
        "CommitWatermark",
        "ssm",
        "putParameter",
        {
            "Name": f"/{settings.project.name}/{settings.stack_name}/watermark",
            "Value.$": "$.run.watermark",
            "Overwrite": True,
        },
        comment="Only now is this data done with.",
        result_path=None,
    )


def _collect(settings: Settings, name: str, config_name: str) -> Any:
    return invoke(
        settings,
        "CollectSuperseded",
        "collect_superseded",
        {"endpoint_name": name, "endpoint_config_name.$": config_name},
        cls=Unheeded,
        comment="Old configs and models; what stays behind costs nothing, so a failure is no failure.",
        result_path=None,
    )


def _told(settings: Settings, name: str) -> Any:
    return tell(
        settings,
        "NotifyDeployed",
        "deployed",
        {
            "endpoint": name,
            "endpoint_config.$": "$.endpoint.EndpointConfigName",
            "model_package.$": "$.package.ModelPackageArn",
            "metrics.$": "$.gate.metrics",
            "date.$": "$.run.date",
            "latency_ms.$": "$.smoke.latency_ms",
        },
    )
