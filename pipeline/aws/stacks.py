"""What stands in CloudFormation under a name: status, template, parameters, tags, resources, outputs."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from pipeline.aws.errors import code, message, told

if TYPE_CHECKING:
    from pipeline.aws.clients import Clients


@dataclass(frozen=True)
class Stack:
    """A stack as DescribeStacks, GetTemplate and ListStackResources show it. `changed`: when it last was."""

    name: str
    id: str
    status: str
    reason: str = ""
    changed: datetime | None = None
    template: Any = field(default=None, repr=False)
    parameters: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    outputs: dict[str, str] = field(default_factory=dict)
    physical: dict[str, str] = field(default_factory=dict)

    @property
    def in_progress(self) -> bool:
        """Somebody's change is under way. A stack that only holds a change set is not."""
        return self.status.endswith("_IN_PROGRESS") and self.status != "REVIEW_IN_PROGRESS"

    @property
    def exists(self) -> bool:
        """There are resources to update, other than the rests of a failed creation."""
        return self.status in {
            "CREATE_COMPLETE",
            "IMPORT_COMPLETE",
            "IMPORT_ROLLBACK_COMPLETE",
            "UPDATE_COMPLETE",
            "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS",
            "UPDATE_FAILED",
            "UPDATE_IN_PROGRESS",
            "UPDATE_ROLLBACK_COMPLETE",
            "UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS",
            "UPDATE_ROLLBACK_FAILED",
            "UPDATE_ROLLBACK_IN_PROGRESS",
        }


def describe(clients: Clients, name: str) -> Stack | None:
    """The stack's status, parameters, tags and outputs (not its template); None if there is none."""
    try:
        with told(clients.target.name):
            found = _describe(clients, name)
    except _NoStackError:
        return None
    if found["StackStatus"] == "DELETE_COMPLETE":
        return None
    return Stack(
        name=found["StackName"],
        id=found["StackId"],
        status=found["StackStatus"],
        reason=found.get("StackStatusReason", ""),
        changed=found.get("LastUpdatedTime") or found["CreationTime"],
        parameters={p["ParameterKey"]: p.get("ParameterValue", "") for p in found.get("Parameters", [])},
        tags={t["Key"]: t["Value"] for t in found.get("Tags", [])},
        outputs={o["OutputKey"]: o["OutputValue"] for o in found.get("Outputs", [])},
    )


def read(clients: Clients, name: str) -> Stack | None:
    """As `describe`, with the deployed template (as sent) and the resources' physical ids."""
    stack = describe(clients, name)
    if stack is None or not stack.exists:
        return stack
    with told(clients.target.name):
        body = clients.cloudformation.get_template(StackName=stack.id, TemplateStage="Original")[
            "TemplateBody"
        ]
        pages = clients.cloudformation.get_paginator("list_stack_resources").paginate(StackName=stack.id)
        physical = {
            r["LogicalResourceId"]: r.get("PhysicalResourceId", "")
            for page in pages
            for r in page["StackResourceSummaries"]
        }
    return Stack(**{**stack.__dict__, "template": body, "physical": physical})


class _NoStackError(Exception):
    """There is no stack of that name."""


def _describe(clients: Clients, name: str) -> dict[str, Any]:
    try:
        stacks: list[dict[str, Any]] = clients.cloudformation.describe_stacks(StackName=name)["Stacks"]
    except ClientError as error:
        if code(error) == "ValidationError" and "does not exist" in message(error):
            raise _NoStackError from error
        raise
    if not stacks:
        raise _NoStackError
    return stacks[0]
