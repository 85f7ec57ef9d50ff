"""A SageMaker Processing job that runs one program of the pipeline's image: what all such Tasks share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.steps import retry
from pipeline.steps.block import IMAGE, UNUSED
from pipeline.steps.sdk import ProcessingInput, ProcessingOutput, ProcessingStep, Processor, offline_session
from pipeline.steps.train import OVERHEAD_SECONDS, as_text
from pipeline.steps.view import Settings

BASE = "/opt/ml/processing"


def running(
    settings: Settings,
    state_id: str,
    program: str,
    inputs: Mapping[str, Mapping[str, str]],
    outputs: Mapping[str, str],
    *,
    image: Mapping[str, str] | None = None,
    arguments: Sequence[str] = (),
    network_isolation: bool = True,
    environment: dict[str, str] | None = None,
    **fields: Any,
) -> Any:
    """A Task that runs `/opt/program/<program>`; it still needs a job's name and tags.

    Args:
        inputs: name -> fields of its S3 source; it lies at `/opt/ml/processing/<name>`.
        outputs: name -> intrinsic call that gives its S3 URI; what is in `/opt/ml/processing/<name>` when the
            program has ended goes there.
        image: `ImageUri`, or `ImageUri.$` for a path; without it the pipeline's own.
        arguments: of the program.
    """
    instance = settings.environment.processing
    processor = Processor(
        role="${ProcessingRoleArn}",
        image_uri=IMAGE,
        instance_count=instance.instance_count,
        instance_type=instance.instance_type,
        volume_size_in_gb=instance.volume_gb,
        max_runtime_in_seconds=instance.max_runtime_seconds,
        env={key: as_text(value) for key, value in sorted(environment.items())} if environment else None,
        sagemaker_session=offline_session(settings.environment.region, settings.artifact_bucket),
    )
    step = ProcessingStep(
        state_id,
        processor,
        job_name="unused",
        inputs=[ProcessingInput(source=UNUSED, destination=BASE, input_name="unused")],
        outputs=[ProcessingOutput(source=BASE, destination=UNUSED, output_name="unused")],
        timeout_seconds=instance.max_runtime_seconds + OVERHEAD_SECONDS,
        retry=retry.for_sagemaker(),
        **fields,
    )
    specification: dict[str, Any] = {
        **(image or {"ImageUri": IMAGE}),
        "ContainerEntrypoint": [f"/opt/program/{program}"],
    }
    if arguments:
        specification["ContainerArguments"] = list(arguments)
    return step.amend(
        {
            "AppSpecification": specification,
            "ProcessingInputs": [_input(name, source) for name, source in inputs.items()],
            "ProcessingOutputConfig": {"Outputs": [_output(name, uri) for name, uri in outputs.items()]},
            "NetworkConfig": {
                "EnableNetworkIsolation": network_isolation,
                "EnableInterContainerTrafficEncryption": instance.instance_count > 1,
            },
        },
        drop=("ProcessingJobName",),
    )


def _input(name: str, source: Mapping[str, str]) -> dict[str, Any]:
    return {
        "InputName": name,
        "AppManaged": False,
        "S3Input": {
            "LocalPath": f"{BASE}/{name}",
            "S3InputMode": "File",
            "S3DataDistributionType": "FullyReplicated",
            "S3CompressionType": "None",
            **source,
        },
    }


def _output(name: str, uri: str) -> dict[str, Any]:
    return {
        "OutputName": name,
        "AppManaged": False,
        "S3Output": {"LocalPath": f"{BASE}/{name}", "S3UploadMode": "EndOfJob", "S3Uri.$": uri},
    }
