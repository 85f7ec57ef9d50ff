"""One colour a status of a run or of a comparison, in both drawings; light fills under dark text."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Colour:
    """Fill and outline."""

    fill: str
    line: str


PLAIN = Colour("#ffffff", "#8c959f")
COLOURS = {
    "succeeded": Colour("#d2f4d9", "#1a7f37"),
    "running": Colour("#d8ebff", "#0969da"),
    "caught": Colour("#fff1c2", "#9a6700"),
    "failed": Colour("#ffd9d6", "#cf222e"),
    "aborted": Colour("#e6e8eb", "#57606a"),
    "added": Colour("#d2f4d9", "#1a7f37"),
    "changed": Colour("#fff1c2", "#9a6700"),
    "removed": Colour("#ffd9d6", "#cf222e"),
}
# What is drawn where two definitions are compared, not an execution.
COMPARED = frozenset({"added", "changed", "removed"})
