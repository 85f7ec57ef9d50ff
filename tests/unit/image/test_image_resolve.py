"""From a folder's tag to the digest that the registry tells."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from pipeline.aws import Clients, Target
from pipeline.errors import ApplyError, TargetError
from pipeline.image import resolve

DIGEST = "sha256:" + "a" * 64
ASKED = {"repositoryName": "ml/iris", "imageIds": [{"imageTag": "src-0123456789abcdef"}]}


@pytest.fixture
def ecr() -> Iterator[tuple[Stubber, Clients]]:
    clients = Clients(Target("aws", None, "eu-west-1", "111111111111"), None)
    client: Any = boto3.client(
        "ecr", region_name="eu-west-1", aws_access_key_id="a", aws_secret_access_key="b"
    )
    clients.__dict__["ecr"] = client
    with Stubber(client) as stubber:
        yield stubber, clients


@pytest.fixture
def wanted(tmp_path: Path) -> resolve.ImageSource:
    return resolve.ImageSource(tmp_path / "iris", "ml/iris", "src-0123456789abcdef")


def test_the_image_is_named_by_digest_never_by_tag(
    ecr: tuple[Stubber, Clients], wanted: resolve.ImageSource
) -> None:
    stubber, clients = ecr
    stubber.add_response("describe_images", {"imageDetails": [{"imageDigest": DIGEST}]}, ASKED)
    found = resolve.require(clients, wanted)
    assert found.uri == f"111111111111.dkr.ecr.eu-west-1.amazonaws.com/ml/iris@{DIGEST}"


@pytest.mark.parametrize("code", ["ImageNotFoundException", "RepositoryNotFoundException"])
def test_a_missing_image_is_an_error_that_says_how_to_make_it(
    ecr: tuple[Stubber, Clients], wanted: resolve.ImageSource, code: str
) -> None:
    stubber, clients = ecr
    stubber.add_client_error("describe_images", code, "gone")
    assert resolve.lookup(clients, wanted) is None
    stubber.add_client_error("describe_images", code, "gone")
    with pytest.raises(ApplyError, match="no image ml/iris:src-0123456789abcdef") as caught:
        resolve.require(clients, wanted)
    # A shared folder (container.toml) is part of the image: `docker build FOLDER` would not make it.
    assert "DOCKER_HOST" in caught.value.hint
    assert "pipeline apply" in caught.value.hint


def test_a_denied_look_is_not_taken_for_a_missing_image(
    ecr: tuple[Stubber, Clients], wanted: resolve.ImageSource
) -> None:
    stubber, clients = ecr
    stubber.add_client_error("describe_images", "AccessDeniedException", "no")
    with pytest.raises(TargetError, match="permission denied"):
        resolve.lookup(clients, wanted)


def test_the_newest_image_of_ours_is_the_one_whose_layers_are_reused(ecr: tuple[Stubber, Clients]) -> None:
    stubber, clients = ecr
    asked = {"repositoryName": "ml/iris", "filter": {"tagStatus": "TAGGED"}}
    docker = "application/vnd.docker.distribution.manifest.v2+json"

    def image(tag: str, second: int, kind: str = docker) -> dict[str, Any]:
        pushed = datetime(2026, 1, 1, 0, 0, second, tzinfo=UTC)
        return {"imageTags": [tag], "imagePushedAt": pushed, "imageManifestMediaType": kind}

    images = [
        image("src-" + "1" * 16, 1),
        image("src-" + "2" * 16 + "-" + "0" * 8, 3),
        image("src-" + "3" * 16, 4, "application/vnd.oci.image.manifest.v1+json"),
        image("latest", 5),
    ]
    stubber.add_response("describe_images", {"imageDetails": images[:2], "nextToken": "n"}, asked)
    stubber.add_response("describe_images", {"imageDetails": images[2:]}, {**asked, "nextToken": "n"})
    assert resolve.newest_tag(clients, "ml/iris") == "src-" + "2" * 16 + "-" + "0" * 8
    for code in ("RepositoryNotFoundException", "AccessDeniedException"):
        stubber.add_client_error("describe_images", code, "no")
        assert resolve.newest_tag(clients, "ml/iris") is None
