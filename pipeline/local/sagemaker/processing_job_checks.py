"""What CreateProcessingJob refuses beyond the model's constraints: contradictions, and the undoable here."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Any

from pipeline.local.sagemaker import isolation
from pipeline.local.sagemaker.errors import NotSupported, ValidationException
from pipeline.local.sagemaker.processing_job_contract import ROOT


def check(request: dict[str, Any]) -> None:
    """Raise NotSupported or ValidationException for a request that cannot be run as asked."""
    cluster = request["ProcessingResources"].get("ClusterConfig") or {}
    if cluster.get("InstancePreferences"):
        raise NotSupported("ClusterConfig.InstancePreferences")
    if not cluster.get("InstanceType") or not cluster.get("InstanceCount"):
        raise ValidationException(
            "ProcessingResources.ClusterConfig must have InstanceType and InstanceCount."
        )
    if cluster["InstanceCount"] > 1:
        raise NotSupported("ClusterConfig.InstanceCount greater than 1 (distributed processing)")
    if request.get("ExperimentConfig"):
        raise NotSupported("ExperimentConfig")
    network = request.get("NetworkConfig") or {}
    if network.get("VpcConfig"):
        raise NotSupported("NetworkConfig.VpcConfig of a processing job")
    isolation.check(network.get("EnableNetworkIsolation"))
    inputs = request.get("ProcessingInputs") or []
    outputs = (request.get("ProcessingOutputConfig") or {}).get("Outputs") or []
    _unique("input", [each["InputName"] for each in inputs])
    _unique("output", [each["OutputName"] for each in outputs])
    for each in inputs:
        _input(each)
    for each in outputs:
        _output(each)
    _unique("LocalPath", [each[part]["LocalPath"] for each, part in _with_paths(inputs, outputs)])


def _with_paths(inputs: list[dict], outputs: list[dict]) -> list[tuple[dict, str]]:
    return [(each, "S3Input") for each in inputs] + [(each, "S3Output") for each in outputs]


def _unique(what: str, names: list[str]) -> None:
    for name in sorted({name for name in names if names.count(name) > 1}):
        raise ValidationException(f"Duplicate {what} {name} in the processing job's inputs and outputs.")


def _input(given: dict[str, Any]) -> None:
    name = given["InputName"]
    if given.get("DatasetDefinition"):
        raise NotSupported(f"Input {name}: DatasetDefinition (Athena, Redshift)")
    if given.get("AppManaged"):
        raise NotSupported(f"Input {name}: AppManaged")
    source = given.get("S3Input")
    if not source:
        raise ValidationException(f"Processing input {name} must have S3Input or DatasetDefinition.")
    if source.get("S3InputMode") == "Pipe":
        raise NotSupported(f"Input {name}: S3InputMode Pipe")
    if source.get("S3CompressionType") == "Gzip":
        raise ValidationException(
            f"Input {name}: S3CompressionType Gzip can only be used when Pipe mode is specified as the "
            "S3InputMode."
        )
    _local_path(name, source.get("LocalPath"))


def _output(given: dict[str, Any]) -> None:
    name = given["OutputName"]
    if given.get("FeatureStoreOutput"):
        raise NotSupported(f"Output {name}: FeatureStoreOutput")
    if given.get("AppManaged"):
        raise NotSupported(f"Output {name}: AppManaged")
    if not given.get("S3Output"):
        raise ValidationException(f"Processing output {name} must have S3Output or FeatureStoreOutput.")
    _local_path(name, given["S3Output"].get("LocalPath"))


def _local_path(name: str, path: str | None) -> None:
    if not path or not (path + "/").startswith(ROOT) or ".." in PurePosixPath(path).parts:
        raise ValidationException(
            f"LocalPath {path} of {name} must be an absolute path that begins with {ROOT.rstrip('/')}/"
        )
