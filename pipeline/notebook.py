"""Pipelines in a notebook: pictures by a pipeline's name, and a run that colours its own.

    from pipeline.notebook import render_graph, render_progress

    render_graph("iris")                    # the state machine, from the definition
    render_progress("iris")                 # its last run, as it is now
    render_progress("iris").follow()        # drawn again in place until the run ends

The same pictures outside a notebook: `pipeline graph`, and `pipeline.graph.render_graph` for any definition.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipeline.execution.graph import Live
    from pipeline.graph import Picture

__all__ = ["Progress", "render_graph", "render_progress"]


def render_graph(name: str, environment: str | None = None, machine: str = "main") -> Picture:
    """The state machine of a pipeline of this repository, as it would be deployed; nothing is contacted.

    Args:
        name: a folder of pipeline/definitions.
        environment: of pipeline.toml; None is its default.
        machine: `main`, or `monitor` for the one that compares requests.

    Raises:
        PipelineError: the settings or the definition cannot be used.
    """
    from pipeline import settings
    from pipeline.execution import graph

    return graph.of_definition(settings.load(settings.find_root(), name, environment), machine)


def render_progress(
    name: str,
    execution: str = "last",
    *,
    environment: str | None = None,
    target: str | None = None,
    machine: str = "main",
) -> Progress:
    """A run's picture, which is made anew whenever it is shown.

    Args:
        execution: ARN, name, or `last`.
        target: `local` or `aws`; None is $PIPELINE_TARGET, else local.

    Raises:
        PipelineError: there is no such run, or the target cannot be reached.
    """
    from pipeline.cli import _target
    from pipeline.execution.graph import Live

    given = argparse.Namespace(name=name, environment=environment, target=target)
    settings, clients = _target.resolve(given)
    return Progress(Live(settings, clients, execution, machine))


class Progress:
    """A run that can be looked at; a notebook shows it by looking once."""

    def __init__(self, live: Live) -> None:
        self._live = live
        self._shown: Picture | None = None

    @property
    def name(self) -> str:
        """The execution's name."""
        return self._live.run.name

    @property
    def status(self) -> str:
        """RUNNING, SUCCEEDED, FAILED, TIMED_OUT or ABORTED, as it is now."""
        self.look()
        return self._live.status

    def look(self) -> Picture:
        """The picture as it is now."""
        if self._shown is None or not self._live.closed:
            self._shown = self._live.look()
        return self._shown

    def follow(self) -> Picture:
        """Show the picture, draw it again in place until the run ends, and return the last.

        Outside a notebook nothing is shown; it waits for the end.
        """
        handle = None
        for picture in self._live.changes():
            self._shown = picture
            handle = _show(picture, handle)
        assert self._shown is not None, "there is a picture of every look, and at least one look"
        return self._shown

    def save(self, path: str | Path) -> Path:
        """One look, written as .svg, .png, .mmd or .txt."""
        return self.look().save(path)

    def _repr_svg_(self) -> str:
        return self.look().svg

    def _repr_png_(self) -> bytes:
        return self.look().png()

    def __repr__(self) -> str:
        return f"<Progress of {self.look().title}>"


def _show(picture: Picture, handle: object | None) -> object | None:
    """Show it, or draw it over what `handle` showed; None where there is no notebook."""
    try:
        from IPython import get_ipython
        from IPython.display import display
    except ImportError:
        return None
    if get_ipython() is None:
        return None
    if handle is None:
        made: object = display(picture, display_id=True)
        return made
    handle.update(picture)  # type: ignore[attr-defined]
    return handle
