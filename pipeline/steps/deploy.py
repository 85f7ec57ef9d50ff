"""Bring a model to the endpoint and believe it only when the endpoint says and shows so.

    CreateModel -> CreateEndpointConfig -> DescribeEndpoint
        not found                 -> CreateEndpoint
        serves                    -> UpdateEndpoint
        failed                    -> DeleteFailedEndpoint -> describe again
        somebody else is changing it -> wait, describe again
    -> watch every status until InService -> does it run OUR config? -> SmokeTest
    -> CommitWatermark (if there is one) -> CollectSuperseded

UpdateEndpoint keeps the old instances serving until the new ones are healthy. If SageMaker rolls back, the
endpoint says InService again, with the old config: hence the comparison. If the smoke test fails, the
earlier config is put back, and the model becomes Rejected in the registry.

Every call may be repeated: a name is the run's own, so what exists under it already was made by this run,
and the answer got lost.

How it waits, and for what: endpoint.py. The smoke test: smoke.py.
"""

from __future__ import annotations

from typing import Any

from pipeline.errors import DefinitionError
from pipeline.steps import capture, retry, rollout, scaling, smoke
from pipeline.steps.block import (
    CALL_SECONDS,
    Block,
    Unheeded,
    call,
    forgive,
    integration_arn,
    invoke,
    tags,
)
from pipeline.steps.endpoint import OPTIMISED, endpoint_step, finding, wait_seconds, watching
from pipeline.steps.intrinsics import fmt
from pipeline.steps.notify import tell
from pipeline.steps.register import PACKAGE_ARN
from pipeline.steps.sdk import Choice, ChoiceRule, EndpointConfigStep, Pass, Task
from pipeline.steps.view import Settings


class Deploy(Block):
    """Creates or updates the pipeline's endpoint with the version at `$.package`; see the module's text.

    Args:
        network_isolation: the serving container gets no network besides its requests; by default so, except
            on a serverless endpoint, which knows neither isolation nor VPC.
        vpc_config: `{"Subnets": [...], "SecurityGroupIds": [...]}`.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        network_isolation: bool | None = None,
        vpc_config: dict[str, list[str]] | None = None,
    ) -> None:
        if rollout.is_serverless(settings) and (network_isolation or vpc_config):
            raise DefinitionError(
                "a serverless endpoint takes neither network isolation nor a VPC",
                where="Deploy",
                hint='leave them out, or set capacity = "instances" in pipeline.toml',
            )
        isolated = not rollout.is_serverless(settings) if network_isolation is None else network_isolation
        name = settings.stack_name
        config_name = fmt(name + "-{}", "$.run.run_id")
        watch, healthy = watching(settings, name)
        options = rollout.update_options(settings)
        update = endpoint_step("UpdateEndpoint", name, config_name, options, update=True)
        create = endpoint_step("CreateEndpoint", name, config_name, {"Tags": tags(settings)}, update=False)
        create.next(watch)
        hold = scaling.before_update(settings, name, update)
        find = finding(settings, name, create, update, watch)
        create_model = _model(settings, config_name, isolated, vpc_config)
        config = _config(settings, config_name)
        requested = Pass(
            "NameRequestedConfig",
            parameters={"EndpointConfigName.$": config_name},
            result_path="$.requested",
        )
        begin = Pass("BeginDeployment", parameters={"change": "none", "polls": 0}, result_path="$.deployment")
        forgive(create_model, OPTIMISED, {"Cannot create already existing model": config})
        forgive(config, OPTIMISED, {"Cannot create already existing endpoint configuration": requested})
        commit, collect = _commit(settings), _collect(settings, name, config_name)
        marked = Choice("IsDataDoneWith", comment="Promotion and rollback may deploy without a watermark.")
        marked.add_choice(ChoiceRule.IsPresent(variable="$.run.watermark", value=False), collect)
        finish = [smoke.test(settings, name), marked, commit, collect, _told(settings, name)]
        prepare = [create_model, config, requested, *rollout.alarms(settings, config_name), begin]
        resume = scaling.after_update(settings, name)
        super().__init__(settings, [*prepare, *find, *hold, update, watch, *healthy, *resume, *finish])
        scaling.resume_on_failure(settings, name, hold[0], resume[0] if resume else None)
        self.wait_seconds = 2 * wait_seconds(settings)  # for others before, for our own change after


def _model(
    settings: Settings,
    name: str,
    network_isolation: bool,
    vpc_config: dict[str, list[str]] | None,
) -> Task:
    # Not the SDK's ModelStep: it drops VPC and isolation, and nothing it adds is of use.
    parameters: dict[str, Any] = {
        "ModelName.$": name,
        # The registered version decides image and artifact; what is not Approved never gets here.
        "PrimaryContainer": {
            "ModelPackageName.$": PACKAGE_ARN,
            # What the container reports of its model is told apart by it: serving.metric.
            "Environment": {"SERVING_DEPLOYMENT.$": name},
        },
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
    step = EndpointConfigStep(
        "CreateEndpointConfig",
        endpoint_config_name="unused",
        model_name="unused",
        initial_instance_count=1,
        instance_type="unused",
        variant_name=rollout.VARIANT,
        timeout_seconds=CALL_SECONDS,
        retry=retry.for_sagemaker(),
        result_path="$.endpoint_config",
    )
    return step.amend(
        {
            "EndpointConfigName.$": name,
            "ProductionVariants": [rollout.variant(settings, name)],
            "Tags": tags(settings),
            **capture.config(settings),
        },
        drop=("EndpointConfigName",),
    ).select({"EndpointConfigArn.$": "$.EndpointConfigArn"})


def _commit(settings: Settings) -> Task:
    return call(
        "CommitWatermark",
        "ssm",
        "putParameter",
        {
            "Name": f"/{settings.project.name}/{settings.stack_name}/watermark",
            "Value.$": "$.run.watermark",
            # With its type, it is made again should somebody have deleted it.
            "Type": "String",
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
            "gate.$": "$.gate.reason",
            "date.$": "$.run.date",
            "latency_ms.$": "$.smoke.latency_ms",
        },
    )
