"""The graph as lines of text for a terminal: a state a line, ways that skip lines as arcs. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from pipeline.graph.model import Machine
from pipeline.graph.way import way

MARKS = {"succeeded": "ok", "running": ">", "failed": "x", "caught": "!", "aborted": "x"}


@dataclass(frozen=True)
class Row:
    """One line: `gutter` are the ways, then what is known of the state.

    Args:
        status: of the run; empty where it was not reached.
        note: what is told beside it (a time, a job).
    """

    gutter: str
    name: str
    type: str
    status: str = ""
    note: str = ""

    @property
    def mark(self) -> str:
        """Two signs that tell the status, or the kind of state, without colours."""
        return MARKS.get(self.status, {"Choice": "?", "Succeed": "=", "Fail": "="}.get(self.type, "."))

    def text(self) -> str:
        """The line without colours."""
        return f"{self.gutter} {self.mark:<2} {self.name:<30} {self.note}".rstrip()


def rows(
    graph: Machine,
    statuses: Mapping[str, str],
    notes: Mapping[str, str] | None = None,
    *,
    every: bool = False,
) -> tuple[list[Row], int]:
    """The lines, and how many states were left out.

    Args:
        every: also the joints and the handling of failures, which are else left out where the run, if there
            is one, did not come by.
    """
    shown, left_out = (graph, 0) if every else way(graph, statuses)
    return _lines(shown, statuses, notes or {}), left_out


def _lines(graph: Machine, statuses: Mapping[str, str], notes: Mapping[str, str]) -> list[Row]:
    targets: dict[str, list[str]] = {name: [] for name in graph.nodes}
    for edge in graph.edges:
        if edge.target != edge.source:
            targets[edge.source].append(edge.target)
    found: list[Row] = []
    for row in _drawn(graph, _order(graph, targets), targets, statuses, notes):
        found.append(row)
        branches = graph.nodes[row.name].branches
        for number, branch in enumerate(branches):
            room = "".join("│" if "d" in _SIDES.get(sign, ()) else " " for sign in row.gutter)
            head = f"branch {number + 1}" if len(branches) > 1 else "each item"
            found.append(Row(f"{room}  |", head, "branch"))
            found += [
                replace(each, gutter=f"{room}  | {each.gutter}") for each in _lines(branch, statuses, notes)
            ]
    return found


def footer(left_out: int) -> str:
    """What is not shown, in words; empty if nothing."""
    if not left_out:
        return ""
    return f"({left_out} states that only join others, or handle failures, are not shown)"


def _order(graph: Machine, targets: Mapping[str, list[str]]) -> list[str]:
    """Each state below those that lead to it, loops apart; chains stay together."""
    done: list[str] = []
    seen: set[str] = set()

    def visit(start: str) -> None:
        stack = [(start, iter(targets[start]))]
        seen.add(start)
        while stack:
            name, rest = stack[-1]
            following = next((each for each in rest if each not in seen), None)
            if following is None:
                done.append(name)
                stack.pop()
            else:
                seen.add(following)
                stack.append((following, iter(targets[following])))

    for name in [graph.start, *graph.nodes]:
        if name not in seen:
            visit(name)
    # What was visited last of all starts (a handler that only failures lead to) goes to the end.
    first = done.index(graph.start) + 1
    return done[:first][::-1] + done[first:][::-1]


def _drawn(
    graph: Machine,
    order: Sequence[str],
    targets: Mapping[str, list[str]],
    statuses: Mapping[str, str],
    notes: Mapping[str, str],
) -> list[Row]:
    at = {name: number for number, name in enumerate(order)}
    ways = {(at[name], at[other]) for name in order for other in targets[name]}
    arcs = sorted((way for way in ways if way[1] - way[0] != 1), key=lambda way: (abs(way[0] - way[1]), way))
    lanes, wide = _lanes(arcs)
    grid = [[" "] * (2 * wide) for _ in order]
    for source, target in arcs:
        _arc(grid, source, target, 2 * (wide - 1 - lanes[source, target]))
    made = []
    for number, name in enumerate(order):
        above, below = (number - 1, number) in ways, (number, number + 1) in ways
        spine = {(True, True): "├", (False, True): "┌", (True, False): "└", (False, False): "╶"}[above, below]
        status = statuses.get(name, "")
        made.append(
            Row("".join(grid[number]) + spine, name, graph.nodes[name].type, status, notes.get(name, ""))
        )
    return made


def _lanes(arcs: Sequence[tuple[int, int]]) -> tuple[dict[tuple[int, int], int], int]:
    """A lane for each arc, such that arcs which share a line and a lane share an end; lane 0 is innermost.

    Arcs to one target share a lane where they can: a bundle is one line.
    """
    taken: list[list[tuple[int, int]]] = []
    found: dict[tuple[int, int], int] = {}
    for arc in arcs:
        fits = (n for n, lane in enumerate(taken) if all(_apart(arc, other) for other in lane))
        number = next(fits, len(taken))
        if number == len(taken):
            taken.append([])
        taken[number].append(arc)
        found[arc] = number
    return found, len(taken)


def _apart(one: tuple[int, int], other: tuple[int, int]) -> bool:
    downwards = one[0] < one[1] and other[0] < other[1]
    return (downwards and one[1] == other[1]) or max(one) < min(other) or max(other) < min(one)


# The sides of a cell that a line touches -> its sign.
_SIGNS = {
    frozenset("ud"): "│",
    frozenset("lr"): "─",
    frozenset("dr"): "╭",
    frozenset("ur"): "╰",
    frozenset("udr"): "├",
    frozenset("udlr"): "┼",
    frozenset("dlr"): "┬",
    frozenset("ulr"): "┴",
}
_SIDES = {sign: sides for sides, sign in _SIGNS.items()} | {
    " ": frozenset(),
    ">": frozenset("lr"),
    "┌": frozenset("d"),
}


def _arc(grid: list[list[str]], source: int, target: int, column: int) -> None:
    top, bottom = min(source, target), max(source, target)
    for line in range(top, bottom + 1):
        sides = {"u"} if line > top else set()
        sides |= {"d"} if line < bottom else set()
        sides |= {"r"} if line in (source, target) else set()
        _touch(grid, line, column, sides)
    last = len(grid[0]) - 1
    for line in (source, target):
        for place in range(column + 1, last + 1):
            _touch(grid, line, place, {"l", "r"})
    grid[target][last] = ">"


def _touch(grid: list[list[str]], line: int, column: int, sides: set[str]) -> None:
    now = grid[line][column]
    if now != ">":
        grid[line][column] = _SIGNS[frozenset(_SIDES[now] | sides)]
