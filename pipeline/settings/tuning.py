"""What is desired of a search for hyperparameters: which are tried, in what way, and how often.

Limits: botocore's model of CreateHyperParameterTuningJob; 30 hyperparameters and 5 parents at most,
https://docs.aws.amazon.com/sagemaker/latest/dg/automatic-model-tuning-limits.html.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from pipeline.settings.base import Model

Bound = Annotated[int | float, Field(description="whole numbers at both ends search whole numbers")]
TuningJobName = Annotated[
    str,
    Field(pattern=r"^[a-zA-Z0-9](-*[a-zA-Z0-9]){0,31}$", description="name of a tuning job that has ended"),
]


class Objective(Model):
    """What the best job is best at."""

    metric: Annotated[str, Field(min_length=1, description="name of one of [[metrics]]")]
    type: Literal["maximize", "minimize"] = "maximize"


class Range(Model):
    """Values of one hyperparameter: `min` and `max`, or `values`."""

    min: Bound | None = None
    max: Bound | None = None
    scale: Annotated[
        Literal["auto", "linear", "logarithmic", "reverse-logarithmic"],
        Field(description="logarithmic: each order of magnitude is tried as often"),
    ] = "auto"
    values: Annotated[
        list[str | int | float | bool] | None,
        Field(min_length=1, max_length=30, description="the values themselves, instead of min and max"),
    ] = None

    @property
    def kind(self) -> str:
        """`categorical`, `integer` or `continuous`."""
        if self.values is not None:
            return "categorical"
        return "integer" if isinstance(self.min, int) and isinstance(self.max, int) else "continuous"


class WarmStart(Model):
    """What earlier tuning jobs found out."""

    parents: Annotated[list[TuningJobName], Field(min_length=1, max_length=5)]
    type: Annotated[
        Literal["identical", "transfer"],
        Field(description="identical: the same data and program; transfer: other data, or a newer program"),
    ] = "identical"


class Hyperband(Model):
    """How long one job may go on, counted in values of the objective: usually one an epoch."""

    min_resource: Annotated[int, Field(ge=1, description="no job is stopped before")] = 1
    max_resource: Annotated[int, Field(ge=1, le=20000)]


class Tuning(Model):
    """A search instead of one training: the block Tune runs many training jobs and goes on with the best."""

    strategy: Annotated[
        Literal["bayesian", "random", "hyperband", "grid"],
        Field(description="bayesian learns from what was tried, hyperband stops weak jobs early"),
    ] = "bayesian"
    objective: Objective
    max_jobs: Annotated[int, Field(ge=1, le=10000, description="training jobs in all")] = 10
    max_parallel_jobs: Annotated[
        int, Field(ge=1, le=100, description="at the same time; the fewer, the more each knows")
    ] = 2
    max_runtime_seconds: Annotated[
        int | None, Field(ge=120, le=15768000, description="of the whole search; the best so far counts")
    ] = None
    early_stopping: Annotated[
        bool, Field(description="stop a job that is worse than the median of those before it")
    ] = False
    target: Annotated[float | None, Field(description="a value of the objective that is good enough")] = None
    seed: Annotated[int | None, Field(ge=0, le=2**31 - 1)] = None
    hyperband: Hyperband | None = None
    warm_start: WarmStart | None = None
    ranges: Annotated[
        dict[Annotated[str, Field(pattern=r"^.{1,256}$")], Range],
        Field(
            min_length=1,
            max_length=30,
            description="hyperparameter -> what to try; its own value is replaced",
        ),
    ]
