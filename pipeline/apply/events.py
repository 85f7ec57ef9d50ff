"""What stack events mean: the cause of a failure, a line for each change. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

# What CloudFormation writes on resources that it stopped because another one failed.
FOLLOWERS = (
    "Resource creation cancelled",
    "Resource creation Initiated",
    "Resource update cancelled",
    "Resource deletion cancelled",
)


@dataclass(frozen=True)
class Event:
    """One event of a stack: status `CREATE_FAILED` and so on, of one resource (or the stack itself)."""

    id: str
    logical_id: str
    type: str
    status: str
    reason: str = ""
    physical_id: str = ""
    stack: bool = False


def event(raw: Mapping[str, Any]) -> Event:
    """From DescribeStackEvents."""
    return Event(
        id=raw["EventId"],
        logical_id=raw.get("LogicalResourceId", ""),
        type=raw.get("ResourceType", ""),
        status=raw.get("ResourceStatus", ""),
        reason=raw.get("ResourceStatusReason", ""),
        physical_id=raw.get("PhysicalResourceId", ""),
        stack=raw.get("PhysicalResourceId") == raw["StackId"],
    )


def root_cause(events: Iterable[Event]) -> Event | None:
    """The failure that the others followed from; None if nothing failed.

    Args:
        events: oldest first, of one operation.
    """
    failed = [e for e in events if e.status.endswith("_FAILED")]
    own = [e for e in failed if not e.stack and not e.reason.startswith(FOLLOWERS)]
    # A rollback can fail too, but what started it is what the user has to mend.
    first = [
        e for e in own if e.status in {"CREATE_FAILED", "UPDATE_FAILED", "DELETE_FAILED", "IMPORT_FAILED"}
    ]
    for candidates in (first, own, failed):
        if candidates:
            return candidates[0]
    return None


def line(event: Event) -> str:
    """One event for a person."""
    reason = (
        f"  {event.reason}"
        if event.reason and not event.reason.startswith("Resource creation Initiated")
        else ""
    )
    return f"  {event.status.ljust(28)} {event.logical_id}  {event.type}{reason}"


def worth_showing(events: Sequence[Event]) -> list[Event]:
    """Of one look's events: each resource's newest, so that what is quick says once that it is done."""
    newest = {e.logical_id: e.id for e in events if not e.stack}
    return [e for e in events if e.stack or newest[e.logical_id] == e.id]


def explain(cause: Event, rest: str = "") -> str:
    """The failure in one sentence. `rest`: what the stack stands at."""
    text = f"{cause.logical_id} ({cause.type}) {cause.status}: {cause.reason or 'no reason given'}"
    return f"{text}\n  {rest}" if rest else text
