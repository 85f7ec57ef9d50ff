"""`pipeline container test` on images of a real container engine: passed and failed as processes are."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from tests.conftest import REPOSITORY, Cli
from tests.e2e.containers.conftest import Engine
from tests.e2e.containers.test_conformance import FIXTURES, download

__all__ = ["download"]  # a fixture
EXPECTED = {
    "broken/serve_without_interpreter": {"CT002"},
    "broken/needs_root": {"CT304"},
    "broken/writes_to_the_model": {"CT303"},
    "broken/train_needs_network": {"CT301"},
    # A container's program is always process 1, so both show in the same clause.
    "broken/ignores_sigterm": {"CT402"},
    "broken/no_handler_as_process_1": {"CT402"},
    "images/shell_is_process_1": {"CT402"},
    "images/writes_outside_opt_ml": {"CT105"},
}

Build = Callable[[str], str]


@pytest.fixture(scope="module")
def build(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Build]:
    """Build the good container, with what a fixture breaks laid over it; the image's name."""
    client = engine.client()
    made = []

    def one(fixture: str) -> str:
        folder = tmp_path_factory.mktemp("image") / "context"
        shutil.copytree(FIXTURES / "good", folder)
        for source in (FIXTURES / fixture).iterdir() if fixture != "good" else ():
            shutil.copy(source, folder / source.name)
        name = f"conformance-test/{uuid4().hex[:12]}"
        arguments = {"BASE_IMAGE": engine.variables["PIPELINE_BASE_IMAGE"]}
        client.images.build(path=str(folder), tag=name, buildargs=arguments, rm=True)
        made.append(name)
        return name

    yield one
    for name in made:
        client.images.remove(name, force=True)
    client.close()


def statuses(engine: Engine, image: str, *more: str, code: int) -> dict[str, str]:
    """Statuses by clause id, as the command line tells them."""
    data = FIXTURES / "data"
    given = ["--channel", f"train={data / 'train'}", "--hyperparameter", "digits=2"]
    given += ["--request", str(data / "request.csv"), "--content-type", "text/csv", "--strict", "--json"]
    waits = ["--stop-seconds", "3", "--start-seconds", "20"]
    cli = Cli(REPOSITORY, {"DOCKER_HOST": engine.variables["DOCKER_HOST"]})
    done = cli("container", "test", image, *given, *waits, *more, code=code)
    return {each["id"]: each["status"] for each in json.loads(done.stdout)["clauses"]}


def test_the_good_image_passes_every_clause(engine: Engine, build: Build) -> None:
    found = statuses(engine, build("good"), code=0)
    assert {id: status for id, status in found.items() if status != "passed"} == {"CT401": "skipped"}


@pytest.mark.parametrize("fixture", EXPECTED)
def test_a_broken_image_fails_its_clause_and_no_other(
    engine: Engine, build: Build, download: str, fixture: str
) -> None:
    found = statuses(engine, build(fixture), "--env", f"DOWNLOAD_URL={download}", code=1)
    assert {id for id, status in found.items() if status == "failed"} == EXPECTED[fixture]


def test_no_container_is_left(engine: Engine, build: Build) -> None:
    statuses(engine, build("broken/ignores_sigterm"), "--only", "CT4", code=1)
    client = engine.client()
    assert client.containers.list(all=True, filters={"label": "pipeline.conformance-test"}) == []
    client.close()


def test_an_image_that_is_not_there_is_told(engine: Engine, tmp_path: Path) -> None:
    cli = Cli(tmp_path, {"DOCKER_HOST": engine.variables["DOCKER_HOST"]})
    done = cli("container", "test", "no/such:image", code=2)
    assert "has no image no/such:image" in done.stderr
