"""The account's stack: changed by whoever may, told to whoever may not."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from pipeline.apply import stack
from pipeline.aws import stacks
from pipeline.aws.errors import DENIED, code, message
from pipeline.errors import ApplyError
from pipeline.plan import desired
from pipeline.plan import template as templates
from pipeline.plan.desired import MAX_TEMPLATE_BODY, template_upload
from pipeline.plan.model import StackAction, canonical

if TYPE_CHECKING:
    from pipeline.aws import Clients

Say = Callable[[str], None]
# What a template that is too large for a request has to be put into first.
BUCKET = "ArtifactBucket"
# How CloudFormation tells in an event that IAM denied its caller something.
_NOT_AUTHORIZED = "is not authorized to perform"


def apply(clients: Clients, action: StackAction, bucket: str, environment: str, say: Say) -> bool:
    """Make the account's stack what `action` says; True if it changed anything.

    Raises:
        ApplyError: it failed and was rolled back; the text is the cause.
    """
    with hinted(action, environment):
        action = prepare(clients, action, bucket, say)
        if action.operation != "none":
            say(f"account stack {action.stack_name}: {action.operation}")
        return stack.carry_out(clients, action, dict(action.parameters), bucket, say)


def prepare(clients: Clients, action: StackAction, bucket: str, say: Say) -> StackAction:
    """Put a template that does not fit into the request where CloudFormation reads it.

    In a new account there is no such place: a stack with the bucket alone is made first. Returns the action
    that is to be carried out then.
    """
    content = action.template.encode()
    if action.operation == "none" or len(content) <= MAX_TEMPLATE_BODY:
        return action
    if action.operation in ("create", "recreate"):
        say(f"account stack {action.stack_name}: its bucket first, for the template is large")
        first = replace(action, template=canonical(with_bucket_alone(json.loads(action.template))))
        stack.carry_out(clients, first, dict(action.parameters), bucket, say)
        standing = desired.base(stacks.read(clients, action.stack_name))
        action = replace(action, operation="update", base=standing)
    digest = hashlib.sha256(content).digest()
    clients.s3.put_object(
        Bucket=bucket,
        Key=template_upload(bucket, action).key,
        Body=content,
        ChecksumSHA256=base64.b64encode(digest).decode(),
    )
    return action


def with_bucket_alone(template: dict[str, Any]) -> dict[str, Any]:
    """The template with the bucket and what it refers to, and the outputs that remain."""
    resources, wanted, found = template["Resources"], [BUCKET, f"{BUCKET}Policy"], {}
    while wanted:
        name = wanted.pop()
        if name in resources and name not in found:
            found[name] = resources[name]
            wanted += templates.references(resources[name])
    outputs = {
        name: output
        for name, output in (template.get("Outputs") or {}).items()
        if not (set(templates.references(output)) & resources.keys()) - found.keys()
    }
    return {**template, "Resources": found, "Outputs": outputs}


@contextmanager
def hinted(action: StackAction, environment: str) -> Iterator[None]:
    """Within it, a denial says who can do what the caller may not."""
    hint = (
        "roles, keys and the bucket are an administrator's to change: "
        f"pipeline account up --environment {environment}"
    )
    where = f"stack {action.stack_name}"
    try:
        yield
    except ClientError as error:
        if code(error) not in DENIED:
            raise
        raise ApplyError(message(error), where=where, hint=hint) from error
    except ApplyError as error:
        if _NOT_AUTHORIZED not in error.what:
            raise
        raise ApplyError(error.what, where=where, hint=hint) from error
