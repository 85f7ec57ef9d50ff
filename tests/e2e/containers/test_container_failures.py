"""What breaks on the way: a clear error, nothing half-registered, and the same command succeeds after."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pipeline.errors import PipelineError
from pipeline.image import engine as engines
from pipeline.image import login, make, push
from pipeline.local.paths import StatePaths
from pipeline.local.processes import recorded
from pipeline.local.registry.tokens import Scope, Tokens
from tests.conftest import REPOSITORY
from tests.e2e.containers.conftest import Containers, Engine, own_engine, target_on
from tests.e2e.local_core.conftest import until
from tests.e2e.local_jobs.conftest import ACCOUNT, REGION


@pytest.fixture
def fragile(engine: Engine, tmp_path: Path) -> Iterator[Containers]:
    """A target whose registry is empty, so that a push takes seconds."""
    with target_on(engine, tmp_path) as made:
        yield made


def _registry_pid(containers: Containers) -> int | None:
    records = recorded(StatePaths.of(containers.root).processes)
    return next((each["pid"] for each in records if each["what"] == "registry"), None)


def _kill_registry_mid_push(containers: Containers) -> threading.Thread:
    """Kill the registry's process once a layer is on its way."""

    def kill() -> None:
        _until_a_layer_is_on_its_way(containers)
        pid = _registry_pid(containers)
        assert pid is not None
        os.kill(pid, signal.SIGKILL)

    thread = threading.Thread(target=kill)
    thread.start()
    return thread


def _until_a_layer_is_on_its_way(containers: Containers) -> None:
    def sizes() -> Iterator[int]:
        for path in StatePaths.of(containers.root).registry.rglob("_uploads/*/data"):
            with contextlib.suppress(FileNotFoundError):
                yield path.stat().st_size

    until(lambda: any(size > 1_000_000 for size in sizes()), seconds=30)


def _images(containers: Containers) -> list[str]:
    found = containers.client("ecr").describe_images(repositoryName="ml/tiny")["imageDetails"]
    return [image["imageDigest"] for image in found]


def test_a_registry_that_dies_mid_push_is_pushed_to_again(fragile: Containers) -> None:
    killer = _kill_registry_mid_push(fragile)
    found = fragile.ensure("tiny")
    killer.join()
    assert _images(fragile) == [found.digest]
    fragile.image = found.uri
    assert fragile.trained(fragile.train("pass"))["TrainingJobStatus"] == "Completed"


def test_a_push_that_was_killed_leaves_nothing_and_the_next_one_goes_on(fragile: Containers) -> None:
    # The tests' own conftest hides engines; this process is to find the one that its starter has.
    program = (
        "import os, sys; sys.path.insert(0, sys.argv[1]); engine = dict(os.environ); "
        "import tests.conftest; os.environ.update(engine); import tests.e2e.containers.pushing"
    )
    command = [sys.executable, "-c", program, str(REPOSITORY), str(fragile.root), fragile.up.endpoint_url]
    pushing = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    try:
        _until_a_layer_is_on_its_way(fragile)
    finally:
        pushing.kill()
        pushing.wait()
    assert _images(fragile) == []
    found = fragile.ensure("tiny")
    assert any("built already" in line for line in fragile.said)
    assert _images(fragile) == [found.digest]


def test_an_expired_token_is_replaced(containers: Containers, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = containers.write("expired")
    (folder / "train").write_text("# another\n")
    tokens = Tokens(StatePaths.of(containers.root).registry_key)
    old, _ = tokens.issue(Scope(ACCOUNT, REGION), lifetime=-1)
    host = login.login(containers.clients()).host
    given = iter([login.Login(host, "AWS", old)])
    real: Callable[..., login.Login] = login.login
    monkeypatch.setattr(push, "login", lambda clients: next(given, None) or real(clients))
    found = containers.ensure("expired")
    assert any("token has expired" in line for line in containers.said)
    assert found.digest.startswith("sha256:")


def test_a_tag_that_means_another_image_is_a_clear_error(
    containers: Containers, monkeypatch: pytest.MonkeyPatch
) -> None:
    containers.write("twice")
    first = containers.ensure("twice")
    wanted, engine = containers.source("twice"), engines.find()
    assert engine is not None
    # Somebody else builds the same source; the two images differ in a time.
    engine.client.images.remove(f"ml/twice:{wanted.tag}", force=True)
    monkeypatch.setattr(make, "_built", lambda *_: True)
    engine.client.images.get(containers.engine.variables["PIPELINE_BASE_IMAGE"]).tag("ml/twice", wanted.tag)
    with pytest.raises(push.TagHeld, match="is in the registry already, with another image") as caught:
        make._make(containers.clients(), containers.settings(), wanted, engine, lambda _: None)
    assert "apply again" in caught.value.hint
    assert containers.ensure("twice") == first
    engine.client.images.remove(f"ml/twice:{wanted.tag}", noprune=True)


def test_an_engine_that_dies_mid_training_fails_the_job_and_the_next_one_runs(tmp_path: Path) -> None:
    with own_engine() as engine, target_on(engine, tmp_path) as containers:
        containers.image = containers.ensure("tiny").uri
        name = containers.train("print('up'); time.sleep(300)")
        containers.wait_for(name, "up")
        os.kill(engine.pid, signal.SIGKILL)
        found = containers.trained(name)
        assert found["TrainingJobStatus"] == "Failed"
        assert found["FailureReason"].startswith("InternalServerError: the container engine went away")
        engine.up()
        # The server asks for the engine anew every few seconds.
        until(lambda: containers.client("sagemaker").list_training_jobs(), seconds=5)
        again = ""
        for _ in range(10):
            again = containers.train("print('again')")
            if containers.trained(again)["TrainingJobStatus"] == "Completed":
                break
            threading.Event().wait(0.5)
        assert containers.logged(again) == ["again"]
        assert containers.running() == []


def test_a_full_disk_is_told_and_a_larger_one_is_enough(tmp_path: Path) -> None:
    with own_engine(data_size="300m") as engine, target_on(engine, tmp_path) as containers:
        big = "ARG BASE_IMAGE=x\nFROM ${BASE_IMAGE}\nRUN head -c 400000000 /dev/zero > /big && rm /big\n"
        containers.write("big", Dockerfile=big)
        with pytest.raises(PipelineError, match=r"(?s)No space left|no space left") as caught:
            containers.ensure("big")
        assert "disk is full" in caught.value.hint
        subprocess.run(["mount", "-o", "remount,size=900m", engine.folder / "data"], check=True)
        assert containers.ensure("big").digest.startswith("sha256:")
