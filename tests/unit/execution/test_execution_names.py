"""Names of executions: the same start has the same name."""

from __future__ import annotations

import re

import pytest

from pipeline.execution.names import MAX_LENGTH, base_name, belongs, next_name

SHA = "0123456789abcdef0123456789abcdef01234567"
# What StartExecution refuses in a name.
FORBIDDEN = re.compile(r"[\s<>{}\[\]?*\"#%\\^|~`$&,;:/\x00-\x1f\x7f-\x9f]")


def test_a_name_holds_date_commit_and_hash() -> None:
    name = base_name("2026-11-22", SHA, "machine", {"DATE": "2026-11-22"})
    assert re.fullmatch(r"20261122-0123456-[0-9a-f]{8}", name)
    assert not FORBIDDEN.search(name)
    assert len(f"{name}-999999") <= MAX_LENGTH


def test_the_same_start_has_the_same_name_and_the_commit_counts_once() -> None:
    one = base_name("2026-11-22", SHA, "machine", {"DATE": "2026-11-22", "GIT_SHA": SHA})
    assert one == base_name(
        "2026-11-22T10:00:00+00:00", SHA, "machine", {"GIT_SHA": "x", "DATE": "2026-11-22"}
    )


@pytest.mark.parametrize(
    ("day", "sha", "machine", "data"),
    [
        ("2026-11-23", SHA, "machine", {"DATE": "2026-11-22"}),
        ("2026-11-22", "f" * 40, "machine", {"DATE": "2026-11-22"}),
        ("2026-11-22", SHA, "other", {"DATE": "2026-11-22"}),
        ("2026-11-22", SHA, "machine", {"DATE": "2026-11-22", "FORCE": True}),
        ("2026-11-22", SHA, "machine", {}),
    ],
    ids=["day", "commit", "definition", "force", "input"],
)
def test_another_start_has_another_name(day: str, sha: str, machine: str, data: dict[str, object]) -> None:
    assert base_name(day, sha, machine, data) != base_name(
        "2026-11-22", SHA, "machine", {"DATE": "2026-11-22"}
    )


def test_without_a_repository_the_name_says_so() -> None:
    assert base_name("2026-11-22", "", "m", {}).startswith("20261122-nogit-")


def test_a_repeat_takes_the_next_free_number() -> None:
    assert next_name("a", set()) == "a"
    assert next_name("a", {"a"}) == "a-2"
    assert next_name("a", {"a", "a-2", "a-3"}) == "a-4"
    assert belongs("a-2", "a")
    assert belongs("a", "a")
    assert not belongs("a-b", "a")
    assert not belongs("ab", "a")


def test_what_is_no_date_is_refused() -> None:
    with pytest.raises(ValueError, match=r".+"):
        base_name("yesterday", SHA, "m", {})
