"""Instances that follow the load: registered once the endpoint serves, held still while a model takes over.

    FindScaling -> none                      -> UpdateEndpoint
                -> the same instance type    -> SuspendScaling -> UpdateEndpoint (as many instances as now)
                -> another one               -> StopScaling -> UpdateEndpoint
    after InService with our config: RegisterScaling (which resumes it) -> PutScalingPolicy
    after a failure on the way: the same two, whatever comes of them; then the failure goes on

SageMaker blocks scaling while it updates an endpoint, and refuses an update that changes the instance type of
what is registered (https://docs.aws.amazon.com/sagemaker/latest/dg/endpoint-scaling-update.html). Suspending
besides keeps a low-traffic minute between two shifts from taking instances away.
"""

from __future__ import annotations

from typing import Any

from pipeline.steps import retry
from pipeline.steps.block import FailWithCaught, JoinsFailure, call, go_on
from pipeline.steps.rollout import VARIANT, is_scaled
from pipeline.steps.sdk import Catch, Choice, ChoiceRule, State, Task
from pipeline.steps.view import Settings

SERVICE = "applicationautoscaling"
NAMESPACE, DIMENSION = "sagemaker", "sagemaker:variant:DesiredInstanceCount"
METRIC = "SageMakerVariantInvocationsPerInstance"
NOT_FOUND = "ApplicationAutoScaling.ObjectNotFoundException"


def target(name: str) -> dict[str, str]:
    """What Application Auto Scaling knows an endpoint's variant by."""
    resource = f"endpoint/{name}/variant/{VARIANT}"
    return {"ServiceNamespace": NAMESPACE, "ResourceId": resource, "ScalableDimension": DIMENSION}


def before_update(settings: Settings, name: str, update: Any) -> list[State]:
    """States that hold scaling still, or end it, to be chained before `update`."""
    stop = call(
        "StopScaling",
        SERVICE,
        "deregisterScalableTarget",
        target(name),
        comment="Not wanted, or of another instance type, which SageMaker would refuse to change.",
        retry=_retry(),
        result_path=None,
    )
    stop.add_catch(Catch(error_equals=[NOT_FOUND], next_step=update, result_path=None))
    if not is_scaled(settings):
        return [stop]
    stop.next(update)
    find = call(
        "FindScaling",
        SERVICE,
        "describeScalableTargets",
        {**_filter(name)},
        retry=_retry(),
        result_path="$.scaling",
    ).select({"targets.$": "$.ScalableTargets", "retain": False})
    serving = call(
        "ReadServingConfig",
        "sagemaker",
        "describeEndpointConfig",
        {"EndpointConfigName.$": "$.before.EndpointConfigName"},
        result_path="$.serving",
    ).select({"variants.$": "$.ProductionVariants"})
    # Also when it cannot be read: without the rule the update goes through.
    serving.add_catch(Catch(error_equals=["States.ALL"], next_step=stop, result_path=None))
    suspend = _register(settings, "SuspendScaling", name, suspended=True)
    suspend.result_path = "$.scaling"
    suspend.select({"retain": True})
    instance_type = "$.serving.variants[0].InstanceType"
    same = Choice("SameInstanceType")
    same.add_choice(
        ChoiceRule.And(
            [
                ChoiceRule.IsPresent(variable=instance_type, value=True),
                ChoiceRule.StringEquals(
                    variable=instance_type, value=settings.environment.endpoint.instance_type
                ),
            ]
        ),
        suspend,
    )
    same.default_choice(stop)
    scaled = Choice("IsScaled")
    scaled.add_choice(ChoiceRule.IsPresent(variable="$.scaling.targets[0]", value=True), serving)
    serving.next(same)
    suspend.next(update)
    return [find, scaled]


def after_update(settings: Settings, name: str) -> list[Task]:
    """States after the endpoint runs what was asked for."""
    if not is_scaled(settings):
        return []
    return [_register(settings, "RegisterScaling", name), _policy(settings, "PutScalingPolicy", name)]


def resume_on_failure(settings: Settings, name: str, start: Any, resumed: Any) -> None:
    """Let every failure between the states `start` and `resumed` put scaling back before it goes on."""
    if not is_scaled(settings):
        return
    register = _register(settings, "ResumeScaling", name)
    policy = _policy(settings, "ResumeScalingPolicy", name)
    go_on(register, policy)
    go_on(policy, FailWithCaught("DeploymentFailed", "$.error"))
    for state in _between(start, resumed):
        if isinstance(state, JoinsFailure) and state.next_step is None:
            state.next(register)
        elif state.type == "Task" and not _catches_all(state):
            state.add_catch(Catch(error_equals=["States.ALL"], next_step=register, result_path="$.error"))


def _catches_all(state: Any) -> bool:
    return any("States.ALL" in (catch.error_equals or []) for catch in state.catches)


def _between(start: Any, stop: Any) -> list[State]:
    seen: dict[int, Any] = {id(stop): None}

    class Visitor:
        def is_visited(self, state: State) -> bool:
            return id(state) in seen

        def visit(self, state: State) -> None:
            seen[id(state)] = state

    start.accept(Visitor())
    return [state for state in seen.values() if state is not None]


def _filter(name: str) -> dict[str, Any]:
    known = target(name)
    return {
        "ServiceNamespace": known["ServiceNamespace"],
        "ResourceIds": [known["ResourceId"]],
        "ScalableDimension": known["ScalableDimension"],
    }


def _register(settings: Settings, state_id: str, name: str, *, suspended: bool = False) -> Task:
    scaling = settings.environment.endpoint.autoscaling
    sides = ("DynamicScalingInSuspended", "DynamicScalingOutSuspended", "ScheduledScalingSuspended")
    # Bounds are changed at the end only: a new minimum takes effect at once, suspended or not.
    bounds = {} if suspended else {"MinCapacity": scaling.minimum, "MaxCapacity": scaling.maximum}
    return call(
        state_id,
        SERVICE,
        "registerScalableTarget",
        {**target(name), **bounds, "SuspendedState": dict.fromkeys(sides, suspended)},
        retry=_retry(),
        result_path=None,
    )


def _policy(settings: Settings, state_id: str, name: str) -> Task:
    scaling = settings.environment.endpoint.autoscaling
    return call(
        state_id,
        SERVICE,
        "putScalingPolicy",
        {
            **target(name),
            "PolicyName": f"{name}-invocations",
            "PolicyType": "TargetTrackingScaling",
            "TargetTrackingScalingPolicyConfiguration": {
                "TargetValue": scaling.invocations_per_instance,
                "PredefinedMetricSpecification": {"PredefinedMetricType": METRIC},
                "ScaleInCooldown": scaling.scale_in_cooldown_seconds,
                "ScaleOutCooldown": scaling.scale_out_cooldown_seconds,
            },
        },
        retry=_retry(),
        result_path=None,
    )


def _retry() -> list[Any]:
    return retry.for_aws_sdk(SERVICE, also=("ConcurrentUpdateException", "InternalServiceException"))
