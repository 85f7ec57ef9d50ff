"""A fleet's plan: what an endpoint configuration means at the moment it is deployed.

The plan is kept in the endpoint's record, so that what serves does not depend on the configuration
and the models it was made from, which may be deleted, as on AWS.
"""

from __future__ import annotations

import time
import uuid
from typing import Any

from pipeline.local.sagemaker import model, model_data
from pipeline.local.sagemaker.fleet import StartFailed
from pipeline.local.sagemaker.store import Record, Scope


def plan(scope: Scope, config: Record, desired: dict[str, dict[str, Any]] | None = None) -> dict[str, Any]:
    """A fleet's plan: the configuration with its models as they are now.

    Args:
        desired: variant name -> Weight and Count to keep from the running fleet.
    """
    variants = []
    for given in config["ProductionVariants"]:
        hosted = model.find(scope, given["ModelName"])
        variant = {
            "VariantName": given["VariantName"],
            "Weight": given.get("InitialVariantWeight", 1.0),
            # A serverless variant shows that it starts, and ends its process when nobody asks.
            "Count": given.get("InitialInstanceCount") or _provisioned(given) or 1,
            "InstanceType": given.get("InstanceType"),
            "Serverless": given.get("ServerlessConfig"),
            "HealthSeconds": given.get("ContainerStartupHealthCheckTimeoutInSeconds"),
            "Model": {
                "ModelName": hosted["ModelName"],
                "RoleArn": hosted["ExecutionRoleArn"],
                "Isolated": hosted["EnableNetworkIsolation"],
                **hosted["Resolved"],
            },
        }
        variants.append(variant | (desired or {}).get(given["VariantName"], {}))
    return {
        "Id": uuid.uuid4().hex[:12],
        "EndpointConfigName": config["EndpointConfigName"],
        "Variants": variants,
        "Capture": config.get("DataCaptureConfig"),
    }


def _provisioned(variant: dict[str, Any]) -> int:
    return int(variant.get("ServerlessConfig", {}).get("ProvisionedConcurrency", 0))


def is_serverless(spec: dict[str, Any]) -> bool:
    """Whether the plan has no instances of its own."""
    return any(variant.get("Serverless") for variant in spec["Variants"])


def size(spec: dict[str, Any]) -> int:
    """How many instances the plan has."""
    return sum(variant["Count"] for variant in spec["Variants"])


def resolve_images(scope: Scope, spec: dict[str, Any]) -> None:
    """Fix each image of the plan by its digest. Raises StartFailed, with AWS's words."""
    for variant in spec["Variants"]:
        hosted = variant["Model"]
        if "ResolvedImage" in hosted:
            continue
        try:
            hosted["ResolvedImage"] = model_data.resolve_image(scope, hosted["RoleArn"], hosted["Image"])
            hosted["ResolutionTime"] = time.time()
        except model_data.Unavailable:
            raise StartFailed(
                "Please make sure all images included in the model for the production variant "
                f"{variant['VariantName']} exist, and that the execution role used to create the model has "
                "permissions to access them."
            ) from None
