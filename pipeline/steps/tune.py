"""Search for hyperparameters with many training jobs, and go on with the best of them."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from pipeline.names import Names
from pipeline.steps import retry
from pipeline.steps.block import Job, call
from pipeline.steps.intrinsics import fmt
from pipeline.steps.notify import tell
from pipeline.steps.sdk import Pass, Task, integration_arn
from pipeline.steps.train import (
    INTERNAL_RETRIES,
    OVERHEAD_SECONDS,
    Train,
    as_text,
    image,
    longest,
    program,
    request,
)
from pipeline.steps.view import Settings

STRATEGIES = {"bayesian": "Bayesian", "random": "Random", "hyperband": "Hyperband", "grid": "Grid"}
SCALES = {
    "auto": "Auto",
    "linear": "Linear",
    "logarithmic": "Logarithmic",
    "reverse-logarithmic": "ReverseLogarithmic",
}
WARM = {"identical": "IdenticalDataAndAlgorithm", "transfer": "TransferLearning"}
# Of what training has and tuning has not. A job that spot takes away begins anew: whether jobs side by side
# would share one checkpoint prefix, AWS does not say.
_NOT_FOR_TUNING = ("TrainingJobName.$", "HyperParameters", "Tags", "CheckpointConfig")


class Tune(Train):
    """Searches as `[tuning]` says; takes Train's place, and leaves `$.training` as Train does.

        train = Tune(settings) if settings.pipeline.tuning else Train(settings)

    `$.tuning` holds the tuning job's name, the best hyperparameters and their objective. The arguments are
    those of Train, for every training job.
    """

    wait_seconds = 0
    job = Job(fingerprint="train", result="training", kind="tuning")

    def __init__(
        self,
        settings: Settings,
        *,
        network_isolation: bool = True,
        environment: dict[str, str] | None = None,
        vpc_config: dict[str, list[str]] | None = None,
    ) -> None:
        definition = request(settings, network_isolation, environment, vpc_config)
        names = Names.of(settings)
        self.job = replace(Tune.job, name=names.tuning)
        step = Task(
            "Tune",
            resource=integration_arn("sagemaker:createHyperParameterTuningJob.sync"),
            parameters={
                # A retry and a redrive start it anew; SageMaker keeps the names of jobs that failed.
                "HyperParameterTuningJobName.$": fmt(
                    f"{names.tuning}-{{}}-{{}}{{}}",
                    "States.ArrayGetItem(States.StringSplit($.run.run_id, '-'), 1)",
                    "$$.Execution.RedriveCount",
                    "$$.State.RetryCount",
                ),
                "HyperParameterTuningJobConfig": config(settings.pipeline.tuning),
                "TrainingJobDefinition": {
                    **{key: value for key, value in definition.items() if key not in _NOT_FOR_TUNING},
                    **_machines(settings.environment.training),
                    "RoleArn": "${TrainingRoleArn}",
                    "AlgorithmSpecification": {
                        "TrainingImage": image(settings),
                        "TrainingInputMode": "File",
                        **_measured(settings),
                    },
                    "StaticHyperParameters": _static(settings),
                },
                **_warm_start(settings.pipeline.tuning),
                "Tags": self.job.tags(settings),
            },
            comment=f"SageMaker tries hyperparameters in training jobs of {program(settings)}.",
            timeout_seconds=_seconds(settings),
            retry=retry.for_sagemaker(),
            result_path="$.training",
        ).select(
            {
                "TrainingJobName.$": "$.BestTrainingJob.TrainingJobName",
                "tuning": {
                    "HyperParameterTuningJobName.$": "$.HyperParameterTuningJobName",
                    "HyperParameterTuningJobArn.$": "$.HyperParameterTuningJobArn",
                    "TrainingJobName.$": "$.BestTrainingJob.TrainingJobName",
                    "hyperparameters.$": "$.BestTrainingJob.TunedHyperParameters",
                    "objective.$": "$.BestTrainingJob.FinalHyperParameterTuningJobObjectiveMetric.Value",
                },
            }
        )
        keep = Pass("KeepTuning", input_path="$.training.tuning", result_path="$.tuning")
        best = call(
            "DescribeBest",
            "sagemaker",
            "describeTrainingJob",
            {"TrainingJobName.$": self.job_name},
            comment="The search names its best job; where its model is, that job says.",
            result_path="$.training",
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
        # Not Train's own states: only its place.
        super(Train, self).__init__(settings, [step, keep, best, told])
        self.metadata = {
            "tuning_job.$": "$.tuning.HyperParameterTuningJobName",
            "tuning_objective.$": fmt("{}", "$.tuning.objective"),
            **{
                f"tuned.{name}.$": f"$.tuning.hyperparameters['{name}']"
                for name in sorted(settings.pipeline.tuning.ranges)
            },
        }


def config(tuning: Any) -> dict[str, Any]:
    """HyperParameterTuningJobConfig of `[tuning]`."""
    limits: dict[str, Any] = {
        "MaxNumberOfTrainingJobs": tuning.max_jobs,
        "MaxParallelTrainingJobs": tuning.max_parallel_jobs,
    }
    if tuning.max_runtime_seconds is not None:
        limits["MaxRuntimeInSeconds"] = tuning.max_runtime_seconds
    found: dict[str, Any] = {
        "Strategy": STRATEGIES[tuning.strategy],
        "HyperParameterTuningJobObjective": {
            "Type": tuning.objective.type.title(),
            "MetricName": tuning.objective.metric,
        },
        "ResourceLimits": limits,
        "ParameterRanges": ranges(tuning.ranges),
        "TrainingJobEarlyStoppingType": "Auto" if tuning.early_stopping else "Off",
    }
    if tuning.hyperband is not None:
        found["StrategyConfig"] = {
            "HyperbandStrategyConfig": {
                "MinResource": tuning.hyperband.min_resource,
                "MaxResource": tuning.hyperband.max_resource,
            }
        }
    if tuning.target is not None:
        found["TuningJobCompletionCriteria"] = {"TargetObjectiveMetricValue": tuning.target}
    if tuning.seed is not None:
        found["RandomSeed"] = tuning.seed
    return found


def ranges(given: Any) -> dict[str, list[dict[str, Any]]]:
    """ParameterRanges: whole numbers at both ends are integers, else a range is continuous."""
    found: dict[str, list[dict[str, Any]]] = {}
    for name, each in sorted(given.items()):
        if each["values"] is not None:
            values = [as_text(value) for value in each["values"]]
            found.setdefault("CategoricalParameterRanges", []).append({"Name": name, "Values": values})
            continue
        whole = isinstance(each["min"], int) and isinstance(each["max"], int)
        kind = "IntegerParameterRanges" if whole else "ContinuousParameterRanges"
        ends = {"MinValue": as_text(each["min"]), "MaxValue": as_text(each["max"])}
        found.setdefault(kind, []).append({"Name": name, **ends, "ScalingType": SCALES[each["scale"]]})
    return found


def _measured(settings: Settings) -> dict[str, Any]:
    """MetricDefinitions; a built-in algorithm has its own, and SageMaker refuses any other beside them."""
    if settings.pipeline.algorithm:
        return {}
    return {"MetricDefinitions": [{"Name": m.name, "Regex": m.regex} for m in settings.pipeline.metrics]}


def _static(settings: Settings) -> dict[str, str]:
    """The hyperparameters that are not searched."""
    given = settings.pipeline.hyperparameters.items()
    return {k: as_text(v) for k, v in sorted(given) if k not in settings.pipeline.tuning.ranges}


def _machines(instance: Any) -> dict[str, Any]:
    stopping: dict[str, Any] = {"MaxRuntimeInSeconds": instance.max_runtime_seconds}
    if instance.spot:
        stopping["MaxWaitTimeInSeconds"] = longest(instance)
    found: dict[str, Any] = {
        "ResourceConfig": {
            "InstanceType": instance.instance_type,
            "InstanceCount": instance.instance_count,
            "VolumeSizeInGB": instance.volume_gb,
        },
        "StoppingCondition": stopping,
        "RetryStrategy": {"MaximumRetryAttempts": INTERNAL_RETRIES},
    }
    if instance.spot:
        found["EnableManagedSpotTraining"] = True
    return found


def _warm_start(tuning: Any) -> dict[str, Any]:
    if tuning.warm_start is None:
        return {}
    parents = [{"HyperParameterTuningJobName": name} for name in tuning.warm_start.parents]
    return {
        "WarmStartConfig": {
            "ParentHyperParameterTuningJobs": parents,
            "WarmStartType": WARM[tuning.warm_start.type],
        }
    }


def _seconds(settings: Settings) -> int:
    """The longest that the search may take: its jobs one round after the other, each to its own limit."""
    tuning, one = settings.pipeline.tuning, longest(settings.environment.training) + OVERHEAD_SECONDS
    rounds = math.ceil(tuning.max_jobs / tuning.max_parallel_jobs)
    whole: int = one * rounds
    if tuning.max_runtime_seconds is not None:
        whole = min(whole, tuning.max_runtime_seconds + OVERHEAD_SECONDS)
    return whole
