"""Names of everything a pipeline makes, as pure functions of its settings.

One place, because the state machine, the template and the IAM policies must agree to the letter: least
privilege is written from names.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

# One role per actor; the Lambdas have one each besides.
ROLES = ("StateMachine", "Training", "Processing", "Model", "Scheduler", "Transform")
# By these a buildspec is told what to push; by the first a build of the pipeline's own image is known.
BUILD_TAG, BUILD_REPOSITORY = "IMAGE_TAG", "IMAGE_REPOSITORY"
# `--build-arg NAME=value ...`, for the command line of docker build.
BUILD_ARGUMENTS = "BUILD_ARGUMENTS"
# In a version's metadata: the file and the hash of a workflow that was given by hand (`apply --asl`).
WORKFLOW_FILE = "workflow_file"
# `-<YYYYMMDD>-<8 hex>-<kind><redrive>-<wait>-<retry>`: what a job's name adds to the stack's, within
# SageMaker's 63.
JOB_SUFFIX = len("-20261122-0123abcd-c00-0-0")
# A tuning job's name has 32, of which `-<8 hex>-<redrive><retry>` is not the stack's (with room for a digit).
TUNING_NAME = 32 - len("-0123abcd-000")
MAX_NAME = 63


@dataclass(frozen=True)
class Names:
    """Names and ARNs of one pipeline in one environment."""

    project: str
    pipeline: str
    environment: str
    account: str
    region: str
    extra_tags: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of(cls, settings: Any) -> Names:
        """From `pipeline.settings.Settings`, or the attribute view of its JSON that definitions get."""
        return cls(
            project=settings.project.name,
            # No underscore in the names of stacks and of what SageMaker makes.
            pipeline=settings.name.replace("_", "-"),
            environment=settings.environment_name,
            account=settings.environment.account,
            region=settings.environment.region,
            extra_tags=tuple(sorted(settings.environment.tags.items())),
        )

    @property
    def tags(self) -> dict[str, str]:
        """For cost allocation, on everything that takes tags.

        The settings' own win over ours, whatever their case: IAM takes `project` and `Project` for one.
        """
        given = dict(self.extra_tags)
        taken = {key.lower() for key in given}
        ours = {"project": self.project, "pipeline": self.pipeline, "environment": self.environment}
        return {**{key: value for key, value in ours.items() if key not in taken}, **given}

    @property
    def stack(self) -> str:
        """Stack, state machine, endpoint and model package group."""
        return f"{self.pipeline}-{self.environment}"

    @property
    def tuning(self) -> str:
        """What tuning jobs' names, and those of the jobs they launch, begin with: the stack, if it fits.

        Else the pipeline is cut and told from others by a hash. It ends in the environment either way, by
        which policies know it.
        """
        if len(self.stack) <= TUNING_NAME:
            return self.stack
        mark = hashlib.sha256(self.pipeline.encode()).hexdigest()[:4]
        left = max(1, TUNING_NAME - len(f"{mark}-{self.environment}"))
        return f"{self.pipeline[:left].rstrip('-')}{mark}-{self.environment}"

    @property
    def partition(self) -> str:
        """`aws`, `aws-cn` or `aws-us-gov`, which the region decides."""
        if self.region.startswith("cn-"):
            return "aws-cn"
        return "aws-us-gov" if self.region.startswith("us-gov-") else "aws"

    @property
    def artifact_bucket(self) -> str:
        return f"{self.project}-{self.account}-{self.region}"

    @property
    def watermark(self) -> str:
        """SSM parameter that holds what was last trained on and deployed."""
        return f"/{self.project}/{self.stack}/watermark"

    @property
    def runs_prefix(self) -> str:
        """Key prefix of the runs' reports and manifests; ends without a slash."""
        return f"{self.stack}/runs"

    @property
    def batch_prefix(self) -> str:
        """Key prefix of what `pipeline batch` sends and gets; ends without a slash."""
        return f"{self.stack}/batch"

    @property
    def approvals_prefix(self) -> str:
        return f"{self.stack}/approvals"

    @property
    def checkpoints_prefix(self) -> str:
        return f"{self.stack}/checkpoints"

    @property
    def capture_prefix(self) -> str:
        """Key prefix of the endpoint's captured requests; SageMaker adds `/<endpoint>/<variant>/...`."""
        return f"{self.stack}/capture"

    @property
    def monitor_prefix(self) -> str:
        """Key prefix of baselines and reports of the comparison."""
        return f"{self.stack}/monitor"

    @property
    def monitor(self) -> str:
        """The state machine that compares requests with the training data, its schedule and its Glue job."""
        return f"{self.stack}-monitor"

    @property
    def monitor_namespace(self) -> str:
        """Of the comparison's metrics in CloudWatch."""
        return f"{self.project}/Drift"

    @property
    def monitor_arn(self) -> str:
        return self.arn("states", f"stateMachine:{self.monitor}")

    @property
    def build(self) -> str:
        """The CodeBuild project that [build] makes."""
        return f"{self.stack}-build"

    @property
    def build_log_group(self) -> str:
        return f"/aws/codebuild/{self.build}"

    @property
    def registry(self) -> str:
        """Host name of the account's image registry."""
        suffix = "amazonaws.com.cn" if self.partition == "aws-cn" else "amazonaws.com"
        return f"{self.account}.dkr.ecr.{self.region}.{suffix}"

    @property
    def state_machine_log_group(self) -> str:
        # The /aws/vendedlogs/ prefix keeps the log's resource policy from growing with each state machine.
        return f"/aws/vendedlogs/states/{self.stack}"

    @property
    def alarm_key_alias(self) -> str:
        """Key of the account that encrypts alarm topics: CloudWatch may not use alias/aws/sns."""
        return f"alias/{self.project}-alarms"

    def function(self, folder: str) -> str:
        """Name of the Lambda whose code is `pipeline/lambdas/<folder>/`."""
        return f"{self.stack}-{folder.replace('_', '-')}"

    def transform(self, name: str) -> str:
        """Name of the Glue job of a transform."""
        return f"{self.stack}-{name}"

    def arn(
        self, service: str, resource: str, *, region: str | None = None, account: str | None = None
    ) -> str:
        """`arn:<partition>:<service>:<region>:<account>:<resource>`; "" leaves a part out."""
        region = self.region if region is None else region
        account = self.account if account is None else account
        return f"arn:{self.partition}:{service}:{region}:{account}:{resource}"

    def function_arn(self, folder: str) -> str:
        return self.arn("lambda", f"function:{self.function(folder)}")

    def bucket_arn(self, bucket: str, key: str = "") -> str:
        return self.arn("s3", f"{bucket}/{key}" if key else bucket, region="", account="")

    @property
    def state_machine_arn(self) -> str:
        return self.arn("states", f"stateMachine:{self.stack}")


def role_token(actor: str) -> str:
    """`${TrainingRoleArn}`: stands in the ASL until CloudFormation knows the role."""
    return f"${{{actor}RoleArn}}"


def path_argument(channel: str) -> str:
    """`held-out` -> `HELD_OUT_PATH`: the argument by which a Glue script is told where a channel lies."""
    return f"{channel.upper().replace('-', '_')}_PATH"
