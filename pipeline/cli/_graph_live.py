"""A run's picture in the terminal, drawn again in place until the run ends."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, TextIO

from pipeline.cli import _output

if TYPE_CHECKING:
    from pipeline.execution.graph import Live
    from pipeline.graph import Picture

STYLES = {"running": "blue", "succeeded": "green", "failed": "red", "caught": "yellow", "aborted": "red"}
_ESCAPES = re.compile(r"\x1b\[[0-9;]*m")


def show(live: Live, *, out: str | None, every: bool) -> int:
    """Draw until it ends; 0 if it succeeded, else 1. Without a terminal: a line a change, the picture last.

    Args:
        out: a file to be drawn anew at each change, besides.
        every: see `Picture.rows`.
    """
    from pipeline.execution.graph import without_seconds

    # A build service may lend a job a terminal that nobody looks at.
    in_place = sys.stdout.isatty() and os.environ.get("CI") != "true"
    before: Picture | None = None
    height = 0
    for picture in live.changes():
        changed = before is None or without_seconds(picture) != without_seconds(before)
        if out and (changed or live.closed):
            picture.save(out)
        if in_place:
            height = _again(lines(picture, every=every, stream=sys.stdout), picture, height, live.closed)
        elif changed:
            _tell(picture, before)
        before = picture
    assert before is not None, "there is a picture of every look, and at least one look"
    if not in_place:
        print("\n".join(lines(before, every=every, stream=sys.stdout)))
    if out:
        _output.say(f"written to {out}")
    return 0 if live.status == "SUCCEEDED" else 1


def lines(picture: Picture, *, every: bool, stream: TextIO) -> list[str]:
    """The picture's lines, coloured if `stream` takes it."""
    from pipeline.graph.terminal import footer

    rows, left_out = picture.rows(every=every)
    said = [_output.paint(picture.title, "bold", stream)]
    for row in rows:
        bare = f"{row.mark:<2} {row.name:<30} {row.note}".rstrip()
        said.append(f"{row.gutter} {_output.paint(bare, STYLES.get(row.status, ''), stream)}")
    return said + ([_output.paint(footer(left_out), "dim", stream)] if left_out else [])


def window(said: Sequence[str], running: Sequence[int], height: int) -> list[str]:
    """As many lines as a screen of `height` holds: the first (the title), and those around what runs.

    Args:
        running: numbers of the lines that show what runs, or what ran last.
    """
    if len(said) <= height:
        return list(said)
    room = max(height - 3, 1)
    middle = running[-1] if running else 1
    first = min(max(middle - room * 2 // 3, 1), len(said) - room)
    last = first + room
    above, below = first - 1, len(said) - last
    return [
        said[0],
        f"  ... {above} lines above" if above else "",
        *said[first:last],
        f"  ... {below} lines below" if below else "",
    ]


def _again(said: list[str], picture: Picture, before: int, last: bool) -> int:
    """Draw over the `before` lines of the last time; returns how many lines were drawn."""
    columns, height = shutil.get_terminal_size()
    if not last:
        # The line that the cursor is left on counts too.
        busy = [n for n, line in enumerate(said) if _status_in(line, picture) == "running"]
        reached = [n for n, line in enumerate(said) if _status_in(line, picture)]
        said = window(said, busy or reached, height - 1)
    back = f"\x1b[{before}A" if before else ""
    drawn = "".join(f"\x1b[2K{_cut(line, columns)}\n" for line in said)
    # What is left of a longer picture below is cleared.
    sys.stdout.write(f"{back}{drawn}\x1b[J")
    sys.stdout.flush()
    return len(said)


def _status_in(line: str, picture: Picture) -> str:
    words = _ESCAPES.sub("", line).split()
    return next((picture.statuses[word] for word in words if word in picture.statuses), "")


def _cut(line: str, columns: int) -> str:
    """At most `columns` signs wide, escapes not counted: a line that breaks would spoil the drawing."""
    if len(_ESCAPES.sub("", line)) <= columns:
        return line
    plain = _ESCAPES.sub("", line)[: columns - 1]
    colour = _ESCAPES.search(line)
    return f"{colour[0]}{plain}\x1b[0m" if colour else plain


def _tell(picture: Picture, before: Picture | None) -> None:
    known = before.statuses if before else {}
    for name, status in picture.statuses.items():
        if known.get(name) != status:
            print(f"{status:<10} {name:<30} {picture.notes.get(name, '')}".rstrip(), flush=True)
