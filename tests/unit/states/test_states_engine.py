"""The walk: plain states, Parallel and Map, histories, time limits, cancellation."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from states_machines import details, kinds, single

from pipeline.local.states import execution
from pipeline.local.states.cancel import ABORTED, TIMED_OUT, Scope, Signal, Stopped

Run = Callable[..., Any]

PAIR = {
    "StartAt": "P",
    "States": {
        "P": {
            "Type": "Parallel",
            "Branches": [
                {"StartAt": "A", "States": {"A": {"Type": "Pass", "Result": 1, "End": True}}},
                {"StartAt": "B", "States": {"B": {"Type": "Pass", "Result": 2, "End": True}}},
            ],
            "End": True,
        }
    },
}


def test_a_history_chains_its_events(run: Run) -> None:
    record = run(
        {"StartAt": "A", "States": {"A": {"Type": "Pass", "Next": "B"}, "B": {"Type": "Succeed"}}}, {"x": 1}
    )
    assert [(event["previousEventId"], event["id"], event["type"]) for event in record["events"]] == [
        (0, 1, "ExecutionStarted"),
        (0, 2, "PassStateEntered"),
        (2, 3, "PassStateExited"),
        (3, 4, "SucceedStateEntered"),
        (4, 5, "SucceedStateExited"),
        (5, 6, "ExecutionSucceeded"),
    ]
    assert details(record["events"][1]) == {
        "name": "A",
        "input": '{"x":1}',
        "inputDetails": {"truncated": False},
    }


def test_the_context_object(output: Run) -> None:
    shown = output(single({"Type": "Pass", "Parameters": {"all.$": "$$"}}), {"x": 1})["all"]
    assert shown["Execution"]["Input"] == {"x": 1}
    assert shown["Execution"]["RoleArn"].endswith(":role/machine")
    assert shown["Execution"]["RedriveCount"] == 0
    assert shown["StateMachine"]["Name"] == "m"
    assert shown["State"]["Name"] == "S"


def test_context_passed_on_as_data_does_not_change_later(output: Run) -> None:
    machine = {
        "StartAt": "A",
        "States": {
            "A": {"Type": "Pass", "Parameters": {"seen.$": "$$.State"}, "Next": "B"},
            "B": {"Type": "Pass", "End": True},
        },
    }
    assert output(machine)["seen"]["Name"] == "A"


@pytest.mark.parametrize(
    ("state", "error", "said"),
    [
        (
            {"Type": "Pass", "InputPath": "$.no"},
            "States.Runtime",
            "Invalid path '$.no' : No results for path",
        ),
        (
            {"Type": "Pass", "OutputPath": "$.no"},
            "States.Runtime",
            "Invalid path '$.no' : No results for path",
        ),
        ({"Type": "Pass", "ResultPath": "$.x.y"}, "States.ResultPathMatchFailure", "Unable to apply"),
        (
            {"Type": "Wait", "SecondsPath": "$.x"},
            "States.Runtime",
            "cannot be parsed as a long value: $.x == ",
        ),
        ({"Type": "Wait", "SecondsPath": "$.minus"}, "States.Runtime", "references a negative value"),
        ({"Type": "Wait", "TimestampPath": "$.x"}, "States.Runtime", "does not reference a valid ISO-8601"),
        ({"Type": "Map", "ItemsPath": "$.x", "Iterator": PAIR}, "States.Runtime", "must point to array"),
        ({"Type": "Fail", "ErrorPath": "$.no"}, "States.Runtime", "could not be found in the input"),
    ],
)
def test_bad_references_fail_as_on_aws(run: Run, state: dict[str, Any], error: str, said: str) -> None:
    record = run(single(state), {"x": "text", "minus": -1})
    assert (record["status"], record["error"]) == ("FAILED", error)
    assert said in record["cause"]
    assert record["cause"].startswith(
        "An error occurred while executing the state 'S' (entered at the event id #2). "
    )


def test_a_fail_state_takes_its_words_from_the_input(run: Run) -> None:
    record = run(
        single({"Type": "Fail", "ErrorPath": "$.e", "CausePath": "States.Format('why: {}', $.c)"}),
        {"e": "E", "c": "x"},
    )
    assert (record["error"], record["cause"]) == ("E", "why: x")
    assert kinds(record) == ["ExecutionStarted", "FailStateEntered", "ExecutionFailed"]


def test_no_choice_matched(run: Run) -> None:
    record = run(
        single({"Type": "Choice", "Choices": [{"Variable": "$.x", "NumericEquals": 2, "Next": "S"}]}),
        {"x": 1},
    )
    assert record["error"] == "States.NoChoiceMatched"


def test_an_output_above_256_kib_fails(run: Run) -> None:
    record = run(single({"Type": "Pass", "Result": "x" * 262_143}))
    assert record["error"] == "States.DataLimitExceeded"
    assert record["cause"].startswith("The state/task 'S' returned a result with a size exceeding")


def test_parallel_joins_results_in_order_with_a_line_for_each_branch(run: Run) -> None:
    record = run(PAIR)
    assert json.loads(record["output"]) == [1, 2]
    started = next(event["id"] for event in record["events"] if event["type"] == "ParallelStateStarted")
    firsts = [event for event in record["events"] if event["type"] == "PassStateEntered"]
    assert [event["previousEventId"] for event in firsts] == [started, started]


def test_map_runs_items_with_a_selector_and_keeps_their_order(run: Run) -> None:
    state = {
        "Type": "Map",
        "ItemsPath": "$.items",
        "MaxConcurrency": 2,
        "ItemSelector": {"i.$": "$$.Map.Item.Index", "v.$": "$$.Map.Item.Value", "all.$": "$.n"},
        "ItemProcessor": {
            "StartAt": "W",
            "States": {"W": {"Type": "Wait", "SecondsPath": "$.v", "End": True}},
        },
        "ResultSelector": {"first.$": "$[0].v", "count.$": "States.ArrayLength($)"},
    }
    record = run(single(state), {"items": [3, 1, 2], "n": 9})
    assert json.loads(record["output"]) == {"first": 3, "count": 3}
    assert kinds(record).count("MapIterationSucceeded") == 3
    last = max(event["id"] for event in record["events"] if event["type"] == "MapIterationSucceeded")
    exited = next(event for event in record["events"] if event["type"] == "MapStateExited")
    assert exited["previousEventId"] == last


def test_a_failed_iteration_aborts_its_siblings_at_once(run: Run) -> None:
    choose = {
        "StartAt": "C",
        "States": {
            "C": {
                "Type": "Choice",
                "Choices": [{"Variable": "$", "NumericEquals": 0, "Next": "F"}],
                "Default": "W",
            },
            "F": {"Type": "Fail", "Error": "Boom"},
            "W": {"Type": "Wait", "Seconds": 6000, "End": True},
        },
    }
    state = {"Type": "Map", "ItemProcessor": choose, "Catch": [{"ErrorEquals": ["Boom"], "Next": "Caught"}]}
    machine = {"StartAt": "M", "States": {"M": {**state, "End": True}, "Caught": {"Type": "Succeed"}}}
    began = time.monotonic()
    record = run(machine, [1, 2, 0])
    assert record["status"] == "SUCCEEDED"
    assert json.loads(record["output"]) == {"Error": "Boom", "Cause": ""}
    assert time.monotonic() - began < 5
    seen = kinds(record)
    assert (seen.count("MapIterationAborted"), seen.count("WaitStateAborted")) == (2, 2)
    assert seen.index("MapStateFailed") < seen.index("MapStateExited")


def test_parallel_is_retried_before_it_fails(run: Run) -> None:
    branch = {"StartAt": "F", "States": {"F": {"Type": "Fail", "Error": "E", "Cause": "c"}}}
    state = {
        "Type": "Parallel",
        "Branches": [branch],
        "Retry": [{"ErrorEquals": ["E"], "MaxAttempts": 2, "IntervalSeconds": 1}],
    }
    record = run(single(state))
    assert (record["error"], record["cause"]) == ("E", "c")
    assert kinds(record).count("ParallelStateStarted") == 3
    assert kinds(record).count("ParallelStateFailed") == 1


def test_a_runtime_error_in_a_branch_is_not_caught(run: Run) -> None:
    branch = {"StartAt": "A", "States": {"A": {"Type": "Pass", "InputPath": "$.no", "End": True}}}
    state = {
        "Type": "Parallel",
        "Branches": [branch],
        "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "S"}],
    }
    assert run(single(state))["error"] == "States.Runtime"


def test_the_machines_own_timeout_ends_even_a_loop(run: Run) -> None:
    loop = {
        "StartAt": "A",
        "TimeoutSeconds": 1,
        "States": {
            "A": {"Type": "Wait", "Seconds": 5, "Next": "C"},
            "C": {
                "Type": "Choice",
                "Choices": [{"Variable": "$.go", "IsPresent": False, "Next": "A"}],
                "Default": "D",
            },
            "D": {"Type": "Succeed"},
        },
    }
    began = time.monotonic()
    record = run(loop)
    assert 0.9 < time.monotonic() - began < 3
    assert record["status"] == "TIMED_OUT"
    assert kinds(record)[-1] == "ExecutionTimedOut"
    assert record["output"] is None


def test_stopping_wakes_a_wait_and_nothing_is_recorded_afterwards(
    start: Callable[..., execution.Execution],
) -> None:
    one = start(single({"Type": "Wait", "Seconds": 100_000}))
    thread = threading.Thread(target=one.run)
    thread.start()
    while "WaitStateEntered" not in kinds(one.record):
        time.sleep(0.005)
    one.stop("Mine", "because")
    thread.join(5)
    assert not thread.is_alive()
    assert (one.record["status"], one.record["error"], one.record["cause"]) == ("ABORTED", "Mine", "because")
    assert kinds(one.record) == ["ExecutionStarted", "WaitStateEntered", "ExecutionAborted"]


def test_an_endless_history_ends(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.local.states.history.EVENT_LIMIT", 50)
    loop = {
        "StartAt": "A",
        "States": {"A": {"Type": "Pass", "Next": "B"}, "B": {"Type": "Pass", "Next": "A"}},
    }
    record = run(loop)
    assert record["error"] == "States.Runtime"
    assert "maximum number of history events" in record["cause"]


def test_scopes_cancel_downwards_only() -> None:
    root = Scope()
    left, right = Scope(root), Scope(root)
    inner = Scope(left)
    left.cancel(ABORTED)
    with pytest.raises(Stopped):
        inner.check()
    right.check()
    root.check()
    late = Scope(left)
    with pytest.raises(Stopped):
        late.wait(Signal(), 1)


def test_a_deadline_holds_in_every_branch() -> None:
    root = Scope(deadline=time.monotonic() + 0.05)
    with pytest.raises(Stopped) as stopped:
        Scope(root).sleep(30)
    assert stopped.value.reason == TIMED_OUT
    assert root.cancelled
