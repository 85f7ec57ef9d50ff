"""What an image is made of: its folder and the shared folders that container.toml names."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from pipeline.errors import SettingsError
from pipeline.image import context_files, source_tag


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "serving" / "__pycache__").mkdir(parents=True)
    (tmp_path / "serving" / "app.py").write_text("a = 1\n")
    (tmp_path / "serving" / "__pycache__" / "app.pyc").write_bytes(b"")
    folder = tmp_path / "thing"
    folder.mkdir()
    (folder / "serve").write_text("#!/usr/bin/env python3\n")
    return folder


def declare(folder: Path, text: str = 'uses = ["serving"]\n') -> None:
    (folder / "container.toml").write_text(text)


def test_without_a_declaration_it_is_the_folder_alone(folder: Path) -> None:
    assert context_files(folder) == {"serve": folder / "serve"}


def test_a_used_folder_is_laid_in_under_its_name(folder: Path) -> None:
    declare(folder)
    found = context_files(folder)
    assert list(found) == ["container.toml", "serve", "serving/app.py"]
    assert found["serving/app.py"] == folder.parent / "serving" / "app.py"


def test_a_change_of_a_used_folder_is_another_image_only_for_its_users(folder: Path) -> None:
    declare(folder)
    other = folder.parent / "other"
    other.mkdir()
    (other / "serve").write_text("")
    tags = source_tag(folder), source_tag(other)
    (folder.parent / "serving" / "app.py").write_text("a = 2\n")
    assert source_tag(folder) != tags[0]
    assert source_tag(other) == tags[1]


def test_a_copy_of_the_listing_is_the_same_image_where_nothing_is_beside_it(
    folder: Path, tmp_path: Path
) -> None:
    declare(folder)
    copy = tmp_path / "far" / "away"
    for relative, path in context_files(folder).items():
        (copy / relative).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, copy / relative)
    assert source_tag(copy) == source_tag(folder)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("uses = 3", "list of folder names"),
        ('uses = ["../etc"]', "list of folder names"),
        ('uses = ["absent"]', "no such folder"),
        ("use = []", "unknown key 'use'"),
        ("instances = 2", 'instances = 2: "one" or "many"'),
        ("uses = [", "not TOML"),
    ],
)
def test_a_wrong_declaration_is_told(folder: Path, text: str, what: str) -> None:
    declare(folder, text)
    with pytest.raises(SettingsError, match=what) as told:
        context_files(folder)
    assert told.value.where.endswith("container.toml")
