"""A machine boiled down to its way from start to success, without joints and failure handling. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from pipeline.graph.model import Edge, Machine, Node

# Only joints of a machine: kept where a run stands at them.
JOINTS = frozenset({"Pass", "Wait"})


def way(graph: Machine, statuses: Mapping[str, str]) -> tuple[Machine, int]:
    """The boiled-down machine, and how many states it lacks; what a run came by (`statuses`) is kept.

    Edges lead past the states that are left out.
    """
    kept = _kept(graph, statuses)
    out: dict[str, list[Edge]] = {name: [] for name in graph.nodes}
    for edge in graph.edges:
        if _is_way(edge):
            out[edge.source].append(edge)
    nodes: dict[str, Node] = {}
    left_out = len(graph.nodes) - len(kept)
    for name, node in graph.nodes.items():
        if name in kept:
            inner = [way(branch, statuses) for branch in node.branches]
            left_out += sum(fewer for _, fewer in inner)
            nodes[name] = replace(node, branches=[branch for branch, _ in inner], guarded=False)
    edges = [edge for name in nodes for edge in _past(name, out, kept)]
    return Machine(graph.start, nodes, edges), left_out


def _is_way(edge: Edge) -> bool:
    """An error of a service's own that is caught may be an answer (`not found`); any other is a failure."""
    return edge.kind != "catch" or not edge.label.startswith(("States.", "any error"))


def _past(name: str, out: Mapping[str, list[Edge]], kept: set[str]) -> list[Edge]:
    """Where a state leads, past what is not kept; a way keeps the label that it begins with."""
    found: dict[str, Edge] = {}
    seen: set[str] = set()
    waiting = list(out[name])
    while waiting:
        edge = waiting.pop(0)
        if edge.target in kept:
            found.setdefault(edge.target, Edge(name, edge.target, edge.kind, edge.label))
        elif edge.target not in seen:
            seen.add(edge.target)
            waiting = [
                replace(further, kind=edge.kind, label=edge.label) for further in out[edge.target]
            ] + waiting
    return [edge for edge in found.values() if edge.target != name]


def _kept(graph: Machine, statuses: Mapping[str, str]) -> set[str]:
    """States of the way from the start to an end that is a success, and all that a run came by."""
    targets: dict[str, list[str]] = {name: [] for name in graph.nodes}
    for edge in graph.edges:
        if _is_way(edge):
            targets[edge.source].append(edge.target)
    ends = {name for name, node in graph.nodes.items() if node.end and node.type != "Fail"}
    reached = _reach(graph.start, targets)
    good = {name for name in reached if ends & _reach(name, targets)}
    plain = {name for name in good if graph.nodes[name].type not in JOINTS}
    return plain | {name for name in graph.nodes if statuses.get(name)} | {graph.start}


def _reach(start: str, targets: Mapping[str, list[str]]) -> set[str]:
    seen, waiting = {start}, [start]
    while waiting:
        for name in targets[waiting.pop()]:
            if name not in seen:
                seen.add(name)
                waiting.append(name)
    return seen
