"""One stack action, carried out through a change set and followed to its end."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError, WaiterError

from pipeline.apply import events
from pipeline.aws import stacks
from pipeline.aws.errors import code, message
from pipeline.aws.pace import Pace
from pipeline.errors import ApplyError
from pipeline.plan.model import StackAction, sha256
from pipeline.plan.planner import MAX_TEMPLATE_BODY, base, template_upload

if TYPE_CHECKING:
    from pipeline.aws import Clients

PREFIX = "pipeline-"
CAPABILITIES = ["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM"]
# How CreateChangeSet says that there is nothing to do (there is no code for it).
NOTHING = ("didn't contain changes", "No updates are to be performed")
Say = Callable[[str], None]


class BusyError(Exception):
    """Somebody else changes the stack: wait for it and plan again."""


def change_set_name(action: StackAction, parameters: Mapping[str, str]) -> str:
    """The same change from the same state has the same name, so that a repeat finds its own."""
    content = [action.operation, action.base, action.template, sorted(parameters.items()), action.tags]
    return f"{PREFIX}{sha256(content)[:24]}"


def carry_out(
    clients: Clients, action: StackAction, parameters: Mapping[str, str], bucket: str, say: Say
) -> bool:
    """Make the stack what `action` says; True if it changed anything.

    Raises:
        BusyError: another change is under way.
        ApplyError: it failed and was rolled back; the text is the cause.
    """
    if action.operation == "none":
        return False
    present = stacks.describe(clients, action.stack_name)
    if present and present.in_progress:
        raise BusyError(present.status)
    if present and present.status == "UPDATE_ROLLBACK_FAILED":
        _finish_rollback(clients, present, say)
    elif present and action.operation == "recreate":
        say(f"{action.stack_name} is {present.status} from a creation that failed: deleting it first")
        delete(clients, present, say)
        present = None
    name = change_set_name(action, parameters)
    kind = "UPDATE" if present and present.exists else "CREATE"
    try:
        change_set = _create(clients, action, parameters, bucket, name, kind)
    except ApplyError:
        if kind == "CREATE":
            _drop_empty(clients, action.stack_name)
        raise
    if change_set is None:
        _forget(clients, action.stack_name, name)
        return False
    if kind == "UPDATE":
        _require_unmoved(clients, action, name)
    _sweep(clients, action.stack_name, name)
    seen = newest_event(clients, change_set["StackId"])
    try:
        # Without RetainExceptOnCreate a failed creation would leave its retained resources (the bucket)
        # behind, and the next one would stumble over them.
        clients.cloudformation.execute_change_set(
            ChangeSetName=change_set["ChangeSetId"], RetainExceptOnCreate=True
        )
    except ClientError as error:
        if code(error) in {"InvalidChangeSetStatus", "ChangeSetNotFound"}:
            raise BusyError(message(error)) from error
        raise
    follow(clients, change_set["StackId"], action.stack_name, seen, say)
    return True


def _require_unmoved(clients: Clients, action: StackAction, name: str) -> None:
    """The change set must start from the state that was planned from.

    From here on CloudFormation watches: a change set is obsolete once the stack is changed by another.
    """
    if base(stacks.read(clients, action.stack_name)) != action.base:
        _forget(clients, action.stack_name, name)
        raise BusyError("the stack is not what it was when this was planned")


def settled(clients: Clients, name: str, say: Say) -> None:
    """Wait until nobody changes the stack any more."""
    pace, told = Pace(), ""
    while (stack := stacks.describe(clients, name)) and stack.in_progress:
        if stack.status != told:
            say(f"another apply changes {name} ({stack.status}): waiting for it")
            told = stack.status
        pace.wait()


def follow(clients: Clients, stack_id: str, name: str, seen: str, say: Say) -> None:
    """Say the stack's events as they come until it rests.

    Args:
        seen: id of the newest event that is not of this change.

    Raises:
        ApplyError: it rests in another status than *_COMPLETE of a create, update or delete.
    """
    pace, history = Pace(), list[events.Event]()
    while True:
        # First the status, then the events: so the last events cannot be missed.
        stack = stacks.describe(clients, stack_id)
        fresh = _events_since(clients, stack_id, history[-1].id if history else seen)
        history += fresh
        for event in events.worth_showing(fresh):
            say(events.line(event))
        # Right after the request the status still is the old one: only an event of the stack itself
        # that says the same proves that the change has begun and ended.
        if stack is None or (not stack.in_progress and _last_of_stack(history) == stack.status):
            break
        pace.wait(news=bool(fresh))
    status = stack.status if stack else "DELETE_COMPLETE"
    if status in {"CREATE_COMPLETE", "UPDATE_COMPLETE", "DELETE_COMPLETE", "IMPORT_COMPLETE"}:
        return
    cause = events.root_cause(history)
    rest = (
        f"the stack was rolled back ({status})" if "ROLLBACK_COMPLETE" in status else f"the stack is {status}"
    )
    raise ApplyError(
        events.explain(cause, rest) if cause else f"{status}: {stack.reason if stack else ''}".rstrip(": "),
        where=f"stack {name}",
        hint="mend the cause and apply again",
    )


def delete(clients: Clients, stack: stacks.Stack, say: Say) -> None:
    """Delete a stack and wait for it.

    Raises:
        ApplyError: a resource could not be deleted.
    """
    seen = newest_event(clients, stack.id)
    clients.cloudformation.delete_stack(StackName=stack.id)
    follow(clients, stack.id, stack.name, seen, say)


def newest_event(clients: Clients, stack_id: str) -> str:
    """Id of the stack's newest event; empty if it has none."""
    found = clients.cloudformation.describe_stack_events(StackName=stack_id)["StackEvents"]
    return str(found[0]["EventId"]) if found else ""


def _events_since(clients: Clients, stack_id: str, seen: str) -> list[events.Event]:
    """Events after the one called `seen`, oldest first."""
    found: list[events.Event] = []
    for page in clients.cloudformation.get_paginator("describe_stack_events").paginate(StackName=stack_id):
        for raw in page["StackEvents"]:
            if raw["EventId"] == seen:
                return found[::-1]
            found.append(events.event(raw))
    return found[::-1]


def _last_of_stack(history: list[events.Event]) -> str:
    return next((event.status for event in reversed(history) if event.stack), "")


def _create(
    clients: Clients,
    action: StackAction,
    parameters: Mapping[str, str],
    bucket: str,
    name: str,
    kind: str,
) -> dict[str, Any] | None:
    """A change set that can be executed, made now or found; None if there is nothing to change."""
    if len(action.template.encode()) > MAX_TEMPLATE_BODY:
        key = template_upload(bucket, action).key
        body = {"TemplateURL": f"https://s3.{clients.region}.{clients.dns_suffix}/{bucket}/{key}"}
    else:
        body = {"TemplateBody": action.template}
    request = {
        "StackName": action.stack_name,
        "ChangeSetName": name,
        "ChangeSetType": kind,
        "Capabilities": CAPABILITIES,
        "Parameters": [{"ParameterKey": k, "ParameterValue": v} for k, v in parameters.items()],
        "Tags": [{"Key": k, "Value": v} for k, v in action.tags],
        **body,
    }
    try:
        clients.cloudformation.create_change_set(**request)
    except ClientError as error:
        if code(error) == "AlreadyExistsException":
            if _usable(clients, action.stack_name, name):
                return _ready(clients, action.stack_name, name)
            _forget(clients, action.stack_name, name)
            clients.cloudformation.create_change_set(**request)
        elif code(error) == "ValidationError" and "IN_PROGRESS" in message(error):
            raise BusyError(message(error)) from error
        elif code(error) == "ValidationError":
            raise ApplyError(message(error), where=f"stack {action.stack_name}") from error
        else:
            raise
    return _ready(clients, action.stack_name, name)


def _usable(clients: Clients, stack_name: str, name: str) -> bool:
    """Whether the change set of that name, from an interrupted apply or another one, can be executed."""
    found = clients.cloudformation.describe_change_set(StackName=stack_name, ChangeSetName=name)
    if found["ExecutionStatus"] == "EXECUTE_IN_PROGRESS":
        raise BusyError("the same change is being executed")
    return (
        found["Status"] in {"CREATE_PENDING", "CREATE_IN_PROGRESS"} or found["ExecutionStatus"] == "AVAILABLE"
    )


def _ready(clients: Clients, stack_name: str, name: str) -> dict[str, Any] | None:
    pace = Pace()
    while True:
        found: dict[str, Any] = clients.cloudformation.describe_change_set(
            StackName=stack_name, ChangeSetName=name
        )
        if found["Status"] == "CREATE_COMPLETE":
            return found
        if found["Status"] == "FAILED":
            reason = found.get("StatusReason", "no reason given")
            if any(text in reason for text in NOTHING):
                return None
            _forget(clients, stack_name, name)
            raise ApplyError(f"the change set failed: {reason}", where=f"stack {stack_name}")
        pace.wait()


def _forget(clients: Clients, stack_name: str, name: str) -> None:
    try:
        clients.cloudformation.delete_change_set(StackName=stack_name, ChangeSetName=name)
    except ClientError as error:
        if code(error) not in {"ChangeSetNotFound", "InvalidChangeSetStatus", "ValidationError"}:
            raise


def _drop_empty(clients: Clients, stack_name: str) -> None:
    """A refused change set of a new stack leaves a stack without anything in it."""
    left = stacks.describe(clients, stack_name)
    if left and left.status == "REVIEW_IN_PROGRESS":
        clients.cloudformation.delete_stack(StackName=left.id)


def _sweep(clients: Clients, stack_name: str, keep: str) -> None:
    """Delete change sets that interrupted applies of ours left."""
    pages = clients.cloudformation.get_paginator("list_change_sets").paginate(StackName=stack_name)
    for page in pages:
        for summary in page["Summaries"]:
            name = summary["ChangeSetName"]
            if (
                name.startswith(PREFIX)
                and name != keep
                and summary.get("ExecutionStatus") != "EXECUTE_IN_PROGRESS"
            ):
                _forget(clients, stack_name, name)


def _finish_rollback(clients: Clients, stack: stacks.Stack, say: Say) -> None:
    say(f"{stack.name} is {stack.status}: continuing its rollback first")
    seen = newest_event(clients, stack.id)
    clients.cloudformation.continue_update_rollback(StackName=stack.id)
    try:
        clients.cloudformation.get_waiter("stack_rollback_complete").wait(
            StackName=stack.id, WaiterConfig={"Delay": 2, "MaxAttempts": 900}
        )
    except WaiterError as error:
        cause = events.root_cause(_events_since(clients, stack.id, seen))
        raise ApplyError(
            events.explain(cause) if cause else "the rollback of an earlier update cannot finish",
            where=f"stack {stack.name}",
            hint="skip what cannot be rolled back: aws cloudformation continue-update-rollback "
            f"--stack-name {stack.name} --resources-to-skip ...",
        ) from error
