"""The graph as an SVG picture that stands alone."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from xml.sax.saxutils import escape

from pipeline.graph import layout as layouts
from pipeline.graph.colours import COLOURS, COMPARED, PLAIN, Colour
from pipeline.graph.layout import Layout, Link, Place
from pipeline.graph.model import Edge, Machine, Node

NAME_PX = 7.3
SMALL_PX = 5.4
LABEL_PX = 5.6
BOX_HEIGHT = 42.0
PADDING = 18.0
HEAD = 22.0
LABEL_MAX = 34
MARGIN = 24.0
SANS = "-apple-system, 'Segoe UI', 'DejaVu Sans', Helvetica, Arial, sans-serif"


def svg(graph: Machine, statuses: Mapping[str, str], title: str) -> str:
    """The picture; states coloured by `statuses`. Deterministic: same input, same bytes."""
    drawing = _Drawing(statuses)
    placed = drawing.measure(graph)
    legend = _legend(graph, statuses)
    top = MARGIN + HEAD + 20
    width = max(placed.width, 7.5 * len(title), 96.0 * len(legend)) + 2 * MARGIN
    height = top + placed.height + (44 if legend else 0) + MARGIN
    drawing.machine(graph, placed, (width - placed.width) / 2, top)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" '
        f'width="{width:.0f}" height="{height:.0f}" font-family="{SANS}">',
        f"<title>{escape(title)}</title>",
        '<defs><marker id="a" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" '
        'orient="auto-start-reverse"><path d="M0 0.5 L8 4 L0 7.5 z" fill="#57606a"/></marker></defs>',
        f'<rect width="{width:.0f}" height="{height:.0f}" fill="#ffffff"/>',
        f'<text x="{MARGIN}" y="{MARGIN + 6}" font-size="15" font-weight="600" fill="#1b1f24">'
        f"{escape(title)}</text>",
        *drawing.lines,
        *drawing.boxes,
        *drawing.labels,
        *_drawn_legend(legend, MARGIN, height - MARGIN - 6),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


class _Drawing:
    """Collects lines, boxes and labels, in the order in which they have to cover each other."""

    def __init__(self, statuses: Mapping[str, str]) -> None:
        self.statuses = statuses
        self.lines: list[str] = []
        self.boxes: list[str] = []
        self.labels: list[str] = []
        self._inner: dict[int, list[Layout]] = {}

    def measure(self, graph: Machine) -> Layout:
        """The layout of a machine; a state with branches is as large as they are side by side."""
        sizes: dict[str, tuple[float, float]] = {}
        for node in graph.nodes.values():
            sizes[node.name] = self._size(node)
        for target in graph.shared:
            sizes[f"any failure of {target}"] = (len(_failure_text(graph)) * LABEL_PX + 24, 22.0)
        links = [Link(i, e.source, e.target, _label_width(e)) for i, e in enumerate(graph.edges)]
        links += [
            Link(len(graph.edges) + i, f"any failure of {target}", target)
            for i, target in enumerate(graph.shared)
        ]
        return layouts.layout(sizes, links, graph.start)

    def _size(self, node: Node) -> tuple[float, float]:
        text = max(len(node.name) * NAME_PX, len(node.detail) * SMALL_PX) + 30
        if not node.branches:
            return max(text, 96.0), BOX_HEIGHT if node.detail else 32.0
        inner = [self.measure(branch) for branch in node.branches]
        self._inner[id(node)] = inner
        wide = sum(part.width for part in inner) + PADDING * (len(inner) + 1)
        return max(wide, text), max(part.height for part in inner) + HEAD + 2 * PADDING

    def machine(self, graph: Machine, placed: Layout, x: float, y: float) -> None:
        """Draw a machine with its layout's origin at (x, y)."""
        first = placed.places[graph.start]
        above = y + first.y - 16
        self.lines.append(_path(f"M{x + first.x:.1f} {above:.1f} V{y + first.y - 1:.1f}", ""))
        self.boxes.append(f'<circle cx="{x + first.x:.1f}" cy="{above:.1f}" r="4" fill="#57606a"/>')
        for number, edge in enumerate(graph.edges):
            self._edge(edge, placed.routes.get(number), placed.places[edge.source], x, y)
        for number, target in enumerate(graph.shared, start=len(graph.edges)):
            self._edge(Edge("", target, "catch"), placed.routes.get(number), placed.places[target], x, y)
            self._note(_failure_text(graph), placed.places[f"any failure of {target}"], x, y)
        for node in graph.nodes.values():
            self._node(node, placed.places[node.name], x, y)

    def _note(self, text: str, place: Place, x: float, y: float) -> None:
        left, top = x + place.x - place.width / 2, y + place.y
        self.boxes.append(
            f'<rect x="{left:.1f}" y="{top:.1f}" width="{place.width:.1f}" height="{place.height:.1f}" '
            'rx="11" fill="#fff8f7" stroke="#cf222e" stroke-dasharray="3 3"/>'
            f'<text x="{x + place.x:.1f}" y="{top + 15:.1f}" font-size="10" text-anchor="middle" '
            f'fill="#82071e">{escape(text)}</text>'
        )

    def _node(self, node: Node, place: Place, x: float, y: float) -> None:
        status = self.statuses.get(node.name, "")
        colour = COLOURS.get(status, PLAIN)
        left, top, middle = x + place.x - place.width / 2, y + place.y, x + place.x
        hint = f"<title>{escape(node.name)} ({node.type}){': ' + status if status else ''}</title>"
        self.boxes.append(f"<g>{hint}{_outline(node, colour, left, top, place)}")
        if node.branches:
            self.boxes.append(_text(node.name, middle, top + 17, 12, "600"))
            at = left + PADDING
            for branch, inner in zip(node.branches, self._inner[id(node)], strict=True):
                self.machine(branch, inner, at, top + HEAD + PADDING)
                at += inner.width + PADDING
        elif node.detail:
            self.boxes.append(_text(node.name, middle, top + 18, 12, "600"))
            self.boxes.append(_text(node.detail, middle, top + 32, 9, "400", "#57606a"))
        else:
            self.boxes.append(_text(node.name, middle, top + place.height / 2 + 4, 12, "600"))
        if node.guarded:
            self.boxes.append(
                f'<circle cx="{left + place.width - 7:.1f}" cy="{top + 7:.1f}" r="3" fill="#cf222e"/>'
            )
        self.boxes.append("</g>")

    def _edge(self, edge: Edge, route: list[Place] | None, own: Place, x: float, y: float) -> None:
        dashed = ' stroke-dasharray="4 3"' if edge.kind == "catch" or edge.status == "removed" else ""
        if route is None:  # to itself
            right, top = x + own.x + own.width / 2, y + own.y
            loop = f"M{right:.1f} {top + 10:.1f} c22 0 22 {own.height - 20:.1f} 0 {own.height - 20:.1f}"
            self.lines.append(_path(loop, dashed, edge.status))
            return
        self.lines.append(_path(_curve(route, x, y), dashed, edge.status))
        if edge.label:
            hidden = [place for place in route[1:-1] if place.width]
            if hidden:
                at = hidden[0]
                self.labels.append(_label(edge.label, x + at.x, y + at.y + at.height / 2))


def _curve(route: list[Place], x: float, y: float) -> str:
    """Vertical tangents at every place, so that lines leave and reach boxes straight."""
    down = route[-1].layer > route[0].layer
    points: list[tuple[float, float]] = []
    for number, place in enumerate(route):
        high, low = y + place.y, y + place.y + place.height
        if number == 0:
            points.append((x + place.x, low if down else high))
        elif number == len(route) - 1:
            points.append((x + place.x, high - 1 if down else low + 1))
        elif place.height:
            points += (
                [(x + place.x, high), (x + place.x, low)]
                if down
                else [(x + place.x, low), (x + place.x, high)]
            )
        else:
            points.append((x + place.x, high))
    text = f"M{points[0][0]:.1f} {points[0][1]:.1f}"
    for (x1, y1), (x2, y2) in itertools.pairwise(points):
        half = (y1 + y2) / 2
        text += f" C{x1:.1f} {half:.1f} {x2:.1f} {half:.1f} {x2:.1f} {y2:.1f}"
    return text


def _path(data: str, extra: str, status: str = "") -> str:
    line, wide = (COLOURS[status].line, 2.0) if status else ("#57606a", 1.1)
    return f'<path d="{data}" fill="none" stroke="{line}" stroke-width="{wide}"{extra} marker-end="url(#a)"/>'


def _outline(node: Node, colour: Colour, left: float, top: float, place: Place) -> str:
    wide, tall = place.width, place.height
    style = f'fill="{colour.fill}" stroke="{colour.line}" stroke-width="1.4"'
    if node.type == "Choice":
        cut = 12
        corners = [
            (left + cut, top),
            (left + wide - cut, top),
            (left + wide, top + tall / 2),
            (left + wide - cut, top + tall),
            (left + cut, top + tall),
            (left, top + tall / 2),
        ]
        return f'<polygon points="{" ".join(f"{a:.1f},{b:.1f}" for a, b in corners)}" {style}/>'
    if node.branches:
        style = f'fill="#f6f8fa" stroke="{colour.line}" stroke-width="1.4"'
    radius = tall / 2 if node.type in {"Succeed", "Fail"} else 6
    at = f'x="{left:.1f}" y="{top:.1f}" width="{wide:.1f}" height="{tall:.1f}"'
    box = f'<rect {at} rx="{radius:.1f}" {style}/>'
    if node.type in {"Succeed", "Fail"}:
        box += (
            f'<rect x="{left + 3:.1f}" y="{top + 3:.1f}" width="{wide - 6:.1f}" height="{tall - 6:.1f}" '
            f'rx="{radius - 3:.1f}" fill="none" stroke="{colour.line}" stroke-width="0.8"/>'
        )
    return box


def _text(text: str, x: float, y: float, size: int, weight: str, fill: str = "#1b1f24") -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" font-weight="{weight}" text-anchor="middle" '
        f'fill="{fill}">{escape(text)}</text>'
    )


def _short(label: str) -> str:
    return label if len(label) <= LABEL_MAX else label[: LABEL_MAX - 1] + "\N{HORIZONTAL ELLIPSIS}"


def _label_width(edge: Edge) -> float:
    return len(_short(edge.label)) * LABEL_PX + 8 if edge.label else 0.0


def _label(label: str, x: float, y: float) -> str:
    short = _short(label)
    wide = len(short) * LABEL_PX + 6
    return (
        f"<g><title>{escape(label)}</title>"
        f'<rect x="{x - wide / 2:.1f}" y="{y - 8:.1f}" width="{wide:.1f}" height="16" rx="3" fill="#ffffff"/>'
        f'<text x="{x:.1f}" y="{y + 3.5:.1f}" font-size="10" text-anchor="middle" fill="#424a53">'
        f"{escape(short)}</text></g>"
    )


def _failure_text(graph: Machine) -> str:
    return f"failure of any of {sum(node.guarded for node in graph.nodes.values())} states"


def _legend(graph: Machine, statuses: Mapping[str, str]) -> list[tuple[str, Colour]]:
    names = {node.name for node in graph.walk()}
    used = {statuses[name] for name in names if name in statuses}
    found = [(status, colour) for status, colour in COLOURS.items() if status in used]
    rest = "unchanged" if used <= COMPARED else "not reached"
    return [*found, (rest, PLAIN)] if found else []


def _drawn_legend(legend: list[tuple[str, Colour]], x: float, y: float) -> list[str]:
    return [
        f'<rect x="{x + 96 * i:.0f}" y="{y - 9:.0f}" width="12" height="12" rx="3" fill="{colour.fill}" '
        f'stroke="{colour.line}"/><text x="{x + 96 * i + 18:.0f}" y="{y + 1:.0f}" font-size="11" '
        f'fill="#424a53">{name}</text>'
        for i, (name, colour) in enumerate(legend)
    ]
