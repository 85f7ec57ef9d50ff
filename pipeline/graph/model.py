"""A state machine as nodes and edges. Pure.

A catcher that many states share (the failure notice) would be a bundle of lines over the whole picture;
it becomes one `shared catch`, and the states that lead there only carry a mark.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

SHARED_FROM = 3


@dataclass(frozen=True)
class Edge:
    """From state to state. `kind`: next, choice or catch; `status`: added or removed, in a comparison."""

    source: str
    target: str
    kind: str
    label: str = ""
    status: str = ""


@dataclass
class Node:
    """One state. `guarded`: its failures go to the machine's shared catch."""

    name: str
    type: str
    detail: str = ""
    guarded: bool = False
    end: bool = False
    branches: list[Machine] = field(default_factory=list)


@dataclass
class Machine:
    """States in the definition's order; `shared` are the states that take the failures of many."""

    start: str
    nodes: dict[str, Node]
    edges: list[Edge]
    shared: tuple[str, ...] = ()

    def walk(self) -> Iterator[Node]:
        """All nodes, those of branches included."""
        for node in self.nodes.values():
            yield node
            for branch in node.branches:
                yield from branch.walk()


def machine(asl: Mapping[str, Any]) -> Machine:
    """The graph of a definition in Amazon States Language."""
    states: Mapping[str, Any] = asl["States"]
    caught = Counter(c["Next"] for state in states.values() for c in state.get("Catch", []))
    shared = tuple(name for name, count in caught.items() if count >= SHARED_FROM)
    nodes: dict[str, Node] = {}
    edges: list[Edge] = []
    for name, state in states.items():
        catches = state.get("Catch", [])
        nodes[name] = Node(
            name,
            state["Type"],
            detail(state),
            guarded=any(c["Next"] in shared for c in catches),
            end=bool(state.get("End")) or state["Type"] in {"Succeed", "Fail"},
            branches=[machine(branch) for branch in branches_of(state)],
        )
        edges += edges_of(name, state, shared)
    return Machine(asl["StartAt"], nodes, edges, shared)


def detail(state: Mapping[str, Any]) -> str:
    """What a state does, shortly: `sagemaker:createTrainingJob.sync`, a wait's seconds, an error's name."""
    kind = state["Type"]
    if kind == "Task":
        resource = str(state.get("Resource", ""))
        if ":states:::" in resource:
            return resource.split(":states:::", 1)[1]
        return "lambda:" + resource.rsplit(":", 1)[-1] if ":function:" in resource else resource
    if kind == "Wait":
        return f"wait {state['Seconds']} s" if "Seconds" in state else "wait"
    return str(state.get("Error", kind)) if kind == "Fail" else ""


def condition(rule: Mapping[str, Any]) -> str:
    """A Choice rule in few signs: `$.run.new = true`."""
    if isinstance(rule.get("Condition"), str):
        return str(rule["Condition"]).strip("{}% ")
    for word, sign in (("And", " and "), ("Or", " or ")):
        if word in rule:
            parts = rule[word]
            # Whether a value is there and of which type only guards the test that follows.
            tests = [part for part in parts if not any(key.startswith("Is") for key in part)]
            return sign.join(condition(part) for part in (tests if word == "And" and tests else parts))
    if "Not" in rule:
        return f"not ({condition(rule['Not'])})"
    tests = [key for key in rule if key not in {"Variable", "Next", "Comment", "Assign", "Output"}]
    if not tests:
        return ""
    test, variable = tests[0], str(rule.get("Variable", "")).rsplit(".", 1)[-1]
    value = rule[test]
    if test.startswith("Is"):
        return f"{variable} {'is' if value else 'is not'} {test[2:].lower()}"
    signs = {
        "GreaterThanEquals": ">=",
        "LessThanEquals": "<=",
        "GreaterThan": ">",
        "LessThan": "<",
        "Matches": "~",
        "Equals": "=",
    }
    sign = next((s for word, s in signs.items() if test.removesuffix("Path").endswith(word)), test)
    return f"{variable} {sign} {str(value).lower() if isinstance(value, bool) else value}"


def branches_of(state: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The definitions inside a Parallel or a Map."""
    inner = state.get("ItemProcessor") or state.get("Iterator")
    return [*state.get("Branches", []), *([inner] if inner else [])]


def edges_of(name: str, state: Mapping[str, Any], shared: tuple[str, ...] = ()) -> list[Edge]:
    """Where a state may lead, the catches to `shared` states left out."""
    found: dict[tuple[str, str], list[str]] = {}
    for rule in state.get("Choices", []):
        found.setdefault((rule["Next"], "choice"), []).append(condition(rule))
    if "Default" in state:
        found.setdefault((state["Default"], "choice"), []).append("else")
    if "Next" in state:
        found.setdefault((state["Next"], "next"), [])
    for catch in state.get("Catch", []):
        # A failure that goes where success goes needs no second line.
        if catch["Next"] not in shared and (catch["Next"], "next") not in found:
            errors = catch["ErrorEquals"]
            text = "any error" if errors == ["States.ALL"] else ", ".join(errors)
            found.setdefault((catch["Next"], "catch"), []).append(text)
    return [Edge(name, target, kind, _joined(labels)) for (target, kind), labels in found.items()]


def _joined(labels: list[str]) -> str:
    """`Status = A`, `Status = B` -> `Status = A, B`; nothing said twice."""
    labels = list(dict.fromkeys(labels))
    heads = {label.split(" = ", 1)[0] for label in labels if " = " in label}
    if len(labels) > 1 and len(heads) == 1 and all(" = " in label for label in labels):
        return f"{heads.pop()} = {', '.join(label.split(' = ', 1)[1] for label in labels)}"
    return "; ".join(labels)
