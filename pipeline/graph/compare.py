"""Two machines in one picture: what is added, changed and removed. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pipeline.graph.mermaid import mermaid
from pipeline.graph.model import Edge, Machine, Node, machine
from pipeline.graph.svg import svg


def compared(
    before: Mapping[str, Any] | None,
    after: Mapping[str, Any],
    changed: frozenset[str],
    form: str,
    title: str,
    *,
    near: bool = False,
) -> str:
    """`before` and `after` (definitions in ASL) laid over each other, as `mermaid` text or `svg`.

    Args:
        changed: names of states that are in both and do something else now.
        near: only what changes and what is next to it. Of a new machine all is drawn.
    """
    statuses = dict.fromkeys(changed, "changed")
    merged = merge(machine(before) if before else None, machine(after), statuses)
    if near and before:
        merged = around(merged, statuses)
    return (svg if form == "svg" else mermaid)(merged, statuses, title)


def around(graph: Machine, statuses: Mapping[str, str]) -> Machine:
    """The states with a status, the ends of edges with one, and the neighbours of both."""
    wanted = {name for name, node in graph.nodes.items() if _touched(node, statuses)}
    for edge in graph.edges:
        if edge.status:
            wanted |= {edge.source, edge.target}
    near = [e for e in graph.edges if e.source in wanted or e.target in wanted]
    shown = wanted | {name for edge in near for name in (edge.source, edge.target)}
    nodes = {name: node for name, node in graph.nodes.items() if name in shown}
    shared = tuple(name for name in graph.shared if name in wanted)
    edges = [e for e in graph.edges if e.source in shown and e.target in shown]
    return Machine(graph.start, nodes, edges, shared)


def _touched(node: Node, statuses: Mapping[str, str]) -> bool:
    return node.name in statuses or any(
        _touched(inner, statuses) for branch in node.branches for inner in branch.nodes.values()
    )


def merge(before: Machine | None, after: Machine, statuses: dict[str, str]) -> Machine:
    """One machine with the states and edges of both; `statuses` takes what was added and removed."""
    if before is None:
        # All of it is new; a picture all in green says no more than one without colours.
        return after
    nodes: dict[str, Node] = {}
    for name, node in after.nodes.items():
        known = before.nodes.get(name)
        if known is None:
            statuses[name] = "added"
        nodes[name] = _inside(known, node, statuses)
    for name, node in before.nodes.items():
        if name not in after.nodes:
            statuses[name] = "removed"
            nodes[name] = node
    now = {_key(edge) for edge in after.edges}
    then = {_key(edge) for edge in before.edges}
    shared = (*after.shared, *(name for name in before.shared if name not in after.shared))
    edges = [replace(e, status="" if _key(e) in then else "added") for e in after.edges]
    edges += [
        replace(e, status="removed")
        for e in before.edges
        # What joined or left the common failure handler moved in the drawing, not in the machine.
        if _key(e) not in now and not (e.kind == "catch" and e.target in shared)
    ]
    return Machine(after.start, nodes, [e for e in edges if e.source in nodes and e.target in nodes], shared)


def _inside(before: Node | None, after: Node, statuses: dict[str, str]) -> Node:
    """A Parallel or Map: its branches are compared where there are as many."""
    if before is None or len(before.branches) != len(after.branches) or not after.branches:
        return after
    inner = [merge(b, a, statuses) for b, a in zip(before.branches, after.branches, strict=True)]
    return replace(after, branches=inner)


def _key(edge: Edge) -> tuple[str, str, str]:
    return edge.source, edge.target, edge.kind
