"""The training job that a tuning job launches, as CreateTrainingJob would have it. No I/O."""

from __future__ import annotations

from typing import Any

from pipeline.local.sagemaker.store import Record
from pipeline.local.sagemaker.training_job_contract import OBJECTIVE

_SAME = (
    "RoleArn",
    "InputDataConfig",
    "VpcConfig",
    "OutputDataConfig",
    "StoppingCondition",
    "EnableNetworkIsolation",
    "EnableInterContainerTrafficEncryption",
    "EnableManagedSpotTraining",
    "RetryStrategy",
    "Environment",
)


def definition_of(request: dict[str, Any]) -> dict[str, Any]:
    """The TrainingJobDefinition, with the objective's name where SageMaker puts it."""
    definition: dict[str, Any] = request["TrainingJobDefinition"]
    metric = request["HyperParameterTuningJobConfig"]["HyperParameterTuningJobObjective"]["MetricName"]
    static = {OBJECTIVE: metric, **(definition.get("StaticHyperParameters") or {})}
    return {**definition, "StaticHyperParameters": static}


def training_request(tuning: Record, name: str, tuned: dict[str, str]) -> dict[str, Any]:
    """CreateTrainingJob's request for one job.

    Args:
        tuned: values of the hyperparameters that are searched.
    """
    definition = tuning["TrainingJobDefinition"]
    request = {key: definition[key] for key in _SAME if key in definition}
    request |= {
        "TrainingJobName": name,
        "HyperParameters": {**definition["StaticHyperParameters"], **tuned},
        "AlgorithmSpecification": definition["AlgorithmSpecification"],
        "ResourceConfig": resources(definition),
        "Tags": tuning.get("Tags") or [],
    }
    checkpoints = definition.get("CheckpointConfig")
    if checkpoints:
        # Jobs side by side must not take up each other's work.
        own = f"{checkpoints['S3Uri'].rstrip('/')}/{name}"
        request["CheckpointConfig"] = {**checkpoints, "S3Uri": own}
    return request


def resources(definition: dict[str, Any]) -> dict[str, Any]:
    """ResourceConfig, or what HyperParameterTuningResourceConfig says: here instances are never lacking."""
    given = definition.get("ResourceConfig")
    if given:
        return dict(given)
    tuning = definition.get("HyperParameterTuningResourceConfig") or {}
    chosen = (tuning.get("InstanceConfigs") or [tuning])[0]
    members = ("InstanceType", "InstanceCount", "VolumeSizeInGB")
    found = {key: chosen[key] for key in members if key in chosen}
    if tuning.get("VolumeKmsKeyId"):
        found["VolumeKmsKeyId"] = tuning["VolumeKmsKeyId"]
    return found
