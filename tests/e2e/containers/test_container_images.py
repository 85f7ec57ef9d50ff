"""Images built by the engine and pushed through the local ECR: addresses, digests, layers, skips."""

from __future__ import annotations

import json
import time
import urllib.request

import pytest

from pipeline.errors import ApplyError
from pipeline.image import login, sbom
from tests.e2e.containers.conftest import Containers
from tests.e2e.local_jobs.conftest import BUCKET


def test_the_digest_is_the_registrys_and_docker_pulls_by_it(containers: Containers) -> None:
    found = containers.ensure("tiny")
    engine = containers.engine.client()
    opened = login.login(containers.clients())
    name = f"{opened.host}/{found.repository}@{found.digest}"
    pulled = engine.images.pull(name, auth_config=opened.auth_config)
    assert pulled.labels["ml-pipeline.fingerprint"] == found.tag
    assert pulled.labels["org.opencontainers.image.title"] == "tiny"
    assert found.uri.endswith(f".amazonaws.com/ml/tiny@{found.digest}")
    details = containers.client("ecr").describe_images(repositoryName="ml/tiny")["imageDetails"]
    assert [d["imageDigest"] for d in details] == [found.digest]
    assert details[0]["imageManifestMediaType"] == "application/vnd.docker.distribution.manifest.v2+json"
    assert details[0]["imageSizeInBytes"] > 10_000_000


def test_what_the_registry_has_is_neither_built_nor_pushed(containers: Containers) -> None:
    began = time.monotonic()
    containers.ensure("tiny")
    assert time.monotonic() - began < 1.0
    assert containers.said == [
        f"image {containers.source('tiny').repository}:{containers.source('tiny').tag} is in the registry: "
        "not built, not pushed"
    ]


def test_a_changed_line_is_one_build_on_warm_layers(containers: Containers) -> None:
    folder = containers.write("changing")
    first = containers.ensure("changing")
    (folder / "train").write_text((folder / "train").read_text() + "# changed\n")
    second = containers.ensure("changing")
    assert second.digest != first.digest
    assert any("1 layers pushed" in line or "2 layers pushed" in line for line in containers.said)
    again = containers.ensure("changing")
    assert again == second


def test_another_base_is_another_image(containers: Containers, monkeypatch: pytest.MonkeyPatch) -> None:
    before = containers.source("tiny").tag
    monkeypatch.setenv("PIPELINE_BASE_IMAGE", "elsewhere/python:3.11")
    after = containers.source("tiny").tag
    assert before != after
    assert before[:20] == after[:20]  # src-<16 hex>: the source is the same


def test_the_bill_of_materials_lies_beside_the_image(containers: Containers) -> None:
    found = containers.ensure("tiny")
    bill = json.loads(containers.get(sbom.key(found.digest)))
    assert bill["metadata"]["component"]["version"] == found.digest
    names = {each["name"] for each in bill["components"]}
    assert {"python3.11", "libgomp1"} <= names
    assert BUCKET in containers.settings().artifact_bucket


def test_layers_are_told_and_given_by_the_api(containers: Containers) -> None:
    ecr = containers.client("ecr")
    found = containers.ensure("tiny")
    image = ecr.batch_get_image(repositoryName="ml/tiny", imageIds=[{"imageDigest": found.digest}])
    layer = json.loads(image["images"][0]["imageManifest"])["layers"][-1]
    told = ecr.batch_check_layer_availability(
        repositoryName="ml/tiny", layerDigests=[layer["digest"], "sha256:" + "0" * 64]
    )["layers"]
    assert [each["layerAvailability"] for each in told] == ["AVAILABLE", "UNAVAILABLE"]
    url = ecr.get_download_url_for_layer(repositoryName="ml/tiny", layerDigest=layer["digest"])["downloadUrl"]
    with urllib.request.urlopen(url, timeout=10) as answer:
        assert len(answer.read()) == layer["size"]


def test_nobody_pushes_without_a_token_or_into_no_repository(containers: Containers) -> None:
    engine = containers.engine.client()
    opened = login.login(containers.clients())
    image = engine.images.get(f"ml/tiny:{containers.source('tiny').tag}")

    def pushed(repository: str, auth: dict[str, str]) -> str:
        name = f"{opened.host}/{repository}"
        image.tag(name, "try")
        try:
            events = engine.api.push(name, tag="try", auth_config=auth, stream=True, decode=True)
            return " ".join(str(event["error"]) for event in events if "error" in event)
        finally:
            engine.images.remove(f"{name}:try", noprune=True)

    assert "unauthorized" in pushed("ml/tiny", {"username": "AWS", "password": "guessed"}).lower()
    assert "repository with name 'ml/none' does not exist" in pushed("ml/none", opened.auth_config)


@pytest.mark.parametrize("buildkit", ["0", "1"])  # the engine's own builder, and buildx where there is one
def test_a_step_that_fails_is_shown_with_what_it_printed(
    containers: Containers, buildkit: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_BUILDKIT", buildkit)
    dockerfile = "ARG BASE_IMAGE=x\nFROM ${BASE_IMAGE}\nRUN echo before; echo cause >&2; exit 3\n"
    containers.write("broken", Dockerfile=dockerfile)
    with pytest.raises(ApplyError, match=r"(?s)failed at step \d/.*(code:|status) 3.*cause") as caught:
        containers.ensure("broken")
    assert "Dockerfile" in caught.value.where
    found = containers.client("ecr").describe_images(repositoryName="ml/broken")["imageDetails"]
    assert found == []
