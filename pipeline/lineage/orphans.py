"""What costs money or attention and belongs to nothing that the repository has."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from pipeline.aws.errors import code, message, told
from pipeline.execution.removal import is_gone, made_by_runs
from pipeline.execution.start import machine_arn
from pipeline.plan.planner import ACCOUNT_STACK_TAG, account_stack_name

if TYPE_CHECKING:
    from pipeline.aws import Clients
    from pipeline.settings.model import Settings

# What a run has just made belongs to nothing yet.
GRACE = timedelta(hours=1)


@dataclass(frozen=True)
class Orphan:
    """One thing nobody claims.

    Args:
        kind: such as `endpoint`.
        name: by which AWS knows it.
        why: one sentence.
        made: ISO time, or "".
        remove: whether `remove` takes it away; what it leaves needs a person's eye.
    """

    kind: str
    name: str
    why: str
    made: str = ""
    remove: bool = True

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def find(pipelines: Sequence[Settings], clients: Clients, now: datetime | None = None) -> list[Orphan]:
    """All of one environment's.

    Args:
        pipelines: the settings of every pipeline of the repository, in that environment.
    """
    search = _Search(pipelines, clients, now or datetime.now(UTC))
    with told(clients.target.name):
        return [*search.stacks(), *search.sagemaker(), *search.jobs(), *search.images()]


class _Search:
    def __init__(self, pipelines: Sequence[Settings], clients: Clients, now: datetime) -> None:
        self.clients, self.now = clients, now
        self.by_stack = {settings.stack_name: settings for settings in pipelines}
        first = pipelines[0]
        self.project, self.environment = first.project.name, first.environment_name
        self.account_stack = account_stack_name(first)
        self.deployed: dict[str, dict[str, Any]] = {}
        # Stack -> how many configs beside the serving one are kept for a rollback.
        self.kept: Counter[str] = Counter()

    def stacks(self) -> Iterator[Orphan]:
        """Stacks of this project and environment whose pipeline the repository does not have any more."""
        for page in self.clients.cloudformation.get_paginator("describe_stacks").paginate():
            for stack in page["Stacks"]:
                tags = {tag["Key"]: tag["Value"] for tag in stack.get("Tags", [])}
                if tags.get(ACCOUNT_STACK_TAG) != self.account_stack:
                    continue
                name = stack["StackName"]
                self.deployed[name] = stack
                if name not in self.by_stack and tags.get("environment") == self.environment:
                    yield Orphan(
                        "stack",
                        name,
                        "the repository has no such pipeline any more",
                        _time(stack.get("CreationTime")),
                        remove=False,
                    )

    def sagemaker(self) -> Iterator[Orphan]:
        """Endpoints without a stack; configs and models that nothing serves and nobody keeps."""
        sagemaker = self.clients.sagemaker
        serving: set[str] = set()
        for each in self._listed("list_endpoints", "Endpoints"):
            name = each["EndpointName"]
            if name in self.deployed:
                serving.add(sagemaker.describe_endpoint(EndpointName=name)["EndpointConfigName"])
            elif self._ours(each["EndpointArn"]):
                why = "no stack of this project stands behind it"
                yield Orphan("endpoint", name, why, _time(each["CreationTime"]))
        wanted = set(serving)
        for each in self._listed("list_endpoint_configs", "EndpointConfigs"):
            if self._for_a_rollback(each["EndpointConfigName"], serving):
                wanted.add(each["EndpointConfigName"])
            else:
                yield from self._unused(each, "EndpointConfig", "endpoint config", wanted)
        used = {model for config in wanted for model in self._models(config)}
        for each in self._listed("list_models", "Models"):
            yield from self._unused(each, "Model", "model", used)

    def _unused(self, each: dict[str, Any], prefix: str, kind: str, used: set[str]) -> Iterator[Orphan]:
        name, made = each[f"{prefix}Name"], each["CreationTime"]
        if name in used or self.now - made < GRACE or not self._ours(each[f"{prefix}Arn"]):
            return
        stack = self._stack_of(name)
        why = "no endpoint uses it" if stack else "no stack of this project stands behind it"
        yield Orphan(kind, name, why, _time(made))

    def _for_a_rollback(self, config: str, serving: set[str]) -> bool:
        """Whether the pipeline keeps it: the newest few beside what serves. Asked newest first."""
        stack = self._stack_of(config)
        if stack is None or config in serving:
            return False
        room = self.by_stack[stack].pipeline.keep_endpoint_configs
        self.kept[stack] += 1
        return self.kept[stack] <= room

    def _models(self, config: str) -> list[str]:
        try:
            found = self.clients.sagemaker.describe_endpoint_config(EndpointConfigName=config)
        except ClientError as error:
            if is_gone(error):
                return []
            raise
        return [variant["ModelName"] for variant in found["ProductionVariants"]]

    def jobs(self) -> Iterator[Orphan]:
        """Jobs that run although no run waits for them."""
        for kind, operation, key in (
            ("tuning job", "list_hyper_parameter_tuning_jobs", "HyperParameterTuningJob"),
            ("training job", "list_training_jobs", "TrainingJob"),
            ("processing job", "list_processing_jobs", "ProcessingJob"),
        ):
            for each in self._listed(operation, f"{key}Summaries", StatusEquals="InProgress"):
                name = each[f"{key}Name"]
                stack = self._stack_of(name)
                waited = stack is not None and self._runs(stack)
                if not waited and self._ours(each[f"{key}Arn"]):
                    yield Orphan(kind, name, "no run waits for it", _time(each["CreationTime"]))

    def _runs(self, stack: str) -> bool:
        machine = machine_arn(self.by_stack[stack])
        try:
            found = self.clients.stepfunctions.list_executions(
                stateMachineArn=machine, statusFilter="RUNNING", maxResults=1
            )
        except ClientError as error:
            if code(error) == "StateMachineDoesNotExist":
                return False
            raise
        return bool(found["executions"])

    def images(self) -> Iterator[Orphan]:
        """Images that no registered version and no stack refers to; ECR's lifecycle rule ends them."""
        wanted = {
            container["Image"].rpartition("@")[2]
            for stack in self.deployed
            for package in self._packages(stack)
            for container in package["InferenceSpecification"]["Containers"]
        }
        # By digest, or by the tag of what runs build.
        wanted |= {
            re.split("[@:]", parameter["ParameterValue"].rpartition("/")[2], maxsplit=1)[-1]
            for stack in self.deployed.values()
            for parameter in stack.get("Parameters", [])
            if parameter["ParameterKey"] == "ImageUri"
        }
        for repository in self._repositories():
            pages = self.clients.ecr.get_paginator("describe_images").paginate(repositoryName=repository)
            for page in pages:
                for image in page["imageDetails"]:
                    old = self.now - image.get("imagePushedAt", self.now) > GRACE
                    if old and not wanted & {image["imageDigest"], *image.get("imageTags", [])}:
                        yield Orphan(
                            "image",
                            f"{repository}@{image['imageDigest']}",
                            "no version and no stack refers to it; the repository's lifecycle rule ends it",
                            _time(image.get("imagePushedAt")),
                            remove=False,
                        )

    def _packages(self, group: str) -> Iterator[dict[str, Any]]:
        sagemaker = self.clients.sagemaker
        try:
            for page in sagemaker.get_paginator("list_model_packages").paginate(ModelPackageGroupName=group):
                for each in page["ModelPackageSummaryList"]:
                    yield sagemaker.describe_model_package(ModelPackageName=each["ModelPackageArn"])
        except ClientError as error:
            if not is_gone(error):
                raise

    def _repositories(self) -> list[str]:
        pages = self.clients.ecr.get_paginator("describe_repositories").paginate()
        names = [each["repositoryName"] for page in pages for each in page["repositories"]]
        return [name for name in names if name.startswith(f"{self.project}/")]

    def _listed(self, operation: str, items: str, **query: Any) -> Iterator[dict[str, Any]]:
        """Of this environment by their names, newest first."""
        pages = self.clients.sagemaker.get_paginator(operation).paginate(
            NameContains=f"-{self.environment}", SortBy="CreationTime", SortOrder="Descending", **query
        )
        for page in pages:
            yield from page[items]

    def _stack_of(self, name: str) -> str | None:
        """The deployed stack of the repository that made it by a run."""
        for stack, settings in self.by_stack.items():
            if stack in self.deployed and made_by_runs(settings).fullmatch(name):
                return stack
        return None

    def _ours(self, arn: str) -> bool:
        """By its tags: this project's and this environment's."""
        try:
            pages = self.clients.sagemaker.get_paginator("list_tags").paginate(ResourceArn=arn)
            tags = {tag["Key"].lower(): tag["Value"] for page in pages for tag in page["Tags"]}
        except ClientError as error:
            if is_gone(error):
                return False
            raise
        return tags.get("project") == self.project and tags.get("environment") == self.environment


def remove(found: Sequence[Orphan], clients: Clients, say: Callable[[str], None]) -> list[str]:
    """Take away what may be; what AWS did not let go, each with its words."""
    sagemaker, left = clients.sagemaker, []
    calls: dict[str, Callable[[str], Any]] = {
        "endpoint": lambda name: sagemaker.delete_endpoint(EndpointName=name),
        "endpoint config": lambda name: sagemaker.delete_endpoint_config(EndpointConfigName=name),
        "model": lambda name: sagemaker.delete_model(ModelName=name),
        "tuning job": lambda name: sagemaker.stop_hyper_parameter_tuning_job(
            HyperParameterTuningJobName=name
        ),
        "training job": lambda name: sagemaker.stop_training_job(TrainingJobName=name),
        "processing job": lambda name: sagemaker.stop_processing_job(ProcessingJobName=name),
    }
    with told(clients.target.name):
        for each in found:
            if not each.remove:
                continue
            try:
                calls[each.kind](each.name)
            except ClientError as error:
                if not is_gone(error):
                    left.append(f"{each.kind} {each.name}: {message(error)}")
                continue
            say(f"{'stopped' if each.kind.endswith('job') else 'deleted'} {each.kind} {each.name}")
    return left


def _time(moment: Any) -> str:
    return moment.astimezone(UTC).isoformat(timespec="seconds") if isinstance(moment, datetime) else ""
