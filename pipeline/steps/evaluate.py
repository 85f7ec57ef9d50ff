"""Evaluate the trained model on held-out data in a SageMaker Processing job."""

from __future__ import annotations

from typing import Any

from pipeline.steps import capacity, retry
from pipeline.steps.block import IMAGE, UNUSED, Block, Job
from pipeline.steps.intrinsics import fmt
from pipeline.steps.sdk import ProcessingInput, ProcessingOutput, ProcessingStep, Processor, offline_session
from pipeline.steps.train import OVERHEAD_SECONDS, Train, as_text, found
from pipeline.steps.view import Settings

BASE = "/opt/ml/processing"


class Evaluate(Block):
    """Runs the image's `evaluate` on the channels whose use is `evaluate`.

    Inputs are `/opt/ml/processing/model` and `/opt/ml/processing/<channel>`; what the program writes to
    `/opt/ml/processing/evaluation/evaluation.json` is the report; where it is says `$.evaluation.report`, and
    from when on it counts as of this evaluation `$.evaluation.not_before`.
    """

    wait_seconds = capacity.wait_seconds()
    job = Job(
        fingerprint="evaluate", result="evaluation", kind="processing", model="training", output="evaluation"
    )
    report = "$.evaluation.report"
    not_before = "$.evaluation.not_before"

    def __init__(
        self,
        settings: Settings,
        model: Train,
        *,
        network_isolation: bool = True,
        environment: dict[str, str] | None = None,
    ) -> None:
        self.network_isolation = network_isolation
        self.environment = environment
        step = evaluating(
            settings,
            "Evaluate",
            {"ImageUri": IMAGE},
            model.artifacts,
            "evaluation",
            network_isolation=network_isolation,
            environment=environment,
            comment="The same image, on data the training never saw.",
            result_path="$.evaluation",
        ).amend(
            {
                "ProcessingJobName.$": capacity.job_name(settings, "Evaluate"),
                "Tags": self.job.tags(settings),
            }
        )
        super().__init__(settings, [capacity.patient(step), step])


def evaluating(
    settings: Settings,
    state_id: str,
    image: dict[str, str],
    artifacts: str,
    folder: str,
    *,
    network_isolation: bool,
    environment: dict[str, str] | None,
    **fields: Any,
) -> Any:
    """A Task that evaluates one model on the run's held-out channels; it still needs a name and tags.

    Args:
        image: `ImageUri`, or `ImageUri.$` for a path.
        artifacts: path of the address of its model.tar.gz.
        folder: of the run's, into which the report goes.
    """
    instance = settings.environment.processing
    channels = sorted(settings.pipeline.data.channels.items())
    held_out = {name: channel for name, channel in channels if channel.use == "evaluate"}
    if not held_out:
        raise ValueError('no channel of settings.toml has use = "evaluate": there is nothing held out')
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
        outputs=[ProcessingOutput(source=f"{BASE}/evaluation", destination=UNUSED, output_name="evaluation")],
        timeout_seconds=instance.max_runtime_seconds + OVERHEAD_SECONDS,
        retry=retry.for_sagemaker(),
        **fields,
    )
    uri = fmt(f"{{}}/{folder}", "$.run.output_prefix")
    return step.amend(
        {
            "AppSpecification": {**image, "ContainerEntrypoint": ["/opt/program/evaluate"]},
            "ProcessingInputs": [
                _input("model", {"S3DataType": "S3Prefix", "S3Uri.$": artifacts}),
                *(_input(name, found(name, channel)) for name, channel in held_out.items()),
            ],
            "ProcessingOutputConfig": {"Outputs": [_output("evaluation", uri)]},
            "NetworkConfig": {
                "EnableNetworkIsolation": network_isolation,
                "EnableInterContainerTrafficEncryption": instance.instance_count > 1,
            },
        },
        drop=("ProcessingJobName",),
    ).select(
        {
            "ProcessingJobName.$": "$.ProcessingJobName",
            "ProcessingJobArn.$": "$.ProcessingJobArn",
            "report.$": fmt("{}/evaluation.json", "$.ProcessingOutputConfig.Outputs[0].S3Output.S3Uri"),
            "not_before.$": "$$.Execution.StartTime",
        }
    )


def _input(name: str, source: dict[str, str]) -> dict[str, Any]:
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
