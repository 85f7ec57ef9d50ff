"""Two state machines in, what changed in the workflow out: states, and the ways between them. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from pipeline.graph.model import branches_of, detail, edges_of
from pipeline.plan.diff import values
from pipeline.plan.model import PropertyChange, canonical

# Where a state leads is told as edges, once.
WAYS = frozenset({"Next", "Default", "End"})
KINDS = {"next": "", "choice": "choice", "catch": "catch"}


@dataclass(frozen=True)
class StateChange:
    """One state that came, went, or does something else.

    Args:
        detail: what it does, such as `sagemaker:createTrainingJob.sync`.
        properties: only for a changed one, with paths inside the state.
    """

    action: Literal["added", "changed", "removed"]
    name: str
    type: str
    detail: str = ""
    properties: tuple[PropertyChange, ...] = ()


@dataclass(frozen=True)
class EdgeChange:
    """One way from state to state; `label` is the condition or the errors, `before` what it was."""

    action: Literal["added", "changed", "removed"]
    source: str
    target: str
    kind: str
    label: str = ""
    before: str = ""


@dataclass(frozen=True)
class GraphChange:
    """All that changes in a workflow. `machine`: beside the states, such as the time limit."""

    new: bool = False
    states: tuple[StateChange, ...] = ()
    edges: tuple[EdgeChange, ...] = ()
    machine: tuple[PropertyChange, ...] = field(default=())

    @property
    def changed(self) -> frozenset[str]:
        """States that are in both and do something else, or lead somewhere else under another condition."""
        names = {s.name for s in self.states if s.action == "changed"}
        return frozenset(names | {e.source for e in self.edges if e.action == "changed"})

    def __bool__(self) -> bool:
        return bool(self.states or self.edges or self.machine)


def compare(before: Mapping[str, Any] | None, after: Mapping[str, Any]) -> GraphChange:
    """What turns the workflow `before` (None: there was none) into `after`."""
    now = dict(_states(after))
    if before is None:
        added = tuple(StateChange("added", name, s["Type"], detail(s)) for name, s in now.items())
        return GraphChange(new=True, states=added)
    then = dict(_states(before))
    edges = _edges(then, now)
    told = {edge.source for edge in edges}
    states: list[StateChange] = []
    for name, state in now.items():
        if name not in then:
            states.append(StateChange("added", name, state["Type"], detail(state)))
            continue
        found = _differences(then[name], state)
        if name not in told:
            # A condition's guards are not in a way's label.
            found += tuple(values({"Choices": then[name].get("Choices")}, {"Choices": state.get("Choices")}))
        if found:
            states.append(StateChange("changed", name, state["Type"], detail(state), found))
    states += [StateChange("removed", n, s["Type"], detail(s)) for n, s in then.items() if n not in now]
    beside = [
        change
        for key in sorted({*before, *after} - {"States"})
        for change in values({key: before.get(key)}, {key: after.get(key)})
    ]
    return GraphChange(False, tuple(states), edges, tuple(beside))


def words(change: GraphChange) -> list[str]:
    """The change for a person, one line a fact; what follows from a new or gone state is not repeated."""
    if change.new:
        return [f"a new workflow of {len(change.states)} states"]
    lines = [f"{_place(p)} of the workflow: {_from_to(p)}" for p in change.machine]
    moved = {s.name for s in change.states if s.action != "changed"}
    for state in change.states:
        what = state.detail or state.type
        if state.action == "added":
            lines.append(f"state {state.name} is added ({what}){_between(state.name, change.edges)}")
        elif state.action == "removed":
            lines.append(f"state {state.name} is removed ({what})")
        else:
            lines += [f"state {state.name}: {_place(p)} {_from_to(p)}" for p in state.properties]
    for edge in change.edges:
        if edge.source in moved:
            continue
        way = f"{edge.source} -> {edge.target}" + (f" ({KINDS[edge.kind]})" if KINDS[edge.kind] else "")
        if edge.action == "changed":
            lines.append(f"{way}: now if {edge.label or 'always'}, was if {edge.before or 'always'}")
        else:
            lines.append(f"{way} is {edge.action}" + (f", if {edge.label}" if edge.label else ""))
    return lines


def _states(asl: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """All states; their names are unique through all branches, as ASL wants."""
    for name, state in asl["States"].items():
        yield name, state
        for branch in branches_of(state):
            yield from _states(branch)


def _differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[PropertyChange, ...]:
    return tuple(values(_own(before), _own(after)))


def _own(state: Mapping[str, Any]) -> dict[str, Any]:
    """A state without the ways out of it and the states inside it; a catch keeps what it catches."""
    own = {key: value for key, value in state.items() if key not in WAYS | {"Branches", "Choices"}}
    for name in ("Iterator", "ItemProcessor"):
        if name in own:
            own[name] = {k: v for k, v in own[name].items() if k not in {"States", "StartAt"}}
    if "Catch" in own:
        own["Catch"] = [{k: v for k, v in catch.items() if k != "Next"} for catch in own["Catch"]]
    return own


def _edges(
    before: Mapping[str, Mapping[str, Any]], after: Mapping[str, Mapping[str, Any]]
) -> tuple[EdgeChange, ...]:
    then, now = _ways(before), _ways(after)
    found = []
    for key, label in now.items():
        if key not in then:
            found.append(EdgeChange("added", *key, label))
        elif canonical(then[key]) != canonical(label):
            found.append(EdgeChange("changed", *key, label, then[key]))
    found += [EdgeChange("removed", *key, label) for key, label in then.items() if key not in now]
    return tuple(found)


def _ways(states: Mapping[str, Mapping[str, Any]]) -> dict[tuple[str, str, str], str]:
    return {
        (edge.source, edge.target, edge.kind): edge.label
        for name, state in states.items()
        for edge in edges_of(name, state)
    }


def _between(name: str, edges: tuple[EdgeChange, ...]) -> str:
    """` after A, before B`, by the plain ways to and from a new state."""
    after = [e.source for e in edges if e.target == name and e.kind != "catch"]
    before = [e.target for e in edges if e.source == name and e.kind != "catch"]
    parts = [f"after {', '.join(after)}"] if after else []
    parts += [f"before {', '.join(before)}"] if before else []
    return " " + ", ".join(parts) if parts else ""


def _place(change: PropertyChange) -> str:
    return change.path.removeprefix("Parameters.")


def _from_to(change: PropertyChange) -> str:
    if change.before is None:
        return f"is {canonical(change.after)} (new)"
    if change.after is None:
        return f"is gone (was {canonical(change.before)})"
    return f"{canonical(change.before)} -> {canonical(change.after)}"
