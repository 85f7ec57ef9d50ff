"""The tag tells source and build arguments, and nothing else."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest

from pipeline.image.address import base_of, build_arguments, image_tag
from pipeline.image.archive import build_context
from pipeline.image.fingerprint import source_part, source_tag
from pipeline.image.labels import repository_url


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("PIPELINE_BASE_IMAGE", raising=False)
    (tmp_path / "Dockerfile").write_text('ARG BASE_IMAGE="python:3.11"\nFROM ${BASE_IMAGE}\n')
    (tmp_path / "train").write_text("#!/bin/sh\n")
    (tmp_path / "train").chmod(0o755)
    return tmp_path


def test_without_arguments_the_tag_is_the_sources(folder: Path) -> None:
    assert build_arguments(folder) == {}
    assert image_tag(folder, {}) == source_tag(folder)
    assert base_of(folder, {}) == "python:3.11"


def test_a_given_base_is_another_image_of_the_same_source(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    of_settings = image_tag(folder, build_arguments(folder, "mine@sha256:00"))
    monkeypatch.setenv("PIPELINE_BASE_IMAGE", "other:1")
    assert build_arguments(folder, "mine@sha256:00") == {"BASE_IMAGE": "other:1"}
    of_variable = image_tag(folder, build_arguments(folder, "mine@sha256:00"))
    assert len({of_settings, of_variable, source_tag(folder)}) == 3
    assert source_part(of_settings) == source_part(of_variable) == source_tag(folder)


def test_a_base_that_the_dockerfile_does_not_take_changes_nothing(folder: Path) -> None:
    (folder / "Dockerfile").write_text("FROM python:3.11\n")
    assert build_arguments(folder, "mine:1") == {}


@pytest.mark.parametrize("tag", ["latest", "src-12", "src-0123456789abcdef-1", "v1"])
def test_other_tags_stand_for_no_source(tag: str) -> None:
    assert source_part(tag) == ""


def test_the_context_is_the_same_bytes_whenever_and_by_whomever_it_is_made(folder: Path) -> None:
    wheel = folder.parent / "a-1-py3-none-any.whl"
    wheel.write_bytes(b"wheel")
    (folder / ".dockerignore").write_text("# notes\nnotes\n*.md\nDockerfile\n")
    for name in ("notes", "README.md"):
        (folder / name).write_text("not in the image")
    with build_context(folder, [wheel]) as first:
        before = first.read()
    (folder / "train").touch()
    (folder / "train").chmod(0o700)
    with build_context(folder, [wheel]) as second:
        assert second.read() == before
        second.seek(0)
        with tarfile.open(fileobj=second) as tar:
            entries = {entry.name: entry for entry in tar}
    # Ignored or not, the engine needs the Dockerfile.
    assert sorted(entries) == [".dockerignore", "Dockerfile", "train", "wheelhouse/a-1-py3-none-any.whl"]
    assert (entries["train"].mode, entries["Dockerfile"].mode) == (0o755, 0o644)
    assert {(e.uid, e.uname, e.mtime) for e in entries.values()} == {(0, "", 0)}


@pytest.mark.parametrize(
    ("remote", "url"),
    [
        ("git@example.com:team/repo.git", "https://example.com/team/repo"),
        ("https://user:secret@example.com/team/repo.git", "https://example.com/team/repo"),
        ("ssh://git@example.com:2222/team/repo.git", "https://example.com/team/repo"),
        ("/home/me/repo", ""),
        ("", ""),
    ],
)
def test_an_images_source_is_told_without_passwords(remote: str, url: str) -> None:
    assert repository_url(remote) == url
