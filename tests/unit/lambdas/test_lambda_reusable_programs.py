"""What programs made, found again: datasets by their receipt, bundles by the model and features in them."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pipeline.lambdas.find_reusable import jobs, programs, transforms, whole

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
RUN = {"date": "2026-03-01", "fingerprints": {"features": "f", "bundle": "b"}}
BUCKET, PLACE = "artifacts", "demo-dev/runs/1/features"
OUTPUT = f"s3://{BUCKET}/{PLACE}"
ARTIFACT = f"s3://{BUCKET}/output-model/1/model.tar.gz"
BUNDLE = f"s3://{BUCKET}/output-model/1-bundle"
FEATURES = {
    "fingerprint": "features",
    "result": "features",
    "kind": "program",
    "model": "",
    "output": "output",
    "within": "transforms",
}
BUNDLED = {
    "fingerprint": "bundle",
    "result": "bundle",
    "kind": "bundle",
    "model": "training",
    "output": "bundle",
    "after": "features",
}
DONE = {
    "training": {"ModelArtifacts": {"S3ModelArtifacts": ARTIFACT}},
    "features": {"output": OUTPUT},
}


class Aws:
    """Two finished processing jobs, and what they left in S3: key -> (written, size)."""

    def __init__(self) -> None:
        self.status = "Completed"
        self.inputs = [ARTIFACT, f"{OUTPUT}/model/"]
        self.objects = {
            f"{PLACE}/train/train.csv": (NOW, 10),
            f"{PLACE}/model/features.json": (NOW, 5),
            f"{PLACE}/transform.json": (NOW, 1),
            "output-model/1-bundle/model.tar.gz": (NOW, 7),
        }
        files = {"train": {"train/train.csv": 10}, "model": {"model/features.json": 5}}
        self.receipt: Any = {"datasets": {name: {"rows": 1, "files": each} for name, each in files.items()}}

    def client(self, _: str) -> Aws:
        return self

    def get_paginator(self, operation: str) -> Pages:
        return Pages(getattr(self, operation))

    def list_processing_jobs(self, **request: Any) -> dict[str, Any]:
        names = ("demo-dev-20260301-1-p0-0-0", "demo-dev-20260301-1-b0-0-0")
        assert request["NameContains"] == "demo-dev-20260301-"
        return {"ProcessingJobSummaries": [{"ProcessingJobName": n, "ProcessingJobArn": n} for n in names]}

    def list_tags(self, ResourceArn: str) -> dict[str, Any]:
        return {"Tags": [{"Key": "fingerprint", "Value": "f" if "-p0-" in ResourceArn else "b"}]}

    def describe_processing_job(self, ProcessingJobName: str) -> dict[str, Any]:
        program = "-p0-" in ProcessingJobName
        output = {
            "OutputName": "output" if program else "bundle",
            "S3Output": {"S3Uri": OUTPUT if program else BUNDLE},
        }
        return {
            "ProcessingJobArn": f"arn:{ProcessingJobName}",
            "ProcessingJobStatus": self.status,
            "CreationTime": NOW - timedelta(minutes=5),
            "ProcessingEndTime": NOW,
            "ProcessingInputs": [{"InputName": "x", "S3Input": {"S3Uri": uri}} for uri in self.inputs],
            "ProcessingOutputConfig": {"Outputs": [output]},
        }

    def list_objects_v2(self, Bucket: str, Prefix: str) -> dict[str, Any]:
        assert Bucket == BUCKET
        found = [(key, *about) for key, about in self.objects.items() if key.startswith(Prefix)]
        return {"Contents": [{"Key": key, "LastModified": at, "Size": size} for key, at, size in found]}

    def get_object(self, Bucket: str, Key: str) -> dict[str, Any]:
        assert (Bucket, Key) == (BUCKET, f"{PLACE}/transform.json")
        return {"Body": io.BytesIO(json.dumps(self.receipt).encode())}

    def head_object(self, Bucket: str, Key: str) -> dict[str, Any]:
        assert Bucket == BUCKET
        return {"LastModified": self.objects[Key][0], "ETag": "e"}


class Pages:
    def __init__(self, operation: Any) -> None:
        self.operation = operation

    def paginate(self, **request: Any) -> list[Any]:
        return [self.operation(**request)]


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Aws:
    made = Aws()
    for module in (whole, jobs, programs, transforms):
        monkeypatch.setattr(module, "client", made.client)
    monkeypatch.setenv("STACK_NAME", "demo-dev")
    return made


def test_datasets_that_are_whole_are_used_again(aws: Aws) -> None:  # noqa: ARG001
    found, why = jobs.find_job(FEATURES, RUN, {})
    assert found == {
        "ProcessingJobName": "demo-dev-20260301-1-p0-0-0",
        "ProcessingJobArn": "arn:demo-dev-20260301-1-p0-0-0",
        "output": OUTPUT,
    }
    assert "had the same data, code and parameters" in why


@pytest.mark.parametrize(
    ("key", "left", "says"),
    [
        ("train/train.csv", None, "train/train.csv of its dataset train is gone"),
        ("train/train.csv", (NOW, 11), "has 11 bytes, not 10"),
        ("model/features.json", (NOW + timedelta(hours=1), 5), "was written at"),
    ],
)
def test_a_dataset_that_somebody_changed_is_made_anew(
    aws: Aws, key: str, left: tuple[datetime, int] | None, says: str
) -> None:
    del aws.objects[f"{PLACE}/{key}"]
    if left:
        aws.objects[f"{PLACE}/{key}"] = left
    found, why = jobs.find_job(FEATURES, RUN, {})
    assert found is None and says in why


def test_without_a_receipt_or_an_end_nothing_is_used(aws: Aws) -> None:
    aws.receipt = []
    assert "names no datasets" in jobs.find_job(FEATURES, RUN, {})[1]
    aws.status = "Stopped"
    assert "it is Stopped" in jobs.find_job(FEATURES, RUN, {})[1]


def test_a_bundle_of_the_same_model_and_features_is_used_again(aws: Aws) -> None:  # noqa: ARG001
    found, _ = jobs.find_job(BUNDLED, RUN, DONE)
    assert found is not None
    assert found["ModelArtifacts"]["S3ModelArtifacts"] == f"{BUNDLE}/model.tar.gz"


def test_a_bundle_of_another_model_or_of_other_features_is_not(aws: Aws) -> None:
    assert "the training is made anew" in jobs.find_job(BUNDLED, RUN, {})[1]
    assert "the features is made anew" in jobs.find_job(BUNDLED, RUN, {"training": DONE["training"]})[1]
    aws.inputs = ["s3://other/model.tar.gz", f"{OUTPUT}/model/"]
    assert f"did not read {ARTIFACT}" in jobs.find_job(BUNDLED, RUN, DONE)[1]
    aws.inputs = [ARTIFACT, f"{OUTPUT}-of-another-run/model/"]
    assert f"did not read {OUTPUT}" in jobs.find_job(BUNDLED, RUN, DONE)[1]
    aws.inputs = [ARTIFACT, f"{OUTPUT}/model/"]
    aws.objects["output-model/1-bundle/model.tar.gz"] = (NOW + timedelta(days=1), 7)
    assert "not by the job" in jobs.find_job(BUNDLED, RUN, DONE)[1]
