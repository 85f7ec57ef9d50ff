"""gate_data: what data may be trained on, what must not, and what is said of it."""

from __future__ import annotations

import copy
import io
import json
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber

from pipeline.lambdas.gate_data import handler as gate

GROUP = "demo-dev"
BUCKET = "ml-111111111111-eu-west-1"
OUT = f"s3://{BUCKET}/demo-dev/runs/r1/features"
BASE = f"s3://{BUCKET}/demo-dev/runs/r0/data-profile.json"
NUMBER = {
    "kind": "number",
    "count": 1000,
    "nulls": 0,
    "mean": 0.5,
    "deviation": 0.3,
    "min": 0.0,
    "max": 1.0,
    "quantiles": [i / 100 for i in range(101)],
}
FRAME = {"rows": 1000, "columns": {"age": NUMBER}}
LIMITS = {"psi": 0.25, "nulls": 0.05, "action": "stop", "ignore": []}


def check(passed: bool = True, **more: Any) -> dict[str, Any]:
    found = {
        "rule": "rating.maximum",
        "column": "rating",
        "measured": 30,
        "allowed": "1%",
        "passed": passed,
        "why": "rating.maximum: 30 of 1,000 rows (3.00%), allowed 1%, such as: rating 99.0 > maximum 5",
        "example": "rating 99.0 > maximum 5",
    }
    return {**found, **more}


class Aws:
    """S3 and the registry as dictionaries that a test changes."""

    def __init__(self) -> None:
        self.objects: dict[str, Any] = {
            f"{OUT}/transform.json": {"fingerprint": "f1", "datasets": {}},
            f"{OUT}/quality.json": {
                "passed": True,
                "frames": {"ratings": {"quarantine": "", "checks": [check()]}},
            },
            f"{OUT}/profile.json": {"version": 1, "frames": {"train": FRAME}},
        }
        self.versions: list[dict[str, str]] = []

    def get_object(self, Bucket: str, Key: str) -> dict[str, Any]:
        uri = f"s3://{Bucket}/{Key}"
        if uri not in self.objects:
            raise ClientError({"Error": {"Code": "NoSuchKey", "Message": "no"}}, "GetObject")
        body = self.objects[uri]
        return {"Body": io.BytesIO(body if isinstance(body, bytes) else json.dumps(body).encode())}

    def put_object(self, Bucket: str, Key: str, Body: bytes, ContentType: str) -> None:
        assert ContentType == "application/json"
        self.objects[f"s3://{Bucket}/{Key}"] = json.loads(Body)

    def list_model_packages(self, **request: Any) -> dict[str, Any]:
        assert request["ModelPackageGroupName"] == GROUP
        assert request["ModelApprovalStatus"] == "Approved"
        return {
            "ModelPackageSummaryList": [{"ModelPackageArn": f"arn/{i}"} for i in range(len(self.versions))]
        }

    def describe_model_package(self, ModelPackageName: str) -> dict[str, Any]:
        return {"CustomerMetadataProperties": self.versions[int(ModelPackageName.rpartition("/")[2])]}


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Aws:
    fake = Aws()
    monkeypatch.setattr(gate, "client", lambda _service: fake)
    monkeypatch.setenv("ARTIFACT_BUCKET", BUCKET)
    return fake


def judge(rules: Any = None) -> dict[str, Any]:
    event = {
        "outputs": {"features": OUT},
        "fingerprints": {"features": "f1"},
        "rules": {"features": rules} if rules else {},
        "model_package_group_name": GROUP,
        "to": f"s3://{BUCKET}/demo-dev/runs/r1",
    }
    verdict: dict[str, Any] = gate.handler(event, None)
    return json.loads(json.dumps(verdict, allow_nan=False))


def shifted(by: float) -> dict[str, Any]:
    frame = copy.deepcopy(FRAME)
    frame["columns"]["age"]["quantiles"] = [q + by for q in NUMBER["quantiles"]]  # type: ignore[index]
    return frame


def test_data_that_keeps_its_rules_passes_and_its_profile_is_kept(aws: Aws) -> None:
    verdict = judge()
    assert verdict["passed"] is True
    assert verdict["failed"] == [] and verdict["notes"] == ""
    assert verdict["profile"] == f"s3://{BUCKET}/demo-dev/runs/r1/data-profile.json"
    assert aws.objects[verdict["profile"]] == {"version": 1, "transforms": {"features": {"train": FRAME}}}
    assert aws.objects[verdict["report"]]["results"][0]["rule"] == "rating.maximum"


def test_a_broken_rule_is_named_with_where_what_example_and_quarantine(aws: Aws) -> None:
    bad = {"quarantine": f"{OUT}/quarantine/ratings/", "checks": [check(False), check()]}
    aws.objects[f"{OUT}/quality.json"]["frames"]["ratings"] = bad
    verdict = judge()
    assert verdict["passed"] is False
    assert verdict["reason"] == (f"features/ratings: {check()['why']}; bad rows: {OUT}/quarantine/ratings/")
    assert verdict["failed"] == [verdict["reason"]]


def test_all_broken_rules_are_named(aws: Aws) -> None:
    frames = aws.objects[f"{OUT}/quality.json"]["frames"]
    frames["ratings"]["checks"] = [check(False), check(False, why="rows: 3 good ones, allowed 10 or more")]
    assert len(judge()["failed"]) == 2
    frames["ratings"]["checks"] = [check(False, why="x" * 1000)] * 200
    verdict = judge()
    assert len(verdict["failed"]) == 20 and len(verdict["reason"]) <= 2000
    assert len(json.dumps(verdict)) < 50_000, "Step Functions passes on 256 KiB"
    assert len(aws.objects[verdict["report"]]["results"]) == 200


@pytest.mark.parametrize("name", ["transform.json", "quality.json", "profile.json"])
def test_a_report_that_is_missing_or_broken_never_passes(aws: Aws, name: str) -> None:
    good = aws.objects.pop(f"{OUT}/{name}")
    verdict = judge()
    assert verdict["passed"] is False and f"{OUT}/{name} cannot be read (NoSuchKey)" in verdict["reason"]
    aws.objects[f"{OUT}/{name}"] = b"{not json"
    assert f"{name} is not JSON" in judge()["reason"]
    aws.objects[f"{OUT}/{name}"] = good
    assert judge()["passed"] is True


def test_a_report_of_other_data_never_passes(aws: Aws) -> None:
    aws.objects[f"{OUT}/transform.json"]["fingerprint"] = "f0"
    assert "is of another run's data" in judge()["reason"]


def test_trouble_that_is_no_answer_is_raised(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    def throttled(**_: Any) -> Any:
        raise ClientError({"Error": {"Code": "SlowDown", "Message": ""}}, "GetObject")

    monkeypatch.setattr(aws, "get_object", throttled)
    with pytest.raises(ClientError):
        judge()


@pytest.mark.usefixtures("aws")
def test_the_first_data_is_compared_with_nothing() -> None:
    verdict = judge({"train": LIMITS})
    assert verdict["passed"] is True and verdict["baseline"] == "no model is approved yet"


def test_drift_from_the_newest_approved_data_stops_the_run(aws: Aws) -> None:
    aws.versions = [{"data_profile": BASE}, {"data_profile": "s3://elsewhere/x.json"}]
    aws.objects[BASE] = {"version": 1, "transforms": {"features": {"train": FRAME}}}
    assert judge({"train": LIMITS})["passed"] is True
    aws.objects[f"{OUT}/profile.json"]["frames"]["train"] = shifted(0.4)
    verdict = judge({"train": LIMITS})
    assert verdict["passed"] is False
    assert "features/train: drift of age: psi" in verdict["reason"] and "> 0.25" in verdict["reason"]
    assert verdict["baseline"] == "the data of version 0"


def test_drift_that_is_to_be_told_stops_nothing(aws: Aws) -> None:
    aws.versions = [{"data_profile": BASE}]
    aws.objects[BASE] = {"version": 1, "transforms": {"features": {"train": shifted(0.4)}}}
    verdict = judge({"train": {**LIMITS, "action": "tell"}})
    assert verdict["passed"] is True and "drift of age: psi" in verdict["notes"]


def test_a_profile_of_another_account_is_passed_over_and_one_that_is_gone_is_not(aws: Aws) -> None:
    aws.versions = [{"data_profile": "s3://other/p.json"}, {}]
    verdict = judge({"train": LIMITS})
    assert verdict["passed"] is True and verdict["baseline"] == "no approved model has a data profile yet"
    aws.versions = [{"data_profile": BASE}]
    verdict = judge({"train": LIMITS})
    assert verdict["passed"] is False and "the data of version 0 is not known" in verdict["reason"]


@pytest.mark.usefixtures("aws")
def test_rules_of_drift_for_a_frame_that_was_not_checked_never_pass() -> None:
    assert "the script checked no frame validation" in judge({"validation": LIMITS})["reason"]


def test_the_summary_fits_into_the_registrys_metadata(aws: Aws) -> None:
    import re

    frames = aws.objects[f"{OUT}/quality.json"]["frames"]
    frames["train-set"] = {
        "quarantine": "",
        "checks": [check(rule="rows", measured=900), check(rule="bad_rows", measured=3)] * 30,
    }
    summary = judge()["summary"]
    assert summary.startswith("rules=61 failed=0 train-set=900 train-set.bad=3")
    # MetadataProperty of CreateModelPackage's CustomerMetadataProperties
    shape = boto3.session.Session()._session.get_service_model("sagemaker").shape_for("CustomerMetadataValue")
    assert len(summary) <= shape.metadata["max"]
    # Its pattern is Java's: letters, digits and spaces of all scripts, and _.:/=+-@.
    assert re.fullmatch(r"[\w .:/=+@-]+", summary)


def test_what_is_asked_of_the_registry_is_what_botocore_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    client = boto3.client("sagemaker", "eu-west-1", aws_access_key_id="x", aws_secret_access_key="x")
    arn = "arn:aws:sagemaker:eu-west-1:111111111111:model-package/demo-dev/3"
    with Stubber(client) as stub:
        summary = {
            "ModelPackageArn": arn,
            "CreationTime": 0,
            "ModelPackageStatus": "Completed",
        }
        stub.add_response("list_model_packages", {"ModelPackageSummaryList": [summary]})
        stub.add_response(
            "describe_model_package",
            {
                "ModelPackageName": "demo-dev",
                "ModelPackageArn": arn,
                "CreationTime": 0,
                "ModelPackageStatus": "Completed",
                "ModelPackageStatusDetails": {"ValidationStatuses": []},
                "CustomerMetadataProperties": {"data_profile": BASE},
            },
            {"ModelPackageName": arn},
        )
        monkeypatch.setattr(gate, "client", lambda _service: client)
        monkeypatch.setenv("ARTIFACT_BUCKET", BUCKET)
        assert gate.accepted(GROUP) == (BASE, "version 3")


def test_what_is_tolerated_is_told_too() -> None:
    from pipeline.lambdas.gate_data import words

    about = {"transform": "features", "frame": "ratings", "quarantine": f"{OUT}/quarantine/ratings/"}
    checks = [
        {**about, "rule": "rows", "measured": 1749},
        {**about, "rule": "bad_rows", "measured": 1},
    ]
    said = words.passed(checks, "no model is approved yet")
    assert said == (
        "2 rules hold; features/ratings 1,749 rows; features/ratings 1 bad rows, within the limit, in "
        f"{OUT}/quarantine/ratings/; no model is approved yet"
    )
    assert "bad rows" not in words.passed([{**about, "rule": "bad_rows", "measured": 0}], "")
