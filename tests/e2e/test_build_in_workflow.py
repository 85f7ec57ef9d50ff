"""An image built by the workflow itself: one digest from the build to the endpoint, or no training."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.conftest import Cli, client, copy_repository

NAME, STACK, REPOSITORY, PROJECT = "flowers", "flowers-dev", "ml/flowers", "flowers-dev-build"
BUILDSPEC = """\
version: 0.2
phases:
  pre_build:
    commands:
      - aws ecr get-login-password | docker login --username AWS --password-stdin "${IMAGE_REPOSITORY%%/*}"
      - python3 -c 'print("tested")'
  build:
    commands:
      - docker build $BUILD_ARGUMENTS --tag "$IMAGE_REPOSITORY:$IMAGE_TAG" .
      - docker push "$IMAGE_REPOSITORY:$IMAGE_TAG"
"""


class Flowers:
    """iris under another name, its image built in the workflow."""

    def __init__(self, cli: Cli) -> None:
        self.cli = cli
        cli("new", NAME, "--from", "iris")
        self.container = cli.root / "container" / NAME
        self.definition = cli.root / "pipeline" / "definitions" / NAME / "definition.py"
        settings = self.definition.with_name("settings.toml")
        text = settings.read_text()
        settings.write_text(
            text.replace("\n[hyperparameters]", '\n[build]\ncompute = "small"\n\n[hyperparameters]')
        )
        self.builds_by("Build")
        (self.container / "buildspec.yml").write_text(BUILDSPEC)
        self._day = 0
        self._variables: dict[str, str] = {}

    def builds_by(self, block: str) -> None:
        text = re.sub(r"    Build\w*,\n|            Build\w*\(settings\),\n", "", self.definition.read_text())
        text = text.replace("    Approve,\n", f"    Approve,\n    {block},\n", 1)
        text = text.replace(
            "            train,\n", f"            {block}(settings),\n            train,\n", 1
        )
        self.definition.write_text(text)

    def client(self, service: str) -> Any:
        """A plain boto3 client with the account's root credentials."""
        self._variables = self._variables or self.cli.variables()
        return client(service, self._variables)

    def change(self) -> None:
        """Another content of the container, which changes nothing that it does."""
        with (self.container / "inference.py").open("a") as file:
            file.write(f"\n# {time.time_ns()}\n")

    def put(self) -> str:
        """Data of a fresh day; the date to run with."""
        self._day += 1
        self.cli("data", NAME, "put", "--date", f"2026-03-{self._day:02d}")
        return f"2026-03-{self._day + 1:02d}"

    def run(self, *, code: int = 0) -> str:
        """On a fresh day's data, to the end; what was printed."""
        done = self.cli("run", NAME, "--date", self.put(), "--follow", code=code)
        return done.stdout + done.stderr

    def builds(self) -> list[str]:
        found: list[str] = self.client("codebuild").list_builds_for_project(projectName=PROJECT)["ids"]
        return found

    def log(self, build: str) -> str:
        """What a build has printed so far."""
        project, _, stream = build.partition(":")
        logs = self.client("logs")
        try:
            found = logs.get_log_events(logGroupName=f"/aws/codebuild/{project}", logStreamName=stream)
        except logs.exceptions.ResourceNotFoundException:
            return ""
        return "".join(f"{event['message']}\n" for event in found["events"])

    def trainings(self) -> list[str]:
        """Names of all training jobs, newest first."""
        found = self.client("sagemaker").list_training_jobs(SortBy="CreationTime", SortOrder="Descending")
        return [job["TrainingJobName"] for job in found["TrainingJobSummaries"]]

    def images(self) -> dict[str, str]:
        """Digest -> tag."""
        found = self.client("ecr").describe_images(repositoryName=REPOSITORY)["imageDetails"]
        return {image["imageDigest"]: image["imageTags"][0] for image in found if image.get("imageTags")}

    def endpoint_image(self) -> str:
        """What the endpoint's containers run."""
        sagemaker = self.client("sagemaker")
        config = sagemaker.describe_endpoint(EndpointName=STACK)["EndpointConfigName"]
        variant = sagemaker.describe_endpoint_config(EndpointConfigName=config)["ProductionVariants"][0]
        model = sagemaker.describe_model(ModelName=variant["ModelName"])
        arn = model["PrimaryContainer"]["ModelPackageName"]
        package = sagemaker.describe_model_package(ModelPackageName=arn)
        assert package["CustomerMetadataProperties"]["image"] == self._of(package)
        return self._of(package)

    @staticmethod
    def _of(package: dict[str, Any]) -> str:
        image: str = package["InferenceSpecification"]["Containers"][0]["Image"]
        return image

    def training_image(self) -> str:
        job = self.client("sagemaker").describe_training_job(TrainingJobName=self.trainings()[0])
        image: str = job["AlgorithmSpecification"]["TrainingImage"]
        return image

    def evaluation_image(self) -> str:
        sagemaker = self.client("sagemaker")
        newest = sagemaker.list_processing_jobs(SortBy="CreationTime", SortOrder="Descending")
        name = newest["ProcessingJobSummaries"][0]["ProcessingJobName"]
        image: str = sagemaker.describe_processing_job(ProcessingJobName=name)["AppSpecification"]["ImageUri"]
        return image


@pytest.fixture(scope="module")
def flowers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flowers]:
    cli = Cli(copy_repository(tmp_path_factory.mktemp("built") / "repository", only="iris"))
    yield Flowers(cli)
    cli("local", "down", code=None)


def test_the_image_from_the_build_trains_is_evaluated_and_serves(flowers: Flowers) -> None:
    flowers.cli("check", NAME)
    applied = flowers.cli("apply", NAME, "--yes")
    assert "not built here; the next run has CodeBuild build it" in applied.stdout + applied.stderr
    assert flowers.images() == {}, "nothing but the build makes the image known"
    told = flowers.run()
    assert re.search(r"ok BuildImage .*flowers-dev-build:", told), told
    ((digest, tag),) = flowers.images().items()
    assert tag.startswith("src-")
    assert flowers.training_image().endswith(f"/{REPOSITORY}@{digest}")
    assert flowers.training_image() == flowers.evaluation_image() == flowers.endpoint_image()
    assert "setosa" in flowers.cli("invoke", NAME).stdout
    # What it printed is the state's log, and the digest stands there.
    assert f"digest: {digest}" in flowers.cli("logs", NAME, "BuildImage").stdout


def test_an_image_that_is_there_is_not_built_again(flowers: Flowers) -> None:
    before = flowers.images()
    told = flowers.run()
    assert "ok Train" in told and "BuildImage" not in told
    assert len(flowers.builds()) == 1 and flowers.images() == before
    plan = flowers.cli("plan", NAME).stdout
    assert "No changes" in plan and re.search(r"image +skipped", plan), plan


def test_a_build_that_fails_ends_the_run_with_its_last_lines(flowers: Flowers) -> None:
    """A broken Dockerfile, a test of the buildspec's that fails: nothing is trained, the old one serves."""
    before, serves = flowers.trainings(), flowers.endpoint_image()
    dockerfile, buildspec = flowers.container / "Dockerfile", flowers.container / "buildspec.yml"
    kept = dockerfile.read_text()
    dockerfile.write_text(kept.replace("COPY flowers_program", "COPY no_such_program"))
    flowers.cli("apply", NAME, "--yes")
    told = flowers.run(code=1)
    assert "BuildFailed" in told and "stat no_such_program: file does not exist" in told, told
    assert "failed in BUILD: COMMAND_EXECUTION_ERROR: Error while executing command: docker build" in told

    dockerfile.write_text(kept)
    buildspec.write_text(BUILDSPEC.replace('print("tested")', 'raise SystemExit("2 of 9 tests failed")'))
    plan = flowers.cli("plan", NAME).stdout
    assert "built by the run" in plan or "CodeBuild builds it in the next run" in plan, plan
    flowers.cli("apply", NAME, "--yes")
    told = flowers.run(code=1)
    assert "BuildFailed" in told and "failed in PRE_BUILD" in told and "2 of 9 tests failed" in told, told
    buildspec.write_text(BUILDSPEC)
    assert flowers.trainings() == before and flowers.endpoint_image() == serves
    assert len(flowers.images()) == 1


def test_a_build_that_is_stopped_ends_the_run(flowers: Flowers) -> None:
    before = flowers.trainings()
    buildspec = flowers.container / "buildspec.yml"
    buildspec.write_text(BUILDSPEC.replace("python3 -c", "echo waiting && sleep 100 && python3 -c"))
    flowers.cli("apply", NAME, "--yes")
    known = flowers.builds()
    process = flowers.cli.start("run", NAME, "--date", flowers.put(), "--follow")
    try:
        identity = _until(lambda: next(iter(set(flowers.builds()) - set(known)), ""))
        codebuild = flowers.client("codebuild")
        _until(lambda: "waiting\n" in flowers.log(identity))
        codebuild.stop_build(id=identity)
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 1 and "BuildFailed" in out + err, out + err
    assert f"build {identity} was stopped in PRE_BUILD" in out + err and "waiting" in out + err
    buildspec.write_text(BUILDSPEC)
    assert flowers.trainings() == before


def test_a_run_that_is_stopped_stops_its_build(flowers: Flowers) -> None:
    buildspec = flowers.container / "buildspec.yml"
    buildspec.write_text(BUILDSPEC.replace("python3 -c", "sleep 101 && python3 -c"))
    flowers.cli("apply", NAME, "--yes")
    known = flowers.builds()
    process = flowers.cli.start("run", NAME, "--date", flowers.put(), "--follow")
    identity = _until(lambda: next(iter(set(flowers.builds()) - set(known)), ""))
    states, codebuild = flowers.client("stepfunctions"), flowers.client("codebuild")
    machine = f"arn:aws:states:eu-west-1:111111111111:stateMachine:{STACK}"
    (running,) = states.list_executions(stateMachineArn=machine, statusFilter="RUNNING")["executions"]
    states.stop_execution(executionArn=running["executionArn"])
    _until(lambda: codebuild.batch_get_builds(ids=[identity])["builds"][0]["buildStatus"] == "STOPPED")
    process.communicate(timeout=60)
    buildspec.write_text(BUILDSPEC)


def test_a_function_may_start_the_build_instead(flowers: Flowers) -> None:
    flowers.builds_by("BuildByLambda")
    flowers.change()
    flowers.cli("check", NAME)
    flowers.cli("apply", NAME, "--yes")
    known = flowers.builds()
    told = flowers.run()
    assert "ok BuildImage" in told, told
    assert len(flowers.builds()) == len(known) + 1, "asked again while it ran, and not built twice"
    image = flowers.training_image()
    assert image == flowers.endpoint_image() and image.partition("@")[2] in flowers.images()

    dockerfile = flowers.container / "Dockerfile"
    dockerfile.write_text(dockerfile.read_text().replace("FROM ${BASE", "FORM ${BASE", 1))
    flowers.cli("apply", NAME, "--yes")
    before = flowers.trainings()
    told = flowers.run(code=1)
    assert "BuildFailed" in told and "unknown instruction: FORM" in told, told
    assert flowers.trainings() == before


def _until(question: Any, seconds: float = 60) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := question()):
        assert time.monotonic() < deadline, "it does not come"
        time.sleep(0.1)
    return found
