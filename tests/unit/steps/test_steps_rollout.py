"""Capacity and rollout as states: what SageMaker is asked, and that scaling is put back on every way out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from pipeline.errors import DefinitionError
from pipeline.steps import view
from pipeline.steps.child import to_asl
from pipeline.steps.endpoint import wait_seconds

Make = Callable[..., view.Settings]
CANARY = {"environment.rollout.shift": "canary", "environment.rollout.percent": 20}
ERRORS = {"environment.rollout.alarms.errors_percent": 5.0}
SCALED = {"environment.endpoint.capacity": "autoscaling"}
SERVERLESS = {"environment.endpoint.capacity": "serverless"}


def states(settings: view.Settings, **deploy: Any) -> dict[str, Any]:
    from pipeline import steps

    found: dict[str, Any] = to_asl(steps.Pipeline(settings, [steps.Deploy(settings, **deploy)]))["States"]
    return found


def ways(state: dict[str, Any]) -> Iterator[str]:
    yield from (state[key] for key in ("Next", "Default") if key in state)
    yield from (item["Next"] for key in ("Choices", "Catch") for item in state.get(key, []))


def test_nothing_is_asked_that_settings_do_not_say(settings_with: Make) -> None:
    update = states(settings_with())["UpdateEndpoint"]["Parameters"]
    assert set(update) == {"EndpointName", "EndpointConfigName.$"}


def test_a_canary_names_its_alarms_and_they_watch_the_new_configuration_alone(settings_with: Make) -> None:
    metric = {"name": "confidence", "statistic": "Average", "minimum": 0.6, "maximum": None}
    changes = {**CANARY, **ERRORS, "environment.rollout.alarms.model": metric}
    found = states(settings_with(changes))
    config = found["UpdateEndpoint"]["Parameters"]["DeploymentConfig"]
    assert config["BlueGreenUpdatePolicy"]["TrafficRoutingConfiguration"] == {
        "Type": "CANARY",
        "CanarySize": {"Type": "CAPACITY_PERCENT", "Value": 20},
        "WaitIntervalInSeconds": 300,
    }
    alarms = [found["AlarmErrorsPercent"]["Parameters"], found["AlarmModelMetric"]["Parameters"]]
    named = [alarm["AlarmName.$"] for alarm in config["AutoRollbackConfiguration"]["Alarms"]]
    assert named == [alarm["AlarmName.$"] for alarm in alarms]
    own = found["CreateEndpointConfig"]["Parameters"]["EndpointConfigName.$"]
    assert all({"Name": "EndpointConfigName", "Value.$": own} in alarm["Dimensions"] for alarm in alarms)
    assert (alarms[0]["Threshold"], alarms[0]["Statistic"]) == (0.05, "Average")
    assert (alarms[1]["Namespace"], alarms[1]["ComparisonOperator"]) == ("ml/Models", "LessThanThreshold")


def test_a_rollback_asks_which_alarm_and_rejects_the_version(settings_with: Make) -> None:
    assert "AskAlarms" not in states(settings_with())
    found = states(settings_with({**CANARY, **ERRORS}))
    assert found["EndpointRunsRequestedConfig"]["Default"] == "AskAlarms"
    assert found["AskAlarms"]["Parameters"]["StateValue"] == "ALARM"
    # What cannot be asked is still a rollback.
    assert found["AskAlarms"]["Catch"][-1]["Next"] == found["DidAnAlarmTrip"]["Default"] == "RollbackSaysWhy"
    assert found["RejectRolledBack"]["Parameters"]["ModelApprovalStatus"] == "Rejected"
    failure = found["EndpointRolledBackByAlarm"]["Parameters"]
    assert failure["Error"] == "EndpointRolledBack" and "$.tripped.names" in failure["Cause.$"]


def test_a_linear_shift_and_the_patience_it_needs(settings_with: Make) -> None:
    changes = {"environment.rollout.shift": "linear", "environment.rollout.maximum_seconds": 28800}
    settings = settings_with({**changes, **ERRORS})
    routing = states(settings)["UpdateEndpoint"]["Parameters"]["DeploymentConfig"]["BlueGreenUpdatePolicy"]
    assert routing["TrafficRoutingConfiguration"]["LinearStepSize"]["Value"] == 10
    assert wait_seconds(settings) > 28800 > wait_seconds(settings_with())


def test_scaling_is_held_still_and_put_back_on_every_way_out(settings_with: Make) -> None:
    found = states(settings_with({**SCALED, **CANARY, **ERRORS}))
    assert found["UpdateEndpoint"]["Parameters"]["RetainAllVariantProperties.$"] == "$.scaling.retain"
    suspended = found["SuspendScaling"]["Parameters"]
    assert set(suspended["SuspendedState"].values()) == {True} and "MinCapacity" not in suspended
    assert found["EndpointRunsRequestedConfig"]["Choices"][-1]["Next"] == "RegisterScaling"
    assert set(found["RegisterScaling"]["Parameters"]["SuspendedState"].values()) == {False}
    # From the state that suspends, nothing reaches the failure path but through the one that resumes.
    seen, waiting = {"RegisterScaling", "ResumeScaling"}, ["SuspendScaling"]
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        assert name not in ("HasCause", "NotifyFailed"), "scaling stays suspended on this way out"
        waiting += ways(found[name])
    assert list(ways(found["ResumeScaling"])) == ["ResumeScalingPolicy"] * 2
    assert list(ways(found["ResumeScalingPolicy"])) == ["DeploymentFailed"] * 2


def test_another_instance_type_ends_scaling_before_the_update(settings_with: Make) -> None:
    found = states(settings_with(SCALED))
    same = found["SameInstanceType"]
    assert same["Default"] == "StopScaling" and same["Choices"][0]["Next"] == "SuspendScaling"
    assert same["Choices"][0]["And"][1]["StringEquals"] == "ml.m5.large"


@pytest.mark.parametrize("changes", [{}, SERVERLESS])
def test_scaling_that_is_not_wanted_ends(settings_with: Make, changes: dict[str, Any]) -> None:
    found = states(settings_with(changes))
    assert found["StopScaling"]["Resource"].endswith(":applicationautoscaling:deregisterScalableTarget")
    caught = found["StopScaling"]["Catch"][0]
    assert caught["ErrorEquals"] == ["ApplicationAutoScaling.ObjectNotFoundException"]
    assert caught["Next"] == found["StopScaling"]["Next"] == "UpdateEndpoint"
    assert "RegisterScaling" not in found


def test_a_serverless_endpoint(settings_with: Make) -> None:
    settings = settings_with({**SERVERLESS, "environment.endpoint.serverless.provisioned_concurrency": 1})
    found = states(settings)
    (variant,) = found["CreateEndpointConfig"]["Parameters"]["ProductionVariants"]
    config = {"MemorySizeInMB": 2048, "MaxConcurrency": 5, "ProvisionedConcurrency": 1}
    assert variant["ServerlessConfig"] == config and "InstanceType" not in variant
    assert found["CreateModel"]["Parameters"]["EnableNetworkIsolation"] is False
    with pytest.raises(DefinitionError, match="neither network isolation nor a VPC"):
        states(settings, network_isolation=True)
