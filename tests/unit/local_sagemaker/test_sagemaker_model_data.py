"""A model's artefact is unpacked safely, whole or not at all."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path
from typing import Any

import pytest

from pipeline.local import roles
from pipeline.local.sagemaker import model_data
from pipeline.local.sagemaker.store import Scope

SCOPE = Scope("111122223333", "eu-west-1")
ROLE = "arn:aws:iam::111122223333:role/r"


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    objects: dict[str, bytes] = {}

    class S3:
        def get_object(self, Bucket: str, Key: str) -> dict[str, Any]:
            return {"Body": io.BytesIO(objects[f"{Bucket}/{Key}"])}

    monkeypatch.setattr(roles, "credentials_for", lambda *_: {})
    monkeypatch.setattr(roles, "client", lambda *_: S3())
    return objects


def archive(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for info, content in members:
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


@pytest.fixture(params=["filters", "no filters"])
def _tarfile(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """With tarfile's filters, and as Python before 3.11.4 is (Debian 12's)."""
    if request.param == "no filters":
        monkeypatch.delattr(tarfile, "data_filter")


@pytest.mark.usefixtures("_tarfile")
def test_unpacked_once_and_kept(tmp_path: Path, bucket: dict[str, bytes]) -> None:
    bucket["b/k"] = archive((tarfile.TarInfo("code/model.txt"), b"one"))
    target = tmp_path / "a" / "model"
    model_data.fetch(SCOPE, ROLE, "s3://b/k", target, "container_1")
    bucket.clear()
    model_data.fetch(SCOPE, ROLE, "s3://b/k", target, "container_1")
    assert (target / "code" / "model.txt").read_bytes() == b"one"
    assert [path.name for path in target.parent.iterdir()] == ["model"]


@pytest.mark.usefixtures("_tarfile")
@pytest.mark.parametrize("name", ["../evil", "a/../../evil"])
def test_an_archive_cannot_leave_its_folder(tmp_path: Path, bucket: dict[str, bytes], name: str) -> None:
    bucket["b/k"] = archive((tarfile.TarInfo("fine"), b""), (tarfile.TarInfo(name), b"x"))
    with pytest.raises(model_data.Unavailable, match="is a valid tar"):
        model_data.fetch(SCOPE, ROLE, "s3://b/k", tmp_path / "m" / "model", "container_1")
    assert list(tmp_path.rglob("*")) == [tmp_path / "m"]


@pytest.mark.usefixtures("_tarfile")
def test_an_absolute_name_lands_inside(tmp_path: Path, bucket: dict[str, bytes]) -> None:
    bucket["b/k"] = archive((tarfile.TarInfo("/etc/evil"), b"x"))
    model_data.fetch(SCOPE, ROLE, "s3://b/k", tmp_path / "model", "container_1")
    assert (tmp_path / "model" / "etc" / "evil").read_bytes() == b"x"


@pytest.mark.usefixtures("_tarfile")
def test_a_link_to_the_outside_and_garbage_are_refused(tmp_path: Path, bucket: dict[str, bytes]) -> None:
    link = tarfile.TarInfo("link")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    for content in (archive((link, b"")), b"not a tar", archive((tarfile.TarInfo("x"), b"y" * 9000))[:-40]):
        bucket["b/k"] = content
        with pytest.raises(model_data.Unavailable):
            model_data.fetch(SCOPE, ROLE, "s3://b/k", tmp_path / "model", "container_1")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("s3://bucket/a/b.tar.gz", ("bucket", "a/b.tar.gz")),
        ("https://s3.eu-west-1.amazonaws.com/bucket/a/b", ("bucket", "a/b")),
        ("https://s3-us-west-2.amazonaws.com/bucket/a", ("bucket", "a")),
        ("https://bucket.s3.eu-west-1.amazonaws.com/a/b", ("bucket", "a/b")),
    ],
)
def test_where_an_url_points(url: str, place: tuple[str, str]) -> None:
    assert model_data.Location.of(url) == model_data.Location(*place)
