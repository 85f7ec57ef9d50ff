"""Images on the local target: a container folder is in the registry by its content, as a snapshot."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import botocore.exceptions
import pytest

from pipeline.image.fingerprint import source_tag
from pipeline.local import context, down, ecr, ensure_up
from pipeline.local.paths import StatePaths
from tests.e2e.local_core.conftest import ACCOUNT, REGION, Target


@pytest.fixture(scope="module")
def folder(target: Target) -> Path:
    folder = target.root / "container" / "thing"
    folder.mkdir(parents=True)
    (folder / "train").write_text("#!/usr/bin/env python3\nprint(1)\n")
    (folder / "train").chmod(0o755)
    (folder / "__pycache__").mkdir()
    (folder / "__pycache__" / "x.pyc").write_bytes(b"")
    target.client("ecr").create_repository(repositoryName="ml/thing", imageTagMutability="IMMUTABLE")
    return folder


def digest(target: Target, tag: str) -> str:
    found = target.client("ecr").describe_images(repositoryName="ml/thing", imageIds=[{"imageTag": tag}])
    (image,) = found["imageDetails"]
    assert image["imageTags"] == [tag]
    return str(image["imageDigest"])


def snapshot(target: Target, tag: str) -> Path:
    return StatePaths.of(target.root).images / digest(target, tag).removeprefix("sha256:")


def test_the_folder_as_it_is_is_known_by_its_tag(target: Target, folder: Path) -> None:
    copy = snapshot(target, source_tag(folder))
    assert (copy / "train").read_text() == (folder / "train").read_text()
    assert (copy / "train").stat().st_mode & 0o111
    assert not (copy / "__pycache__").exists()


def test_the_digest_is_the_manifests(target: Target, folder: Path) -> None:
    tag = source_tag(folder)
    answer = target.client("ecr").batch_get_image(repositoryName="ml/thing", imageIds=[{"imageTag": tag}])
    manifest = answer["images"][0]["imageManifest"]
    assert "sha256:" + hashlib.sha256(manifest.encode()).hexdigest() == digest(target, tag)


def test_an_edit_is_another_image_and_the_old_one_stays(target: Target, folder: Path) -> None:
    before = source_tag(folder)
    old = snapshot(target, before)
    (folder / "train").write_text("#!/usr/bin/env python3\nprint(2)\n")
    assert snapshot(target, source_tag(folder)) != old
    assert "print(1)" in (old / "train").read_text()
    assert snapshot(target, before) == old


@pytest.mark.usefixtures("folder")
def test_a_tag_that_no_folder_has_is_missing_as_on_aws(target: Target) -> None:
    for tag in ("src-0000000000000000", "latest"):
        with pytest.raises(botocore.exceptions.ClientError) as raised:
            digest(target, tag)
        error = raised.value.response["Error"]
        assert error["Code"] == "ImageNotFoundException"
        assert (
            f"imageTag:'{tag}'}} does not exist within the repository with name 'ml/thing'"
            in error["Message"]
        )


def test_a_repository_that_is_not_there(target: Target) -> None:
    with pytest.raises(botocore.exceptions.ClientError) as raised:
        target.client("ecr").describe_images(repositoryName="ml/none", imageIds=[{"imageTag": "src-1"}])
    assert raised.value.response["Error"]["Code"] == "RepositoryNotFoundException"


@pytest.fixture
def inside(tmp_path: Path) -> Iterator[None]:
    """As inside a server's process, with a registry that holds one image."""
    paths = StatePaths.of(tmp_path)
    paths.make()
    context.start(paths, "http://127.0.0.1:1")
    from ministack.services import ecr as service

    (paths.images / ("a" * 64)).mkdir()
    image = {"imageDigest": "sha256:" + "a" * 64, "imageTags": ["src-1"]}
    service._images.set_scoped(ACCOUNT, REGION, "ml/one", [image])
    yield
    service.reset()


HOST = f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com"


@pytest.mark.usefixtures("inside")
@pytest.mark.parametrize("reference", [f"{HOST}/ml/one@sha256:{'a' * 64}", f"{HOST}/ml/one:src-1"])
def test_a_snapshot_is_found_by_digest_and_by_tag(reference: str) -> None:
    assert ecr.image_folder(reference).name == "a" * 64


@pytest.mark.usefixtures("inside")
@pytest.mark.parametrize(
    ("reference", "part"),
    [
        (f"{HOST}/ml/one@sha256:{'b' * 64}", "is not in the local registry"),
        (f"{HOST}/ml/one", "is not in the local registry"),
        (f"{HOST}/ml/other:src-1", "the repository ml/other does not exist"),
        ("docker.io/library/python:3.11", "is not the URI of an image in Amazon ECR"),
    ],
)
def test_what_is_not_there_is_named(reference: str, part: str) -> None:
    with pytest.raises(ecr.ImageNotFound, match=part):
        ecr.image_folder(reference)


@pytest.mark.usefixtures("inside")
def test_snapshots_that_no_image_refers_to_go() -> None:
    images = context.paths().images
    (images / ("c" * 64)).mkdir()
    ecr.remove_unreferenced()
    assert [path.name for path in images.iterdir()] == ["a" * 64]


def test_where_containers_are_asked_for_a_folder_alone_is_no_image(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIPELINE_LOCAL_RUNNER", "container")
    target = Target(tmp_path, ensure_up(tmp_path))
    try:
        made = tmp_path / "container" / "thing"
        made.mkdir(parents=True)
        (made / "train").write_text("x")
        target.client("ecr").create_repository(repositoryName="ml/thing")
        with pytest.raises(botocore.exceptions.ClientError, match="ImageNotFoundException"):
            digest(target, source_tag(made))
    finally:
        down(tmp_path)
