"""What git says of a change: pull requests, queues, pushes, rewritten branches, clones that were cut off."""

from __future__ import annotations

import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.ci import changes
from pipeline.ci.context import Context
from pipeline.errors import SettingsError

GONE = "d" * 40


class Repository:
    def __init__(self, root: Path) -> None:
        self.root = root
        root.mkdir()
        self.git("init", "-q", "-b", "main")

    def git(self, *words: str) -> str:
        identity = {
            f"GIT_{who}_{what}": "a@example.com"
            for who in ("AUTHOR", "COMMITTER")
            for what in ("NAME", "EMAIL")
        }
        done = subprocess.run(
            ["git", "-C", str(self.root), *words],
            env={**os.environ, **identity, "GIT_CONFIG_GLOBAL": os.devnull},
            check=True,
            capture_output=True,
            text=True,
        )
        return done.stdout.strip()

    def commit(self, **files: str) -> str:
        for name, text in files.items():
            (self.root / name).write_text(text)
        self.git("add", "-A")
        self.git("commit", "-q", "-m", "change")
        return self.git("rev-parse", "HEAD")


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path / "repository")


def context(event: str, head: str, base: str = "", **more: object) -> Context:
    made = Context(event=event, repository="o/r", ref="refs/heads/main", sha=head, head=head, base=base)  # type: ignore[arg-type]
    return replace(made, **more)  # type: ignore[arg-type]


def test_a_pull_request_is_what_its_branch_changed_not_what_main_gained(repository: Repository) -> None:
    repository.commit(a="1")
    repository.git("checkout", "-q", "-b", "topic")
    head = repository.commit(b="1")
    repository.git("checkout", "-q", "main")
    base = repository.commit(c="1")
    for event in ("pull_request", "merge_group"):
        found = changes.find(repository.root, context(event, head, base))
        assert (found.files, found.everything) == (("b",), False)


def test_the_merge_commit_is_judged_where_the_head_was_not_fetched(repository: Repository) -> None:
    base = repository.commit(a="1")
    merge = repository.commit(b="1")
    found = changes.find(repository.root, context("pull_request", GONE, base, sha=merge))
    assert found.files == ("b",)


def test_a_push_of_several_commits_and_a_rename(repository: Repository) -> None:
    base = repository.commit(a="1", old="long enough to be taken for the same file\n" * 5)
    repository.commit(b="1")
    repository.git("mv", "old", "new")
    head = repository.commit(a="2")
    found = changes.find(repository.root, context("push", head, base))
    # Of a rename both: the room it left is concerned, too.
    assert found.files == ("a", "b", "new", "old")


def test_a_name_with_spaces_and_other_letters(repository: Repository) -> None:
    base = repository.commit(a="1")
    head = repository.commit(**{"a b": "1", "ü\n": "1"})
    assert changes.find(repository.root, context("push", head, base)).files == ("a b", "ü\n")


def test_a_base_that_was_deployed_last_goes_before_the_pushs_own(repository: Repository) -> None:
    deployed = repository.commit(a="1")
    before = repository.commit(b="1")
    head = repository.commit(c="1")
    assert changes.find(repository.root, context("push", head, before), deployed).files == ("b", "c")


@pytest.mark.parametrize("event", ["tag", "schedule", "manual"])
def test_what_is_not_a_change_is_about_everything(repository: Repository, event: str) -> None:
    found = changes.find(repository.root, context(event, repository.commit(a="1")))
    assert (found.everything, found.base) == (True, "")
    assert "every pipeline" in found.why


def test_a_first_push_and_a_rewritten_branch_are_about_everything(repository: Repository) -> None:
    head = repository.commit(a="1")
    assert "no earlier commit" in changes.find(repository.root, context("push", head)).why
    found = changes.find(repository.root, context("push", head, GONE, forced=True))
    assert (found.everything, "was rewritten away" in found.why) == (True, True)
    assert "is not in this repository" in changes.find(repository.root, context("push", head, GONE)).why


def test_a_rewritten_branch_whose_old_commit_is_there_is_compared_with_it(repository: Repository) -> None:
    repository.commit(a="1")
    old = repository.commit(b="1")
    repository.git("reset", "-q", "--hard", "HEAD~1")
    head = repository.commit(c="1")
    assert changes.find(repository.root, context("push", head, old, forced=True)).files == ("b", "c")


def test_branches_without_a_common_commit(repository: Repository) -> None:
    base = repository.commit(a="1")
    repository.git("checkout", "-q", "--orphan", "other")
    head = repository.commit(b="1")
    assert "share no history" in changes.find(repository.root, context("pull_request", head, base)).why


def test_a_clone_that_was_cut_off_is_an_error_not_a_guess(repository: Repository, tmp_path: Path) -> None:
    base = repository.commit(a="1")
    head = repository.commit(b="1")
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "-q", "--depth=1", f"file://{repository.root}", str(clone)], check=True)
    for event in ("push", "pull_request"):
        with pytest.raises(SettingsError, match="not in this clone") as caught:
            changes.find(clone, context(event, head, base))
        assert "fetch-depth 0" in caught.value.hint


def test_a_branch_by_name_as_codebuild_has_it(repository: Repository, tmp_path: Path) -> None:
    repository.commit(a="1")
    repository.git("checkout", "-q", "-b", "topic")
    head = repository.commit(b="1")
    repository.git("checkout", "-q", "main")
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "-q", f"file://{repository.root}", str(clone)], check=True)
    found = changes.find(clone, context("pull_request", head, "origin/main"))
    assert found.files == ("b",)
