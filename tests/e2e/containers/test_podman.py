"""podman behind Docker's API: images built and pushed; jobs and endpoints do as they do on Docker.

The imported tests run here on this module's `containers`, a target on podman.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.containers.conftest import Containers, own_engine, target_on
from tests.e2e.containers.test_container_endpoints import (
    test_a_container_serves_and_one_that_dies_is_replaced,  # noqa: F401
)
from tests.e2e.containers.test_container_images import (
    test_a_step_that_fails_is_shown_with_what_it_printed,  # noqa: F401
)
from tests.e2e.containers.test_container_jobs import (
    test_a_job_runs_in_a_container_and_says_so,  # noqa: F401
    test_a_program_that_uses_up_its_memory_is_told_apart,  # noqa: F401
    test_a_stop_is_a_sigterm_and_then_a_sigkill,  # noqa: F401
    test_an_isolated_job_has_no_network,  # noqa: F401
    test_the_instance_types_memory_is_the_limit,  # noqa: F401
)


@pytest.fixture(scope="module")
def containers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Containers]:
    """A target on a podman of its own, with `tiny` built and pushed."""
    with own_engine(kind="podman") as engine, target_on(engine, tmp_path_factory.mktemp("podman")) as made:
        made.image = made.ensure("tiny").uri
        yield made


def test_it_builds_and_pushes_what_sagemaker_runs(containers: Containers) -> None:
    folder = containers.write("changing")
    containers.ensure("changing")
    assert "building with podman" in containers.said[0]
    assert any("COPY train serve /opt/program/" in line for line in containers.said)
    (folder / "train").write_text((folder / "train").read_text() + "# changed\n")
    made = containers.ensure("changing")
    assert any("FROM" in line for line in containers.said)
    (found,) = containers.client("ecr").describe_images(
        repositoryName="ml/changing", imageIds=[{"imageDigest": made.digest}]
    )["imageDetails"]
    assert found["imageTags"] == [made.tag]
    assert found["imageManifestMediaType"] == "application/vnd.docker.distribution.manifest.v2+json"
    containers.ensure("changing")
    assert len(containers.said) == 1 and "not built, not pushed" in containers.said[0]
