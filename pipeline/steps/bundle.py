"""Ship with a model what its requests must go through first: one artifact, which is evaluated and served.

    train = Train(settings)
    bundle = Bundle(settings, train, features)
    evaluate = Evaluate(settings, bundle)      # and Gate, Register: wherever the model is meant

An encoder that is fitted while the data is prepared belongs to the model: served by another one, the same
model is wrong without a word. So there is never an artifact in the registry that lacks its encoder.
"""

from __future__ import annotations

from typing import Any

from pipeline.steps import capacity
from pipeline.steps.block import Block, Job
from pipeline.steps.intrinsics import fmt
from pipeline.steps.processing import running
from pipeline.steps.train import Train
from pipeline.steps.transform import Transform
from pipeline.steps.view import Settings

# One letter in the job's name, as capacity.job_name has it.
KIND = "b"
# Of what a transform leaves, the folder that goes with the model.
WITH_THE_MODEL = "model"


class Bundle(Block):
    """Runs the image's `bundle`; `$.bundle` holds the job's name and ARN and the new artifact.

    Inputs are `/opt/ml/processing/model`, with the model.tar.gz of the training, and
    `/opt/ml/processing/<transform>`, with what the transform left in its output's folder `model`. What the
    program writes to `/opt/ml/processing/bundle/model.tar.gz` stands for the training's artifact then.
    """

    wait_seconds = capacity.wait_seconds()
    job: Job
    artifacts = "$.bundle.ModelArtifacts.S3ModelArtifacts"

    def __init__(self, settings: Settings, model: Train, transform: Transform) -> None:
        if not transform.program:
            raise ValueError(
                f"Bundle takes what a program leaves in its folder {WITH_THE_MODEL!r}; the transform "
                f"{transform.name!r} is a Glue job"
            )
        self.model = model
        self.job_name = model.job_name
        self.metadata = {**model.metadata, "bundle_job.$": "$.bundle.ProcessingJobName"}
        self.job = Job(
            fingerprint="bundle",
            result="bundle",
            kind="bundle",
            model=model.job.result,
            output="bundle",
            after=transform.name,
        )
        shipped = fmt(f"{{}}/{WITH_THE_MODEL}/", transform.output)
        step = running(
            settings,
            "Bundle",
            "bundle",
            {
                "model": {"S3DataType": "S3Prefix", "S3Uri.$": model.artifacts},
                transform.name: {"S3DataType": "S3Prefix", "S3Uri.$": shipped},
            },
            {"bundle": _place(settings)},
            comment="The model and what its requests go through, in one artifact.",
            result_path="$.bundle",
        ).amend(
            {
                "ProcessingJobName.$": capacity.job_name(settings, "Bundle", KIND),
                "Tags": self.job.tags(settings),
            }
        )
        uri = "$.ProcessingOutputConfig.Outputs[0].S3Output.S3Uri"
        step.select(
            {
                "ProcessingJobName.$": "$.ProcessingJobName",
                "ProcessingJobArn.$": "$.ProcessingJobArn",
                "ModelArtifacts": {"S3ModelArtifacts.$": fmt("{}/model.tar.gz", uri)},
            }
        )
        super().__init__(settings, [capacity.patient(step), step])


def _place(settings: Settings) -> Any:
    """Where models are, so that whoever may read a model may read this one; a place no other run has."""
    data, stack = settings.pipeline.data, settings.stack_name
    folder = (
        f"s3://{settings.artifact_bucket}/{data.prefix}output-model/{{}}/{data.suffix}{stack}-{{}}-bundle"
    )
    return fmt(folder, "$.run.date", "$.run.run_id")
