"""What CreateTrainingJob refuses beyond the model's constraints: contradictions, and the undoable here."""

from __future__ import annotations

from typing import Any

from pipeline.local.sagemaker import isolation, training_job_metrics
from pipeline.local.sagemaker import training_job_hosts as hosts
from pipeline.local.sagemaker.errors import NotSupported, ValidationException
from pipeline.local.sagemaker.jobs import channels

# Members of the request that would change what happens, and that nothing here would honour.
_REFUSED = {
    "VpcConfig": "VpcConfig of a training job",
    "TensorBoardOutputConfig": "TensorBoardOutputConfig",
    "ExperimentConfig": "ExperimentConfig",
    "DebugRuleConfigurations": "DebugRuleConfigurations (SageMaker Debugger rules)",
    "ProfilerRuleConfigurations": "ProfilerRuleConfigurations (SageMaker Profiler rules)",
    "RemoteDebugConfig": "RemoteDebugConfig",
    "SessionChainingConfig": "SessionChainingConfig",
    "ServerlessJobConfig": "ServerlessJobConfig (serverless model customisation)",
    "MlflowConfig": "MlflowConfig",
    "ModelPackageConfig": "ModelPackageConfig",
}
_REFUSED_RESOURCES = {
    "InstanceGroups": "ResourceConfig.InstanceGroups (heterogeneous clusters)",
    "KeepAlivePeriodInSeconds": "ResourceConfig.KeepAlivePeriodInSeconds (warm pools)",
    "TrainingPlanArn": "ResourceConfig.TrainingPlanArn (training plans)",
    "InstancePlacementConfig": "ResourceConfig.InstancePlacementConfig",
    "InstancePreferences": "ResourceConfig.InstancePreferences",
}
_RESERVED = ("/opt/ml/input", "/opt/ml/model", "/opt/ml/output", "/opt/program")


def check(request: dict[str, Any]) -> None:
    """Raise NotSupported or ValidationException for a request that cannot be run as asked."""
    for member, feature in _REFUSED.items():
        if request.get(member):
            raise NotSupported(feature)
    _algorithm(request)
    _resources(request)
    _stopping(request)
    names = [channel["ChannelName"] for channel in request.get("InputDataConfig") or []]
    for name in sorted({name for name in names if names.count(name) > 1}):
        raise ValidationException(f"Duplicate channel name {name} in InputDataConfig.")
    for channel in request.get("InputDataConfig") or []:
        _channel(channel, request["AlgorithmSpecification"]["TrainingInputMode"])
    path = (request.get("CheckpointConfig") or {}).get("LocalPath")
    if path and (not path.startswith("/opt/ml/") or path.startswith(_RESERVED)):
        raise NotSupported(
            f"CheckpointConfig.LocalPath {path}: a path outside /opt/ml or inside its own folders"
        )
    isolation.check(request.get("EnableNetworkIsolation"))


def _algorithm(request: dict[str, Any]) -> None:
    algorithm = request.get("AlgorithmSpecification")
    if not algorithm:
        raise ValidationException("AlgorithmSpecification is required unless a serverless job is configured.")
    if algorithm.get("AlgorithmName"):
        raise NotSupported("AlgorithmSpecification.AlgorithmName (algorithm resources)")
    if algorithm.get("TrainingImageConfig"):
        raise NotSupported("AlgorithmSpecification.TrainingImageConfig (private registries)")
    if not algorithm.get("TrainingImage"):
        raise ValidationException("AlgorithmSpecification must have TrainingImage or AlgorithmName.")
    training_job_metrics.check(algorithm.get("MetricDefinitions") or [])


def _resources(request: dict[str, Any]) -> None:
    resources = request.get("ResourceConfig") or {}
    for member, feature in _REFUSED_RESOURCES.items():
        if resources.get(member):
            raise NotSupported(feature)
    missing = [
        name for name in ("InstanceType", "InstanceCount", "VolumeSizeInGB") if not resources.get(name)
    ]
    if missing:
        raise ValidationException(f"ResourceConfig must have {', '.join(missing)}, greater than 0.")
    hosts.check(resources["InstanceCount"])


def _stopping(request: dict[str, Any]) -> None:
    stopping = request.get("StoppingCondition") or {}
    runtime, wait = stopping.get("MaxRuntimeInSeconds", 86400), stopping.get("MaxWaitTimeInSeconds")
    if request.get("EnableManagedSpotTraining"):
        if wait is None:
            raise ValidationException(
                "MaxWaitTimeInSeconds must be specified when EnableManagedSpotTraining is true."
            )
        if wait < runtime:
            raise ValidationException(
                "Invalid MaxWaitTimeInSeconds. It must be present and be greater than or equal to "
                "MaxRuntimeInSeconds"
            )
    elif wait is not None:
        raise ValidationException(
            "MaxWaitTimeInSeconds can only be specified when EnableManagedSpotTraining is true."
        )


def _channel(channel: dict[str, Any], default: str) -> None:
    name, data = channel["ChannelName"], channel["DataSource"]
    for member, feature in (
        ("FileSystemDataSource", "FileSystemDataSource (EFS, FSx for Lustre)"),
        ("DatasetSource", "DatasetSource"),
    ):
        if data.get(member):
            raise NotSupported(f"Channel {name}: {feature}")
    source = data.get("S3DataSource")
    if not source:
        raise ValidationException(f"Channel {name} must have a data source.")
    kind, mode = source["S3DataType"], channels.mode(channel, default)
    if kind == "Converse":
        raise NotSupported(f"Channel {name}: S3DataType Converse")
    for member in ("ModelAccessConfig", "HubAccessConfig", "InstanceGroupNames"):
        if source.get(member):
            raise NotSupported(f"Channel {name}: S3DataSource.{member}")
    if channel.get("RecordWrapperType") == "RecordIO":
        raise NotSupported(f"Channel {name}: RecordWrapperType RecordIO")
    if kind == "AugmentedManifestFile":
        if mode != "Pipe":
            raise ValidationException(
                f"Channel {name}: S3DataType AugmentedManifestFile can only be used if the channel's "
                "input mode is "
                f"Pipe, not {mode}."
            )
        if not source.get("AttributeNames"):
            raise ValidationException(
                f"Channel {name}: AttributeNames is required for AugmentedManifestFile."
            )
    elif source.get("AttributeNames"):
        raise ValidationException(
            f"Channel {name}: AttributeNames can only be used with AugmentedManifestFile."
        )
    if mode == "FastFile" and kind != "S3Prefix":
        raise ValidationException(f"Channel {name}: FastFile mode must use a S3DataType of S3Prefix.")
    if channel.get("CompressionType") == "Gzip" and mode != "Pipe":
        raise ValidationException(f"Channel {name}: CompressionType Gzip is used only in Pipe input mode.")
