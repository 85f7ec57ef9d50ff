"""Stacks whose time has passed: no change and no run for as long as the settings let them stand."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from pipeline.aws import stacks
from pipeline.aws.errors import code, told
from pipeline.execution.start import machine_arn

if TYPE_CHECKING:
    from pipeline.aws import Clients
    from pipeline.settings.model import Settings


@dataclass(frozen=True)
class Expiry:
    """When a stack was last of use, and until when it may stand.

    Args:
        last: of its last change and its last run, the later.
        ends: `last` and the environment's ttl_hours.
    """

    stack: str
    last: datetime
    ends: datetime

    def passed(self, now: datetime) -> bool:
        return now >= self.ends


def of(settings: Settings, clients: Clients) -> Expiry | None:
    """None where there is no stack, or the environment has no ttl_hours."""
    hours = settings.environment.ttl_hours
    if hours is None:
        return None
    with told(clients.target.name):
        stack = stacks.describe(clients, settings.stack_name)
        if stack is None or stack.changed is None:
            return None
        last = max([stack.changed.astimezone(UTC), *_runs(settings, clients)])
    return Expiry(stack.name, last, last + timedelta(hours=hours))


def _runs(settings: Settings, clients: Clients) -> list[datetime]:
    """When the newest run began; and now, while it goes on."""
    try:
        newest = clients.stepfunctions.list_executions(stateMachineArn=machine_arn(settings), maxResults=1)
    except ClientError as error:
        if code(error) == "StateMachineDoesNotExist":
            return []
        raise
    found = []
    for each in newest["executions"]:
        found.append(each["startDate"].astimezone(UTC))
        if each["status"] == "RUNNING":
            found.append(datetime.now(UTC))
    return found
