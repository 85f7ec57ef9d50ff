"""State machines as pictures: Mermaid text, SVG, PNG, or lines for a terminal. Pure, and knows no AWS.

    render_graph(asl)                     # a Picture: .svg, .png(), .mermaid, .text(), .save("x.png")

A notebook shows a Picture by itself. By a pipeline's name, and of runs: `pipeline.notebook`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pipeline.graph.mermaid import mermaid
from pipeline.graph.model import machine
from pipeline.graph.picture import Picture, form_of
from pipeline.graph.svg import svg

__all__ = ["Picture", "draw", "form_of", "nodes", "render_graph"]


def render_graph(
    asl: Mapping[str, Any] | str, statuses: Mapping[str, str] | None = None, title: str = ""
) -> Picture:
    """The picture of a definition in Amazon States Language, as data or JSON.

    Raises:
        ValueError: the text is no JSON.
        KeyError: it has no States or no StartAt.
    """
    data = json.loads(asl) if isinstance(asl, str) else asl
    machine(data)
    return Picture(data, statuses or {}, title)


def draw(asl: Mapping[str, Any], form: str, statuses: Mapping[str, str], title: str) -> str:
    """The definition `asl` as `mermaid` text or `svg`; states coloured by `statuses`."""
    return (svg if form == "svg" else mermaid)(machine(asl), statuses, title)


def nodes(asl: Mapping[str, Any], statuses: Mapping[str, str]) -> list[dict[str, Any]]:
    """The states with their type and status, for machines."""
    return [
        {"name": node.name, "type": node.type, "detail": node.detail, "status": statuses.get(node.name, "")}
        for node in machine(asl).walk()
    ]
