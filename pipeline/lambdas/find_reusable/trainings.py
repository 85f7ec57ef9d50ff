"""A finished training job, read for what Train, or the search that chose it, would have left."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .whole import Unusable, check_age, client, head


def training(name: str, job: Mapping[str, str], done: Mapping[str, Any]) -> dict[str, Any]:  # noqa: ARG001
    """What Train would have left at `$.training`. Raises Unusable."""
    found = client("sagemaker").describe_training_job(TrainingJobName=name)
    if found["TrainingJobStatus"] != "Completed":
        raise Unusable(f"it is {found['TrainingJobStatus']}")
    uri = found["ModelArtifacts"]["S3ModelArtifacts"]
    ended = found.get("TrainingEndTime") or found["LastModifiedTime"]
    check_age(head(uri, "artifact"), "artifact", found["CreationTime"], ended)
    return {
        "TrainingJobName": name,
        "TrainingJobArn": found["TrainingJobArn"],
        "ModelArtifacts": {"S3ModelArtifacts": uri},
    }
