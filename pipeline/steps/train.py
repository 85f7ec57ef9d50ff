"""Train the container's model in a SageMaker job."""

from __future__ import annotations

from typing import Any

from pipeline.steps import capacity, retry
from pipeline.steps.block import IMAGE, UNUSED, Block, Job
from pipeline.steps.intrinsics import fmt
from pipeline.steps.notify import tell
from pipeline.steps.sdk import Estimator, TrainingInput, TrainingStep, algorithm_image, offline_session
from pipeline.steps.view import Settings

# Provisioning before and uploading after the program, which the job's own limit does not count.
OVERHEAD_SECONDS = 1800
# SageMaker itself retries a job that dies of its InternalServerError.
INTERNAL_RETRIES = 2


class Train(Block):
    """Trains on the channels whose use is `train`; `$.training` holds the job's name, ARN and artifacts.

    A job for which SageMaker has no instances starts again later; any other failure ends the run.

    Args:
        network_isolation: the program gets no network; its data comes by the channels. Switch it off only
            for a program that must call out.
        environment: variables of the container.
        vpc_config: `{"Subnets": [...], "SecurityGroupIds": [...]}`.
    """

    wait_seconds = capacity.wait_seconds()
    job: Job = Job(fingerprint="train", result="training", kind="training")
    # What the model package says of it besides: members of CustomerMetadataProperties.
    metadata: dict[str, str] = {}
    artifacts = "$.training.ModelArtifacts.S3ModelArtifacts"
    job_name = "$.training.TrainingJobName"

    def __init__(
        self,
        settings: Settings,
        *,
        network_isolation: bool = True,
        environment: dict[str, str] | None = None,
        vpc_config: dict[str, list[str]] | None = None,
    ) -> None:
        instance = settings.environment.training
        estimator = Estimator(
            image_uri=image(settings),
            role="${TrainingRoleArn}",
            instance_count=instance.instance_count,
            instance_type=instance.instance_type,
            volume_size=instance.volume_gb,
            max_run=instance.max_runtime_seconds,
            use_spot_instances=instance.spot,
            max_wait=longest(instance) if instance.spot else None,
            output_path=UNUSED,
            metric_definitions=[{"Name": m.name, "Regex": m.regex} for m in settings.pipeline.metrics]
            or None,
            # The SDK would switch the Debugger on, which a container of our own does not have.
            debugger_hook_config=False,
            sagemaker_session=offline_session(settings.environment.region, settings.artifact_bucket),
        )
        step = TrainingStep(
            "Train",
            estimator,
            job_name="unused",
            data={name: TrainingInput(UNUSED) for name in _channels(settings)},
            comment=f"SageMaker runs {program(settings)} on the run's channels.",
            timeout_seconds=longest(instance) + OVERHEAD_SECONDS,
            retry=retry.for_sagemaker(),
            result_path="$.training",
        )
        step.amend(
            request(settings, network_isolation, environment, vpc_config), drop=("TrainingJobName",)
        ).select(
            {
                "TrainingJobName.$": "$.TrainingJobName",
                "TrainingJobArn.$": "$.TrainingJobArn",
                "ModelArtifacts.$": "$.ModelArtifacts",
            }
        )
        told = tell(
            settings,
            "NotifyTrained",
            "trained",
            {"job.$": self.job_name, "model.$": self.artifacts, "date.$": "$.run.date"},
        )
        super().__init__(settings, [capacity.patient(step), step, told])


def image(settings: Settings) -> str:
    """What trains: the pipeline's own image, or a built-in algorithm's, which AWS keeps in each region."""
    algorithm = settings.pipeline.algorithm
    if algorithm is None:
        return IMAGE
    return algorithm_image(algorithm.name, algorithm.version, settings.environment.region)


def program(settings: Settings) -> str:
    """What trains, for people."""
    algorithm = settings.pipeline.algorithm
    return f"its {algorithm.name} {algorithm.version}" if algorithm else "the container's `train`"


def longest(instance: Any) -> int:
    """Seconds a job may take by its own limits: of running, or of waiting for spot and running."""
    runtime: int = instance.max_runtime_seconds
    return max(runtime, instance.max_wait_seconds or 0) if instance.spot else runtime


def _channels(settings: Settings) -> dict[str, Any]:
    return {name: c for name, c in sorted(settings.pipeline.data.channels.items()) if c.use == "train"}


def request(
    settings: Settings,
    network_isolation: bool,
    environment: dict[str, str] | None,
    vpc_config: dict[str, list[str]] | None,
) -> dict[str, Any]:
    """What the SDK leaves out of CreateTrainingJob, cannot say, or gets wrong."""
    stack = settings.stack_name
    data = settings.pipeline.data
    folder = f"s3://{settings.artifact_bucket}/{data.prefix}output-model/{{}}/{data.suffix}".rstrip("/")
    request: dict[str, Any] = {
        "TrainingJobName.$": capacity.job_name(settings, "Train"),
        "HyperParameters": {k: as_text(v) for k, v in sorted(settings.pipeline.hyperparameters.items())},
        "InputDataConfig": [channel(name, c, settings) for name, c in _channels(settings).items()],
        "OutputDataConfig": {"S3OutputPath.$": fmt(folder, "$.run.date")},
        "EnableNetworkIsolation": network_isolation,
        "EnableInterContainerTrafficEncryption": settings.environment.training.instance_count > 1,
        "RetryStrategy": {"MaximumRetryAttempts": INTERNAL_RETRIES},
        "Tags": Train.job.tags(settings),
    }
    if settings.environment.training.spot:
        prefix = f"s3://{settings.artifact_bucket}/{stack}/checkpoints/{{}}"
        request["CheckpointConfig"] = {
            "LocalPath": "/opt/ml/checkpoints",
            "S3Uri.$": fmt(prefix, "$.run.checkpoints"),
        }
    if environment:
        request["Environment"] = {key: as_text(value) for key, value in sorted(environment.items())}
    if vpc_config:
        request["VpcConfig"] = vpc_config
    return request


def channel(name: str, given: Any, settings: Settings) -> dict[str, Any]:
    """One entry of InputDataConfig: what there is of the channel `name`."""
    return {
        "ChannelName": name,
        "ContentType": given.content_type,
        "DataSource": {
            "S3DataSource": {
                "S3DataDistributionType": "ShardedByS3Key" if given.sharded else "FullyReplicated",
                **found(name, given, settings),
            }
        },
    }


def found(name: str, given: Any, settings: Settings) -> dict[str, str]:
    """What CheckData found for a channel, or a transform made, as the fields of an S3 source."""
    if given.made_by:
        output = f"$.transforms.{given.made_by}.output"
        if settings.pipeline.transforms[given.made_by].program:
            # A folder of what the job uploaded when it had ended well; the slash keeps its namesakes out.
            return {"S3DataType": "S3Prefix", "S3Uri.$": fmt(f"{{}}/{name}/", output)}
        return {"S3DataType": "ManifestFile", "S3Uri.$": fmt(f"{{}}/manifests/{name}.json", output)}
    path = f"$.run.channels['{name}']"
    return {"S3DataType.$": f"{path}.type", "S3Uri.$": f"{path}.uri"}


def as_text(value: Any) -> str:
    """Hyperparameters and environment variables are strings; booleans as JSON and TOML write them."""
    return str(value).lower() if isinstance(value, bool) else str(value)
