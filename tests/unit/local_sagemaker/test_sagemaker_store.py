"""Records survive on disk at once; lists page without losing or repeating; statuses move as declared."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from pipeline.local.sagemaker import transitions, validation
from pipeline.local.sagemaker.errors import InternalFailure, ValidationException
from pipeline.local.sagemaker.listing import page, select
from pipeline.local.sagemaker.store import Scope, Store

SCOPE = Scope("111122223333", "eu-west-1")


def test_another_store_on_the_same_folder_sees_what_was_written(tmp_path: Path) -> None:
    first = Store(tmp_path)
    assert first.create(SCOPE, "model-package", "group/1", {"a": 1})
    assert not first.create(SCOPE, "model-package", "group/1", {"a": 2})
    with first.edit(SCOPE, "model-package", "group/1") as record:
        record["a"] = 3
    second = Store(tmp_path)
    assert second.items(SCOPE, "model-package") == [("group/1", {"a": 3})]
    assert second.scopes() == [SCOPE]
    assert second.delete(SCOPE, "model-package", "group/1")
    assert Store(tmp_path).list(SCOPE, "model-package") == []
    assert not any(tmp_path.rglob("*.tmp"))


def test_an_edit_that_fails_changes_nothing(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.put(SCOPE, "model", "m", {"a": [1]})
    with pytest.raises(RuntimeError), store.edit(SCOPE, "model", "m") as record:
        record["a"].append(2)
        raise RuntimeError
    copy = store.get(SCOPE, "model", "m")
    assert copy == {"a": [1]}
    copy["a"].append(3)
    assert store.get(SCOPE, "model", "m") == {"a": [1]}


def test_edits_from_many_threads_are_all_kept(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.put(SCOPE, "model", "m", {"n": 0})

    def add() -> None:
        for _ in range(20):
            with store.edit(SCOPE, "model", "m") as record:
                record["n"] += 1

    threads = [threading.Thread(target=add) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Store(tmp_path).get(SCOPE, "model", "m") == {"n": 100}


def test_arns_by_partition_and_case() -> None:
    assert SCOPE.arn("endpoint/Iris") == "arn:aws:sagemaker:eu-west-1:111122223333:endpoint/iris"
    assert SCOPE.arn("model-package/Iris/1").endswith("model-package/Iris/1")
    assert Scope("1", "cn-north-1").arn("model/m").startswith("arn:aws-cn:sagemaker:cn-north-1:")


def _pages(items: list[dict[str, Any]], **request: Any) -> list[str]:
    names: list[str] = []
    while True:
        chosen, token = select(items, request, name="N", status="S")
        names += [item["N"] for item in chosen]
        if token is None:
            return names
        request["NextToken"] = token


def test_pages_neither_lose_nor_repeat() -> None:
    items = [
        {"N": f"n{i:02}", "CreationTime": float(i % 5), "S": "Up" if i % 2 else "Down"} for i in range(23)
    ]
    everything = _pages(items, MaxResults=4, SortBy="Name", SortOrder="Ascending")
    assert everything == [f"n{i:02}" for i in range(23)]
    newest_first = _pages(items, MaxResults=7)
    assert newest_first[0] == "n19" and newest_first[-1] == "n00" and len(set(newest_first)) == 23
    assert _pages(items, StatusEquals="Up", NameContains="N1", SortBy="Name", SortOrder="Ascending") == [
        "n11",
        "n13",
        "n15",
        "n17",
        "n19",
    ]
    assert _pages(items, CreationTimeAfter=3.5, CreationTimeBefore=4.5, SortBy="Name")[0] == "n19"


def test_a_page_starts_after_the_last_item_even_when_others_vanish() -> None:
    items = list("abcdefgh")
    first, token = page(items, {"MaxResults": 3}, key=str)
    assert first == ["a", "b", "c"] and token
    items.remove("a")
    assert page(items, {"MaxResults": 3, "NextToken": token}, key=str)[0] == ["d", "e", "f"]
    items.remove("c")
    assert page(items, {"MaxResults": 3, "NextToken": token}, key=str)[0] == ["f", "g", "h"]
    with pytest.raises(ValidationException):
        page(items, {"MaxResults": 3, "NextToken": token, "NameContains": "x"}, key=str)
    with pytest.raises(ValidationException):
        page(items, {"NextToken": "garbage"}, key=str)


def test_statuses_are_botocores_and_move_only_as_declared() -> None:
    for field, machine in transitions.MACHINES.items():
        documented = set(validation.model().shape_for(field).enum)
        assert set(machine) <= documented
        assert {after for states in machine.values() for after in states} <= set(machine)
    assert set(transitions.MACHINES["EndpointStatus"]) == set(
        validation.model().shape_for("EndpointStatus").enum
    )
    record: dict[str, Any] = {"EndpointStatus": "Creating"}
    transitions.advance(record, "EndpointStatus", "InService")
    assert record["LastModifiedTime"] > 0
    with pytest.raises(InternalFailure, match="cannot go from InService to Creating"):
        transitions.advance(record, "EndpointStatus", "Creating")


def test_what_a_cut_short_stack_did_is_put_back(tmp_path: Path) -> None:
    first = Store(tmp_path)
    first.put(SCOPE, "model-package-group", "kept", {"a": 1})
    first.put(SCOPE, "model", "gone", {"b": 1})
    with first.undoable():
        first.put(SCOPE, "model-package-group", "made", {})
        first.put(SCOPE, "model-package-group", "kept", {"a": 2})
        first.put(SCOPE, "model-package-group", "kept", {"a": 3})
        first.delete(SCOPE, "model", "gone")
    first.put(SCOPE, "model", "by-a-client", {})
    second = Store(tmp_path)
    assert second.undo.roll_back(tmp_path) == 4
    assert second.items(SCOPE, "model-package-group") == [("kept", {"a": 1})]
    assert dict(second.items(SCOPE, "model")) == {"gone": {"b": 1}, "by-a-client": {}}
    assert second.undo.roll_back(tmp_path) == 0


def test_what_is_kept_is_not_put_back(tmp_path: Path) -> None:
    first = Store(tmp_path)
    with first.undoable():
        first.put(SCOPE, "model", "kept", {})
    mark = first.undo.size(tmp_path)
    with first.undoable():
        first.put(SCOPE, "model", "not", {})
    first.undo.forget(tmp_path, mark)
    assert Store(tmp_path).undo.roll_back(tmp_path) == 1
    assert [name for name, _ in Store(tmp_path).items(SCOPE, "model")] == ["kept"]
