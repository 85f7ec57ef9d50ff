"""Which tags are releases, and a commit's content without the working tree."""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path

import pytest

from pipeline.promote import content, tags
from pipeline.promote.tags import TagRefused
from tests.unit.promote.conftest import Git


@pytest.mark.parametrize("name", ["v0.1.0", "v1.2.3", "v10.20.30", "v1.2.3-rc.1", "v1.2.3+build.5"])
def test_an_annotated_semantic_version_on_main_is_a_release(repository: Path, git: Git, name: str) -> None:
    git("tag", "-a", name, "-m", "x")
    found = tags.resolve(repository, name)
    assert (found.name, found.commit, found.main) == (name, git("rev-parse", "HEAD"), "main")
    assert found.tagger.startswith("R <r@example.org> 20")


@pytest.mark.parametrize("name", ["1.2.3", "v1.2", "v01.2.3", "v1.2.3-", "v1.2.3-01", "release", "v1.2.3 "])
def test_another_form_is_refused_before_git_is_asked(tmp_path: Path, name: str) -> None:
    with pytest.raises(TagRefused, match="not a release tag"):
        tags.resolve(tmp_path, name)


def test_what_is_no_release_says_why_and_what_to_do(repository: Path, git: Git) -> None:
    git("tag", "v1.0.0")
    with pytest.raises(TagRefused, match="lightweight") as refused:
        tags.resolve(repository, "v1.0.0")
    assert "git tag -a v1.0.0" in refused.value.hint
    with pytest.raises(TagRefused, match="no such tag"):
        tags.resolve(repository, "v2.0.0")
    git("tag", "-a", "v3.0.0", "-m", "x", "HEAD:README.md")
    with pytest.raises(TagRefused, match="does not point to a commit"):
        tags.resolve(repository, "v3.0.0")


def test_a_commit_off_main_is_refused_and_main_is_origins_where_there_is_one(
    repository: Path, git: Git, tmp_path: Path
) -> None:
    git("checkout", "-q", "-b", "side")
    git("commit", "-q", "--allow-empty", "-m", "Two")
    git("tag", "-a", "v1.0.0", "-m", "x")
    with pytest.raises(TagRefused, match="not on main"):
        tags.resolve(repository, "v1.0.0")
    assert tags.resolve(repository, "v1.0.0", "side").main == "side"
    with pytest.raises(TagRefused, match="there is no trunk"):
        tags.resolve(repository, "v1.0.0", "trunk")
    # In a clone the local main may be anything.
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "-q", str(repository), str(clone)], check=True)
    subprocess.run(["git", "-C", str(clone), "branch", "-f", "main", "v1.0.0^{}"], check=True)
    with pytest.raises(TagRefused, match="not on origin/main"):
        tags.resolve(clone, "v1.0.0")


def test_a_shallow_clone_says_that_it_lacks_the_history(repository: Path, git: Git, tmp_path: Path) -> None:
    git("tag", "-a", "v1.0.0", "-m", "x")
    git("commit", "-q", "--allow-empty", "-m", "Two")
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "-q", "--depth", "1", f"file://{repository}", str(clone)], check=True)
    fetch = ["fetch", "-q", "--depth", "1", "origin", "tag", "v1.0.0"]
    subprocess.run(["git", "-C", str(clone), *fetch], check=True)
    with pytest.raises(TagRefused) as refused:
        tags.resolve(clone, "v1.0.0")
    assert "--unshallow" in refused.value.hint


def test_signatures_count_where_git_is_configured_so(repository: Path, git: Git) -> None:
    git("tag", "-a", "v1.0.0", "-m", "x")
    git("config", "pipeline.verifyTags", "true")
    with pytest.raises(TagRefused, match="signature is not good"):
        tags.resolve(repository, "v1.0.0")


def test_content_is_the_commits_whatever_the_working_tree_is(
    repository: Path, git: Git, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = git("rev-parse", "HEAD")
    (repository / "README.md").write_bytes(b"two\r\n")
    git("commit", "-qam", "Two")
    (repository / "README.md").write_text("not committed\n")
    monkeypatch.setenv("GIT_DIR", "/nonexistent")  # as in a hook
    with content.checked_out(repository, one) as copy:
        assert (copy / "README.md").read_text() == "hello\n"
        folder = copy
    with content.checked_out(repository, "main") as copy:
        assert (copy / "README.md").read_bytes() == b"two\r\n", "as it was committed, to the byte"
    monkeypatch.delenv("GIT_DIR")
    assert not folder.exists()
    assert (repository / "README.md").read_text() == "not committed\n"
    assert git("worktree", "list").count("\n") == 0


def test_a_project_in_a_folder_of_the_repository_is_found_in_the_copy(repository: Path, git: Git) -> None:
    with content.checked_out(repository / "container", git("rev-parse", "HEAD")) as copy:
        assert (copy / "iris" / "Dockerfile").is_file()


def test_what_a_killed_process_left_is_swept(repository: Path) -> None:
    ended = subprocess.Popen(["true"])
    ended.wait()
    left = Path(tempfile.mkdtemp(prefix=f"{content.PREFIX}{ended.pid}-"))
    own = Path(tempfile.mkdtemp(prefix=f"{content.PREFIX}{os.getpid()}-"))
    with content.checked_out(repository, "main"):
        assert not left.exists()
        assert own.exists(), "somebody still works there"
    own.rmdir()


def test_content_is_compared_by_paths_and_not_by_ids(repository: Path, git: Git) -> None:
    one = git("rev-parse", "HEAD")
    (repository / "README.md").write_text("more\n")
    git("commit", "-qam", "Docs")
    docs = git("rev-parse", "HEAD")
    (repository / "pipeline.toml").write_text("a = 2\n")
    git("commit", "-qam", "Settings")
    two = git("rev-parse", "HEAD")
    paths = ["pipeline.toml", "container/iris"]
    assert content.same(repository, one, docs, paths) is True
    assert content.same(repository, one, two, paths) is False
    git("revert", "--no-edit", "HEAD")
    assert content.same(repository, one, "HEAD", paths) is True, "a revert is the earlier content"
    assert content.same(repository, f"{one}-dirty", one, paths) is None
    assert content.same(repository, "0" * 40, one, paths) is None
    assert content.last_change(repository, docs, paths) == one
