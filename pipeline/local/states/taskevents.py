"""The events of a Task attempt: Task* of integrations, LambdaFunction* and Activity* of plain ARNs."""

from __future__ import annotations

from typing import Any

from pipeline.local.states.errors import TIMEOUT, StateFailure
from pipeline.local.states.frame import Frame
from pipeline.local.states.history import INCLUDED
from pipeline.local.states.jsontext import dumps
from pipeline.local.states.taskcall import Resource


class TaskEvents:
    """Records one attempt at a service integration."""

    def __init__(self, frame: Frame, resource: Resource) -> None:
        self.line = frame.line
        self.region = frame.run.region
        self.resource = resource
        self.common = {"resourceType": resource.service, "resource": resource.name}

    @property
    def limit_name(self) -> str:
        """What States.DataLimitExceeded calls the task."""
        return self.resource.service

    def scheduled(self, parameters: Any, more: dict[str, Any]) -> None:
        details = {**self.common, "region": self.region, "parameters": dumps(parameters), **more}
        self.line.add("TaskScheduled", details)

    def started(self) -> None:
        self.line.add("TaskStarted", dict(self.common))

    def succeeded(self, text: str) -> None:
        self.line.add("TaskSucceeded", {**self.common, "output": text, "outputDetails": INCLUDED})

    def failed(self, failure: StateFailure) -> None:
        self.line.add("TaskFailed", {**self.common, **failure.details()})

    def timed_out(self) -> None:
        self.line.add("TaskTimedOut", {**self.common, "error": TIMEOUT})


class PlainEvents(TaskEvents):
    """Records one attempt at a Lambda function or an activity named by its ARN."""

    def __init__(self, frame: Frame, resource: Resource, prefix: str) -> None:
        super().__init__(frame, resource)
        self.prefix = prefix

    @property
    def limit_name(self) -> str:
        return self.resource.arn

    def scheduled(self, parameters: Any, more: dict[str, Any]) -> None:
        details = {
            "resource": self.resource.arn,
            "input": dumps(parameters),
            "inputDetails": INCLUDED,
            **more,
        }
        self.line.add(f"{self.prefix}Scheduled", details)

    def started(self) -> None:
        self.line.add(f"{self.prefix}Started")

    def succeeded(self, text: str) -> None:
        self.line.add(f"{self.prefix}Succeeded", {"output": text, "outputDetails": INCLUDED})

    def failed(self, failure: StateFailure) -> None:
        self.line.add(f"{self.prefix}Failed", failure.details())

    def timed_out(self) -> None:
        self.line.add(f"{self.prefix}TimedOut", {"error": TIMEOUT})


def recorder(frame: Frame, resource: Resource) -> TaskEvents:
    """The recorder that fits the resource."""
    if resource.service:
        return TaskEvents(frame, resource)
    return PlainEvents(frame, resource, "Activity" if ":activity:" in resource.arn else "LambdaFunction")
