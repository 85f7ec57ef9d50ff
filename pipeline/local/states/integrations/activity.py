"""Activities: work that a worker outside fetches with GetActivityTask and answers by token."""

from __future__ import annotations

from typing import Any

from pipeline.local.states import seams
from pipeline.local.states.errors import Fault
from pipeline.local.states.integrations.base import Integration
from pipeline.local.states.integrations.waiting import from_token
from pipeline.local.states.jsontext import dumps
from pipeline.local.states.taskcall import Resource, TaskCall


class Activity(Integration):
    """A Resource that is an activity's ARN."""

    def supports(self, resource: Resource) -> bool:
        return ":states:" in resource.arn and ":activity:" in resource.arn

    def shown(self, call: TaskCall) -> Any:
        # Before the task is scheduled, as AWS finds out.
        if call.resource.arn not in seams.activities:
            raise Fault(f"The activity {call.resource.arn} does not exist.")
        return call.parameters

    def run(self, call: TaskCall) -> Any:
        arn = call.resource.arn
        offer = {"taskToken": call.token, "input": dumps(call.parameters)}
        queue = seams.activity_tasks.setdefault(arn, [])
        queue.append(offer)
        try:
            return from_token(call)
        finally:
            # Nobody may fetch a task that is over.
            if offer in queue:
                queue.remove(offer)


ACTIVITY = Activity()
