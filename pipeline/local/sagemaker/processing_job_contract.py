"""What a processing container finds under /opt/ml/config. No I/O.

Shapes as documented ("How Amazon SageMaker Processing Configures Your Processing Container"), absent
members as null, which programs that read the file rely on.
"""

from __future__ import annotations

from typing import Any

HOST = "algo-1"
ROOT = "/opt/ml/processing/"


def job_config(request: dict[str, Any], arn: str) -> dict[str, Any]:
    """processingjobconfig.json."""
    app = request["AppSpecification"]
    cluster = request["ProcessingResources"]["ClusterConfig"]
    outputs = request.get("ProcessingOutputConfig") or {}
    return {
        "ProcessingJobArn": arn,
        "ProcessingJobName": request["ProcessingJobName"],
        "AppSpecification": {
            "ImageUri": app["ImageUri"],
            "ContainerEntrypoint": app.get("ContainerEntrypoint"),
            "ContainerArguments": app.get("ContainerArguments"),
        },
        "Environment": request.get("Environment") or {},
        "ProcessingInputs": [_input(each) for each in request.get("ProcessingInputs") or []],
        "ProcessingOutputConfig": {
            "Outputs": [_output(each) for each in outputs.get("Outputs") or []],
            "KmsKeyId": outputs.get("KmsKeyId"),
        },
        "ProcessingResources": {
            "ClusterConfig": {
                "InstanceCount": cluster["InstanceCount"],
                "InstanceType": cluster["InstanceType"],
                "VolumeSizeInGB": cluster["VolumeSizeInGB"],
                "VolumeKmsKeyId": cluster.get("VolumeKmsKeyId"),
            }
        },
        "RoleArn": request["RoleArn"],
        "StoppingCondition": request["StoppingCondition"],
    }


def resource_config(instance_type: str) -> dict[str, Any]:
    """resourceconfig.json of a single instance."""
    return {"current_host": HOST, "current_instance_type": instance_type, "hosts": [HOST]}


def _input(given: dict[str, Any]) -> dict[str, Any]:
    source = given.get("S3Input") or {}
    return {
        "InputName": given["InputName"],
        "AppManaged": bool(given.get("AppManaged")),
        "S3Input": {
            "LocalPath": source.get("LocalPath"),
            "S3Uri": source.get("S3Uri"),
            "S3DataDistributionType": source.get("S3DataDistributionType") or "FullyReplicated",
            "S3DataType": source.get("S3DataType"),
            "S3InputMode": source.get("S3InputMode") or "File",
            "S3CompressionType": source.get("S3CompressionType") or "None",
            "S3DownloadMode": "StartOfJob",
        },
        "DatasetDefinition": None,
    }


def _output(given: dict[str, Any]) -> dict[str, Any]:
    target = given.get("S3Output") or {}
    return {
        "OutputName": given["OutputName"],
        "AppManaged": bool(given.get("AppManaged")),
        "S3Output": {name: target.get(name) for name in ("LocalPath", "S3Uri", "S3UploadMode")},
        "FeatureStoreOutput": None,
    }
