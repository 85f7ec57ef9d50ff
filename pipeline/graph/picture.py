"""A state machine's picture as a value: SVG, PNG, Mermaid or text; a notebook shows it by itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipeline.graph import terminal
from pipeline.graph.mermaid import mermaid
from pipeline.graph.model import Machine, machine
from pipeline.graph.png import png
from pipeline.graph.svg import svg
from pipeline.graph.way import way

# What a file's name ends in -> the form that it says.
ENDINGS = {".svg": "svg", ".png": "png", ".mmd": "mermaid", ".mermaid": "mermaid", ".txt": "text"}


def form_of(path: str | Path) -> str:
    """The form that the file's ending asks for.

    Raises:
        ValueError: an ending that says none.
    """
    ending = Path(path).suffix
    try:
        return ENDINGS[ending.lower()]
    except KeyError:
        said = f"{ending!r} is no form of a picture" if ending else "no ending says which form"
        raise ValueError(f"{said}: {', '.join(ENDINGS)}") from None


@dataclass(frozen=True)
class Picture:
    """A definition in Amazon States Language, its states coloured by how a run of it went.

    Args:
        asl: the definition.
        statuses: state -> succeeded, running, caught, failed, aborted; states that are missing stay plain.
        title: written above it.
        notes: state -> what the text tells beside it.
        short: draw only the way to success and what a run came by (`way.way`); the text always does.
    """

    asl: Mapping[str, Any]
    statuses: Mapping[str, str] = field(default_factory=dict)
    title: str = ""
    notes: Mapping[str, str] = field(default_factory=dict)
    short: bool = False

    @property
    def svg(self) -> str:
        """A picture that stands alone; the same input gives the same bytes."""
        return svg(self._graph(), self.statuses, self.title)

    @property
    def mermaid(self) -> str:
        """A flowchart as Mermaid text."""
        return mermaid(self._graph(), self.statuses, self.title)

    def png(self, zoom: float | None = None) -> bytes:
        """The SVG drawn, `zoom` pixels a unit; by default sharp, and no side longer than `png.LONGEST`."""
        return png(self.svg, zoom)

    def rows(self, *, every: bool = False) -> tuple[list[terminal.Row], int]:
        """Lines for a terminal, and how many states they leave out; see `terminal.rows`."""
        return terminal.rows(machine(self.asl), self.statuses, self.notes, every=every)

    def text(self, *, every: bool = False) -> str:
        """The lines without colours."""
        rows, left_out = self.rows(every=every)
        return (
            "\n".join([self.title, *(row.text() for row in rows), terminal.footer(left_out)]).strip() + "\n"
        )

    def save(self, path: str | Path) -> Path:
        """Write it; the ending decides the form: .svg, .png, .mmd or .txt. Replaced in one go.

        Raises:
            ValueError: another ending.
        """
        file = Path(path)
        form = form_of(file)
        file.parent.mkdir(parents=True, exist_ok=True)
        # Who looks at the file while it is written anew must not see half of it.
        part = file.with_name(f".{file.name}.part")
        part.write_bytes(self.as_bytes(form))
        return part.replace(file)

    def as_bytes(self, form: str, zoom: float | None = None) -> bytes:
        """The picture as `svg`, `png` (see there for `zoom`), `mermaid` or `text` (UTF-8)."""
        match form:
            case "png":
                return self.png(zoom)
            case "svg":
                return self.svg.encode()
            case "mermaid":
                return self.mermaid.encode()
            case "text":
                return self.text().encode()
        raise ValueError(f"no form {form!r}: svg, png, mermaid, text")

    def _repr_svg_(self) -> str:
        return self.svg

    def _repr_png_(self) -> bytes:
        return self.png()

    def _graph(self) -> Machine:
        whole = machine(self.asl)
        return way(whole, self.statuses)[0] if self.short else whole

    def __repr__(self) -> str:
        return f"<Picture of {self.title or 'a state machine'}: {len(self.asl['States'])} states>"
