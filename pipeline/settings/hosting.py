"""The endpoint, typed: what it runs on, how a new model takes over, and what takes it back.

Limits are those of SageMaker's API (ProductionVariantServerlessConfig, DeploymentConfig) and of Application
Auto Scaling.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from pipeline.settings.base import InstanceType, Model

Percent = Annotated[int, Field(ge=1, le=50)]
Wait = Annotated[int, Field(ge=0, le=3600)]


class Serverless(Model):
    """Processes that SageMaker starts when requests come and ends when none do."""

    memory_mb: Literal[1024, 2048, 3072, 4096, 5120, 6144] = 2048
    max_concurrency: Annotated[int, Field(ge=1, le=200)] = 5
    provisioned_concurrency: (
        Annotated[int, Field(ge=1, le=200, description="kept warm, and paid for")] | None
    ) = None


class Autoscaling(Model):
    """Instances that follow the load: target tracking on invocations per instance and minute."""

    minimum: Annotated[int, Field(ge=1, le=100)] = 1
    maximum: Annotated[int, Field(ge=1, le=100)] = 2
    invocations_per_instance: Annotated[
        float, Field(gt=0, description="invocations a minute that each instance should have")
    ] = 1000.0
    scale_in_cooldown_seconds: Annotated[int, Field(ge=0, le=86400)] = 300
    scale_out_cooldown_seconds: Annotated[int, Field(ge=0, le=86400)] = 300


class EndpointCapacity(Model):
    """What the endpoint runs on. The table of a capacity that is not chosen means nothing."""

    capacity: Literal["instances", "autoscaling", "serverless"] = "instances"
    instance_type: InstanceType = "ml.m5.large"
    instance_count: Annotated[
        int, Field(ge=1, le=100, description="with capacity = instances; autoscaling begins at its minimum")
    ] = 1
    autoscaling: Autoscaling = Autoscaling()
    serverless: Serverless = Serverless()


class ModelMetric(Model):
    """A number that the model itself reports at each prediction (`serving.metric`), and its bounds."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_-]{0,63}$", description="such as confidence")]
    statistic: Literal["Average", "Minimum", "Maximum"] = "Average"
    minimum: float | None = None
    maximum: float | None = None


class RolloutAlarms(Model):
    """What takes a new model back while it takes over, and is told afterwards. None is on unless it is set.

    Each watches the new endpoint configuration alone, by the minute; what still serves from the old one does
    not count.
    """

    errors_percent: (
        Annotated[float, Field(gt=0, lt=100, description="of requests answered with 5xx")] | None
    ) = None
    errors_count: Annotated[int, Field(ge=1, description="answers with 5xx in a minute")] | None = None
    latency_p99_ms: Annotated[float, Field(gt=0, description="ModelLatency")] | None = None
    model: ModelMetric | None = None
    minutes: Annotated[int, Field(ge=1, le=60, description="in a row that must be bad")] = 1


class Rollout(Model):
    """How a new model takes over from the one that serves: SageMaker's blue/green deployment."""

    shift: Literal["all_at_once", "canary", "linear"] = "all_at_once"
    percent: Annotated[
        Percent, Field(description="of the new fleet: the canary, or each linear step (10 or more)")
    ] = 10
    wait_seconds: Annotated[Wait, Field(description="from one shift to the next, watched by the alarms")] = (
        300
    )
    termination_wait_seconds: Annotated[
        Wait, Field(description="from the last shift until the old fleet ends, watched by the alarms")
    ] = 0
    maximum_seconds: Annotated[int, Field(ge=600, le=28800, description="for all of it; then back")] = 3600
    alarms: RolloutAlarms = RolloutAlarms()
