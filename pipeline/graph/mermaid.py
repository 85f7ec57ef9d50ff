"""The graph as Mermaid text, which GitHub and most editors draw."""

from __future__ import annotations

import json
from collections.abc import Mapping

from pipeline.graph.colours import COLOURS
from pipeline.graph.model import Machine, Node

SHAPES = {
    "Choice": ('{{"', '"}}'),
    "Succeed": ('(["', '"])'),
    "Fail": ('(["', '"])'),
    "Wait": ('("', '")'),
}


def mermaid(graph: Machine, statuses: Mapping[str, str], title: str) -> str:
    """A flowchart; states coloured by `statuses` (state -> succeeded, failed, running, ...)."""
    # The title is YAML, where a colon would begin a mapping; JSON's quoting is YAML's too.
    lines = ["---", f"title: {json.dumps(title)}", "---", "flowchart TD"]
    ids: dict[str, str] = {}
    links: list[str] = []
    _nodes(graph, lines, ids, links, "  ")
    if graph.start in ids:  # a part of a machine may lack it
        lines.append(f"  start((start)) --> {ids[graph.start]}")
    used = {statuses[name] for name in ids if statuses.get(name) in COLOURS}
    for status in sorted(used):
        colour = COLOURS[status]
        lines.append(f"  classDef {status} fill:{colour.fill},stroke:{colour.line},color:#1b1f24")
        members = [node_id for name, node_id in ids.items() if statuses.get(name) == status]
        lines.append(f"  class {','.join(members)} {status}")
    for status in sorted({status for status in links if status}):
        # Mermaid counts the links in the order in which they are written.
        numbers = ",".join(str(number) for number, each in enumerate(links) if each == status)
        lines.append(f"  linkStyle {numbers} stroke:{COLOURS[status].line},stroke-width:2px")
    return "\n".join(lines) + "\n"


def _nodes(graph: Machine, lines: list[str], ids: dict[str, str], links: list[str], indent: str) -> None:
    for node in graph.nodes.values():
        ids[node.name] = f"s{len(ids)}"
        if node.branches:
            lines.append(f'{indent}subgraph {ids[node.name]}["{_text(node.name)}"]')
            for branch in node.branches:
                _nodes(branch, lines, ids, links, indent + "  ")
            lines.append(f"{indent}end")
        else:
            lines.append(f"{indent}{ids[node.name]}{_shape(node)}")
    for edge in graph.edges:
        arrow = "-.->" if edge.kind == "catch" or edge.status == "removed" else "-->"
        said = ": ".join(filter(None, (edge.status, edge.label)))
        label = f'|"{_text(said)}"|' if said else ""
        lines.append(f"{indent}{ids[edge.source]} {arrow}{label} {ids[edge.target]}")
        links.append(edge.status)
    for target in graph.shared:
        count = sum(node.guarded for node in graph.nodes.values())
        mark = f"any{ids[target]}"
        lines.append(f'{indent}{mark}(("failure of any of {count} states")) -.-> {ids[target]}')
        links.append("")


def _shape(node: Node) -> str:
    before, after = SHAPES.get(node.type, ('["', '"]'))
    small = f"<br/><small>{_text(node.detail)}</small>" if node.detail else ""
    return f"{before}{_text(node.name)}{small}{after}"


# What would end a label, begin markup, or stand for something else in one: written as an entity.
ENTITIES = {
    ord("#"): "#35;",
    ord("&"): "#amp;",
    ord('"'): "#quot;",
    ord("<"): "#lt;",
    ord(">"): "#gt;",
    ord("`"): "#96;",
    ord("\\"): "#92;",
    ord(";"): "#59;",
}


def _text(text: str) -> str:
    # A line's end would end the statement, and with it the label.
    return " ".join(text.split()).translate(ENTITIES)
