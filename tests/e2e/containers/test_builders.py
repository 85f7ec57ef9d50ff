"""The same image by buildx and by the engine's own builder; layers out of the registry for a fresh engine."""

from __future__ import annotations

import shutil
import subprocess
import time

import pytest

from tests.e2e.containers.conftest import Containers, not_here, own_engine, variables

TWO_STAGES = """\
ARG BASE_IMAGE=public.ecr.aws/docker/library/python:3.11-slim
FROM ${BASE_IMAGE} AS build
RUN head -c 3000000 /dev/urandom > /made
FROM ${BASE_IMAGE}
COPY --from=build /made /made
COPY train serve /opt/program/
"""
RUNNABLE = "application/vnd.docker.distribution.manifest.v2+json"


@pytest.fixture(scope="module", autouse=True)
def _buildx() -> None:
    docker = shutil.which("docker")
    if (
        docker is None
        or subprocess.run([docker, "buildx", "version"], capture_output=True, check=False).returncode
    ):
        not_here("docker's command line has no buildx (.ci/engine installs it where it can)")


def test_either_builder_makes_an_image_that_sagemaker_runs(containers: Containers) -> None:
    folder = containers.write("either", Dockerfile=TWO_STAGES)
    for choice in ("1", "0"):
        # An engine that was up before has nothing like it.
        (folder / "train").write_text(f"#!/bin/sh\n# {time.time_ns()}\n")
        with variables({"DOCKER_BUILDKIT": choice}):
            made = containers.ensure("either")
        # BuildKit's steps name their stage.
        assert any("[stage-1 3/3] COPY" in line for line in containers.said) == (choice == "1")
        (found,) = containers.client("ecr").describe_images(
            repositoryName="ml/either", imageIds=[{"imageDigest": made.digest}]
        )["imageDetails"]
        assert found["imageManifestMediaType"] == RUNNABLE


def test_a_fresh_engine_reuses_the_layers_that_the_registry_holds(containers: Containers) -> None:
    folder = containers.write("cached", Dockerfile=TWO_STAGES)
    containers.ensure("cached")
    (folder / "train").write_text("#!/bin/sh\nexit 7\n")
    with own_engine() as fresh, variables({"DOCKER_HOST": fresh.variables["DOCKER_HOST"]}):
        containers.ensure("cached")
    # What the first stage made is random: built anew, it would be another layer, to be pushed.
    steps = [line.strip() for line in containers.said if line.strip().startswith("[")]
    assert "[build 2/2] RUN head -c 3000000 /dev/urandom > /made  (cached)" in steps, containers.said
    assert "  1 layers pushed, 2 were there" in containers.said
