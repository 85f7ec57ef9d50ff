"""Which requests of the endpoint are kept, as CreateEndpointConfig wants it said."""

from __future__ import annotations

from typing import Any

from pipeline.names import Names
from pipeline.steps.view import Settings


def config(settings: Settings) -> dict[str, Any]:
    """`{"DataCaptureConfig": ...}`, or {} where nothing is captured.

    Without a KmsKeyId the objects are encrypted as the bucket says, which is the account's own key where
    artifact_encryption = "kms".
    """
    capture = settings.pipeline.capture
    percent = settings.captured_percent
    if not percent:
        return {}
    names = Names.of(settings)
    types = {"CsvContentTypes": capture.csv_types, "JsonContentTypes": capture.json_types}
    return {
        "DataCaptureConfig": {
            "EnableCapture": True,
            "InitialSamplingPercentage": percent,
            "DestinationS3Uri": f"s3://{names.artifact_bucket}/{names.capture_prefix}",
            "CaptureOptions": [{"CaptureMode": side.title()} for side in capture.content],
            # An empty list is no valid value; a type that no list names is kept in base64.
            "CaptureContentTypeHeader": {key: list(value) for key, value in types.items() if value},
        }
    }
