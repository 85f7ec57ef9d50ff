"""The hash of a folder: what counts, and what does not."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.image import source_tag, tree_files, tree_hash


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "container"
    (root / "code").mkdir(parents=True)
    (root / "Dockerfile").write_text("FROM scratch\n")
    (root / "train").write_text("#!/usr/bin/env python3\n")
    (root / "train").chmod(0o755)
    (root / "code" / "a.py").write_text("a = 1\n")
    return root


def test_a_copy_elsewhere_with_other_times_has_the_same_hash(folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "elsewhere"
    shutil.copytree(folder, copy, copy_function=shutil.copyfile)
    (copy / "train").chmod(0o700)
    assert tree_hash(copy) == tree_hash(folder)
    assert source_tag(folder) == f"src-{tree_hash(folder)[:16]}"


@pytest.mark.parametrize(
    "name", ["__pycache__/a.cpython-311.pyc", ".pytest_cache/x", "code/b.pyc", ".mypy_cache/y"]
)
def test_what_running_leaves_behind_does_not_count(folder: Path, name: str) -> None:
    before = tree_hash(folder)
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_text("left behind")
    assert tree_hash(folder) == before


@pytest.mark.parametrize(
    "change",
    [
        lambda root: (root / "code" / "a.py").write_text("a = 2\n"),
        lambda root: (root / "train").chmod(0o644),
        lambda root: (root / "code" / "a.py").rename(root / "code" / "b.py"),
        lambda root: (root / "code" / "empty").write_text(""),
        lambda root: ((root / "train").unlink(), (root / "train").symlink_to("Dockerfile")),
    ],
    ids=["bytes", "executable bit", "name", "new file", "link"],
)
def test_each_difference_that_matters_changes_it(folder: Path, change: Callable[[Path], object]) -> None:
    before = tree_hash(folder)
    change(folder)
    assert tree_hash(folder) != before


def test_moving_bytes_between_files_changes_it(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    for root, contents in ((one, ("ab", "c")), (two, ("a", "bc"))):
        root.mkdir()
        for name, content in zip("xy", contents, strict=True):
            (root / name).write_text(content)
    assert tree_hash(one) != tree_hash(two)


def test_files_are_listed_in_one_order(folder: Path) -> None:
    assert [p.as_posix() for p in tree_files(folder)] == ["Dockerfile", "code/a.py", "train"]
    with pytest.raises(FileNotFoundError):
        tree_hash(folder / "nowhere")
