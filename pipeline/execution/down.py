"""Removing what apply and the runs made, in the order in which AWS lets it go, and telling what is left."""

from __future__ import annotations

from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from pipeline.apply import stack as stack_changes
from pipeline.aws import stacks
from pipeline.aws.errors import code, told
from pipeline.errors import ApplyError
from pipeline.execution import data as data_objects
from pipeline.execution import objects
from pipeline.execution.leftovers import RunsRemoval
from pipeline.execution.removal import GONE, Down, Say
from pipeline.plan.planner import ACCOUNT_STACK_TAG, account_stack_name

if TYPE_CHECKING:
    from pipeline.aws import Clients
    from pipeline.settings.model import Settings


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
    work = _Everything(settings, clients, say, Down())
    with told(clients.target.name):
        functions = work.functions()
        work.stop_executions()
        work.stop_jobs()
        runs = work.stop_transforms()
        work.endpoint()
        work.alarms()
        work.sagemaker_leftovers(keep_models)
        work.stack(keep_models)
        work.logs(functions, runs)
        work.objects(data or everything, keep_models and not everything)
        if everything:
            work.account()
        else:
            work.note_shared()
    return work.done


class _Everything(RunsRemoval):
    """Removes the stack, its objects and, if asked for, what all pipelines share."""

    def functions(self) -> list[str]:
        """Names of the stack's Lambda functions; their log groups may outlive them."""
        found = stacks.read(self.clients, self.name)
        names = found.physical.values() if found else ()
        return [name for name in names if name.startswith(f"{self.name}-")]

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
        for channel in self.settings.pipeline.data.given:
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
            self.take(
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
        self.take("bucket", bucket, self.clients.s3.delete_bucket, Bucket=bucket)

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
