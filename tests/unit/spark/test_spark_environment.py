"""Which Spark a Glue version is, and what is said when this machine lacks something."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pipeline.local.glue.spark import SparkUnavailable, environment, java, versions


@pytest.mark.parametrize("version", versions.KNOWN.values(), ids=lambda each: each.name)
def test_the_lock_of_a_version_has_its_spark_and_hashes(version: versions.GlueVersion) -> None:
    lock = (environment.LOCKS / version.name / "requirements.lock").read_text()
    assert f"pyspark=={version.spark} " in lock
    packages = re.findall(r"^[a-z][\w.-]*==", lock, re.MULTILINE)
    assert lock.count("--hash=sha256:") >= len(packages)


@pytest.mark.parametrize("name", ["4.0", "6.0", "", "5"])
def test_another_version_is_refused_by_name_with_those_known(name: str) -> None:
    with pytest.raises(SparkUnavailable) as refused:
        environment.prepare(name)
    assert f"Glue {name} " in str(refused.value)
    assert "5.1 (Spark 3.5.6)" in str(refused.value)


def fake_java(folder: Path, version: str, home: Path | None = None) -> Path:
    """A program that says of itself what a Java of that version says."""
    program = folder / "bin" / "java"
    program.parent.mkdir(parents=True)
    program.write_text(
        f'#!/bin/sh\necho "    java.home = {home or folder}" >&2\necho \'openjdk version "{version}"\' >&2\n'
    )
    program.chmod(0o755)
    return program


def test_java_home_comes_first(tmp_path: Path) -> None:
    program = fake_java(tmp_path / "home", "17.0.9")
    other = fake_java(tmp_path / "path", "17.0.1")
    environment = {"JAVA_HOME": str(tmp_path / "home"), "PATH": str(other.parent)}
    assert java.find(17, environment) == program


def test_a_java_of_another_version_is_passed_over(tmp_path: Path) -> None:
    fake_java(tmp_path / "home", "21.0.1")
    right = fake_java(tmp_path / "path", "17.0.1")
    assert java.find(17, {"JAVA_HOME": str(tmp_path / "home"), "PATH": str(right.parent)}) == right


def test_what_only_stands_for_java_on_the_path_leads_to_it(tmp_path: Path) -> None:
    stub = fake_java(tmp_path / "shims", "17.0.1", home=tmp_path / "real")
    assert java.find(17, {"PATH": str(stub.parent)}) == tmp_path / "real" / "bin" / "java"


def test_no_java_is_said_with_what_was_found_and_how_to_install_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(java, "USUAL", ())
    program = fake_java(tmp_path / "old", "1.8.0_392")
    with pytest.raises(SparkUnavailable) as refused:
        java.find(17, {"PATH": str(program.parent)})
    text = str(refused.value)
    assert f"{program} is Java 8" in text
    assert "apt-get install openjdk-17-jre-headless" in text
    assert "brew install openjdk@17" in text


def test_the_compiled_classes_are_of_these_sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = {path.relative_to(environment.SOURCES).as_posix() for path in environment.sources()}
    assert "pipeline/s3/S3FileSystem.java" in names
    before = environment.jar_key("3.5.6", environment.sources())
    assert environment.jar_key("3.5.4", environment.sources()) != before
    monkeypatch.setattr(environment, "SOURCES", tmp_path)
    (tmp_path / "A.java").write_text("class A {}")
    first = environment.jar_key("3.5.6", environment.sources())
    (tmp_path / "A.java").write_text("class A { }")
    assert environment.jar_key("3.5.6", environment.sources()) != first
