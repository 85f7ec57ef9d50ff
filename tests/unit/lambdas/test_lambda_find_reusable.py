"""find_reusable: what may be used again, what may not and why, and models that are named."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import botocore.session
import pytest
from botocore import xform_name
from botocore.exceptions import ClientError
from botocore.validate import ParamValidator

from pipeline.lambdas.find_reusable import handler as reusable
from pipeline.lambdas.find_reusable import jobs, programs, trainings, versions, whole

NOW = datetime(2026, 3, 5, 12, tzinfo=UTC)
GROUP = "arn:aws:sagemaker:eu-west-1:111122223333:model-package/iris-dev"
REPOSITORY = "111122223333.dkr.ecr.eu-west-1.amazonaws.com/ml/iris"
DIGEST = "sha256:" + "a" * 64
ARTIFACT = "s3://artifacts/output-model/2026-03-01/job/model.tar.gz"
REPORT = "s3://artifacts/iris-dev/runs/20260301-00000001/evaluation"
JOBS = [
    {"fingerprint": "train", "result": "training", "kind": "training", "model": "", "output": ""},
    {
        "fingerprint": "evaluate",
        "result": "evaluation",
        "kind": "processing",
        "model": "training",
        "output": "evaluation",
    },
]
RUN = {
    "run_id": "20260301-99999999",
    "date": "2026-03-01",
    "fingerprints": {"train": "f-train", "evaluate": "f-evaluate", "model": "f-model"},
}


def refused(code: str, message: str = "no") -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": message}}, "Operation")


class Aws:
    """SageMaker, S3 and ECR in memory; every request is checked by botocore's model of it."""

    def __init__(self) -> None:
        self.packages: dict[str, dict[str, Any]] = {}
        self.jobs: dict[str, dict[str, Any]] = {}
        self.tags: dict[str, list[dict[str, str]]] = {}
        self.objects: dict[str, tuple[datetime, bytes]] = {}
        self.images = {DIGEST}
        self.calls: list[str] = []
        self.fails: dict[str, ClientError] = {}
        self.page_size = 1

    def client(self, service: str) -> Client:
        return Client(self, service)

    # --- what is there

    def package(self, version: int, print_: str = "f-model", status: str = "Approved", **more: Any) -> str:
        arn = f"{GROUP}/{version}"
        self.packages[arn] = {
            "ModelPackageArn": arn,
            "ModelPackageVersion": version,
            "ModelPackageStatus": "Completed",
            "ModelApprovalStatus": status,
            "CreationTime": NOW - timedelta(hours=100 - version),
            "InferenceSpecification": {
                "Containers": [
                    {
                        "Image": f"{REPOSITORY}@{DIGEST}",
                        "ImageDigest": DIGEST,
                        "ModelDataUrl": ARTIFACT,
                        "ModelDataETag": "etag-1",
                    }
                ]
            },
            "ModelMetrics": {"ModelQuality": {"Statistics": {"S3Uri": f"{REPORT}/evaluation.json"}}},
            "CustomerMetadataProperties": {
                "model_fingerprint": print_,
                "data_date": "2026-03-01",
                "data_version": "v1",
                "fingerprint": "whole",
            },
            **more,
        }
        self.put(ARTIFACT)
        report = {"multiclass_classification_metrics": {"accuracy": {"value": 0.95}, "other": {"value": 1}}}
        self.put(f"{REPORT}/evaluation.json", json.dumps(report).encode())
        return arn

    def put(self, uri: str, body: bytes = b"x", written: datetime = NOW) -> None:
        self.objects[uri] = (written, body)

    def job(self, kind: str, name: str, print_: str, **more: Any) -> None:
        arn = f"arn:aws:sagemaker:eu-west-1:111122223333:{kind.lower()}-job/{name.lower()}"
        self.jobs[name] = {
            f"{kind}JobName": name,
            f"{kind}JobArn": arn,
            f"{kind}JobStatus": "Completed",
            "CreationTime": NOW - timedelta(minutes=5),
            f"{kind}EndTime": NOW,
            "LastModifiedTime": NOW,
            **more,
        }
        self.tags[arn] = [{"Key": "team", "Value": "x"}, {"Key": "fingerprint", "Value": print_}]

    def trained(
        self, name: str = "iris-dev-20260301-00000001-0-0-0", print_: str = "f-train", **more: Any
    ) -> None:
        self.put(ARTIFACT)
        self.job("Training", name, print_, ModelArtifacts={"S3ModelArtifacts": ARTIFACT}, **more)

    def evaluated(
        self, name: str = "iris-dev-20260301-00000001-0-0-1", model: str = ARTIFACT, **more: Any
    ) -> None:
        self.put(f"{REPORT}/evaluation.json")
        outputs = {"Outputs": [{"OutputName": "evaluation", "S3Output": {"S3Uri": REPORT}}]}
        inputs = [{"InputName": "model", "S3Input": {"S3Uri": model}}]
        self.job(
            "Processing", name, "f-evaluate", ProcessingInputs=inputs, ProcessingOutputConfig=outputs, **more
        )

    # --- the operations

    def list_model_packages(self, request: dict[str, Any]) -> list[dict[str, Any]]:
        assert request["ModelPackageGroupName"] == "iris-dev"
        after = request.get("CreationTimeAfter", datetime.min.replace(tzinfo=UTC))
        found = [
            {key: p[key] for key in ("ModelPackageArn", "CreationTime", "ModelPackageStatus")}
            for p in self.packages.values()
            if p["ModelApprovalStatus"] == request["ModelApprovalStatus"] and p["CreationTime"] > after
        ]
        assert (request["SortBy"], request["SortOrder"]) == ("CreationTime", "Descending")
        return sorted(found, key=lambda p: p["CreationTime"], reverse=True)

    def describe_model_package(self, request: dict[str, Any]) -> dict[str, Any]:
        if request["ModelPackageName"] not in self.packages:
            raise refused("ValidationException", "ModelPackage does not exist.")
        return self.packages[request["ModelPackageName"]]

    def _jobs(self, kind: str, request: dict[str, Any]) -> list[dict[str, Any]]:
        found = [job for name, job in self.jobs.items() if request["NameContains"] in name]
        same = [job for job in found if job.get(f"{kind}JobStatus") == request["StatusEquals"]]
        return sorted(same, key=lambda job: job["CreationTime"], reverse=True)

    def list_training_jobs(self, request: dict[str, Any]) -> list[dict[str, Any]]:
        return self._jobs("Training", request)

    def list_processing_jobs(self, request: dict[str, Any]) -> list[dict[str, Any]]:
        return self._jobs("Processing", request)

    def list_tags(self, request: dict[str, Any]) -> list[dict[str, str]]:
        return self.tags[request["ResourceArn"]]

    def describe_training_job(self, request: dict[str, Any]) -> dict[str, Any]:
        return self.jobs[request["TrainingJobName"]]

    def describe_processing_job(self, request: dict[str, Any]) -> dict[str, Any]:
        return self.jobs[request["ProcessingJobName"]]

    def head_object(self, request: dict[str, Any]) -> dict[str, Any]:
        uri = f"s3://{request['Bucket']}/{request['Key']}"
        if uri not in self.objects:
            raise refused("404")
        return {"LastModified": self.objects[uri][0], "ETag": '"etag-1"'}

    def get_object(self, request: dict[str, Any]) -> dict[str, Any]:
        self.head_object(request)
        return {"Body": io.BytesIO(self.objects[f"s3://{request['Bucket']}/{request['Key']}"][1])}

    def describe_images(self, request: dict[str, Any]) -> dict[str, Any]:
        assert (request["registryId"], request["repositoryName"]) == ("111122223333", "ml/iris")
        if request["imageIds"][0]["imageDigest"] not in self.images:
            raise refused("ImageNotFoundException")
        return {}


FIELDS = {
    "list_model_packages": "ModelPackageSummaryList",
    "list_training_jobs": "TrainingJobSummaries",
    "list_processing_jobs": "ProcessingJobSummaries",
    "list_tags": "Tags",
}


class Client:
    """One service's client; lists come in pages of `Aws.page_size`."""

    def __init__(self, aws: Aws, service: str) -> None:
        self.aws = aws
        model = botocore.session.get_session().get_service_model(service)
        self.shapes = {xform_name(n): model.operation_model(n).input_shape for n in model.operation_names}

    def call(self, method: str, request: dict[str, Any]) -> Any:
        self.aws.calls.append(method)
        errors = ParamValidator().validate(request, self.shapes[method])
        assert not errors.has_errors(), errors.generate_report()
        if method in self.aws.fails:
            raise self.aws.fails[method]
        return getattr(self.aws, method)(request)

    def __getattr__(self, method: str) -> Callable[..., Any]:
        return lambda **request: self.call(method, request)

    def get_paginator(self, method: str) -> Any:
        class Pages:
            @staticmethod
            def paginate(**request: Any) -> Any:
                found, size = self.call(method, request), self.aws.page_size
                for start in range(0, len(found) or 1, size):
                    yield {FIELDS[method]: found[start : start + size]}

        return Pages


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Aws:
    made = Aws()
    for module in (whole, versions, jobs, reusable, trainings, programs):
        monkeypatch.setattr(module, "client", made.client)
    monkeypatch.setenv("STACK_NAME", "iris-dev")
    monkeypatch.setenv("ARTIFACT_BUCKET", "artifacts")
    monkeypatch.setenv("IMAGE_URI", f"{REPOSITORY}@{DIGEST}")
    return made


def find(given: Any = None, *, manual: bool = False, run: dict[str, Any] = RUN) -> dict[str, Any]:
    event = {"state": {"run": run, "own": 1}, "execution_input": given or {}, "jobs": JOBS, "manual": manual}
    answer = reusable.handler({**event, "metrics": ["accuracy"]}, None)
    json.dumps(answer, allow_nan=False)
    assert (answer["run"], answer["own"]) == (run, 1), "what others left stays"
    return answer


def fates(answer: dict[str, Any]) -> tuple[str, bool, bool]:
    reuse = answer["reuse"]
    assert all(decision["why"] for decision in reuse.values())
    return reuse["model"]["route"], reuse["training"]["reuse"], reuse["evaluation"]["reuse"]


# --- models


def test_an_approved_model_of_the_fingerprint_is_deployed_again(aws: Aws) -> None:
    for version in (1, 2, 3, 5):
        aws.package(version, print_=f"other-{version}")
    arn = aws.package(4)
    answer = find()
    assert fates(answer) == ("deploy", True, True)
    assert answer["package"]["ModelPackageArn"] == arn
    assert answer["gate"]["metrics"] == {"accuracy": 0.95}
    assert "model version 4" in answer["reuse"]["training"]["why"]
    assert "list_training_jobs" not in aws.calls


@pytest.mark.parametrize("status", ["Rejected", "PendingManualApproval"])
def test_only_an_approved_model_is_where_nobody_is_asked(aws: Aws, status: str) -> None:
    aws.package(1, status=status)
    answer = find()
    assert fates(answer) == ("", False, False)
    assert "package" not in answer and "no approved model" in answer["reuse"]["model"]["why"]


def test_a_model_that_waits_is_asked_about_again_and_an_approved_one_goes_before_it(aws: Aws) -> None:
    waiting = aws.package(7, status="PendingManualApproval")
    answer = find(manual=True)
    assert fates(answer) == ("approve", True, True)
    assert answer["package"]["ModelPackageArn"] == waiting
    assert "waits for approval" in answer["reuse"]["model"]["why"]
    aws.package(3)
    assert fates(find(manual=True))[0] == "deploy"


def test_a_model_that_was_rejected_between_two_calls_is_not_used(
    aws: Aws, monkeypatch: pytest.MonkeyPatch
) -> None:
    arn = aws.package(1)
    described = {**aws.packages[arn], "ModelApprovalStatus": "Rejected"}
    monkeypatch.setattr(aws, "describe_model_package", lambda request: described)  # noqa: ARG005
    assert fates(find())[0] == ""


def _gone(aws: Aws) -> None:
    del aws.objects[ARTIFACT]


def _replaced(aws: Aws) -> None:
    for package in aws.packages.values():
        package["InferenceSpecification"]["Containers"][0]["ModelDataETag"] = "another"


def _no_image(aws: Aws) -> None:
    aws.images.clear()


def _foreign_image(aws: Aws) -> None:
    for package in aws.packages.values():
        package["InferenceSpecification"]["Containers"][0]["Image"] = f"999.dkr.ecr/ml/iris@{DIGEST}"


def _failed(aws: Aws) -> None:
    for package in aws.packages.values():
        package["ModelPackageStatus"] = "Failed"


BROKEN = [
    (_gone, f"its artifact {ARTIFACT} is gone"),
    (_replaced, "its artifact is not the one that was registered"),
    (_no_image, "is gone from ECR"),
    (_foreign_image, "not in 111122223333.dkr.ecr"),
    (_failed, "is Failed"),
]


@pytest.mark.parametrize(("break_it", "why"), BROKEN)
def test_a_model_that_is_not_whole_is_not_used_and_the_reason_says_why(
    aws: Aws, break_it: Callable[[Aws], None], why: str
) -> None:
    aws.package(1)
    aws.package(2)
    break_it(aws)
    answer = find()
    assert fates(answer) == ("", False, False)
    assert "version 2" in answer["reuse"]["model"]["why"] and "version 1" in answer["reuse"]["model"]["why"]
    assert why in answer["reuse"]["model"]["why"]


def test_an_older_whole_one_stands_in_for_a_newer_broken_one(aws: Aws) -> None:
    older, newer = aws.package(1), aws.package(2)
    container = aws.packages[newer]["InferenceSpecification"]["Containers"][0]
    container["ModelDataUrl"] = "s3://artifacts/output-model/gone.tar.gz"
    assert find()["package"]["ModelPackageArn"] == older


def test_models_from_before_the_data_are_not_even_asked_for(aws: Aws) -> None:
    aws.package(1, CreationTime=datetime(2026, 2, 20, tzinfo=UTC))
    assert fates(find())[0] == ""
    assert "describe_model_package" not in aws.calls
    # Data may be put for a day to come; then nothing can be ruled out.
    future = f"{datetime.now(UTC) + timedelta(days=30):%Y-%m-%d}"
    assert fates(find(run={**RUN, "date": future}))[0] == "deploy"


# --- jobs


def test_finished_jobs_stand_for_their_blocks(aws: Aws) -> None:
    aws.trained()
    aws.evaluated()
    answer = find()
    assert fates(answer) == ("", True, True)
    assert answer["training"]["ModelArtifacts"]["S3ModelArtifacts"] == ARTIFACT
    assert answer["evaluation"]["report"] == f"{REPORT}/evaluation.json"
    assert datetime.fromisoformat(answer["evaluation"]["not_before"]) <= NOW
    assert "iris-dev-20260301-00000001-0-0-0" in answer["reuse"]["training"]["why"]


def test_training_alone_may_be_reused_and_evaluation_alone_may_not(aws: Aws) -> None:
    aws.trained()
    assert fates(find()) == ("", True, False)
    aws.jobs.clear()
    aws.evaluated()
    answer = find()
    assert fates(answer) == ("", False, False)
    assert "evaluation" not in answer and "training is made anew" in answer["reuse"]["evaluation"]["why"]


def test_an_evaluation_of_another_model_of_the_same_fingerprint_is_not_used(aws: Aws) -> None:
    aws.trained()
    aws.evaluated(model="s3://artifacts/output-model/other.tar.gz")
    answer = find()
    assert fates(answer) == ("", True, False)
    assert f"it did not read {ARTIFACT}" in answer["reuse"]["evaluation"]["why"]


@pytest.mark.parametrize("status", ["Failed", "Stopped", "InProgress", "Stopping"])
def test_only_completed_jobs_count(aws: Aws, status: str) -> None:
    aws.trained(TrainingJobStatus=status)
    assert fates(find()) == ("", False, False)


def test_jobs_of_another_fingerprint_or_another_stack_are_not_used(aws: Aws) -> None:
    aws.trained(print_="other")
    aws.trained(name="my-iris-dev-20260301-00000001-0-0-0")
    assert fates(find()) == ("", False, False)


def test_the_newest_job_is_taken_and_a_broken_one_passed_over(aws: Aws) -> None:
    aws.trained(name="iris-dev-20260301-00000001-0-0-0")
    aws.trained(name="iris-dev-20260301-00000002-0-0-0", CreationTime=NOW - timedelta(minutes=1))
    assert find()["training"]["TrainingJobName"] == "iris-dev-20260301-00000002-0-0-0"
    newest = aws.jobs["iris-dev-20260301-00000002-0-0-0"]
    newest["ModelArtifacts"] = {"S3ModelArtifacts": "s3://artifacts/output-model/gone.tar.gz"}
    assert find()["training"]["TrainingJobName"] == "iris-dev-20260301-00000001-0-0-0"


@pytest.mark.parametrize("hours", [-1, 1])
def test_what_the_job_did_not_write_is_not_its_result(aws: Aws, hours: int) -> None:
    aws.trained()
    aws.put(ARTIFACT, written=NOW + timedelta(hours=hours))
    answer = find()
    assert fates(answer) == ("", False, False)
    assert "not by the job" in answer["reuse"]["training"]["why"]


def test_force_makes_everything_anew_and_asks_nothing(aws: Aws) -> None:
    aws.package(1)
    aws.trained()
    answer = find({"FORCE": True})
    assert fates(answer) == ("", False, False)
    assert answer["reuse"]["training"]["why"] == "FORCE was given"
    assert aws.calls == []


@pytest.mark.parametrize(
    "method", ["list_model_packages", "describe_model_package", "describe_images", "list_training_jobs"]
)
@pytest.mark.parametrize("code", ["ThrottlingException", "AccessDeniedException"])
def test_a_call_that_fails_fails_the_run_rather_than_train_for_want_of_an_answer(
    aws: Aws, method: str, code: str
) -> None:
    aws.package(1)
    aws.trained()
    if method == "list_training_jobs":
        aws.packages.clear()
    aws.fails[method] = refused(code)
    with pytest.raises(ClientError, match=code):
        find()


# --- a model that is named


def named(package: Any, *, manual: bool = False, **given: Any) -> dict[str, Any]:
    answer = reusable.handler(
        {
            "input": {"PACKAGE": package, **given},
            "defaults": {"GIT_SHA": "abc"},
            "start_time": "2026-03-05T12:00:00.000Z",
            "execution_arn": "arn:aws:states:eu-west-1:111122223333:execution:iris-dev:promote-1",
            "manual": manual,
            "metrics": ["accuracy"],
        },
        None,
    )
    json.dumps(answer, allow_nan=False)
    return answer


def test_a_named_model_brings_all_that_its_deployment_needs(aws: Aws) -> None:
    arn = aws.package(3)
    answer = named({"ModelPackageArn": arn, "Why": "rollback: too slow"}, PULL_REQUEST="7")
    assert answer["package"] == {"ModelPackageArn": arn, "why": "rollback: too slow"}
    assert answer["gate"]["metrics"] == {"accuracy": 0.95}
    given = {"GIT_SHA": "abc", "PULL_REQUEST": "7", "RUN_URL": "", "REASON": ""}
    assert answer["input"]["given"] == given
    run = answer["run"]
    assert run["run_id"].startswith("20260301-") and len(run["run_id"]) == 17
    assert (run["date"], run["data_version"], run["fingerprint"]) == ("2026-03-01", "v1", "whole")
    assert run["execution_name"] == "promote-1" and run["reason"] == "rollback: too slow"
    assert "watermark" not in run, "the data is not done with by going back"
    marked = named({"ModelPackageArn": arn, "Watermark": True})["run"]["watermark"]
    assert json.loads(marked) == {"date": "2026-03-01", "data_version": "v1", "fingerprint": "whole"}
    assert named({"ModelPackageArn": aws.package(4)})["run"]["run_id"] != run["run_id"]


@pytest.mark.parametrize(
    ("status", "approval", "manual", "route"),
    [
        ("Approved", "as-settings", False, "deploy"),
        ("Approved", "as-settings", True, "approve"),
        ("Approved", "given", True, "deploy"),
        ("PendingManualApproval", "as-settings", False, "given"),
        ("PendingManualApproval", "as-settings", True, "approve"),
        ("PendingManualApproval", "given", True, "given"),
    ],
)
def test_who_approves_a_named_model(aws: Aws, status: str, approval: str, manual: bool, route: str) -> None:
    arn = aws.package(1, status=status)
    answer = named({"ModelPackageArn": arn, "Approval": approval}, manual=manual)
    assert answer["reuse"]["model"]["route"] == route


@pytest.mark.parametrize(
    ("package", "why"),
    [
        (None, "must be an object"),
        ("arn", "must be an object"),
        ({}, "no ModelPackageArn is no version"),
        ({"ModelPackageArn": f"{GROUP}-2/1"}, "is no version of this pipeline's group"),
        ({"ModelPackageArn": f"{GROUP}/1".replace("111122223333", "999999999999")}, "is no version"),
        ({"ModelPackageArn": f"{GROUP}/9"}, "does not exist"),
        ({"ModelPackageArn": 7}, "must be a str"),
        ({"ModelPackageArn": f"{GROUP}/1", "Approval": "yes"}, "is as-settings or given"),
        ({"ModelPackageArn": f"{GROUP}/1", "Watermark": "no"}, "must be a bool"),
        ({"ModelPackageArn": f"{GROUP}/1", "Reason": "x"}, "has no Reason"),
        ({"ModelPackageArn": f"{GROUP}/1", "Why": "x" * 1025}, "longer than 1024"),
    ],
)
def test_a_package_without_sense_is_refused_in_words(aws: Aws, package: Any, why: str) -> None:
    aws.package(1)
    with pytest.raises(reusable.BadPackage, match=why):
        named(package)


@pytest.mark.parametrize(("break_it", "why"), BROKEN)
def test_a_named_model_that_is_not_whole_is_refused(
    aws: Aws, break_it: Callable[[Aws], None], why: str
) -> None:
    arn = aws.package(1)
    break_it(aws)
    with pytest.raises(reusable.BadPackage) as caught:
        named({"ModelPackageArn": arn})
    assert why in str(caught.value) and arn in str(caught.value)


def test_a_rejected_model_is_refused_with_the_reason_it_was_rejected_for(aws: Aws) -> None:
    arn = aws.package(1, status="Rejected", ApprovalDescription="accuracy 0.4 < minimum 0.88")
    with pytest.raises(reusable.BadPackage, match=r"was rejected: accuracy 0\.4"):
        named({"ModelPackageArn": arn})


def test_a_report_that_cannot_be_read_stops_no_deployment(aws: Aws) -> None:
    arn = aws.package(1)
    del aws.objects[f"{REPORT}/evaluation.json"]
    assert named({"ModelPackageArn": arn})["gate"]["metrics"] == {}


def test_metrics_are_found_by_name_at_any_depth_and_only_numbers() -> None:
    report = {
        "multiclass_classification_metrics": {
            "accuracy": {"value": 0.9, "standard_deviation": 0.1},
            "classes": {"setosa": {"recall": {"value": 1.0}}},
            "odd": {"value": "high"},
            "flag": True,
            "lost": {"value": math.nan},
        },
        "other": {"accuracy": {"value": 0.1}},
    }
    names = ["accuracy", "setosa.recall", "odd", "flag", "lost", "missing"]
    assert versions.metrics_of(report, names) == {"accuracy": 0.9, "setosa.recall": 1.0}
    assert versions.metrics_of(["no"], names) == {}
