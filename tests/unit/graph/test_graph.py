"""The picture of a state machine: what is drawn, where, and in which colour."""

from __future__ import annotations

import itertools
import xml.etree.ElementTree as ElementTree
from typing import Any

import pytest
import yaml

from pipeline.graph import draw, nodes
from pipeline.graph.layout import Layout, Link, layout
from pipeline.graph.model import condition, machine

SVG = "{http://www.w3.org/2000/svg}"
CATCH = [{"ErrorEquals": ["States.ALL"], "Next": "Failed"}]


def task(following: str | None, **more: Any) -> dict[str, Any]:
    where = {"Next": following} if following else {"End": True}
    return {"Type": "Task", "Resource": "arn:aws:states:::sagemaker:createTrainingJob.sync", **where, **more}


ASL: dict[str, Any] = {
    "StartAt": "Check",
    "States": {
        "Check": task("New", Catch=CATCH),
        "New": {
            "Type": "Choice",
            "Choices": [{"Variable": "$.run.new", "BooleanEquals": True, "Next": "Both"}],
            "Default": "Nothing",
        },
        "Both": {
            "Type": "Parallel",
            "Next": "Watch",
            "Catch": CATCH,
            "Branches": [
                {"StartAt": "Left", "States": {"Left": task(None)}},
                {
                    "StartAt": "Right",
                    "States": {"Right": task("Right2"), "Right2": {"Type": "Pass", "End": True}},
                },
            ],
        },
        "Watch": task("Ready", Catch=[{"ErrorEquals": ["Missing"], "Next": "Wait"}, *CATCH]),
        "Ready": {
            "Type": "Choice",
            "Choices": [
                {"Variable": "$.s", "StringEquals": "Creating", "Next": "Wait"},
                {"Variable": "$.s", "StringEquals": "Updating", "Next": "Wait"},
            ],
            "Default": "Done",
        },
        "Wait": {"Type": "Wait", "Seconds": 5, "Next": "Watch"},
        "Nothing": {"Type": "Succeed"},
        "Done": {"Type": "Succeed"},
        "Failed": {"Type": "Fail", "Error": "Broken"},
    },
}


def texts(svg: str) -> list[str]:
    return [element.text or "" for element in ElementTree.fromstring(svg).iter(f"{SVG}text")]


def test_every_state_is_drawn_branches_included() -> None:
    expected = {*ASL["States"], "Left", "Right", "Right2"}
    assert {node["name"] for node in nodes(ASL, {})} == expected
    assert expected <= set(texts(draw(ASL, "svg", {}, "t")))
    drawn = draw(ASL, "mermaid", {}, "t")
    assert all(name in drawn for name in expected)
    assert drawn.count("subgraph") == 1


def test_the_same_input_gives_the_same_bytes() -> None:
    assert draw(ASL, "svg", {"Check": "failed"}, "t") == draw(ASL, "svg", {"Check": "failed"}, "t")


def test_a_catcher_of_many_is_one_note_and_not_a_bundle_of_lines() -> None:
    graph = machine(ASL)
    assert graph.shared == ("Failed",)
    assert not [edge for edge in graph.edges if edge.target == "Failed"]
    assert [node.name for node in graph.nodes.values() if node.guarded] == ["Check", "Both", "Watch"]
    assert "failure of any of 3 states" in texts(draw(ASL, "svg", {}, "t"))
    (own,) = [edge for edge in graph.edges if edge.kind == "catch"]
    assert (own.source, own.target, own.label) == ("Watch", "Wait", "Missing")


def test_choices_to_one_state_are_one_line_with_all_their_values() -> None:
    labels = {(e.source, e.target): e.label for e in machine(ASL).edges}
    assert labels["Ready", "Wait"] == "s = Creating, Updating"
    assert labels["Ready", "Done"] == "else"
    assert labels["New", "Both"] == "new = true"


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        ({"Variable": "$.a.b", "NumericGreaterThanEquals": 3}, "b >= 3"),
        ({"Variable": "$.a", "IsPresent": False}, "a is not present"),
        ({"Variable": "$.a", "StringMatches": "*x*"}, "a ~ *x*"),
        ({"Not": {"Variable": "$.a", "StringEquals": "x"}}, "not (a = x)"),
        (
            {"Or": [{"Variable": "$.a", "StringEquals": "x"}, {"Variable": "$.b", "NumericLessThan": 1}]},
            "a = x or b < 1",
        ),
        (
            {"And": [{"Variable": "$.a", "IsPresent": True}, {"Variable": "$.a", "BooleanEquals": True}]},
            "a = true",
        ),
        ({"Condition": "{% $x = 1 %}"}, "$x = 1"),
    ],
)
def test_a_condition_is_told_in_few_signs(rule: dict[str, Any], text: str) -> None:
    assert condition(rule) == text


def test_a_run_colours_its_states_and_explains_the_colours() -> None:
    statuses = {"Check": "succeeded", "Both": "failed", "Left": "failed", "New": "running"}
    svg = draw(ASL, "svg", statuses, "run: FAILED")
    titles = [t.text for t in ElementTree.fromstring(svg).iter(f"{SVG}title")]
    assert "Left (Task): failed" in titles
    assert {"succeeded", "failed", "running", "not reached"} <= set(texts(svg))
    assert "not reached" not in texts(draw(ASL, "svg", {}, "t"))
    drawn = draw(ASL, "mermaid", statuses, "run: FAILED")
    assert yaml.safe_load(drawn.split("---")[1]) == {"title": "run: FAILED"}
    assert "classDef failed" in drawn
    assert "classDef caught" not in drawn


def test_names_cannot_break_out_of_the_picture() -> None:
    asl = {"StartAt": '<a> & "b"', "States": {'<a> & "b"': {"Type": "Pass", "End": True}}}
    assert '<a> & "b"' in texts(draw(asl, "svg", {}, "<t>"))
    assert '"<a>' not in draw(asl, "mermaid", {}, "t")


def overlapping(found: Layout) -> list[tuple[str, str]]:
    def apart(a: Any, b: Any) -> bool:
        return (
            abs(a.x - b.x) * 2 >= a.width + b.width - 0.01 or a.y + a.height <= b.y or b.y + b.height <= a.y
        )

    return [(a.name, b.name) for a, b in itertools.combinations(found.places.values(), 2) if not apart(a, b)]


def test_a_layout_of_thirty_states_keeps_boxes_apart_and_inside_and_goes_down() -> None:
    names = [f"s{n}" for n in range(30)]
    pairs = [(n, n + 1) for n in range(29)] + [(2, 9), (3, 20), (5, 25), (8, 4), (12, 10), (15, 28), (7, 7)]
    links = [Link(k, names[a], names[b], 60.0 if k % 4 == 0 else 0.0) for k, (a, b) in enumerate(pairs)]
    found = layout({name: (90.0 + 5 * (n % 7), 40.0) for n, name in enumerate(names)}, links, "s0")
    assert overlapping(found) == []
    for place in found.places.values():
        assert place.x - place.width / 2 >= -0.01
        assert place.x + place.width / 2 <= found.width + 0.01
        assert place.y + place.height <= found.height + 0.01
    for link, (a, b) in zip(links, pairs, strict=True):
        if a == b:
            assert link.key not in found.routes
            continue
        route = found.routes[link.key]
        assert (route[0].name, route[-1].name) == (names[a], names[b])
        assert all(place.hidden for place in route[1:-1])
        assert (route[-1].y > route[0].y) == (a < b)
        assert not link.label_width or any(place.width >= link.label_width for place in route[1:-1])


def test_a_straight_chain_is_drawn_straight() -> None:
    names = ["a", "b", "c", "d"]
    links = [Link(n, *pair) for n, pair in enumerate(itertools.pairwise(names))]
    found = layout({name: (50.0 + 20 * n, 30.0) for n, name in enumerate(names)}, links, "a")
    assert len({round(place.x, 3) for place in found.places.values()}) == 1
