"""Trace through transforms: which Glue run made what a training read, and whether it still holds."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from pipeline.lineage import transforms
from pipeline.lineage.links import Chain, Link
from tests.conftest import REPOSITORY

OUTPUT = "s3://b/demo-dev/runs/20260301-1/features"
KEY = "demo-dev/runs/20260301-1/features"
SETTINGS: Any = SimpleNamespace(
    root=REPOSITORY,
    stack_name="demo-dev",
    pipeline=SimpleNamespace(transforms={"features": SimpleNamespace(program=None)}),
)
FACTS = {"training_job": "demo-dev-20260301-1"}


class Pages:
    def __init__(self, page: Any) -> None:
        self.page = page

    def paginate(self, **_: Any) -> list[Any]:
        if isinstance(self.page, Exception):
            raise self.page
        return [self.page]


class Aws:
    """One training on two datasets of one run."""

    def __init__(self) -> None:
        self.runs: Any = {
            "JobRuns": [
                {
                    "Id": "jr_1",
                    "JobName": "demo-dev-features",
                    "JobRunState": "SUCCEEDED",
                    "StartedOn": datetime(2026, 3, 1, tzinfo=UTC),
                    "Arguments": {
                        "--OUTPUT_PATH": OUTPUT,
                        "--FINGERPRINT": "f-1",
                        "--scriptLocation": "s3://b/code/0123456789abcdef0123.py",
                    },
                }
            ]
        }
        self.etag = "e0"
        self.uris = [f"{OUTPUT}/manifests/train.json", f"{OUTPUT}/manifests/validation.json"]

    def describe_training_job(self, **_: Any) -> dict[str, Any]:
        sources = [{"S3DataType": "ManifestFile", "S3Uri": uri} for uri in self.uris]
        own = {"S3DataType": "S3Prefix", "S3Uri": "s3://b/raw/"}
        return {"InputDataConfig": [{"DataSource": {"S3DataSource": each}} for each in [*sources, own]]}

    def get_paginator(self, method: str) -> Pages:
        if method == "get_job_runs":
            return Pages(self.runs)
        there = {f"{KEY}/train/part-0": self.etag, f"{KEY}/manifests/train.json": "m"}
        return Pages({"Contents": [{"Key": key, "ETag": f'"{tag}"'} for key, tag in there.items()]})

    def get_object(self, **_: Any) -> dict[str, Any]:
        objects = [{"key": f"{KEY}/train/part-0", "etag": "e0", "bytes": 1}]
        receipt = {"fingerprint": "f-1", "datasets": {"train": {"rows": 1, "objects": objects}}}
        return {"Body": io.BytesIO(json.dumps(receipt).encode())}


def links(aws: Aws, facts: dict[str, str] = FACTS) -> list[Link]:
    chain = Chain("demo-dev")
    clients: Any = SimpleNamespace(sagemaker=aws, glue=aws, s3=aws)
    transforms.link(chain, SETTINGS, clients, facts)
    return chain.links


def test_a_run_whose_objects_are_whole_is_verified() -> None:
    (link,) = links(Aws())
    assert (link.what, link.value, link.state) == ("transform features", "demo-dev-features jr_1", "verified")
    assert "by script 0123456789abcdef..." in link.proof
    assert "the training read train, validation of it" in link.proof


def test_an_object_that_was_replaced_breaks_the_chain() -> None:
    aws = Aws()
    aws.etag = "other"
    (link,) = links(aws)
    assert link.state == "broken" and "is not what the run wrote" in link.proof


@pytest.mark.parametrize("state", ["FAILED", "STOPPED"])
def test_a_run_that_did_not_end_well_breaks_it(state: str) -> None:
    aws = Aws()
    aws.runs["JobRuns"][0]["JobRunState"] = state
    assert [link.state for link in links(aws)] == ["broken"]


def test_a_run_that_glue_forgot_is_unknown() -> None:
    aws = Aws()
    aws.runs["JobRuns"][0]["Arguments"]["--OUTPUT_PATH"] = "s3://b/elsewhere"
    (link,) = links(aws)
    assert link.state == "unknown" and "knows no run" in link.proof


def test_a_job_that_is_gone_breaks_it_and_a_refusal_is_no_answer() -> None:
    aws = Aws()
    aws.runs = ClientError({"Error": {"Code": "EntityNotFoundException", "Message": "no job"}}, "GetJobRuns")
    assert [link.state for link in links(aws)] == ["broken"]
    aws.runs = ClientError({"Error": {"Code": "AccessDeniedException", "Message": "no"}}, "GetJobRuns")
    with pytest.raises(ClientError):
        links(aws)


def test_a_manifest_of_a_window_of_days_is_no_transform() -> None:
    aws = Aws()
    aws.uris = ["s3://b/demo-dev/runs/20260301-1/manifests/train.json"]
    assert links(aws) == []
    assert links(Aws(), {}) == []
