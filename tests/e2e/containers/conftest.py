"""A real engine, a local target that runs containers on it, and tiny images whose programs do as told."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import subprocess
import tempfile
import textwrap
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from pipeline.aws import Clients, Credentials, Target, connect
from pipeline.image import make, resolve
from pipeline.image.address import build_arguments, image_tag
from pipeline.local import down, ensure_up
from pipeline.settings.model import Settings
from tests.conftest import REPOSITORY
from tests.e2e.local_jobs.conftest import ACCOUNT, ALLOWED, BUCKET, PROGRAM, REGION, Jobs

SCRIPT = REPOSITORY / ".ci" / "engine"
SERVE = (Path(__file__).parent.parent / "hosting" / "tiny_serve.py").read_text(encoding="utf-8")
DOCKERFILE = """\
ARG BASE_IMAGE=public.ecr.aws/docker/library/python:3.11-slim
FROM ${BASE_IMAGE}
COPY train serve /opt/program/
WORKDIR /opt/program
ENV PATH=/opt/program:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
"""


@dataclass
class Engine:
    """An engine of `.ci/engine`: its folder, and the variables that lead to it."""

    folder: Path
    variables: dict[str, str]
    kind: str = "docker"

    @property
    def pid(self) -> int:
        return int((self.folder / "dockerd.process").read_text().split()[0])

    def script(self, verb: str) -> subprocess.CompletedProcess[str]:
        return _script(verb, self.folder, self.kind)

    def up(self) -> None:
        """Start it again."""
        self.variables = _exports(self.script("up"))

    def client(self) -> Any:
        import docker

        return docker.DockerClient(base_url=self.variables["DOCKER_HOST"], version="auto")


def _script(verb: str, folder: Path | None = None, kind: str = "") -> subprocess.CompletedProcess[str]:
    given = {"ENGINE_DIR": str(folder or ""), "ENGINE_KIND": kind}
    environment = {**os.environ, **{name: value for name, value in given.items() if value}}
    return subprocess.run(
        [SCRIPT, verb], env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )


def _exports(done: subprocess.CompletedProcess[str]) -> dict[str, str]:
    assert done.returncode == 0, done.stderr
    words = shlex.split(done.stdout)[1:]
    return {name: value for name, _, value in (word.partition("=") for word in words)}


def _require_engine() -> None:
    if os.geteuid() != 0:
        not_here("these tests bring up a container engine, which needs root")
    if shutil.which("dockerd") is None and shutil.which("apt-get") is None:
        not_here("these tests bring up a container engine: no dockerd here, no apt-get to install it")


def not_here(why: str) -> None:
    """Skip, told why; in CI that is a failure."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"in CI nothing is skipped: {why}")
    if why:
        pytest.skip(why)


@pytest.fixture(scope="session")
def engine() -> Iterator[Engine]:
    """The engine of this machine's tests; one that was up before stays up."""
    _require_engine()
    was_up = _script("status").returncode == 0
    folder = Path(os.environ.get("ENGINE_DIR", "/var/tmp/pipeline-engine"))
    started = Engine(folder, _exports(_script("up")))
    yield started
    if not was_up:
        assert _script("down").returncode == 0


@contextmanager
def own_engine(data_size: str = "", kind: str = "docker") -> Iterator[Engine]:
    """An engine that a test may kill or fill. `data_size`: what its disk holds, such as `300m`."""
    _require_engine()
    folder = Path(tempfile.mkdtemp(prefix="engine-", dir="/var/tmp"))
    if data_size:
        (folder / "data").mkdir()
        subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={data_size}", "tmpfs", folder / "data"], check=True
        )
    try:
        yield Engine(folder, _exports(_script("up", folder, kind)), kind)
    finally:
        done = _script("down", folder, kind)
        assert done.returncode == 0, done.stderr
        assert not folder.exists()


@contextmanager
def variables(given: Mapping[str, str]) -> Iterator[None]:
    """These environment variables, while the block lasts."""
    before = {name: os.environ.get(name) for name in given}
    os.environ.update(given)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@dataclass
class Containers(Jobs):
    """A local target that runs containers, its clients, and images built for it."""

    engine: Engine = field(default_factory=lambda: Engine(Path(), {}))
    said: list[str] = field(default_factory=list)

    def clients(self) -> Clients:
        credentials = Credentials(ACCOUNT, "any")
        return connect(Target("local", self.up.endpoint_url, REGION, ACCOUNT, credentials))

    def source(self, name: str) -> resolve.ImageSource:
        folder = self.root / "container" / name
        arguments = build_arguments(folder)
        return resolve.ImageSource(folder, f"ml/{name}", image_tag(folder, arguments), arguments)

    def settings(self) -> Settings:
        return cast(Settings, SimpleNamespace(root=self.root, artifact_bucket=BUCKET))

    def ensure(self, name: str) -> resolve.ImageRef:
        """The image of a container folder, as `apply` gets it; what was said is kept in `said`."""
        self.said.clear()
        return make.ensure(self.clients(), self.settings(), self.source(name), self.said.append)

    def write(self, name: str, **files: str) -> Path:
        """A container folder with these programs, and its repository."""
        folder = self.root / "container" / name
        folder.mkdir(parents=True, exist_ok=True)
        programs = {"train": PROGRAM, "serve": SERVE, **files}
        for program, text in programs.items():
            (folder / program).write_text(textwrap.dedent(text))
            (folder / program).chmod(0o755)
        if "Dockerfile" not in files:
            (folder / "Dockerfile").write_text(DOCKERFILE)
        ecr = self.client("ecr")
        try:
            ecr.create_repository(repositoryName=f"ml/{name}", imageTagMutability="IMMUTABLE")
        except ecr.exceptions.RepositoryAlreadyExistsException:
            pass
        return folder

    def running(self) -> list[Any]:
        """This target's containers, ended ones too."""
        label = f"pipeline.local.state={self.up.state_dir}"
        from docker.errors import APIError

        # One may be removed between the listing and the look at it; podman calls that its own error.
        for _ in range(5):
            with contextlib.suppress(APIError):
                return list(
                    self.engine.client().containers.list(
                        all=True, filters={"label": label}, ignore_removed=True
                    )
                )
        raise AssertionError("the engine does not list its containers")


@contextmanager
def target_on(engine: Engine, root: Path, runner: str = "container") -> Iterator[Containers]:
    """A local target in `root` that runs containers on `engine`, with a built image `tiny`."""
    given = {**engine.variables, "PIPELINE_LOCAL_RUNNER": runner, "PIPELINE_LOCAL_STOP_GRACE": "1"}
    with variables(given):
        made = Containers(root, ensure_up(root), engine=engine)
        try:
            made.client("s3").create_bucket(
                Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION}
            )
            made.role = made.make_role("job", *ALLOWED)
            made.write("tiny")
            yield made
        finally:
            down(root)
            assert made.running() == [] if engine.script("status").returncode == 0 else True


@pytest.fixture(scope="module")
def containers(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Containers]:
    """A target for a module's tests, with `tiny` built and pushed."""
    with target_on(engine, tmp_path_factory.mktemp("containers")) as made:
        made.image = made.ensure("tiny").uri
        yield made
