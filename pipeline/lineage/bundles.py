"""The job between a training and what is served, where a model is shipped with its features."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from pipeline.aws.errors import code, message
from pipeline.lineage.links import Chain

if TYPE_CHECKING:
    from pipeline.aws import Clients

# Of pipeline/steps/bundle.py.
FILE, MODEL = "model.tar.gz", "model"


def link(chain: Chain, clients: Clients, package: Mapping[str, Any], facts: Mapping[str, str]) -> str:
    """Address of the artifact that the training must have made: the registered one, or what was bundled.

    Adds a link where the version names the job that made the bundle.
    """
    registered = str(package["InferenceSpecification"]["Containers"][0]["ModelDataUrl"])
    name = facts.get("bundle_job", "")
    if not name:
        return registered
    try:
        job = clients.sagemaker.describe_processing_job(ProcessingJobName=name)
    except ClientError as error:
        if code(error) not in {"ValidationException", "ResourceNotFound"}:
            raise
        chain.add("bundle", name, False, message(error))
        return registered
    inputs = {
        each["InputName"]: (each.get("S3Input") or {}).get("S3Uri", "") for each in job["ProcessingInputs"]
    }
    outputs = (job.get("ProcessingOutputConfig") or {}).get("Outputs") or []
    made = [f"{each['S3Output']['S3Uri'].rstrip('/')}/{FILE}" for each in outputs]
    status, own = job["ProcessingJobStatus"], registered in made
    others = ", ".join(uri for key, uri in sorted(inputs.items()) if key != MODEL)
    what = "this artifact" if own else ", ".join(made) or "nothing"
    chain.add(
        "bundle",
        job["ProcessingJobArn"],
        status == "Completed" and own,
        f"{status}; it made {what} of the training's model and {others}",
    )
    return str(inputs.get(MODEL, ""))
