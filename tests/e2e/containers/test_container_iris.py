"""iris as shipped, through the command line: built, pushed, trained, evaluated and served in containers."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Cli, copy_repository
from tests.e2e.containers.conftest import Engine

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def cli(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cli]:
    root = copy_repository(tmp_path_factory.mktemp("iris") / "repository")
    made = Cli(root, {**engine.variables, "PIPELINE_LOCAL_RUNNER": "container"})
    yield made
    made("local", "down", code=None)
    assert (
        engine.client().containers.list(filters={"label": f"pipeline.local.state={root}/.pipeline/local"})
        == []
    )


def test_one_digest_from_the_registry_to_the_endpoint(cli: Cli, engine: Engine) -> None:
    planned = cli("plan", "iris").stdout
    assert "to be built and pushed" in planned
    applied = cli("apply", "iris", "--yes")
    said = applied.stdout + applied.stderr
    # An engine that stayed up since an earlier run of the tests has the image of the same source.
    assert "wheels of the lock" in said or "built already" in said
    assert "bill of materials" in said
    cli("data", "iris", "put", "--date", "2026-03-01")
    cli("run", "iris", "--date", "2026-03-02", "--follow")
    answer = json.loads(cli("invoke", "iris", "--body", "5.1,3.5,1.4,0.2", "--json").stdout)
    assert answer

    sagemaker, ecr = cli.client("sagemaker"), cli.client("ecr")
    (image,) = ecr.describe_images(repositoryName="ml/iris")["imageDetails"]
    digest = image["imageDigest"]
    job = sagemaker.list_training_jobs()["TrainingJobSummaries"][0]["TrainingJobName"]
    trained = sagemaker.describe_training_job(TrainingJobName=job)
    package = sagemaker.list_model_packages(ModelPackageGroupName="iris-dev")["ModelPackageSummaryList"][0]
    registered = sagemaker.describe_model_package(ModelPackageName=package["ModelPackageArn"])
    endpoint = sagemaker.describe_endpoint(EndpointName="iris-dev")
    serving = endpoint["ProductionVariants"][0]["DeployedImages"][0]["ResolvedImage"]
    for uri in (
        trained["AlgorithmSpecification"]["TrainingImage"],
        registered["InferenceSpecification"]["Containers"][0]["Image"],
        serving,
    ):
        assert uri.endswith(f"ml/iris@{digest}")
    label = f"pipeline.local.state={cli.root}/.pipeline/local"
    (container,) = engine.client().containers.list(filters={"label": label})
    assert container.attrs["Config"]["Image"].endswith(f"ml/iris@{digest}")
    assert not _has_compiler(container)


def _has_compiler(container: Any) -> bool:
    found, _ = container.exec_run(["sh", "-c", "command -v gcc || command -v cc"])
    return bool(found == 0)


def test_the_second_apply_builds_nothing(cli: Cli) -> None:
    done = cli("apply", "iris", "--yes")
    said = done.stdout + done.stderr
    assert "is in the registry: not built, not pushed" in said
    assert "not scanned for vulnerabilities" in said
    assert "No changes." in said


def test_the_same_job_gives_the_same_model_as_a_process(cli: Cli, engine: Engine) -> None:
    before = _model(cli)
    cli("local", "down")
    as_process = Cli(cli.root, {**engine.variables, "PIPELINE_LOCAL_RUNNER": "process"})
    as_process("run", "iris", "--date", "2026-03-02", "--force", "--follow")
    after = _model(as_process)
    assert after.keys() == before.keys()
    for name, content in after.items():
        if name == "metadata.json":
            # It says which Python made it: the base image's patch release is not this machine's.
            assert _without_python(content) == _without_python(before[name])
        else:
            assert content == before[name]
    as_process("local", "down")


def _without_python(metadata: bytes) -> bytes:
    return re.sub(rb'"python": "[0-9.]+"', b"", metadata)


def _model(cli: Cli) -> dict[str, bytes]:
    """The newest model's files."""
    import io
    import tarfile

    sagemaker = cli.client("sagemaker")
    jobs = sagemaker.list_training_jobs(SortBy="CreationTime", SortOrder="Descending")
    job = jobs["TrainingJobSummaries"][0]["TrainingJobName"]
    uri = sagemaker.describe_training_job(TrainingJobName=job)["ModelArtifacts"]["S3ModelArtifacts"]
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    content = cli.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        members = [member for member in tar.getmembers() if member.isfile()]
        return {str(Path(m.name)): tar.extractfile(m).read() for m in members}  # type: ignore[union-attr]
