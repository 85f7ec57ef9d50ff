"""The saver: what changed is written, once, and item by item where a store grows."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.local import commit
from pipeline.local.persistence import Changes, Item, Saver, Store, read_items


def waited(ready: Callable[[], Any], seconds: float = 5) -> None:
    deadline = time.monotonic() + seconds
    while not ready() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert ready()


@pytest.fixture
def stores() -> dict[str, Store]:
    return {}


@pytest.fixture
def saver(tmp_path: Path, stores: dict[str, Store]) -> Saver:
    return Saver(tmp_path, json.dumps, lambda: stores)


def test_a_touched_store_is_saved_soon_and_the_others_not(
    tmp_path: Path, saver: Saver, stores: dict[str, Store]
) -> None:
    stores["a"], stores["b"] = Store(lambda: {"x": 1}), Store(lambda: {"y": 2})
    saver.start()
    saver.touch("a")
    waited((tmp_path / "a.json").exists)
    assert json.loads((tmp_path / "a.json").read_text()) == {"x": 1}
    assert not (tmp_path / "b.json").exists()
    saver.stop()
    assert json.loads((tmp_path / "b.json").read_text()) == {"y": 2}


def test_what_did_not_change_is_not_written_again(
    tmp_path: Path, saver: Saver, stores: dict[str, Store]
) -> None:
    stores["a"] = Store(lambda: {"x": 1})
    saver.flush()
    (tmp_path / "a.json").unlink()
    saver.flush()
    assert not (tmp_path / "a.json").exists()


def test_a_store_without_a_state_leaves_its_file_alone(
    tmp_path: Path, saver: Saver, stores: dict[str, Store]
) -> None:
    (tmp_path / "a.json").write_text("earlier")
    stores["a"] = Store(lambda: None)
    saver.flush()
    assert (tmp_path / "a.json").read_text() == "earlier"


def test_only_changed_items_are_written(tmp_path: Path, saver: Saver, stores: dict[str, Store]) -> None:
    values = {"one": 1, "two": 2}
    stores["a"] = Store(dict, lambda: [Item((key,), value, value) for key, value in values.items()])
    saver.flush()
    assert dict(read_items(tmp_path, "a", json.loads)) == {("one",): 1, ("two",): 2}
    for path in (tmp_path / "a.d").iterdir():
        path.write_text(json.dumps({"key": ["one"], "value": "untouched"}))
    values["two"] = 3
    saver.flush()
    assert sorted(str(value) for _, value in read_items(tmp_path, "a", json.loads)) == ["3", "untouched"]
    del values["two"]
    saver.flush()
    assert [value for _, value in read_items(tmp_path, "a", json.loads)] == ["untouched"]


def test_adopted_items_are_not_written_but_go_when_they_go(
    tmp_path: Path, saver: Saver, stores: dict[str, Store]
) -> None:
    values = {"one": 1}
    stores["a"] = Store(dict, lambda: [Item((key,), value, value) for key, value in values.items()])
    saver.flush()
    again = Saver(tmp_path, json.dumps, lambda: stores)
    again.adopt("a", {("one",): 1})
    (path,) = (tmp_path / "a.d").iterdir()
    before = path.stat().st_mtime_ns
    again.flush()
    assert path.stat().st_mtime_ns == before
    values.clear()
    again.flush()
    assert not path.exists()


def test_a_busy_store_is_looked_at_until_it_rests(
    tmp_path: Path, saver: Saver, stores: dict[str, Store]
) -> None:
    state = {"n": 0}
    stores["a"] = Store(lambda: dict(state), busy=lambda: state["n"] < 3)

    def saved() -> int:
        path = tmp_path / "a.json"
        return int(json.loads(path.read_text())["n"]) if path.exists() else -1

    saver.start()
    saver.touch("a")
    for n in (1, 2, 3):
        state["n"] = n
        waited(lambda n=n: saved() == n)
    saver.stop()


def test_a_state_that_changes_while_it_is_read_is_read_again(
    tmp_path: Path, saver: Saver, stores: dict[str, Store]
) -> None:
    disturbed = iter([True, True, False])

    def whole() -> dict[str, int]:
        if next(disturbed):
            raise RuntimeError("dictionary changed size during iteration")
        return {"x": 1}

    stores["a"] = Store(whole)
    saver.flush()
    assert json.loads((tmp_path / "a.json").read_text()) == {"x": 1}


def test_a_store_that_cannot_be_saved_does_not_stop_the_saver(
    tmp_path: Path, saver: Saver, stores: dict[str, Store], caplog: pytest.LogCaptureFixture
) -> None:
    stores["bad"] = Store(lambda: {"x": object()})
    saver.start()
    saver.touch("bad")
    waited(lambda: "saving bad failed" in caplog.text)
    stores["good"] = Store(lambda: {"y": 1})
    saver.touch("bad", "good")
    waited((tmp_path / "good.json").exists)
    del stores["bad"]
    saver.stop()


def test_an_unreadable_item_is_reported_and_the_rest_is_read(
    tmp_path: Path, saver: Saver, stores: dict[str, Store], caplog: pytest.LogCaptureFixture
) -> None:
    stores["a"] = Store(dict, lambda: [Item(("one",), 1, 1)])
    saver.flush()
    (tmp_path / "a.d" / "broken.json").write_text("{")
    assert dict(read_items(tmp_path, "a", json.loads)) == {("one",): 1}
    assert "broken.json" in caplog.text


def test_saving_now_is_done_when_it_returns(tmp_path: Path, saver: Saver, stores: dict[str, Store]) -> None:
    stores["a"], stores["b"] = Store(lambda: {"x": 1}), Store(lambda: {"y": 2})
    saver.save("a")
    assert (tmp_path / "a.json").exists()
    assert not (tmp_path / "b.json").exists()


def test_what_cannot_be_written_is_told_and_tried_again(
    tmp_path: Path, saver: Saver, stores: dict[str, Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    stores["a"] = Store(lambda: {"x": 1})
    full = OSError(28, "No space left on device")

    def refuse(path: Path, text: str) -> None:  # noqa: ARG001
        raise full

    with monkeypatch.context() as patched:
        patched.setattr(commit, "replace", refuse)
        with pytest.raises(OSError, match="No space left"):
            saver.save("a")
    saver.start()
    waited((tmp_path / "a.json").exists)


class StackChanges:
    """Changes over several stores that a test begins and ends."""

    def __init__(self) -> None:
        self.now: int | None = 0
        self.kept: list[int] = []
        self.changes = Changes(lambda: self.now, lambda: 7, self.kept.append)


def test_nothing_but_items_is_written_while_a_change_over_several_stores_is_under_way(
    tmp_path: Path, stores: dict[str, Store]
) -> None:
    stack = StackChanges()
    saver = Saver(tmp_path, json.dumps, lambda: stores, stack.changes)
    values = {"one": 1}
    stores["a"] = Store(
        lambda: dict(values), lambda: [Item((key,), value, value) for key, value in values.items()]
    )
    stores["b"] = Store(lambda: dict(values))
    saver.flush()
    stack.now, values["two"] = None, 2
    saver.flush()
    saver.save("b")
    assert not saver.behind
    assert [json.loads((tmp_path / f"{key}.json").read_text()) for key in "ab"] == [{"one": 1}] * 2
    assert len(list(read_items(tmp_path, "a", json.loads))) == 2
    stack.now = 1
    assert saver.behind
    # Whoever asks for one store gets all that changed with it.
    saver.save("b")
    assert [json.loads((tmp_path / f"{key}.json").read_text()) for key in "ab"] == [values] * 2
    assert stack.kept == [7] and not saver.behind


def test_a_change_that_begins_while_stores_are_read_keeps_them_from_being_written(
    tmp_path: Path, stores: dict[str, Store]
) -> None:
    stack = StackChanges()
    saver = Saver(tmp_path, json.dumps, lambda: stores, stack.changes)

    def read() -> dict[str, int]:
        stack.now = None
        return {"half": 1}

    stores["a"] = Store(read)
    saver.flush()
    assert not (tmp_path / "a.json").exists()
    stack.now = 2
    stores["a"] = Store(lambda: {"whole": 1})
    saver.start()
    saver.touch("a")
    waited((tmp_path / "a.json").exists)
    saver.stop()


def test_files_that_a_kill_left_half_replaced_are_completed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.json").write_text("old")
    real = commit.replace

    def killed_at_b(path: Path, text: str) -> None:
        if path.name == "b.json":
            raise KeyboardInterrupt
        real(path, text)

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(commit, "replace", killed_at_b)
        commit.write(tmp_path, {"a.json": "new", "b.json": "new"}, note=5)
    assert commit.finish(tmp_path) == 5
    assert [(tmp_path / name).read_text() for name in ("a.json", "b.json")] == ["new", "new"]
    assert commit.finish(tmp_path) is None
