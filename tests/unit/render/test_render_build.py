"""The image that the workflow builds: context by content, project, role, what fingerprints count of it."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import DefinitionError
from pipeline.image.fingerprint import source_tag
from pipeline.names import Names
from pipeline.render import build
from pipeline.render.context import Context
from pipeline.render.recipes import recipes
from pipeline.settings.model import Settings

Make = Callable[..., Settings]


def laid(root: Path) -> Path:
    """A container with a program, a symbolic link, and a shared folder."""
    folder = root / "container" / "demo"
    shared = root / "container" / "serving"
    for each in (folder, shared):
        each.mkdir(parents=True)
    (folder / "Dockerfile").write_text("ARG BASE_IMAGE=x\nARG ACCELERATOR=cpu\nFROM ${BASE_IMAGE}\n")
    (folder / "buildspec.yml").write_text("version: 0.2\n")
    (folder / "container.toml").write_text('uses = ["serving"]\n')
    (folder / "train").write_text("#!/bin/sh\n")
    (folder / "train").chmod(0o755)
    (folder / "again").symlink_to("train")
    (shared / "worker.py").write_text("")
    return folder


def test_without_build_nothing_is_there(make_settings: Make) -> None:
    assert build.package(make_settings()) is None
    assert build.location(make_settings()) == {}
    settings = make_settings()
    assert build.resources(Context(settings, Names.of(settings), {}, [], ())) == {}


def test_the_context_is_the_folder_with_what_it_uses(make_settings: Make, tmp_path: Path) -> None:
    folder = laid(tmp_path)
    made = build.package(make_settings(pipeline={"build": {}}))
    assert made is not None
    with zipfile.ZipFile(io.BytesIO(made.content)) as archive:
        modes = {info.filename: oct(info.external_attr >> 16) for info in archive.infolist()}
        assert archive.read("again") == b"train"
    assert modes == {
        "Dockerfile": "0o100644",
        "again": "0o120777",
        "buildspec.yml": "0o100644",
        "container.toml": "0o100644",
        "serving/worker.py": "0o100644",
        "train": "0o100755",
    }
    (folder / "train").touch()
    again = build.package(make_settings(pipeline={"build": {}}))
    assert again is not None and again.content == made.content, "times count"
    (tmp_path / "container" / "serving" / "worker.py").write_text("x = 1\n")
    other = build.package(make_settings(pipeline={"build": {}}))
    assert other is not None and other.key != made.key


@pytest.mark.parametrize("file", ["Dockerfile", "buildspec.yml"])
def test_what_a_build_cannot_do_without_is_named(make_settings: Make, tmp_path: Path, file: str) -> None:
    (laid(tmp_path) / file).unlink()
    with pytest.raises(DefinitionError, match=f"has no {file}") as refused:
        build.package(make_settings(pipeline={"build": {}}))
    assert "build-in-the-workflow" in refused.value.hint


def test_a_build_is_told_where_to_push_and_with_which_arguments(
    make_settings: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = laid(tmp_path)
    settings = make_settings(pipeline={"build": {"arguments": {"ACCELERATOR": "gpu"}}})
    found = build.location(settings)
    assert found["tag"].startswith(source_tag(folder) + "-"), "another image than the Dockerfile's own"
    assert found["variables"] == {
        "IMAGE_REPOSITORY": "123456789012.dkr.ecr.eu-west-1.amazonaws.com/ml/demo",
        "IMAGE_TAG": found["tag"],
        "BUILD_ARGUMENTS": "--build-arg ACCELERATOR=gpu",
    }
    monkeypatch.setenv("PIPELINE_BASE_IMAGE", "base@sha256:1")
    told = build.location(settings)["variables"]["BUILD_ARGUMENTS"]
    assert told == "--build-arg ACCELERATOR=gpu --build-arg BASE_IMAGE=base@sha256:1"
    plain = build.location(make_settings(pipeline={"build": {}}))
    assert plain["tag"] != found["tag"]


def test_the_project_runs_the_containers_own_buildspec(make_settings: Make, tmp_path: Path) -> None:
    laid(tmp_path)
    settings = make_settings(pipeline={"build": {"compute": "2xlarge", "timeout_minutes": 15}})
    context = Context(settings, Names.of(settings), {}, [], ())
    project = build.resources(context)["BuildProject"]["Properties"]
    assert project["Name"] == "demo-dev-build" and project["TimeoutInMinutes"] == 15
    assert project["Source"]["Type"] == "S3" and project["Source"]["BuildSpec"] == "buildspec.yml"
    assert project["Environment"]["ComputeType"] == "BUILD_GENERAL1_2XLARGE"
    assert project["Environment"]["PrivilegedMode"] is True
    allowed = {action for statement in build.statements(context) for action in statement["Action"]}
    assert "ecr:PutImage" in allowed and not any(action.endswith("*") for action in allowed)
    pushes = next(s for s in build.statements(context) if "ecr:PutImage" in s["Action"])
    assert pushes["Resource"] == ["arn:aws:ecr:eu-west-1:123456789012:repository/ml/demo"]


def asl(image: dict[str, str], build_first: dict[str, Any] | None = None) -> dict[str, Any]:
    tags = [{"Key": "fingerprint", "Value.$": "$.run.fingerprints.train"}]
    train = {
        "Type": "Task",
        "Resource": "arn:aws:states:::sagemaker:createTrainingJob.sync",
        "Parameters": {"AlgorithmSpecification": {"TrainingInputMode": "File", **image}, "Tags": tags},
        "ResultPath": "$.training",
        "End": True,
    }
    if build_first is None:
        return {"StartAt": "Train", "States": {"Train": train}}
    first = {
        "Type": "Task",
        "Resource": "arn:aws:states:::codebuild:startBuild.sync",
        "Parameters": build_first,
        "Next": "Train",
    }
    return {"StartAt": "Build", "States": {"Build": first, "Train": train}}


def started(tag: str) -> dict[str, Any]:
    variables = [{"Name": "IMAGE_TAG", "Value": tag, "Type": "PLAINTEXT"}]
    return {"ProjectName": "demo-dev-build", "EnvironmentVariablesOverride": variables}


def test_the_images_tag_decides_and_not_who_builds_it() -> None:
    """A pipeline that hands its building over to the workflow trains nothing anew for that."""
    built_before = recipes(asl({"TrainingImage": "${ImageUri}"}))
    built_within = recipes(asl({"TrainingImage.$": "$.image.uri"}, started("src-0123456789abcdef")))
    (step,) = built_within["steps"]
    assert step["image"] is True
    assert (
        step["recipe"]
        == recipes(asl({"TrainingImage.$": "$.image.uri"}, started("src-other")))["steps"][0]["recipe"]
    )
    assert built_before["steps"][0]["image"] is True and built_before["gate"] == built_within["gate"]


def test_a_build_of_something_else_counts_into_every_step() -> None:
    other = {"ProjectName": "assets", "EnvironmentVariablesOverride": []}
    image = {"TrainingImage": "${ImageUri}"}
    assert recipes(asl(image, other))["steps"][0]["recipe"] != recipes(asl(image))["steps"][0]["recipe"]
