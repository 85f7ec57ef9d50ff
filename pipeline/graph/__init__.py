"""State machines as pictures: Mermaid text, or SVG that stands alone. Pure, and knows no AWS."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipeline.graph.mermaid import mermaid
from pipeline.graph.model import machine
from pipeline.graph.svg import svg

__all__ = ["draw", "nodes"]


def draw(asl: Mapping[str, Any], form: str, statuses: Mapping[str, str], title: str) -> str:
    """The definition `asl` as `mermaid` text or `svg`; states coloured by `statuses`."""
    return (svg if form == "svg" else mermaid)(machine(asl), statuses, title)


def nodes(asl: Mapping[str, Any], statuses: Mapping[str, str]) -> list[dict[str, Any]]:
    """The states with their type and status, for machines."""
    return [
        {"name": node.name, "type": node.type, "detail": node.detail, "status": statuses.get(node.name, "")}
        for node in machine(asl).walk()
    ]
