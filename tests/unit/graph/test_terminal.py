"""The picture in a terminal: order, ways, what is left out; and the window that a small screen shows."""

from __future__ import annotations

import io
from typing import Any

import pytest

from pipeline.cli import _graph_live
from pipeline.graph import Picture, render_graph
from pipeline.graph.terminal import Row, footer
from tests.unit.graph.test_graph import ASL


def test_the_way_to_success_is_drawn_from_the_start_down_with_branches_inside() -> None:
    names = [row.name for row in Picture(ASL).rows()[0]]
    assert names[0] == "Check"
    assert names.index("Both") < names.index("branch 1") < names.index("Right") < names.index("Watch")
    assert names.index("Watch") < names.index("Ready") < names.index("Done")


def test_what_handles_failures_and_what_only_joins_is_left_out_and_counted() -> None:
    rows, left_out = Picture(ASL).rows()
    names = {row.name for row in rows}
    assert not {"Failed", "Wait", "Right2"} & names
    assert left_out == 3
    assert "3 states" in footer(left_out)
    assert footer(0) == ""
    every, none = Picture(ASL).rows(every=True)
    assert {"Failed", "Wait", "Right2"} <= {row.name for row in every}
    assert none == 0


def test_a_failure_that_a_run_came_by_is_shown() -> None:
    rows, _ = Picture(ASL, {"Check": "failed", "Failed": "failed"}).rows()
    marks = {row.name: row.mark for row in rows}
    assert marks["Failed"] == marks["Check"] == "x"


def chain(*names: str, **jumps: str) -> dict[str, Any]:
    """A machine of choices: each leads to the next, and where `jumps` says."""
    states: dict[str, Any] = {}
    for name, following in zip(names, [*names[1:], ""], strict=True):
        if not following:
            states[name] = {"Type": "Succeed"}
        elif name in jumps:
            rule = {"Variable": "$.x", "BooleanEquals": True, "Next": jumps[name]}
            states[name] = {"Type": "Choice", "Choices": [rule], "Default": following}
        else:
            states[name] = {"Type": "Task", "Resource": "arn:aws:states:::sns:publish", "Next": following}
    return {"StartAt": names[0], "States": states}


@pytest.mark.parametrize(
    ("jumps", "drawn"),
    [
        ({}, ["┌ A", "├ B", "├ C", "├ D", "└ E"]),
        ({"A": "C"}, ["╭─┌ A", "│ ├ B", "╰>├ C", "  ├ D", "  └ E"]),
        ({"D": "B"}, ["  ┌ A", "╭>├ B", "│ ├ C", "╰─├ D", "  └ E"]),
        ({"A": "E", "B": "D"}, ["╭───┌ A", "│ ╭─├ B", "│ │ ├ C", "│ ╰>├ D", "╰──>└ E"]),
        ({"A": "E", "B": "E"}, ["╭─┌ A", "├─├ B", "│ ├ C", "│ ├ D", "╰>└ E"]),
        ({"A": "C", "C": "E"}, None),
    ],
)
def test_ways_that_skip_lines_are_arcs_from_their_source_to_their_target(
    jumps: dict[str, str], drawn: list[str] | None
) -> None:
    picture = render_graph(chain("A", "B", "C", "D", "E", **jumps))
    rows, _ = picture.rows()
    found = [f"{row.gutter} {row.name}" for row in rows]
    if drawn is not None:
        assert found == drawn
    # An arc's end has an arrow; nothing else has.
    arrows = {row.name for row in rows if ">" in row.gutter}
    assert arrows == set(jumps.values())


def test_a_window_shows_the_title_and_what_runs() -> None:
    said = [f"line {n}" for n in range(50)]
    shown = _graph_live.window(said, [40], 12)
    assert len(shown) <= 12
    assert shown[0] == "line 0"
    assert "line 40" in shown
    assert "lines above" in shown[1]
    assert "lines below" in shown[-1]
    assert _graph_live.window(said, [], 60) == said
    assert "line 49" in _graph_live.window(said, [49], 12)
    assert "line 1" in _graph_live.window(said, [1], 12)


def test_colours_only_where_a_terminal_takes_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    picture = Picture(ASL, {"Check": "succeeded", "Both": "running"}, "demo")
    plain = _graph_live.lines(picture, every=False, stream=io.StringIO())
    assert plain == picture.text().splitlines()
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.delenv("NO_COLOR", raising=False)
    coloured = _graph_live.lines(picture, every=False, stream=io.StringIO())
    assert any("\x1b[32mok Check" in line for line in coloured)
    assert any("\x1b[34m>  Both" in line for line in coloured)


def test_a_line_that_is_too_long_keeps_its_colour_and_does_not_break() -> None:
    line = "\x1b[32m" + "x" * 100 + "\x1b[0m"
    cut = _graph_live._cut(line, 40)
    assert cut.startswith("\x1b[32m")
    assert cut.endswith("\x1b[0m")
    assert cut.count("x") == 39


def test_a_row_as_text_tells_its_note() -> None:
    assert Row("┌", "Train", "Task", "running", "3.1 s").text().split() == ["┌", ">", "Train", "3.1", "s"]


def test_an_answer_that_is_an_error_is_a_way_and_a_failure_is_none() -> None:
    asl = chain("Describe", "Update", "Done")
    asl["States"] |= {
        "Create": {"Type": "Task", "Resource": "arn:aws:states:::sns:publish", "Next": "Done"},
        "Mend": {"Type": "Pass", "Next": "Done"},
        "Again": {"Type": "Task", "Resource": "arn:aws:states:::sns:publish", "Next": "Mend"},
    }
    asl["States"]["Describe"]["Catch"] = [
        {"ErrorEquals": ["Service.NotFoundException"], "Next": "Create"},
        {"ErrorEquals": ["States.TaskFailed"], "Next": "Again"},
    ]
    names = {row.name for row in render_graph(asl).rows()[0]}
    assert names == {"Describe", "Update", "Create", "Done"}
