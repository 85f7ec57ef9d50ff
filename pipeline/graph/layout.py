"""A layered layout: layers by longest path, order by barycentres, places by least squares. Pure.

Edges that span layers pass through hidden places, so that they do not cross boxes; a labelled edge gets
a hidden place as wide as its label. Edges that go back (loops) are laid out turned round.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

GAP_X = 26.0
GAP_Y = 26.0
SWEEPS = 24


@dataclass
class Place:
    """A box, or a hidden place of an edge: centre x, top y, and size. Units: SVG pixels."""

    name: str
    width: float
    height: float
    hidden: bool = False
    layer: int = 0
    x: float = 0.0
    y: float = 0.0


@dataclass(frozen=True)
class Link:
    """What to lay out: an edge, with the width of its label (0 without one)."""

    key: int
    source: str
    target: str
    label_width: float = 0.0


@dataclass
class Layout:
    """Where things are: boxes by name; for each link its places from source to target."""

    width: float
    height: float
    places: dict[str, Place]
    routes: dict[int, list[Place]] = field(default_factory=dict)


def layout(sizes: Mapping[str, tuple[float, float]], links: Sequence[Link], start: str) -> Layout:
    """Places for boxes of `sizes` (width, height), in the direction of `links` from top to bottom."""
    forward, turned = _without_loops(list(sizes), links, start)
    layers_of = _layers(list(sizes), forward, links)
    places = {name: Place(name, w, h, layer=layers_of[name]) for name, (w, h) in sizes.items()}
    routes: dict[int, list[Place]] = {}
    for link in links:
        if link.source == link.target:
            continue
        top, bottom = forward[link.key]
        chain = [places[top]]
        middle = (layers_of[top] + layers_of[bottom]) // 2
        for layer in range(layers_of[top] + 1, layers_of[bottom]):
            wide = link.label_width if layer == middle else 0.0
            hidden = Place(f"{link.key}/{layer}", wide, 16.0 if wide else 0.0, hidden=True, layer=layer)
            places[hidden.name] = hidden
            chain.append(hidden)
        chain.append(places[bottom])
        routes[link.key] = chain
    rows = _ordered(places, routes)
    _place_x(rows, routes)
    width, height = _place_y(rows)
    return Layout(
        width,
        height,
        places,
        {key: chain[::-1] if key in turned else chain for key, chain in routes.items()},
    )


def _without_loops(
    names: Sequence[str], links: Sequence[Link], start: str
) -> tuple[dict[int, tuple[str, str]], set[int]]:
    """Each link as (upper, lower); those that close a loop are turned round."""
    out: dict[str, list[Link]] = defaultdict(list)
    for link in links:
        out[link.source].append(link)
    state: dict[str, str] = {}
    turned: set[int] = set()

    def visit(name: str) -> None:
        state[name] = "open"
        for link in out[name]:
            if state.get(link.target) == "open":
                turned.add(link.key)
            elif link.target not in state:
                visit(link.target)
        state[name] = "done"

    for name in [start, *names]:
        if name not in state:
            visit(name)
    forward = {
        link.key: (link.target, link.source) if link.key in turned else (link.source, link.target)
        for link in links
        if link.source != link.target
    }
    return forward, turned


def _layers(
    names: Sequence[str], forward: Mapping[int, tuple[str, str]], links: Sequence[Link]
) -> dict[str, int]:
    lengths = {link.key: 2 if link.label_width else 1 for link in links}
    above: dict[str, list[tuple[str, int]]] = defaultdict(list)
    for key, (top, bottom) in forward.items():
        above[bottom].append((top, lengths[key]))
    layer: dict[str, int] = {}

    def depth(name: str) -> int:
        if name not in layer:
            layer[name] = max((depth(top) + length for top, length in above[name]), default=0)
        return layer[name]

    for name in names:
        depth(name)
    # A box that nothing leads to hangs at the top; it reads better right above what it leads to.
    for name in names:
        below = [layer[b] - lengths[k] for k, (t, b) in forward.items() if t == name]
        if not above[name] and below and name != names[0]:
            layer[name] = max(0, min(below))
    return layer


def _ordered(places: Mapping[str, Place], routes: Mapping[int, Sequence[Place]]) -> list[list[Place]]:
    rows: list[list[Place]] = [[] for _ in range(max((p.layer for p in places.values()), default=0) + 1)]
    for place in places.values():
        rows[place.layer].append(place)
    up, down = _neighbours(routes)
    best, fewest = [list(row) for row in rows], _crossings(rows, down)
    for sweep in range(SWEEPS):
        goes_down = sweep % 2 == 0
        sequence = range(1, len(rows)) if goes_down else range(len(rows) - 2, -1, -1)
        for number in sequence:
            position = {p.name: i for row in rows for i, p in enumerate(row)}
            near = up if goes_down else down
            current = {p.name: i for i, p in enumerate(rows[number])}

            def centre(place: Place, near=near, position=position, current=current) -> float:  # type: ignore[no-untyped-def]
                others = near[place.name]
                if not others:
                    return float(current[place.name])
                return float(sum(position[o.name] for o in others)) / len(others)

            rows[number].sort(key=centre)
        crossings = _crossings(rows, down)
        if crossings < fewest:
            best, fewest = [list(row) for row in rows], crossings
    return best


def _neighbours(
    routes: Mapping[int, Sequence[Place]],
) -> tuple[dict[str, list[Place]], dict[str, list[Place]]]:
    up: dict[str, list[Place]] = defaultdict(list)
    down: dict[str, list[Place]] = defaultdict(list)
    for chain in routes.values():
        for high, low in itertools.pairwise(chain):
            up[low.name].append(high)
            down[high.name].append(low)
    return up, down


def _crossings(rows: Sequence[Sequence[Place]], down: Mapping[str, Sequence[Place]]) -> int:
    position = {place.name: i for row in rows for i, place in enumerate(row)}
    total = 0
    for row in rows:
        ends = [(i, position[low.name]) for i, place in enumerate(row) for low in down.get(place.name, ())]
        total += sum(a[0] < b[0] and a[1] > b[1] for a in ends for b in ends)
    return total


def _place_x(rows: Sequence[Sequence[Place]], routes: Mapping[int, Sequence[Place]]) -> None:
    up, down = _neighbours(routes)
    for row in rows:
        left = 0.0
        for place in row:
            place.x = left + place.width / 2
            left += place.width + GAP_X
    for sweep in range(SWEEPS):
        near = (up, down)[sweep % 2] if sweep < SWEEPS - 4 else None
        for row in rows if sweep % 2 == 0 else rows[::-1]:
            wished, weights = [], []
            for place in row:
                others = near[place.name] if near else up[place.name] + down[place.name]
                wished.append(sum(o.x for o in others) / len(others) if others else place.x)
                # Straight long edges please the eye more than a box in the middle of its neighbours.
                straight = place.hidden and all(o.hidden for o in others)
                weights.append(8.0 if straight else 1.0)
            for place, x in zip(row, _apart(row, wished, weights), strict=True):
                place.x = x
    shift = min((p.x - p.width / 2 for row in rows for p in row), default=0.0)
    for row in rows:
        for place in row:
            place.x -= shift


def _apart(row: Sequence[Place], wished: Sequence[float], weights: Sequence[float]) -> list[float]:
    """The places nearest to `wished` (weighted least squares) that keep order and distance."""
    offsets, total = [], 0.0
    for i, place in enumerate(row):
        if i:
            total += (row[i - 1].width + place.width) / 2 + GAP_X
        offsets.append(total)
    # Pool adjacent violators: without the offsets, the places must not decrease.
    pools: list[list[float]] = []
    for wish, offset, weight in zip(wished, offsets, weights, strict=True):
        pools.append([(wish - offset) * weight, weight, 1])
        while len(pools) > 1 and pools[-2][0] / pools[-2][1] > pools[-1][0] / pools[-1][1]:
            last = pools.pop()
            pools[-1] = [a + b for a, b in zip(pools[-1], last, strict=True)]
    flat = [pool[0] / pool[1] for pool in pools for _ in range(int(pool[2]))]
    return [value + offset for value, offset in zip(flat, offsets, strict=True)]


def _place_y(rows: Sequence[Sequence[Place]]) -> tuple[float, float]:
    top = 0.0
    for row in rows:
        tall = max((place.height for place in row), default=0.0)
        for place in row:
            place.y = top + (tall - place.height) / 2
        top += tall + GAP_Y
    width = max((p.x + p.width / 2 for row in rows for p in row), default=0.0)
    return width, max(top - GAP_Y, 0.0)
