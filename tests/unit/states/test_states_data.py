"""Paths, templates, intrinsic functions, JSONata: what states do to data."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from states_machines import single

from pipeline.local.states import intrinsics, jsonpath, template
from pipeline.local.states.errors import Fault
from pipeline.local.states.paths import Env, placed

BOOKS = {
    "books": [
        {"name": "a", "year": 1990, "price": 5},
        {"name": "b", "year": 2000, "price": 7.5},
        {"name": "c", "year": 2010},
    ],
    "a key": {"it's": 1},
    "none": None,
}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("$.books[0].name", "a"),
        ("$.books[-1].name", "c"),
        ("$['a key']['it\\'s']", 1),
        ("$.none", None),
        ("$.books[*].name", ["a", "b", "c"]),
        ("$.books[1:].name", ["b", "c"]),
        ("$.books[0,2].name", ["a", "c"]),
        ("$..price", [5, 7.5]),
        ("$.books[?(@.year >= 2000)].name", ["b", "c"]),
        ("$.books[?(@.price && @.name == 'b' || @.year < 1991)].name", ["a", "b"]),
        ("$.books[?(!(@.price))].name", ["c"]),
        ("$.books[?(@.name =~ /[AB]/i)].name", ["a", "b"]),
        ("$.missing[*].name", []),
    ],
)
def test_paths_select(path: str, value: Any) -> None:
    assert jsonpath.select(path, BOOKS) == value


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("$.missing", "No results for path: $['missing']"),
        ("$.missing.inner", "Missing property in path $['missing']"),
        ("$.books[7]", "No results for path: $['books'][7]"),
    ],
)
def test_a_definite_path_without_a_value_says_where_it_ends(path: str, reason: str) -> None:
    with pytest.raises(jsonpath.NotFound) as found:
        jsonpath.select(path, BOOKS)
    assert found.value.reason == reason


@pytest.mark.parametrize("path", ["", "books", "$.", "$.a[", "$.a[]", "$.a[x]", "$.a[?(@.b ==)]", "$a b"])
def test_what_is_no_path_is_refused(path: str) -> None:
    with pytest.raises((Fault, ValueError)):
        jsonpath.select(path, BOOKS)


@pytest.mark.parametrize(
    ("call", "value"),
    [
        ("States.Format('{} is {}', $.n, $.o)", "x is {k=[1, true]}"),
        ("States.Format('\\{\\} {}', 'it\\'s')", "{} it's"),
        ("States.Array($.n, States.MathAdd(1.5, 2), null, true)", ["x", 4, None, True]),
        ("States.JsonToString($.books[?(@.year <= 1998)])", '[{"year":1990}]'),
        ("States.ArrayGetItem(States.StringSplit('a,b)c', ','), 1)", "b)c"),
        ("States.JsonMerge($.o, $$.Map, false)", {"k": [1, True], "i": 2}),
        ("States.StringToJson(' ')", None),
        ("States.ArrayContains($list, $list[1])", True),
    ],
)
def test_intrinsic_functions(call: str, value: Any) -> None:
    data = {"n": "x", "o": {"k": [1, True]}, "books": [{"year": 1990}, {"year": 2000}]}
    env = Env(data, {"Map": {"i": 2}}, {"list": [3, 4]})
    assert intrinsics.evaluate(call, env) == value


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (
            "States.ArrayGetItem($.list, 5)",
            "The function 'States.ArrayGetItem($.list, 5)' had the following error",
        ),
        (
            "States.MathAdd($.no, 1)",
            "The JsonPath argument for the field '$.no' could not be found in the input",
        ),
        ("States.Format('{} {}', 'one')", "Invalid arguments in States.Format"),
        ("States.Nothing(1)", "Unsupported intrinsic function"),
        ("States.Array(1", "lacks a comma or parenthesis"),
    ],
)
def test_a_wrong_intrinsic_call_is_a_runtime_error(call: str, said: str) -> None:
    with pytest.raises(Fault) as found:
        intrinsics.evaluate(call, Env({"list": [1]}, {}))
    assert said in found.value.message
    assert found.value.error == "States.Runtime"


def test_a_template_replaces_paths_at_any_depth_and_keeps_the_rest() -> None:
    env = Env({"a": 1}, {"Execution": {"Name": "e"}}, {"v": {"w": 2}})
    filled = template.payload(
        {"x.$": "$.a", "deep": [{"y.$": "$$.Execution.Name"}, "$.a"], "z.$": "$v.w", "n": None}, env
    )
    assert filled == {"x": 1, "deep": [{"y": "e"}, "$.a"], "z": 2, "n": None}


def test_a_template_path_without_a_value_reads_as_on_aws() -> None:
    with pytest.raises(Fault) as found:
        template.payload({"x": {"y.$": "$.no"}}, Env({"a": 1}, {}))
    assert found.value.message == (
        "The JSONPath '$.no' specified for the field 'y.$' could not be found in the input '{\"a\":1}'"
    )


def test_result_path_makes_fields_and_changes_nothing_in_place() -> None:
    original = {"a": {"b": 1}, "list": [{"x": 1}]}
    assert placed("$.a.c.d", original, 2) == {"a": {"b": 1, "c": {"d": 2}}, "list": [{"x": 1}]}
    assert placed("$.list[0].y", original, 2)["list"] == [{"x": 1, "y": 2}]
    assert placed(None, original, 2) is original
    assert original == {"a": {"b": 1}, "list": [{"x": 1}]}
    with pytest.raises(Fault) as found:
        placed("$.a.b.c", original, 2)
    assert found.value.error == "States.ResultPathMatchFailure"


Run = Callable[..., Any]


def test_jsonata_sees_input_context_and_variables_but_not_variables_in_the_context(output: Run) -> None:
    machine = {
        "QueryLanguage": "JSONata",
        "StartAt": "A",
        "States": {
            "A": {"Type": "Pass", "Assign": {"n": "{% $states.input.n + 1 %}"}, "Next": "B"},
            "B": {
                "Type": "Pass",
                "Output": {
                    "n": "{% $n %}",
                    "name": "{% $states.context.Execution.Name %}",
                    "keys": "{% $keys($states.context) %}",
                    "text": " {% not evaluated %}",
                },
                "End": True,
            },
        },
    }
    assert output(machine, {"n": 1}) == {
        "n": 2,
        "name": "e",
        "keys": ["Execution", "StateMachine", "State"],
        "text": " {% not evaluated %}",
    }


def test_a_jsonata_error_is_recorded_and_names_the_field(run: Run) -> None:
    record = run(single({"Type": "Pass", "QueryLanguage": "JSONata", "Output": {"x": "{% $nope %}"}}))
    assert record["error"] == "States.QueryEvaluationError"
    assert record["cause"] == (
        "An error occurred while executing the state 'S' (entered at the event id #2). "
        "The JSONata expression "
        "'$nope' specified for the field 'Output/x' returned nothing (undefined)."
    )
    evaluation = next(event for event in record["events"] if event["type"] == "EvaluationFailed")
    assert evaluation["evaluationFailedEventDetails"]["location"] == "Output/x"


def test_jsonpath_variables_are_assigned_from_the_result_and_stay_in_their_scope(output: Run) -> None:
    machine = {
        "StartAt": "A",
        "States": {
            "A": {
                "Type": "Pass",
                "Result": {"n": 5},
                "Assign": {"n.$": "$.n"},
                "ResultPath": None,
                "Next": "P",
            },
            "P": {
                "Type": "Parallel",
                "Branches": [
                    {
                        "StartAt": "B",
                        "States": {
                            "B": {"Type": "Pass", "Assign": {"n": 6}, "Next": "C"},
                            "C": {"Type": "Pass", "Parameters": {"n.$": "$n"}, "End": True},
                        },
                    }
                ],
                "ResultPath": "$.inner",
                "Next": "D",
            },
            "D": {"Type": "Pass", "Parameters": {"inner.$": "$.inner", "outer.$": "$n"}, "End": True},
        },
    }
    assert output(machine, {"x": 1}) == {"inner": [{"n": 6}], "outer": 5}
