"""An account's stack taken down, when no pipeline stands on it any more."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.apply import stack as stack_changes
from pipeline.aws import stacks
from pipeline.aws.errors import told
from pipeline.errors import ApplyError
from pipeline.execution import objects
from pipeline.execution.removal import Down, Say
from pipeline.plan.desired import ACCOUNT_STACK_TAG, account_stack_name

if TYPE_CHECKING:
    from pipeline.aws import Clients
    from pipeline.settings.model import Settings


def standing(settings: Settings, clients: Clients) -> list[str]:
    """Names of the pipelines' stacks that stand on the account's."""
    mark = {"Key": ACCOUNT_STACK_TAG, "Value": account_stack_name(settings)}
    with told(clients.target.name):
        pages = clients.cloudformation.get_paginator("describe_stacks").paginate()
        return sorted(
            stack["StackName"]
            for page in pages
            for stack in page["Stacks"]
            if mark in [dict(tag) for tag in stack.get("Tags", [])]
        )


def down(settings: Settings, clients: Clients, say: Say) -> Down:
    """Delete the account's stack; what its resources keep (bucket, images, keys) is told as left.

    Raises:
        ApplyError: a pipeline stands on it, or it could not be deleted.
    """
    name, done = account_stack_name(settings), Down()
    found = stacks.describe(clients, name)
    if found is None:
        return done
    others = standing(settings, clients)
    if others:
        raise ApplyError(
            f"{', '.join(others)} still stand on it",
            where=f"stack {name}",
            hint="take them down first: pipeline down NAME --environment ENV",
        )
    with told(clients.target.name):
        kept = [
            f"{item['ResourceType'].removeprefix('AWS::')} {item['PhysicalResourceId']}"
            for page in clients.cloudformation.get_paginator("list_stack_resources").paginate(StackName=name)
            for item in page["StackResourceSummaries"]
            if item["ResourceType"] in ("AWS::S3::Bucket", "AWS::ECR::Repository")
        ]
        count = objects.count(clients, settings.artifact_bucket, "")
        say(f"deleting stack {name}")
        stack_changes.delete(clients, found, say)
    done.removed.append(f"stack {name}")
    done.left += [
        f"{item}: {count} objects" if item.startswith("S3::") else f"{item}: its images" for item in kept
    ]
    return done
