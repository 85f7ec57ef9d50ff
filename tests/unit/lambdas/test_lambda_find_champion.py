"""find_champion: which model serves, whether its evaluation is of the same rows, and what is gone."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from pipeline.lambdas.find_champion import handler as finder

ARN = "arn:aws:sagemaker:eu-west-1:111111111111:model-package/iris-dev/3"
IMAGE = "111111111111.dkr.ecr.eu-west-1.amazonaws.com/ml/iris@sha256:" + "a" * 64
ARTIFACTS, REPORT = "s3://b/output-model/1/model.tar.gz", "s3://b/runs/1/evaluation/evaluation.json"
MINE = {
    "report": "s3://b/runs/2/evaluation/evaluation.json",
    "artifacts": "s3://b/output-model/2/model.tar.gz",
}
EVENT = {"endpoint_name": "iris-dev", "model_package_group_name": "iris-dev", "challenger": MINE}


class Aws:
    """SageMaker's registry and hosting, and S3, as dictionaries that a test changes."""

    def __init__(self) -> None:
        self.endpoint: dict[str, Any] | None = {"EndpointStatus": "InService", "EndpointConfigName": "c1"}
        self.config: dict[str, Any] | None = {
            "EndpointConfigName": "c1",
            "ProductionVariants": [{"VariantName": "AllTraffic", "ModelName": "m1"}],
        }
        self.model: dict[str, Any] | None = {"PrimaryContainer": {"ModelPackageName": ARN}}
        self.package: dict[str, Any] | None = {
            "ModelPackageArn": ARN,
            "InferenceSpecification": {"Containers": [{"Image": IMAGE, "ModelDataUrl": ARTIFACTS}]},
            "ModelMetrics": {"ModelQuality": {"Statistics": {"S3Uri": REPORT}}},
        }
        self.objects: dict[str, Any] = {MINE["report"]: held_out("a"), REPORT: held_out("a")}
        self.error = "ValidationException"
        self.listed: list[str] = [ARN]

    def _get(self, found: dict[str, Any] | None, what: str) -> dict[str, Any]:
        if found is None:
            said = {"Code": self.error, "Message": f"Could not find {what}"}
            raise ClientError({"Error": said}, "Describe")
        return found

    def describe_endpoint(self, EndpointName: str) -> dict[str, Any]:
        assert EndpointName == "iris-dev"
        return self._get(self.endpoint, "endpoint")

    def describe_endpoint_config(self, EndpointConfigName: str) -> dict[str, Any]:
        assert EndpointConfigName == "c1"
        return self._get(self.config, "config")

    def describe_model(self, ModelName: str) -> dict[str, Any]:
        assert ModelName == "m1"
        return self._get(self.model, "model")

    def describe_model_package(self, ModelPackageName: str) -> dict[str, Any]:
        assert ModelPackageName == ARN
        return self._get(self.package, "package")

    def list_model_packages(self, **request: Any) -> dict[str, Any]:
        assert request["ModelPackageGroupName"] == "iris-dev"
        return {"ModelPackageSummaryList": [{"ModelPackageArn": arn} for arn in self.listed]}

    def get_object(self, Bucket: str, Key: str) -> dict[str, Any]:
        found = self.objects.get(f"s3://{Bucket}/{Key}")
        if found is None:
            raise ClientError({"Error": {"Code": "NoSuchKey", "Message": ""}}, "GetObject")
        if isinstance(found, str) and found.startswith("!"):
            raise ClientError({"Error": {"Code": found[1:], "Message": ""}}, "GetObject")
        return {"Body": io.BytesIO(found if isinstance(found, bytes) else json.dumps(found).encode())}


def held_out(letter: str) -> dict[str, Any]:
    return {"held_out": {"rows": 60, "sha256": letter * 64}}


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Aws:
    made = Aws()
    monkeypatch.setattr(finder, "client", lambda _service: made)
    return made


def find() -> dict[str, Any]:
    return finder.handler(EVENT, None)


def test_a_champion_evaluated_on_the_same_rows_needs_no_job(aws: Aws) -> None:
    assert find() == {
        "exists": True,
        "why": "version 3 (model m1), by its evaluation of the same rows",
        "package": ARN,
        "image": IMAGE,
        "artifacts": ARTIFACTS,
        "report": REPORT,
        "evaluate": False,
    }
    assert aws.model is not None


@pytest.mark.parametrize(
    "recorded",
    [held_out("b"), {}, {"held_out": 3}, {"held_out": {"sha256": "short"}}, b"no json", b"[]", None,
     "!AccessDenied"],
)  # fmt: skip
def test_without_proof_of_the_same_rows_it_is_evaluated_anew(aws: Aws, recorded: Any) -> None:
    aws.objects[REPORT] = recorded
    found = find()
    assert (found["evaluate"], found["report"]) == (True, "")
    assert (found["image"], found["artifacts"], found["package"]) == (IMAGE, ARTIFACTS, ARN)


def test_two_reports_that_say_nothing_are_no_proof(aws: Aws) -> None:
    aws.objects = {MINE["report"]: {}, REPORT: {}}
    assert find()["evaluate"] is True


def test_before_the_first_deployment_there_is_none(aws: Aws) -> None:
    aws.endpoint = None
    found = find()
    assert (found["exists"], found["evaluate"], found["package"]) == (False, False, "none")
    assert found["why"] == "there was no endpoint iris-dev when the gate decided"


@pytest.mark.parametrize("status", ["Creating", "Failed", "Deleting", "OutOfService"])
def test_an_endpoint_that_serves_nobody_has_none(aws: Aws, status: str) -> None:
    aws.endpoint = {"EndpointStatus": status, "EndpointConfigName": "c1"}
    found = find()
    assert found["exists"] is False
    assert status in found["why"]


@pytest.mark.parametrize("status", ["Updating", "SystemUpdating", "RollingBack", "UpdateRollbackFailed"])
def test_an_endpoint_that_changes_serves(aws: Aws, status: str) -> None:
    aws.endpoint = {"EndpointStatus": status, "EndpointConfigName": "c1"}
    assert find()["exists"] is True


def test_the_variant_with_most_requests_is_the_champion(aws: Aws) -> None:
    assert aws.config is not None
    few = {"VariantName": "A", "ModelName": "other", "InitialVariantWeight": 0.1}
    most = {"VariantName": "B", "ModelName": "m1", "InitialVariantWeight": 0.9}
    aws.config["ProductionVariants"] = [few, most]
    assert find()["package"] == ARN


@pytest.mark.parametrize("what", ["config", "model", "package"])
@pytest.mark.parametrize("error", ["ValidationException", "AccessDeniedException"])
def test_what_is_gone_or_hidden_is_said_and_nothing_is_taken_for_no_champion(
    aws: Aws, what: str, error: str
) -> None:
    setattr(aws, what, None)
    aws.error = error
    found = find()
    assert (found["exists"], found["evaluate"], found["report"]) == (True, False, "")
    assert f"cannot be read: {error}: Could not find {what}" in found["why"]


@pytest.mark.parametrize(
    ("model", "says"),
    [
        ({"Containers": [{"Image": "a"}, {"Image": "b"}]}, "has 2 containers"),
        ({}, "has 0 containers"),
        ({"PrimaryContainer": {"Image": IMAGE}}, "names no image or no artifact"),
    ],
)
def test_a_model_that_cannot_be_evaluated_is_said(aws: Aws, model: dict[str, Any], says: str) -> None:
    aws.model = model
    found = find()
    assert (found["exists"], found["evaluate"]) == (True, False)
    assert says in found["why"]


def test_a_model_of_image_and_artifact_is_found_in_the_registry_by_its_artifact(aws: Aws) -> None:
    aws.model = {"PrimaryContainer": {"Image": IMAGE, "ModelDataUrl": ARTIFACTS}}
    assert find()["package"] == ARN
    aws.model = {"PrimaryContainer": {"Image": IMAGE, "ModelDataUrl": "s3://b/by-hand.tar.gz"}}
    found = find()
    assert (found["package"], found["evaluate"]) == ("none", True)
    assert "which is not registered" in found["why"]


def test_a_model_that_serves_already_is_not_its_own_champion(aws: Aws) -> None:
    assert aws.package is not None
    aws.package["InferenceSpecification"]["Containers"][0]["ModelDataUrl"] = MINE["artifacts"]
    found = find()
    assert found["exists"] is False
    assert "this very model" in found["why"]


def test_another_complaint_about_the_endpoint_is_not_taken_for_none(
    aws: Aws, monkeypatch: pytest.MonkeyPatch
) -> None:
    def complain(**_: Any) -> None:
        said = {"Code": "ValidationException", "Message": "1 validation error detected"}
        raise ClientError({"Error": said}, "DescribeEndpoint")

    monkeypatch.setattr(aws, "describe_endpoint", complain)
    with pytest.raises(ClientError):
        find()


@pytest.mark.parametrize("what", ["endpoint", "model", "report"])
def test_trouble_that_is_no_answer_is_raised(aws: Aws, what: str) -> None:
    aws.error = "ThrottlingException"
    if what == "report":
        aws.objects[REPORT] = "!SlowDown"
    else:
        setattr(aws, what, None)
    with pytest.raises(ClientError):
        find()
