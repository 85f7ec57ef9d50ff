"""Capacity on a real local target: instances that follow the load, processes that come when asked."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest
from botocore.exceptions import ClientError

from tests.e2e.hosting.conftest import Host, Load, until

# A minute of scaling is its shortest here, 0.5 s, and 15 of them 7.5 s; an idle process is kept 3 s.
SCALE = "0.005"
OF = {"ServiceNamespace": "sagemaker", "ScalableDimension": "sagemaker:variant:DesiredInstanceCount"}


@pytest.fixture(scope="module", autouse=True)
def pace() -> Iterator[None]:
    os.environ["PIPELINE_LOCAL_WAIT_SCALE"] = SCALE
    yield
    del os.environ["PIPELINE_LOCAL_WAIT_SCALE"]


def instances(host: Host, name: str) -> int:
    (variant,) = host.sm.describe_endpoint(EndpointName=name)["ProductionVariants"]
    return int(variant["CurrentInstanceCount"])


def processes(host: Host) -> int:
    """Serving processes of the target, however many SageMaker says there are."""
    found = psutil.Process(host.up.pid).children(recursive=True)
    return sum(_program(process) == "serve" for process in found)


def _program(process: psutil.Process) -> str:
    try:
        return Path((process.cmdline() or [""])[-1]).name
    except psutil.Error:
        return ""


def test_instances_follow_the_load_within_bounds(host: Host) -> None:
    host.serving("scaled", host.model("busy"))
    scaling = host.client("application-autoscaling")
    of = {**OF, "ResourceId": "endpoint/scaled/variant/busy"}
    with pytest.raises(ClientError, match="ObjectNotFoundException"):
        scaling.deregister_scalable_target(**of)
    scaling.register_scalable_target(**of, MinCapacity=1, MaxCapacity=3)
    scaling.put_scaling_policy(
        **of,
        PolicyName="by-load",
        PolicyType="TargetTrackingScaling",
        TargetTrackingScalingPolicyConfiguration={
            "TargetValue": 120.0,  # 2 a second
            "PredefinedMetricSpecification": {
                "PredefinedMetricType": "SageMakerVariantInvocationsPerInstance"
            },
            "ScaleOutCooldown": 100,
            "ScaleInCooldown": 100,
        },
    )
    assert processes(host) == 1
    with Load(host, "scaled", threads=2) as load:
        until(lambda: instances(host, "scaled") == 3)
        assert processes(host) == 3
        time.sleep(2)
        assert instances(host, "scaled") == 3, "never more than MaxCapacity"
    assert load.failures == []
    # Held still: no instance goes, however quiet it is.
    still = {"DynamicScalingInSuspended": True}
    scaling.register_scalable_target(**of, SuspendedState=still)
    (target,) = scaling.describe_scalable_targets(ServiceNamespace="sagemaker")["ScalableTargets"]
    assert target["SuspendedState"]["DynamicScalingInSuspended"] and target["MaxCapacity"] == 3
    time.sleep(8.5)
    assert instances(host, "scaled") == 3
    scaling.register_scalable_target(**of, SuspendedState=dict.fromkeys(still, False))
    until(lambda: instances(host, "scaled") == 1)
    until(lambda: processes(host) == 1)
    done = scaling.describe_scaling_activities(ServiceNamespace="sagemaker")["ScalingActivities"]
    assert {activity["StatusCode"] for activity in done} == {"Successful"}
    assert done[0]["Description"] == "Setting desired instance count to 1."
    assert "AlarmLow" in done[0]["Cause"] and any("AlarmHigh" in each["Cause"] for each in done)
    # Bounds hold at once, without any load.
    scaling.register_scalable_target(**of, MinCapacity=2)
    until(lambda: instances(host, "scaled") == 2)
    host.sm.delete_endpoint(EndpointName="scaled")
    until(lambda: processes(host) == 0)
    until(lambda: not scaling.describe_scalable_targets(ServiceNamespace="sagemaker")["ScalableTargets"])


def serverless(host: Host, name: str, model: str, **config: int) -> None:
    host.sm.create_endpoint_config(
        EndpointConfigName=f"{name}-config",
        ProductionVariants=[
            {
                "VariantName": "AllTraffic",
                "ModelName": model,
                "ServerlessConfig": {"MemorySizeInMB": 1024, "MaxConcurrency": 2, **config},
            }
        ],
    )
    host.sm.create_endpoint(EndpointName=name, EndpointConfigName=f"{name}-config")
    assert host.settled(name)["EndpointStatus"] == "InService"


def test_a_serverless_endpoint_starts_on_demand_throttles_and_goes_to_zero(host: Host) -> None:
    serverless(host, "rare", host.model("rare"))
    (variant,) = host.sm.describe_endpoint(EndpointName="rare")["ProductionVariants"]
    assert variant["CurrentServerlessConfig"] == {"MemorySizeInMB": 1024, "MaxConcurrency": 2}
    until(lambda: processes(host) == 0)
    assert host.invoke("rare")["Body"] == "rare"
    assert processes(host) == 1

    def ask() -> Any:
        try:
            return host.invoke("rare", "sleep:1.5")["Body"]
        except ClientError as error:
            return error.response["Error"]["Code"]

    with ThreadPoolExecutor(max_workers=4) as pool:
        answers = sorted(future.result() for future in [pool.submit(ask) for _ in range(4)])
    assert answers == ["ThrottlingException", "ThrottlingException", "slept", "slept"]
    assert processes(host) == 2, "one process a request"
    until(lambda: processes(host) == 0)
    metrics = host.client("cloudwatch").list_metrics(Namespace="AWS/SageMaker", MetricName="ModelSetupTime")
    assert any({"Name": "EndpointName", "Value": "rare"} in m["Dimensions"] for m in metrics["Metrics"])
    host.sm.delete_endpoint(EndpointName="rare")


def test_provisioned_processes_stay_and_conversions_are_as_on_aws(host: Host) -> None:
    serverless(host, "warm", host.model("warm"), ProvisionedConcurrency=1)
    time.sleep(4)
    assert processes(host) == 1
    host.config("plain", "warm")
    with pytest.raises(ClientError, match="DeploymentConfig is not supported for serverless"):
        host.sm.update_endpoint(
            EndpointName="warm",
            EndpointConfigName=_again(host),
            DeploymentConfig={"BlueGreenUpdatePolicy": _once()},
        )
    host.sm.update_endpoint(EndpointName="warm", EndpointConfigName="plain")
    assert host.settled("warm")["ProductionVariants"][0]["CurrentInstanceCount"] == 1
    with pytest.raises(ClientError, match="cannot be converted to a serverless one"):
        host.sm.update_endpoint(EndpointName="warm", EndpointConfigName="warm-config")
    host.sm.delete_endpoint(EndpointName="warm")


def _once() -> dict[str, Any]:
    return {"TrafficRoutingConfiguration": {"Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": 0}}


def _again(host: Host) -> str:
    config = {"MemorySizeInMB": 2048, "MaxConcurrency": 1}
    variant = {"VariantName": "AllTraffic", "ModelName": "warm", "ServerlessConfig": config}
    host.sm.create_endpoint_config(EndpointConfigName="warm-again", ProductionVariants=[variant])
    return "warm-again"
