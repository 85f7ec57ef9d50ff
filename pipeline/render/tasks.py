"""Reading a state machine as plain data: its tasks, what each calls, and the names it uses."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

_INTEGRATION = re.compile(
    r"^arn:[\w-]+:states:::(?P<sdk>aws-sdk:)?(?P<service>[a-z0-9-]+):(?P<action>\w+)"
    r"(?:\.(?P<pattern>sync|waitForTaskToken))?(?::\d+)?$"
)


@dataclass(frozen=True)
class Call:
    """What a Task calls: `sagemaker`, `createTrainingJob`, `sync`."""

    service: str
    action: str
    pattern: str = ""
    sdk: bool = False

    @property
    def operation(self) -> str:
        """The API's own name: `CreateTrainingJob`."""
        return self.action[:1].upper() + self.action[1:]


def states(asl: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """All states with their names, those of Parallel branches and Map processors included."""
    for name, state in asl.get("States", {}).items():
        yield name, state
        processors = (state.get("Iterator"), state.get("ItemProcessor"))
        for inner in [*state.get("Branches", []), *filter(None, processors)]:
            yield from states(inner)


def tasks(asl: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, state in states(asl):
        if state.get("Type") == "Task":
            yield name, state


def call(resource: str) -> Call | None:
    """What a Task's Resource stands for; None for one this file cannot read."""
    if re.match(r"^arn:[\w-]+:lambda:[\w-]+:\d{12}:function:", resource):
        return Call("lambda", "invoke")
    if found := _INTEGRATION.match(resource):
        return Call(found["service"], found["action"], found["pattern"] or "", bool(found["sdk"]))
    return None


def pattern_of(parameters: dict[str, Any], field: str, unknown: str) -> str:
    """A name's value as an IAM pattern: `States.Format('iris-{}', ...)` is `iris-*`.

    Args:
        unknown: for a name that only the run knows, or that is not given.
    """
    if field in parameters:
        return str(parameters[field])
    expression = str(parameters.get(f"{field}.$", ""))
    if found := re.match(r"States\.Format\('((?:[^'\\]|\\.)*)'", expression):
        text = re.sub(r"\\(.)", r"\1", found[1]).replace("{}", "*")
        return re.sub(r"\*[*-]*\*", "*", text)
    return unknown
