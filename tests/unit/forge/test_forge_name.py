"""The name that the local remote gave the repository holds at the local target, and nowhere else."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import pytest

from pipeline.cli import _target
from pipeline.local.forge.places import Places, write

NAME = "PIPELINE_GITHUB_REPOSITORY"


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "pipeline.toml").write_text("")
    monkeypatch.chdir(tmp_path)
    for name in (NAME, "PIPELINE_TARGET", "PIPELINE_LOCAL_ROOT"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def during(**options: str | None) -> str | None:
    with _target.repository_of_the_local_remote(argparse.Namespace(**options)):
        return os.environ.get(NAME)


def test_without_a_local_remote_or_a_repository_there_is_no_name(root: Path) -> None:
    assert during(target=None) is None
    (root / "pipeline.toml").unlink()
    assert during(target=None) is None


def test_a_plan_by_hand_knows_the_name_that_the_accounts_trust(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(Places.of(root).settings, {"repository": "local/shop"})
    assert during(target=None) == "local/shop"
    assert NAME not in os.environ, "it is given back"
    assert during(target="local") == "local/shop"
    assert during(target="aws") is None
    assert during() is None, "a verb without a target has no account"
    monkeypatch.setenv("PIPELINE_TARGET", "aws")
    assert during(target=None) is None
    monkeypatch.delenv("PIPELINE_TARGET")
    monkeypatch.setenv(NAME, "acme/shop")
    assert during(target=None) == "acme/shop", "what is said goes before"


@pytest.mark.usefixtures("root")
def test_another_checkout_of_the_repository_has_its_name(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path_factory.mktemp("home")
    write(Places.of(home).settings, {"repository": "local/shop"})
    monkeypatch.setenv("PIPELINE_LOCAL_ROOT", str(home))
    assert during(target=None) == "local/shop"
