"""Which registered version an endpoint config serves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from pipeline.aws.errors import code

if TYPE_CHECKING:
    from pipeline.aws import Clients

GONE = {"ValidationException", "ResourceNotFound"}


def version(clients: Clients, config: str) -> dict[str, Any] | None:
    """The version behind the first variant of an endpoint config: arn, version, approval, created, data_date.

    None where anything between them is gone, or the model was made from no version.
    """
    sagemaker = clients.sagemaker
    try:
        variants = sagemaker.describe_endpoint_config(EndpointConfigName=config)["ProductionVariants"]
        model = sagemaker.describe_model(ModelName=variants[0]["ModelName"])
        arn = (model.get("PrimaryContainer") or {}).get("ModelPackageName")
        found = sagemaker.describe_model_package(ModelPackageName=arn) if arn else None
    except ClientError as error:
        if code(error) in GONE:
            return None
        raise
    if found is None:
        return None
    return {
        "arn": found["ModelPackageArn"],
        "version": found.get("ModelPackageVersion"),
        "approval": found.get("ModelApprovalStatus", ""),
        "created": found["CreationTime"],
        "data_date": (found.get("CustomerMetadataProperties") or {}).get("data_date", ""),
    }
