"""Concurrency groups: one runs, one waits, or all in their order."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from pipeline.local.forge.groups import Superseded, acquire, running


def in_background(groups: Path, who: str, order: list[str], *, all_wait: bool) -> threading.Thread:
    def body() -> None:
        try:
            with acquire(groups, "deploy", who, all_wait=all_wait):
                order.append(who)
        except Superseded as superseded:
            order.append(f"{who}: {superseded}")

    thread = threading.Thread(target=body)
    thread.start()
    time.sleep(0.15)
    return thread


def test_of_those_that_wait_only_the_newest_goes_on(tmp_path: Path) -> None:
    order: list[str] = []
    with acquire(tmp_path, "Deploy", "first"):
        assert running(tmp_path, "deploy") == "first"
        threads = [in_background(tmp_path, who, order, all_wait=False) for who in ("second", "third")]
        threads[0].join(5)
        assert order == ["second: third is newer and waits for deploy in its place"]
    threads[1].join(5)
    assert order[1:] == ["third"] and running(tmp_path, "deploy") == ""


def test_a_queue_of_all_keeps_its_order(tmp_path: Path) -> None:
    order: list[str] = []
    with acquire(tmp_path, "deploy", "first"):
        threads = [
            in_background(tmp_path, who, order, all_wait=True) for who in ("second", "third", "fourth")
        ]
        assert order == []
    for thread in threads:
        thread.join(5)
    assert order == ["second", "third", "fourth"]


def test_who_waits_may_give_up_and_other_groups_do_not_wait(tmp_path: Path) -> None:
    told: list[str] = []
    with acquire(tmp_path, "a", "first"), acquire(tmp_path, "b", "other"), acquire(tmp_path, "", "nobody"):
        with pytest.raises(Superseded, match="cancelled"):
            acquire(tmp_path, "a", "second", waiting=told.append, given_up=lambda: bool(told))
    assert told == ["a: first is in it"]
    with acquire(tmp_path, "a", "third"):
        assert running(tmp_path, "a") == "third"
