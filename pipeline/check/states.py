"""Walk a state machine's definition: every state of every nested machine, its edges and its strings."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pipeline.check.rule import Path

TERMINAL = ("Succeed", "Fail")


@dataclass(frozen=True)
class Machine:
    """A definition, or a branch or iterator of one; `path` is where it stands."""

    path: Path
    body: dict[str, Any]

    @property
    def states(self) -> dict[str, dict[str, Any]]:
        """The well-formed states by name."""
        states = self.body.get("States")
        return {k: v for k, v in states.items() if isinstance(v, dict)} if isinstance(states, dict) else {}


@dataclass(frozen=True)
class State:
    """One state and the machine it belongs to."""

    machine: Machine
    name: str
    body: dict[str, Any]

    @property
    def path(self) -> Path:
        return (*self.machine.path, "States", self.name)

    @property
    def kind(self) -> str:
        return str(self.body.get("Type", ""))

    @property
    def arguments(self) -> Any:
        """What a Task is called with: Parameters (JSONPath) or Arguments (JSONata)."""
        return self.body.get("Parameters", self.body.get("Arguments"))

    @property
    def arguments_key(self) -> str:
        return "Arguments" if "Parameters" not in self.body and "Arguments" in self.body else "Parameters"


def machines(asl: dict[str, Any], path: Path = ()) -> Iterator[Machine]:
    """The definition itself and every machine nested in it, outer first."""
    if not asl:
        return
    machine = Machine(path, asl)
    yield machine
    for name, state in machine.states.items():
        at = (*path, "States", name)
        branches = state.get("Branches")
        for index, branch in enumerate(branches if isinstance(branches, list) else []):
            if isinstance(branch, dict):
                yield from machines(branch, (*at, "Branches", index))
        for key in ("Iterator", "ItemProcessor"):
            if isinstance(state.get(key), dict):
                yield from machines(state[key], (*at, key))


def states(asl: dict[str, Any]) -> Iterator[State]:
    """Every state of the definition, nested ones included."""
    for machine in machines(asl):
        for name, body in machine.states.items():
            yield State(machine, name, body)


def tasks(asl: dict[str, Any]) -> Iterator[State]:
    """Every Task."""
    return (state for state in states(asl) if state.kind == "Task")


@dataclass(frozen=True)
class Edge:
    """A transition: where it is written (relative to the state), where it goes, and whether it is a Catch."""

    path: Path
    target: Any
    catch: bool = False


def edges(body: dict[str, Any]) -> Iterator[Edge]:
    """Every transition a state names."""
    for key in ("Next", "Default"):
        if key in body:
            yield Edge((key,), body[key])
    for key, catch in (("Choices", False), ("Catch", True)):
        entries = body.get(key)
        for index, entry in enumerate(entries if isinstance(entries, list) else []):
            if isinstance(entry, dict) and "Next" in entry:
                yield Edge((key, index, "Next"), entry["Next"], catch)


def successors(machine: Machine, name: str, *, catch: bool = True) -> set[str]:
    """Existing states that `name` may go to."""
    body = machine.states.get(name, {})
    return {
        edge.target
        for edge in edges(body)
        if isinstance(edge.target, str) and edge.target in machine.states and (catch or not edge.catch)
    }


def dangling(machine: Machine) -> Iterator[tuple[str, Edge]]:
    """State and transition, of those that lead to no state of the machine."""
    for name, body in machine.states.items():
        for edge in edges(body):
            if not isinstance(edge.target, str) or edge.target not in machine.states:
                yield name, edge


def sound(machine: Machine) -> bool:
    """Whether every transition leads somewhere; if not, what can be reached from where says nothing yet."""
    start = machine.body.get("StartAt")
    return isinstance(start, str) and start in machine.states and not any(dangling(machine))


def reachable(machine: Machine, start: str, *, catch: bool = True) -> set[str]:
    """`start` and all states that can follow it."""
    seen: set[str] = set()
    todo = [start]
    while todo:
        name = todo.pop()
        if name in machine.states and name not in seen:
            seen.add(name)
            todo += successors(machine, name, catch=catch)
    return seen


def is_end(body: dict[str, Any]) -> bool:
    """Whether the machine can end in this state."""
    return body.get("End") is True or body.get("Type") in TERMINAL


def strings(value: Any, path: Path = ()) -> Iterator[tuple[Path, str]]:
    """Every string inside a value, with its path."""
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, dict):
        for key, child in value.items():
            yield from strings(child, (*path, str(key)))
    elif isinstance(value, list):
        for index, child in enumerate(value):
            yield from strings(child, (*path, index))


_RESOURCE = re.compile(
    r"^arn:[^:]+:states:[^:]*:[^:]*:(?:aws-sdk:(?P<sdk>[a-z0-9]+)|(?P<service>[a-z0-9-]+)):(?P<action>[A-Za-z0-9]+)"
    r"(?:\.(?P<pattern>sync(?::2)?|waitForTaskToken))?$"
)


@dataclass(frozen=True)
class Integration:
    """What a Task calls: `sagemaker`, `createTrainingJob`, pattern `sync`; `sdk` for aws-sdk integrations."""

    service: str
    action: str
    pattern: str
    sdk: bool

    @property
    def operation(self) -> str:
        """The API's name of the action: CreateTrainingJob."""
        return self.action[0].upper() + self.action[1:]


def integration(body: dict[str, Any]) -> Integration | None:
    """The service integration of a Task; None for an activity or a function's own ARN."""
    resource = body.get("Resource")
    # A partition may be a substitution of the template, which holds colons.
    text = re.sub(r"\$\{[^}]*\}", "aws", resource) if isinstance(resource, str) else ""
    match = _RESOURCE.match(text)
    if not match:
        return None
    return Integration(
        match["sdk"] or match["service"], match["action"], match["pattern"] or "", match["sdk"] is not None
    )
