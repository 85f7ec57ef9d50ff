"""Removing what apply and the runs made, in the order in which AWS lets it go, and telling what is left."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from pipeline.apply import stack as stack_changes
from pipeline.aws import stacks
from pipeline.aws.errors import code, message, told
from pipeline.aws.pace import Pace
from pipeline.errors import ApplyError
from pipeline.execution import data as data_objects
from pipeline.execution import invoke, objects, start
from pipeline.execution.logs import ENDPOINT_GROUP, JOB_GROUPS
from pipeline.plan.planner import ACCOUNT_STACK_TAG, account_stack_name

if TYPE_CHECKING:
    from pipeline.aws import Clients
    from pipeline.settings.model import Settings

Say = Callable[[str], None]
# How AWS's services say that something is not there.
GONE = frozenset(
    {"ResourceNotFound", "ResourceNotFoundException", "RepositoryNotFoundException", "NoSuchBucket", "404"}
)
GONE_TEXT = ("Could not find", "does not exist", "not found")
SETTLING = frozenset({"Creating", "Updating", "SystemUpdating", "RollingBack", "Deleting"})
# Longest that AWS takes to make or delete an endpoint, with room.
ENDPOINT_SECONDS = 3600


@dataclass
class Down:
    """What was removed and what is left (each a line: kind, name, and why for what is left)."""

    removed: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def down(
    settings: Settings,
    clients: Clients,
    say: Say,
    *,
    everything: bool = False,
    data: bool = False,
    keep_models: bool = False,
) -> Down:
    """Remove one pipeline from one environment. Again after an interruption, it goes on.

    Args:
        everything: the account stack too, if no other pipeline's stack stands.
        data: the uploaded data too.
        keep_models: leave the registered packages and the artifacts they point to.

    Raises:
        ApplyError: the stack could not be deleted; the text is the cause.
    """
    work = _Work(settings, clients, say, Down())
    with told(clients.target.name):
        functions = work.functions()
        work.stop_executions()
        work.stop_jobs()
        work.endpoint()
        work.sagemaker_leftovers(keep_models)
        work.stack(keep_models)
        work.logs(functions)
        work.objects(data or everything, keep_models and not everything)
        if everything:
            work.account()
        else:
            work.note_shared()
    return work.done


def made_by_runs(settings: Settings) -> re.Pattern[str]:
    """Names that this stack's runs give: `iris-dev-<YYYYMMDD>-<8 hex>` and what follows."""
    # The digits keep `iris-dev` apart from a pipeline that is called `iris-dev-...`.
    return re.compile(rf"{re.escape(settings.stack_name)}-\d{{8}}-[0-9a-f]{{8}}(-.*)?")


class _Work:
    """One down: what it is about, and what it has done so far."""

    def __init__(self, settings: Settings, clients: Clients, say: Say, done: Down) -> None:
        self.settings, self.clients, self.say, self.done = settings, clients, say, done
        self.name = settings.stack_name
        self.ours = made_by_runs(settings)

    def functions(self) -> list[str]:
        """Names of the stack's Lambda functions; their log groups may outlive them."""
        found = stacks.read(self.clients, self.name)
        names = found.physical.values() if found else ()
        return [name for name in names if name.startswith(f"{self.name}-")]

    def stop_executions(self) -> None:
        arn = start.machine_arn(self.settings)
        paginator = self.clients.stepfunctions.get_paginator("list_executions")
        running: list[str] = []
        try:
            for page in paginator.paginate(stateMachineArn=arn, statusFilter="RUNNING"):
                running += [summary["executionArn"] for summary in page["executions"]]
        except ClientError as error:
            if code(error) != "StateMachineDoesNotExist":
                raise
        for execution in running:
            self.say(f"stopping run {execution.rsplit(':', 1)[-1]}")
            self.clients.stepfunctions.stop_execution(
                executionArn=execution, error="Down", cause="pipeline down"
            )
        for execution in running:
            pace = Pace()
            while (
                self.clients.stepfunctions.describe_execution(executionArn=execution)["status"] == "RUNNING"
            ):
                pace.wait()

    def stop_jobs(self) -> None:
        """Jobs that a stopped run left running."""
        sagemaker = self.clients.sagemaker
        for kind, stop, describe, argument, status in (
            (
                "training job",
                "stop_training_job",
                "describe_training_job",
                "TrainingJobName",
                "TrainingJobStatus",
            ),
            (
                "processing job",
                "stop_processing_job",
                "describe_processing_job",
                "ProcessingJobName",
                "ProcessingJobStatus",
            ),
        ):
            for state in ("InProgress", "Stopping"):
                for name in self._jobs(kind, state):
                    if state == "InProgress":
                        self.say(f"stopping {kind} {name}")
                        self._stop(getattr(sagemaker, stop), **{argument: name})
                    pace = Pace()
                    look = getattr(sagemaker, describe)
                    while look(**{argument: name})[status] in {"InProgress", "Stopping"}:
                        pace.wait()

    def endpoint(self) -> None:
        found = invoke.describe(self.settings, self.clients)
        if found is None:
            return
        # AWS refuses to delete an endpoint that it is changing.
        found = self._settled(found)
        if found is not None:
            self.say(f"deleting endpoint {self.name}")
            if self._try(
                "endpoint", self.name, self.clients.sagemaker.delete_endpoint, EndpointName=self.name
            ):
                self._settled({"EndpointStatus": "Deleting"})

    def _settled(self, found: dict[str, Any] | None) -> dict[str, Any] | None:
        pace, began = Pace(), datetime.now(UTC)
        while found is not None and found["EndpointStatus"] in SETTLING:
            if (datetime.now(UTC) - began).total_seconds() > ENDPOINT_SECONDS:
                raise ApplyError(
                    f"it is {found['EndpointStatus']} for an hour",
                    where=f"endpoint {self.name}",
                    hint="try again later",
                )
            pace.wait()
            found = invoke.describe(self.settings, self.clients)
        return found

    def sagemaker_leftovers(self, keep_models: bool) -> None:
        """Endpoint configs, models, packages and the records of jobs."""
        sagemaker = self.clients.sagemaker
        for name in self._named("list_endpoint_configs", "EndpointConfigs", "EndpointConfigName"):
            self._try("endpoint config", name, sagemaker.delete_endpoint_config, EndpointConfigName=name)
        for name in self._named("list_models", "Models", "ModelName"):
            self._try("model", name, sagemaker.delete_model, ModelName=name)
        packages = list(self._packages())
        for arn in packages:
            if keep_models:
                self.done.left.append(f"model package {arn} (--keep-models)")
            else:
                self._try("model package", arn, sagemaker.delete_model_package, ModelPackageName=arn)
        for kind, argument, delete in (
            ("training job", "TrainingJobName", sagemaker.delete_training_job),
            ("processing job", "ProcessingJobName", sagemaker.delete_processing_job),
        ):
            for name in self._jobs(kind, None):
                self._try(f"{kind} record", name, delete, **{argument: name})

    def stack(self, keep_models: bool) -> None:
        found = stacks.describe(self.clients, self.name)
        if found is None:
            return
        stack_changes.settled(self.clients, self.name, self.say)
        self.say(f"deleting stack {self.name}")
        try:
            stack_changes.delete(self.clients, found, self.say)
        except ApplyError:
            kept = self._kept_groups() if keep_models else []
            if not kept:
                raise
            # The group is not empty, as was asked for: AWS lets a failed deletion leave it out.
            self.clients.cloudformation.delete_stack(StackName=found.id, RetainResources=kept)
            stack_changes.settled(self.clients, found.id, self.say)
            self.done.left.append(f"model package group {self.name} (--keep-models)")
        self.done.removed.append(f"stack {self.name}")

    def _kept_groups(self) -> list[str]:
        pages = self.clients.cloudformation.get_paginator("list_stack_resources").paginate(
            StackName=self.name
        )
        return [
            r["LogicalResourceId"]
            for page in pages
            for r in page["StackResourceSummaries"]
            if r["ResourceType"] == "AWS::SageMaker::ModelPackageGroup"
            and r["ResourceStatus"] == "DELETE_FAILED"
        ]

    def logs(self, functions: list[str]) -> None:
        """Groups that the services made by themselves, and streams of our jobs in groups of all."""
        logs = self.clients.logs
        for group in (f"{ENDPOINT_GROUP}{self.name}", *(f"/aws/lambda/{name}" for name in functions)):
            found = logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"]
            if any(item["logGroupName"] == group for item in found):
                self._try("log group", group, logs.delete_log_group, logGroupName=group)
        for group in sorted(set(JOB_GROUPS.values())):
            for stream in self._streams(group):
                self._try(
                    "log stream",
                    f"{group} {stream}",
                    logs.delete_log_stream,
                    logGroupName=group,
                    logStreamName=stream,
                )

    def _streams(self, group: str) -> list[str]:
        try:
            pages = self.clients.logs.get_paginator("describe_log_streams").paginate(
                logGroupName=group, logStreamNamePrefix=f"{self.name}-"
            )
            names = [stream["logStreamName"] for page in pages for stream in page["logStreams"]]
        except ClientError as error:
            if code(error) in GONE:
                return []
            raise
        return [name for name in names if self.ours.fullmatch(name.split("/", 1)[0])]

    def objects(self, data: bool, keep_models: bool) -> None:
        """Reports, approvals and artifacts of the runs; the data, if asked for."""
        bucket, prefix = self.settings.artifact_bucket, self.settings.pipeline.data.prefix
        count = objects.delete(self.clients, bucket, f"{self.name}/")
        artifacts = f"{prefix}output-model/"
        if keep_models:
            self._left_objects(bucket, artifacts, "model artifacts (--keep-models)")
        else:
            count += objects.delete(self.clients, bucket, artifacts, self._is_ours)
        if count:
            self.done.removed.append(f"{count} objects of runs in s3://{bucket}")
        for channel in self.settings.pipeline.data.channels:
            where = data_objects.key_prefix(self.settings, channel)
            if data:
                gone = objects.delete(self.clients, self.settings.data_bucket, where)
                if gone:
                    self.done.removed.append(
                        f"{gone} data objects in s3://{self.settings.data_bucket}/{where}"
                    )
            else:
                self._left_objects(self.settings.data_bucket, where, "your data (--data deletes it)")

    def _is_ours(self, key: str) -> bool:
        return any(self.ours.fullmatch(part) for part in key.split("/"))

    def _left_objects(self, bucket: str, prefix: str, why: str) -> None:
        count = objects.count(self.clients, bucket, prefix)
        if count:
            self.done.left.append(f"{count} objects in s3://{bucket}/{prefix}: {why}")

    def note_shared(self) -> None:
        """What the account's pipelines share stays; say so if it is there."""
        name = account_stack_name(self.settings)
        if stacks.describe(self.clients, name):
            self.done.left.append(f"stack {name} (shared by all pipelines; --all removes it)")

    def account(self) -> None:
        name = account_stack_name(self.settings)
        found = stacks.read(self.clients, name)
        others = self._other_stacks()
        if found is None:
            return
        if others:
            self.done.left.append(f"stack {name}: still needed by {', '.join(others)}")
            return
        count = objects.delete(self.clients, self.settings.artifact_bucket, "")
        if count:
            self.done.removed.append(f"{count} objects in s3://{self.settings.artifact_bucket}")
        for repository in self._repositories():
            self._try(
                "image repository",
                repository,
                self.clients.ecr.delete_repository,
                repositoryName=repository,
                force=True,
            )
        self.say(f"deleting stack {name}")
        stack_changes.delete(self.clients, found, self.say)
        self.done.removed.append(f"stack {name}")
        # A bucket whose DeletionPolicy keeps it: everything was asked for, and it is empty.
        self._try_bucket()

    def _try_bucket(self) -> None:
        bucket = self.settings.artifact_bucket
        try:
            self.clients.s3.head_bucket(Bucket=bucket)
        except ClientError as error:
            if code(error) in GONE | {"NotFound"}:
                return
            raise
        self._try("bucket", bucket, self.clients.s3.delete_bucket, Bucket=bucket)

    def _other_stacks(self) -> list[str]:
        mark = account_stack_name(self.settings)
        pages = self.clients.cloudformation.get_paginator("describe_stacks").paginate()
        return [
            stack["StackName"]
            for page in pages
            for stack in page["Stacks"]
            if stack["StackName"] not in {mark, self.name}
            and {"Key": ACCOUNT_STACK_TAG, "Value": mark} in [dict(tag) for tag in stack.get("Tags", [])]
        ]

    def _repositories(self) -> list[str]:
        prefix = f"{self.settings.project.name}/"
        pages = self.clients.ecr.get_paginator("describe_repositories").paginate()
        names = [r["repositoryName"] for page in pages for r in page["repositories"]]
        return [name for name in names if name.startswith(prefix)]

    def _named(self, operation: str, items: str, key: str) -> list[str]:
        pages = self.clients.sagemaker.get_paginator(operation).paginate(NameContains=f"{self.name}-")
        return [item[key] for page in pages for item in page[items] if self.ours.fullmatch(item[key])]

    def _jobs(self, kind: str, status: str | None) -> list[str]:
        operation, items, key = {
            "training job": ("list_training_jobs", "TrainingJobSummaries", "TrainingJobName"),
            "processing job": ("list_processing_jobs", "ProcessingJobSummaries", "ProcessingJobName"),
        }[kind]
        request = {"NameContains": f"{self.name}-", **({"StatusEquals": status} if status else {})}
        pages = self.clients.sagemaker.get_paginator(operation).paginate(**request)
        return [item[key] for page in pages for item in page[items] if self.ours.fullmatch(item[key])]

    def _packages(self) -> Iterator[str]:
        pages = self.clients.sagemaker.get_paginator("list_model_packages").paginate(
            ModelPackageGroupName=self.name
        )
        try:
            for page in pages:
                yield from (item["ModelPackageArn"] for item in page["ModelPackageSummaryList"])
        except ClientError as error:
            if not _is_gone(error):
                raise

    def _try(self, kind: str, name: str, call: Callable[..., Any], **request: Any) -> bool:
        """One removal; what is gone already is fine, what cannot go is told at the end."""
        try:
            call(**request)
        except ClientError as error:
            if not _is_gone(error):
                self.done.left.append(f"{kind} {name}: {message(error)}")
            return False
        self.done.removed.append(f"{kind} {name}")
        return True

    def _stop(self, call: Callable[..., Any], **request: str) -> None:
        """Ask a job to stop; one that has just ended needs no asking."""
        try:
            call(**request)
        except ClientError as error:
            if code(error) not in {"ValidationException", *GONE}:
                raise


def _is_gone(error: ClientError) -> bool:
    return code(error) in GONE or any(text in message(error) for text in GONE_TEXT)
