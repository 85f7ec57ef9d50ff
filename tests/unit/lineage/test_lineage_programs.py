"""Trace through programs of the container: the bundle that is served, and the job that made the features."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from pipeline.lineage import bundles, transforms
from pipeline.lineage.links import Chain, Link
from tests.conftest import REPOSITORY

PLACE = "demo-dev/runs/20260301-1/features"
MODEL = "s3://b/output-model/2026-03-01/demo-dev-20260301-1-0-0-0/output/model.tar.gz"
BUNDLE = "s3://b/output-model/2026-03-01/demo-dev-20260301-1-bundle"
JOB, MAKER = "demo-dev-20260301-1-b0-0-0", "demo-dev-20260301-1-p0-0-0"
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SETTINGS: Any = SimpleNamespace(
    root=REPOSITORY,
    stack_name="demo-dev",
    pipeline=SimpleNamespace(transforms={"features": SimpleNamespace(program="preprocess")}),
)


class Aws:
    """A bundle, the job that made its features, and what both left."""

    def __init__(self) -> None:
        self.status = "Completed"
        self.made = BUNDLE
        self.output = f"s3://b/{PLACE}"
        self.written = NOW

    def describe_processing_job(self, ProcessingJobName: str) -> dict[str, Any]:
        if ProcessingJobName not in (JOB, MAKER):
            raise ClientError(
                {"Error": {"Code": "ValidationException", "Message": "no such job"}}, "DescribeProcessingJob"
            )
        uri = self.made if ProcessingJobName == JOB else self.output
        return {
            "ProcessingJobName": ProcessingJobName,
            "ProcessingJobArn": f"arn:{ProcessingJobName}",
            "ProcessingJobStatus": self.status,
            "CreationTime": NOW,
            "ProcessingEndTime": NOW,
            "ProcessingInputs": [
                {"InputName": "model", "S3Input": {"S3Uri": MODEL}},
                {"InputName": "features", "S3Input": {"S3Uri": f"s3://b/{PLACE}/model/"}},
            ],
            "ProcessingOutputConfig": {"Outputs": [{"OutputName": "output", "S3Output": {"S3Uri": uri}}]},
        }

    def describe_training_job(self, **_: Any) -> dict[str, Any]:
        source = {"S3DataType": "S3Prefix", "S3Uri": f"s3://b/{PLACE}/train/"}
        return {"InputDataConfig": [{"DataSource": {"S3DataSource": source}}]}

    def get_paginator(self, method: str) -> Any:
        if method == "list_processing_jobs":
            page: Any = {"ProcessingJobSummaries": [{"ProcessingJobName": name} for name in (JOB, MAKER)]}
        else:
            key = f"{PLACE}/train/train.csv"
            page = {"Contents": [{"Key": key, "Size": 3, "LastModified": self.written}]}
        return SimpleNamespace(paginate=lambda **_: [page])

    def get_object(self, **_: Any) -> dict[str, Any]:
        receipt = {"datasets": {"train": {"rows": 1, "files": {"train/train.csv": 3}}}}
        return {"Body": io.BytesIO(json.dumps(receipt).encode())}


def bundle(aws: Aws, job: str = JOB) -> tuple[str, list[Link]]:
    chain = Chain("demo-dev")
    clients: Any = SimpleNamespace(sagemaker=aws)
    package = {"InferenceSpecification": {"Containers": [{"ModelDataUrl": f"{BUNDLE}/model.tar.gz"}]}}
    return bundles.link(chain, clients, package, {"bundle_job": job} if job else {}), chain.links


def features(aws: Aws) -> Link:
    chain = Chain("demo-dev")
    clients: Any = SimpleNamespace(sagemaker=aws, s3=aws)
    transforms.link(chain, SETTINGS, clients, {"training_job": "demo-dev-20260301-1"})
    (found,) = chain.links
    return found


def test_a_bundle_leads_to_the_model_in_it() -> None:
    artifact, (link,) = bundle(Aws())
    assert artifact == MODEL
    assert (link.what, link.state) == ("bundle", "verified")
    assert f"s3://b/{PLACE}/model/" in link.proof


def test_without_a_bundle_the_artifact_is_the_trainings() -> None:
    assert bundle(Aws(), "") == (f"{BUNDLE}/model.tar.gz", [])


@pytest.mark.parametrize(
    "change", [{"made": "s3://b/elsewhere"}, {"status": "Failed"}], ids=["another", "failed"]
)
def test_a_bundle_that_its_job_did_not_make_breaks_the_chain(change: dict[str, str]) -> None:
    aws = Aws()
    vars(aws).update(change)
    _, (link,) = bundle(aws)
    assert link.state == "broken"


def test_a_bundle_whose_job_is_gone_breaks_it() -> None:
    _, (link,) = bundle(Aws(), "demo-dev-gone")
    assert (link.state, link.proof) == ("broken", "no such job")


def test_the_program_that_made_the_features_is_found_by_its_place() -> None:
    link = features(Aws())
    assert (link.what, link.value, link.state) == ("transform features", f"arn:{MAKER}", "verified")
    assert "the training read train of it" in link.proof


def test_a_file_that_is_younger_than_its_job_breaks_it() -> None:
    aws = Aws()
    aws.written = NOW.replace(hour=13)
    assert features(aws).state == "broken"


def test_a_job_that_sagemaker_forgot_is_unknown() -> None:
    aws = Aws()
    aws.output = "s3://b/elsewhere"
    assert features(aws).state == "unknown"
