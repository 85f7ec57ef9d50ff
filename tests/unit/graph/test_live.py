"""A run's picture while it goes on: lines without a terminal, drawn in place on one, and the file."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pipeline.cli import _graph_live
from pipeline.execution.graph import Live, _notes
from pipeline.execution.history import Timeline, Visit
from pipeline.graph import Picture
from tests.unit.graph.test_graph import ASL

LOOKS = [
    Picture(ASL, {"Check": "running"}, "r: RUNNING, 0 s", {"Check": "0.1 s"}),
    Picture(ASL, {"Check": "running"}, "r: RUNNING, 1 s", {"Check": "1.1 s"}),
    Picture(ASL, {"Check": "succeeded", "New": "succeeded", "Both": "running"}, "r: RUNNING, 2 s"),
    Picture(ASL, {"Check": "succeeded", "New": "succeeded", "Both": "failed"}, "r: FAILED, 3 s"),
]


class FakeLive(Live):
    """What a run would show, look by look."""

    def __init__(self, end: str) -> None:
        self.status = "RUNNING"
        self._end = end

    def changes(self, sleep: Any = None) -> Iterator[Picture]:  # noqa: ARG002 - nothing is waited for
        for picture in LOOKS:
            if picture is LOOKS[-1]:
                self.status = self._end
            yield picture


def test_without_a_terminal_each_change_is_a_line_and_the_end_is_the_picture(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert _graph_live.show(FakeLive("FAILED"), out=None, every=False) == 1
    printed = capsys.readouterr().out.splitlines()
    assert [line.split() for line in printed[:5]] == [
        ["running", "Check", "0.1", "s"],
        ["succeeded", "Check"],
        ["succeeded", "New"],
        ["running", "Both"],
        ["failed", "Both"],
    ]
    assert printed[5] == "r: FAILED, 3 s"
    assert any("x  Both" in line for line in printed[6:])


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_on_a_terminal_it_is_drawn_over_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CI", "NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("LINES", "50")
    monkeypatch.setattr(sys, "stdout", Terminal())
    assert _graph_live.show(FakeLive("SUCCEEDED"), out=None, every=False) == 0
    written = sys.stdout.getvalue()  # type: ignore[attr-defined]
    height = len(_graph_live.lines(LOOKS[0], every=False, stream=io.StringIO()))
    assert written.count(f"\x1b[{height}A") == 3, "back up by as many lines as the picture had"
    assert "\x1b[34m>  Check" in written
    assert "\x1b[32mok Check" in written
    assert "\x1b[31mx  Both" in written


def test_the_file_is_drawn_at_each_change_and_not_by_the_clock(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    drawn = []
    monkeypatch.setattr(Picture, "save", lambda self, path: drawn.append((self.title, path)))
    _graph_live.show(FakeLive("FAILED"), out="run.svg", every=False)
    assert [title for title, _ in drawn] == ["r: RUNNING, 0 s", "r: RUNNING, 2 s", "r: FAILED, 3 s"]
    assert "written to run.svg" in capsys.readouterr().err


def test_beside_a_state_stand_its_time_its_visits_and_its_newest_job() -> None:
    now = datetime.now(UTC)

    def visit(name: str, seconds: float, **more: Any) -> Visit:
        return Visit(name, "Task", now - timedelta(seconds=seconds), now, status="succeeded", **more)

    one = visit("Train", 3, jobs=[("training job", "a-0"), ("training job", "a-1")], retries=1)
    notes = _notes(Timeline([one, visit("Watch", 1), visit("Watch", 1.5)]))
    assert notes == {"Train": "3.0 s  1 retries  a-1", "Watch": "2.5 s  2 times"}
