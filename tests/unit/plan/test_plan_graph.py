"""What changes in a workflow, in words and as a picture."""

from __future__ import annotations

import copy
import random
from typing import Any

import pytest

from pipeline.graph.compare import compared
from pipeline.plan import graph
from tests.unit.plan import example

BEFORE = example.asl(example.plan_example.template())


def changed(edit: Any) -> tuple[dict[str, Any], graph.GraphChange]:
    after = copy.deepcopy(BEFORE)
    edit(after["States"])
    return after, graph.compare(BEFORE, after)


def test_the_same_workflow_is_no_change() -> None:
    assert not graph.compare(BEFORE, copy.deepcopy(BEFORE))
    assert graph.words(graph.compare(BEFORE, BEFORE)) == []


def test_a_new_workflow_is_told_in_one_line() -> None:
    change = graph.compare(None, BEFORE)
    assert change.new
    assert graph.words(change) == [f"a new workflow of {len(change.states)} states"]


def test_a_property_is_told_by_its_place_in_the_state() -> None:
    def edit(states: dict[str, Any]) -> None:
        states["Train"]["Parameters"]["HyperParameters"]["max_leaf_nodes"] = "7"
        states["Train"]["TimeoutSeconds"] = 1

    _, change = changed(edit)
    assert change.changed == {"Train"}
    assert 'state Train: HyperParameters.max_leaf_nodes "5" -> "7"' in graph.words(change)
    assert any(line.startswith("state Train: TimeoutSeconds ") for line in graph.words(change))
    assert not change.edges


def test_a_state_in_between_is_an_added_state_and_moved_ways() -> None:
    def edit(states: dict[str, Any]) -> None:
        states["Audit"] = {"Type": "Pass", "Next": states["Train"]["Next"]}
        states["Train"]["Next"] = "Audit"

    after, change = changed(edit)
    following = BEFORE["States"]["Train"]["Next"]
    assert graph.words(change) == [
        f"state Audit is added (Pass) after Train, before {following}",
        "Train -> Audit is added",
        f"Train -> {following} is removed",
    ]
    picture = compared(BEFORE, after, change.changed, "mermaid", "t", near=True)
    assert '["Audit"]' in picture
    assert "class " in picture
    assert "linkStyle" in picture
    assert "NotifyDeployed" not in picture, "what is far from the change is left out"


def test_a_removed_state_stays_in_the_picture_in_red() -> None:
    def edit(states: dict[str, Any]) -> None:
        following = states["NotifyTrained"]["Next"]
        states["Train"]["Next"] = following
        del states["NotifyTrained"]

    after, change = changed(edit)
    assert "state NotifyTrained is removed (lambda:invoke)" in graph.words(change)
    for form in ("mermaid", "svg"):
        picture = compared(BEFORE, after, change.changed, form, "t")
        assert "NotifyTrained" in picture
        assert "#cf222e" in picture


def choosing(**test: Any) -> dict[str, Any]:
    rule = {"Variable": "$.run.new", **test, "Next": "B"}
    states = {
        "A": {"Type": "Choice", "Choices": [rule], "Default": "C"},
        "B": {"Type": "Succeed"},
        "C": {"Type": "Succeed"},
    }
    return {"StartAt": "A", "States": states}


def test_a_condition_that_changes_is_a_changed_way() -> None:
    change = graph.compare(choosing(BooleanEquals=True), choosing(BooleanEquals=False))
    (edge,) = change.edges
    assert (edge.action, edge.label, edge.before) == ("changed", "new = false", "new = true")
    assert graph.words(change) == ["A -> B (choice): now if new = false, was if new = true"]


def test_a_guard_that_the_label_leaves_out_is_told_too() -> None:
    def both(kind: str) -> dict[str, Any]:
        tests = [{"Variable": "$.x", kind: True}, {"Variable": "$.x", "StringEquals": "1"}]
        return choosing(And=tests)

    change = graph.compare(both("IsPresent"), both("IsString"))
    assert [(s.name, s.action) for s in change.states] == [("A", "changed")]
    assert any("IsString is true (new)" in line for line in graph.words(change))


def test_states_inside_branches_are_compared_too() -> None:
    def machine(seconds: int) -> dict[str, Any]:
        inner = {"StartAt": "In", "States": {"In": {"Type": "Wait", "Seconds": seconds, "End": True}}}
        return {"StartAt": "P", "States": {"P": {"Type": "Parallel", "Branches": [inner], "End": True}}}

    change = graph.compare(machine(1), machine(2))
    assert graph.words(change) == ["state In: Seconds 1 -> 2"]
    assert "class s1 changed" in compared(machine(1), machine(2), change.changed, "mermaid", "t")


def test_the_whole_machines_settings_are_told() -> None:
    after = {**BEFORE, "TimeoutSeconds": 60}
    assert any(
        "TimeoutSeconds of the workflow:" in line for line in graph.words(graph.compare(BEFORE, after))
    )


@pytest.mark.parametrize("seed", range(40))
def test_forwards_and_backwards_tell_the_same_states(seed: int) -> None:
    """What is added one way is removed the other; what is changed is changed both ways; it can be drawn."""
    luck = random.Random(seed)
    after = copy.deepcopy(BEFORE)
    states = after["States"]
    names = sorted(states)
    for name in luck.sample(names, 6):
        what = luck.choice(["drop", "edit", "turn"])
        if what == "edit":
            states[name]["Comment"] = f"seed {seed}"
        elif what == "turn" and "Next" in states[name]:
            states[name]["Next"] = luck.choice(names)
        elif name != after["StartAt"]:
            del states[name]
    for state in states.values():  # no way may lead nowhere
        for key in ("Next", "Default"):
            if state.get(key) not in (None, *states):
                state[key] = after["StartAt"]
        for rule in [*state.get("Choices", []), *state.get("Catch", [])]:
            if rule["Next"] not in states:
                rule["Next"] = after["StartAt"]
    there, back = graph.compare(BEFORE, after), graph.compare(after, BEFORE)

    def of(change: graph.GraphChange, action: str) -> set[Any]:
        return {s.name for s in change.states if s.action == action} | {
            (e.source, e.target, e.kind) for e in change.edges if e.action == action
        }

    assert of(there, "added") == of(back, "removed")
    assert of(there, "removed") == of(back, "added")
    assert of(there, "changed") == of(back, "changed")
    for form in ("mermaid", "svg"):
        assert compared(BEFORE, after, there.changed, form, "t")
