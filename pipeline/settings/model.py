"""The desired state, typed: what may stand in `pipeline.toml` and in a pipeline's `settings.toml`.

Every model is frozen and refuses unknown keys. Units are in the names (seconds, gb, days, hours).
"""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from pipeline.settings.algorithm import Algorithm
from pipeline.settings.base import InstanceType, Model
from pipeline.settings.build import Build
from pipeline.settings.gate import Champion, GateRule
from pipeline.settings.hosting import EndpointCapacity, Rollout
from pipeline.settings.monitor import Capture, Monitor
from pipeline.settings.transforms import Transform, TransformCapacity, TransformName
from pipeline.settings.tuning import Tuning
from pipeline.settings.workflow import GivenWorkflow

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{1,30}$", description="lower case, digits and hyphens")]
PipelineName = Annotated[
    str,
    Field(pattern=r"^[a-z][a-z0-9_-]{1,30}$", description="lower case, digits, hyphens or underscores"),
]
AccountId = Annotated[str, Field(pattern=r"^\d{12}$", description="12 digits, in quotes")]
Region = Annotated[str, Field(pattern=r"^[a-z]{2}(-[a-z]+)+-\d$", description="such as eu-west-1")]
Prefix = Annotated[
    str,
    Field(
        pattern=r"^([A-Za-z0-9!_.*'()-][A-Za-z0-9!_.*'()/-]*/)?$",
        description='"" or a key prefix that ends in /',
    ),
]


class TrainingInstance(Model):
    """Where the training job runs."""

    instance_type: InstanceType = "ml.m5.large"
    instance_count: Annotated[int, Field(ge=1, le=100)] = 1
    volume_gb: Annotated[int, Field(ge=1, le=16384)] = 10
    max_runtime_seconds: Annotated[int, Field(ge=1, le=2419200)] = 3600
    spot: bool = False
    max_wait_seconds: Annotated[int, Field(ge=1, le=2419200)] | None = None


class ProcessingInstance(Model):
    """Where the evaluation job runs."""

    instance_type: InstanceType = "ml.m5.large"
    instance_count: Annotated[int, Field(ge=1, le=100)] = 1
    volume_gb: Annotated[int, Field(ge=1, le=16384)] = 10
    max_runtime_seconds: Annotated[int, Field(ge=1, le=604800)] = 3600


class Approval(Model):
    """Who lets a model that passed the gate go on to the endpoint."""

    mode: Literal["automatic", "manual"] = "automatic"
    expires_hours: Annotated[int, Field(ge=1, le=8760)] = 72


class Notification(Model):
    """Slack messages. The webhook URL is read by the Lambda from Secrets Manager at run time."""

    enabled: bool = False
    slack_secret: Annotated[str, Field(pattern=r"^[A-Za-z0-9/_+=.@-]{1,512}$")] | None = None
    channel: Annotated[str, Field(pattern=r"^[#@][^\s]{1,79}$", description="such as #ml")] | None = None
    alarm_email: Annotated[str, Field(pattern=r"^[^@\s]+@[^@\s]+$")] | None = None


class GitHub(Model):
    """The repository on GitHub that the workflows of this repository run in.

    With it, account.yaml holds the roles that GitHub's jobs take by OIDC, and the CodeBuild project.
    Repositories made, renamed or moved since July 2026 sign their tokens with the ids beside the names
    (`repo:owner@1/name@2:...`); with both ids, trust policies take that form as well as the older one.
    """

    repository: Annotated[
        str,
        Field(
            pattern=r"^[A-Za-z0-9](-?[A-Za-z0-9]){0,38}/[A-Za-z0-9._-]{1,100}$",
            description="owner/name, spelt as on GitHub",
        ),
    ]
    default_branch: Annotated[
        str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._/-]{0,200}$", description="merging into it deploys")
    ] = "main"
    owner_id: Annotated[int, Field(ge=1, description="gh api repos/OWNER/NAME --jq .owner.id")] | None = None
    repository_id: Annotated[int, Field(ge=1, description="gh api repos/OWNER/NAME --jq .id")] | None = None
    existing_oidc_provider: Annotated[
        list[AccountId],
        Field(description="accounts that have GitHub's OIDC provider already: there may be only one of it"),
    ] = []
    codebuild: Annotated[
        bool, Field(description="make a CodeBuild project of each environment, with webhooks on GitHub")
    ] = False
    codebuild_connection: (
        Annotated[
            str,
            Field(
                pattern=r"^arn:aws[a-z-]*:code(connections|star-connections):[a-z0-9-]+:\d{12}:connection/[0-9a-f-]+$",
                description="connection to GitHub that CodeBuild clones with; without it, the token that the "
                "account imported (aws codebuild import-source-credentials)",
            ),
        ]
        | None
    ) = None
    codebuild_actors: Annotated[
        list[Annotated[int, Field(ge=1)]],
        Field(description="ids on GitHub of those whose pull requests CodeBuild plans; empty: everybody's"),
    ] = []


class Environment(Model):
    """One environment of `pipeline.toml`: an account and region, and what runs there at which size."""

    account: AccountId
    region: Region
    training: TrainingInstance = TrainingInstance()
    processing: ProcessingInstance = ProcessingInstance()
    transform: TransformCapacity = TransformCapacity()
    endpoint: EndpointCapacity = EndpointCapacity()
    rollout: Rollout = Rollout()
    approval: Approval = Approval()
    sandbox: Annotated[
        bool,
        Field(
            description="for trying out: `pipeline run` applies what is not deployed, and puts the sample "
            "where there is no data"
        ),
    ] = False
    promote_from: (
        Annotated[
            str,
            Field(
                pattern=r"^[a-z][a-z0-9-]{1,30}$",
                description="environment whose tested models `pipeline promote` brings here",
            ),
        ]
        | None
    ) = None
    notification: Notification = Notification()
    log_retention_days: Literal[1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1827, 3653] = (
        30
    )
    tags: dict[
        Annotated[str, Field(pattern=r"^[\w.:/=+@ -]{1,128}$")], Annotated[str, Field(max_length=256)]
    ] = {}
    artifact_encryption: Annotated[
        Literal["s3", "kms"],
        Field(description="key of the account's bucket: S3's own, or one of the account's in KMS"),
    ] = "s3"
    ttl_hours: (
        Annotated[
            int,
            Field(
                ge=1,
                le=8760,
                description="`pipeline down --expired` removes what had no change and no run for so long",
            ),
        ]
        | None
    ) = None
    budget_usd_per_month: (
        Annotated[float, Field(gt=0, description="what its tagged resources may cost; needs budget_email")]
        | None
    ) = None
    budget_email: (
        Annotated[str, Field(pattern=r"^[^@\s]+@[^@\s]+$", description="told at 80 % and 100 %")] | None
    ) = None


class Project(Model):
    """What all pipelines of the repository share."""

    name: Name
    default_environment: Name = "dev"
    github: GitHub | None = None
    base_image: (
        Annotated[
            str,
            Field(
                pattern=r"^[a-z0-9][A-Za-z0-9_.:/@-]+$",
                max_length=512,
                description="base of the containers, by digest; $PIPELINE_BASE_IMAGE goes before it",
            ),
        ]
        | None
    ) = None


class MetricDefinition(Model):
    """One metric that SageMaker reads out of the training log by regular expression."""

    name: Annotated[str, Field(pattern=r"^.{1,255}$")]
    regex: Annotated[str, Field(min_length=1, max_length=500)]


class Channel(Model):
    """One input of a job: of `<data.prefix><prefix>/<date>/<data.suffix>`, or what a transform makes."""

    prefix: Annotated[
        str,
        Field(
            pattern=r"^[A-Za-z0-9!_.*'()-]([A-Za-z0-9!_.*'()/-]*[A-Za-z0-9!_.*'()-])?$",
            description="a key prefix without / at either end",
        ),
    ] = ""
    made_by: Annotated[TransformName, Field(description="transform whose dataset of this name it is")] = ""
    content_type: str = "text/csv"
    use: Literal["train", "evaluate", "transform"] = "train"
    sharded: Annotated[
        bool, Field(description="each host of a training gets its part of the files, not all of them")
    ] = False


class Data(Model):
    """Where the data lies, by date.

    `bucket` empty: the account's data bucket (`<project>-<account>-<region>`). A channel's objects for a
    day are under `s3://<bucket>/<prefix><channel prefix>/<YYYY-MM-DD>/<suffix>`.
    """

    bucket: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$")] | None = None
    prefix: Prefix = ""
    suffix: Prefix = ""
    window_days: Annotated[int, Field(ge=1, le=366)] = 1
    channels: Annotated[dict[Name, Channel], Field(min_length=1)]

    @property
    def given(self) -> dict[str, Channel]:
        """The channels that have data of their own; transforms make the others."""
        return {name: channel for name, channel in self.channels.items() if not channel.made_by}


class Schedule(Model):
    """When the pipeline runs by itself."""

    expression: Annotated[
        str, Field(pattern=r"^(cron|rate)\(.+\)$", description="cron(0 3 * * ? *) or rate(1 day)")
    ] = "cron(0 3 * * ? *)"
    timezone: str = "UTC"
    enabled: bool = False


class Smoke(Model):
    """The request that a fresh deployment must answer before the run is called a success."""

    content_type: str = "text/csv"
    accept: str = "application/json"
    body: Annotated[str, Field(min_length=1)]
    encoding: Annotated[
        Literal["text", "base64"], Field(description="base64: of a body that is no text, such as an image")
    ] = "text"

    @property
    def content(self) -> bytes:
        """The body as it is sent."""
        return base64.b64decode(self.body) if self.encoding == "base64" else self.body.encode()


class Check(Model):
    """Findings of `pipeline check` that are known and accepted."""

    ignore: list[
        Annotated[
            str, Field(pattern=r"^[A-Z]+\d+: .{10,}$", description='rule and reason, such as "ML012: why"')
        ]
    ] = []


class PipelineSettings(Model):
    """One pipeline's `settings.toml`, merged with its overlay for the environment."""

    description: str = ""
    container: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{1,40}$", description="folder under container/")]
    algorithm: Annotated[
        Algorithm | None,
        Field(
            description="built-in algorithm of SageMaker that trains; without it the container's `train` does"
        ),
    ] = None
    build: Annotated[
        Build | None,
        Field(description="let the workflow build the image; without it `pipeline apply` does"),
    ] = None
    hyperparameters: dict[str, str | int | float | bool] = {}
    metrics: list[MetricDefinition] = []
    data: Data
    transforms: Annotated[
        dict[TransformName, Transform], Field(description="Glue jobs between the data and the training")
    ] = {}
    tuning: Annotated[
        Tuning | None,
        Field(description="search for hyperparameters; without it one training with those above"),
    ] = None
    gate: Annotated[list[GateRule], Field(min_length=1)]
    champion: Champion = Champion()
    schedule: Schedule = Schedule()
    capture: Capture = Capture()
    monitor: Annotated[
        Monitor | None, Field(description="compare requests with the training data; without it: not")
    ] = None
    smoke: Smoke
    check: Check = Check()
    keep_endpoint_configs: Annotated[
        int, Field(ge=1, le=50, description="superseded configs kept for rollback")
    ] = 2

    @property
    def captured_percent(self) -> int:
        """Of the endpoint's requests: all where [monitor] compares them, unless [capture] says how many."""
        if self.capture.percent is None:
            return 100 if self.monitor else 0
        return self.capture.percent


class Settings(Model):
    """All that is desired of one pipeline in one environment."""

    root: Path
    name: PipelineName
    environment_name: Name
    project: Project
    environment: Environment
    pipeline: PipelineSettings
    # Instead of the definition's (`--asl FILE`); nothing that the files say, so no part of what they dump.
    workflow: Annotated[GivenWorkflow | None, Field(exclude=True)] = None

    @property
    def stack_name(self) -> str:
        """Name of the stack, state machine, model package group and endpoint."""
        return f"{self.name.replace('_', '-')}-{self.environment_name}"

    @property
    def artifact_bucket(self) -> str:
        """The account's bucket for code, data, models and reports (made by account.yaml)."""
        return f"{self.project.name}-{self.environment.account}-{self.environment.region}"

    @property
    def data_bucket(self) -> str:
        """Where the pipeline's data lies."""
        return self.pipeline.data.bucket or self.artifact_bucket
