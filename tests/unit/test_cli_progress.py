"""The newest line of a long job's log, every now and then, and never the end of following."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from pipeline.cli import _progress
from pipeline.errors import TargetError
from pipeline.execution import logs
from pipeline.execution.history import Visit

Lines = dict[str, list[tuple[int, str]]]


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> Lines:
    """Lines of each log group; reading gives those from a time on."""
    found: Lines = {"/aws-glue/jobs/output": [], "/aws-glue/jobs/error": []}

    def read(_: Any, source: logs.Source, after: int | None = None) -> list[logs.Line]:
        if source.group not in found:
            raise TargetError("no right to read")
        return [
            logs.Line(source.step, time, "s", text, "")
            for time, text in found[source.group]
            if after is None or time >= after
        ]

    monkeypatch.setattr(logs, "read", read)
    return found


def following(kind: str = "Glue run") -> tuple[_progress.Progress, Any, list[float]]:
    visit = Visit("Features", "Task", datetime(2026, 1, 1, tzinfo=UTC), jobs=[(kind, "jr_1")])
    step = SimpleNamespace(timeline=SimpleNamespace(visits=[visit]))
    now = [0.0]
    clients: Any = None
    return _progress.Progress(clients, clock=lambda: now[0]), step, now


def test_the_newest_line_is_told_once_and_not_too_often(said: Lines) -> None:
    progress, step, now = following()
    said["/aws-glue/jobs/output"] += [(1, "stage 1"), (2, "stage 2")]
    assert progress.lines(step) == [], "a job that has just begun is left alone"
    now[0] = 11
    assert progress.lines(step) == ["Features: stage 2"]
    said["/aws-glue/jobs/output"].append((3, "stage 3"))
    now[0] = 15
    assert progress.lines(step) == []
    now[0] = 22
    assert progress.lines(step) == ["Features: stage 3"]
    now[0] = 40
    assert progress.lines(step) == [], "nothing new was said"


def test_a_line_is_no_page(said: Lines) -> None:
    progress, step, now = following()
    progress.lines(step)
    said["/aws-glue/jobs/error"].append((1, "x" * 1000))
    now[0] = 11
    (told,) = progress.lines(step)
    assert len(told) < 200 and told.endswith("...")


def test_what_has_ended_says_nothing_more(said: Lines) -> None:
    progress, step, now = following()
    progress.lines(step)
    said["/aws-glue/jobs/output"].append((1, "done"))
    step.timeline.visits[0].status = "succeeded"
    now[0] = 11
    assert progress.lines(step) == []


@pytest.mark.usefixtures("said")
def test_logs_that_may_not_be_read_end_nothing() -> None:
    progress, step, now = following(kind="training job")
    progress.lines(step)
    for now[0] in (11, 22):
        assert progress.lines(step) == []
