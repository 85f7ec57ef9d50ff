"""A new pipeline from one that is there: nothing points back, and nothing is overwritten."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from pipeline import scaffold
from pipeline.errors import SettingsError
from tests.conftest import REPOSITORY, copy_repository

SOURCES = sorted(p.parent.name for p in (REPOSITORY / "pipeline/definitions").glob("*/settings.toml"))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return copy_repository(tmp_path / "repository")


@pytest.mark.parametrize("source", SOURCES)
def test_a_copy_has_names_and_data_of_its_own(root: Path, source: str) -> None:
    made = scaffold.make(root, "next-one", source)
    settings = tomllib.loads((root / made.settings).read_text())
    assert settings["container"] == "next_one"
    assert settings["data"]["prefix"] == "next-one/"
    old = tomllib.loads((root / "pipeline/definitions" / source / "settings.toml").read_text())
    assert {k: v for k, v in settings.items() if k not in ("container", "data", "transforms")} == {
        k: v for k, v in old.items() if k not in ("container", "data", "transforms")
    }
    for transform in settings.get("transforms", {}).values():
        home, name = (
            ("container/next_one", "program") if "program" in transform else ("glue_scripts", "script")
        )
        assert (root / home / transform[name]).is_file()
    for folder in made.folders:
        for path in (
            p for p in (root / folder).rglob("*") if p.suffix in (".py", ".toml", "") and p.is_file()
        ):
            text = path.read_text(errors="replace")
            assert not re.search(rf"\b{old['container']}_program|definitions/{source}\b", text), path


def test_nothing_is_overwritten_or_left_half_made(root: Path) -> None:
    (root / "container" / "churn").mkdir()
    with pytest.raises(SettingsError, match="is there already") as caught:
        scaffold.make(root, "churn", "iris")
    assert caught.value.where == "container/churn"
    assert not (root / "pipeline" / "definitions" / "churn").exists()
    assert not list(root.rglob(".new-*"))


@pytest.mark.parametrize("name", ["Churn", "c", "a.b", "../x", "", "a" * 40])
def test_a_bad_name_is_refused(root: Path, name: str) -> None:
    with pytest.raises(SettingsError, match="no name"):
        scaffold.make(root, name, "iris")


def test_an_unknown_source_lists_those_that_are(root: Path) -> None:
    with pytest.raises(SettingsError, match="no pipeline 'irsi'") as caught:
        scaffold.make(root, "churn", "irsi")
    assert "iris" in caught.value.hint
