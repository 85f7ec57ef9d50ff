"""Evaluate the trained model on held-out data in a SageMaker Processing job."""

from __future__ import annotations

from typing import Any

from pipeline.steps import capacity
from pipeline.steps.block import IMAGE, Block, Job
from pipeline.steps.bundle import Bundle
from pipeline.steps.intrinsics import fmt
from pipeline.steps.processing import running
from pipeline.steps.train import Train, found
from pipeline.steps.view import Settings


class Evaluate(Block):
    """Runs the image's `evaluate` on the channels whose use is `evaluate`.

    Inputs are `/opt/ml/processing/model` and `/opt/ml/processing/<channel>`; what the program writes to
    `/opt/ml/processing/evaluation/evaluation.json` is the report; where it is says `$.evaluation.report`, and
    from when on it counts as of this evaluation `$.evaluation.not_before`.
    """

    wait_seconds = capacity.wait_seconds()
    job: Job
    report = "$.evaluation.report"
    not_before = "$.evaluation.not_before"

    def __init__(
        self,
        settings: Settings,
        model: Train | Bundle,
        *,
        network_isolation: bool = True,
        environment: dict[str, str] | None = None,
    ) -> None:
        self.network_isolation = network_isolation
        self.environment = environment
        self.job = Job(
            fingerprint="evaluate",
            result="evaluation",
            kind="processing",
            model=model.job.result,
            output="evaluation",
        )
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
    channels = sorted(settings.pipeline.data.channels.items())
    held_out = {name: channel for name, channel in channels if channel.use == "evaluate"}
    if not held_out:
        raise ValueError('no channel of settings.toml has use = "evaluate": there is nothing held out')
    inputs = {
        "model": {"S3DataType": "S3Prefix", "S3Uri.$": artifacts},
        **{name: found(name, channel, settings) for name, channel in held_out.items()},
    }
    outputs = {"evaluation": fmt(f"{{}}/{folder}", "$.run.output_prefix")}
    return running(
        settings,
        state_id,
        "evaluate",
        inputs,
        outputs,
        image=image,
        network_isolation=network_isolation,
        environment=environment,
        **fields,
    ).select(
        {
            "ProcessingJobName.$": "$.ProcessingJobName",
            "ProcessingJobArn.$": "$.ProcessingJobArn",
            "report.$": fmt("{}/evaluation.json", "$.ProcessingOutputConfig.Outputs[0].S3Output.S3Uri"),
            "not_before.$": "$$.Execution.StartTime",
        }
    )
