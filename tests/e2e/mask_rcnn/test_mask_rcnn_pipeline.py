"""mask_rcnn from a fresh copy of the repository, its container built by its own run, to masks over HTTP."""

from __future__ import annotations

import base64
import json
import re
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.conftest import Cli, copy_repository

pytestmark = pytest.mark.timeout(1800)
BUCKET, STACK = "ml-111111111111-eu-west-1", "mask-rcnn-dev"


@pytest.fixture(scope="module")
def cli(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cli]:
    made = Cli(copy_repository(tmp_path_factory.mktemp("mask_rcnn") / "repository", only="mask_rcnn"))
    yield made
    made("local", "down", code=None)


def test_one_command_builds_trains_passes_the_gate_and_serves(cli: Cli) -> None:
    done = cli("run", "mask_rcnn", "--follow", timeout=1700)
    told = done.stdout + done.stderr
    assert "ok BuildImage" in told and "ok SmokeTest" in told, told
    assert json.loads(cli("gate", "mask_rcnn", "--json").stdout)["approved"] is True
    sagemaker = cli.client("sagemaker")
    (job,) = sagemaker.list_training_jobs()["TrainingJobSummaries"]
    described = sagemaker.describe_training_job(TrainingJobName=job["TrainingJobName"])
    image = described["AlgorithmSpecification"]["TrainingImage"]
    digest = re.search(r"digest: (sha256:[0-9a-f]{64})", cli("logs", "mask_rcnn", "BuildImage").stdout)
    assert digest and image.endswith(f"/ml/mask_rcnn@{digest[1]}")
    config = sagemaker.describe_endpoint(EndpointName=STACK)["EndpointConfigName"]
    variant = sagemaker.describe_endpoint_config(EndpointConfigName=config)["ProductionVariants"][0]
    package = sagemaker.describe_model(ModelName=variant["ModelName"])["PrimaryContainer"]["ModelPackageName"]
    version = sagemaker.describe_model_package(ModelPackageName=package)
    assert version["InferenceSpecification"]["Containers"][0]["Image"] == image


def test_the_endpoint_outlines_the_nuclei_of_an_image_it_has_not_seen(cli: Cli) -> None:
    s3 = cli.client("s3")
    found = s3.list_objects_v2(Bucket=BUCKET, Prefix="mask_rcnn/test/")["Contents"]
    key = next(item["Key"] for item in found if "/images/" in item["Key"])
    picture = s3.get_object(Bucket=BUCKET, Key=key)["Body"].read()
    answer = cli.client("sagemaker-runtime").invoke_endpoint(
        EndpointName=STACK, ContentType="image/png", Accept="application/json", Body=picture
    )
    said = json.loads(answer["Body"].read())
    sure = [one for one in said["instances"] if one["score"] > 0.5]
    assert (said["height"], said["width"]) == (128, 128) and len(sure) >= 2
    assert all(one["label"] == "nucleus" and one["segmentation"]["counts"] for one in sure)
    # The image is kept with its masks, for the next training.
    captured = wait_for_capture(s3, picture)
    assert json.loads(captured["endpointOutput"]["data"])["instances"] == said["instances"]


def test_the_smoke_request_and_a_tile_of_the_sample_show_nuclei_by_the_command_of_the_docs(cli: Cli) -> None:
    drawn = json.loads(cli("invoke", "mask_rcnn").stdout)
    assert len([one for one in drawn["instances"] if one["score"] > 0.5]) == 2
    sample = cli("data", "mask_rcnn", "sample").stdout.strip()
    done = cli("invoke", "mask_rcnn", "--file", f"{sample}/test/images/tile-000-384.png")
    assert len([one for one in json.loads(done.stdout)["instances"] if one["score"] > 0.5]) >= 2


def wait_for_capture(s3: Any, picture: bytes) -> Any:
    """captureData of the request that sent this picture; it is written some seconds later."""
    sent = base64.b64encode(picture).decode()
    for _ in range(60):
        for item in s3.list_objects_v2(Bucket=BUCKET, Prefix=f"{STACK}/capture/").get("Contents", []):
            lines = s3.get_object(Bucket=BUCKET, Key=item["Key"])["Body"].read().splitlines()
            for captured in (json.loads(line)["captureData"] for line in lines):
                if captured["endpointInput"]["data"] == sent:
                    return captured
        time.sleep(0.5)
    raise AssertionError("the request was not captured")
