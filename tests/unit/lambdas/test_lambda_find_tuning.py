"""find_reusable: a finished search stands for Tune, with what it found; others do not."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import botocore.session
import pytest
from botocore import xform_name
from botocore.validate import ParamValidator

from pipeline.lambdas.find_reusable import handler as reusable
from pipeline.lambdas.find_reusable import jobs, trainings, tuning, versions, whole

NOW = datetime(2026, 3, 5, 12, tzinfo=UTC)
JOB = {
    "fingerprint": "train",
    "result": "training",
    "kind": "tuning",
    "model": "",
    "output": "",
    "name": "demo-dev",
}
EVENT = {
    "state": {"run": {"date": "2026-03-01", "fingerprints": {"train": "f-1", "model": "m-1"}}},
    "execution_input": {},
    "jobs": [JOB],
    "manual": False,
    "metrics": [],
}


class SageMaker:
    """Tuning jobs by name: (tag, best training job or None); requests are checked by botocore's model."""

    def __init__(self) -> None:
        self.tunings: dict[str, tuple[str, str | None]] = {}
        self.since: Any = None
        self.model = botocore.session.get_session().get_service_model("sagemaker")

    def _checked(self, operation: str, request: dict[str, Any]) -> None:
        name = next(n for n in self.model.operation_names if xform_name(n) == operation)
        report = ParamValidator().validate(request, self.model.operation_model(name).input_shape)
        assert not report.has_errors(), report.generate_report()

    def get_paginator(self, operation: str) -> Any:
        aws = self

        class Pages:
            def paginate(self, **request: Any) -> list[dict[str, Any]]:
                aws._checked(operation, request)
                if operation == "list_model_packages":
                    return []
                if operation == "list_tags":
                    name = request["ResourceArn"].rpartition("/")[2]
                    return [{"Tags": [{"Key": "fingerprint", "Value": aws.tunings[name][0]}]}]
                aws.since = request.get("CreationTimeAfter")
                prefix = "arn:aws:sagemaker:eu-west-1:123456789012:hyper-parameter-tuning-job"
                found = [
                    {"HyperParameterTuningJobName": n, "HyperParameterTuningJobArn": f"{prefix}/{n}"}
                    for n in aws.tunings
                    if request["NameContains"] in n
                ]
                return [{"HyperParameterTuningJobSummaries": found}]

        return Pages()

    def describe_hyper_parameter_tuning_job(self, **request: Any) -> dict[str, Any]:
        self._checked("describe_hyper_parameter_tuning_job", request)
        name = request["HyperParameterTuningJobName"]
        best = self.tunings[name][1]
        found: dict[str, Any] = {
            "HyperParameterTuningJobStatus": "Completed",
            "HyperParameterTuningJobArn": f"arn:tuning/{name}",
        }
        if best:
            found["BestTrainingJob"] = {
                "TrainingJobName": best,
                "TunedHyperParameters": {"rate": "0.2"},
                "FinalHyperParameterTuningJobObjectiveMetric": {"MetricName": "accuracy", "Value": 0.97},
            }
        return found

    def describe_training_job(self, **request: Any) -> dict[str, Any]:
        self._checked("describe_training_job", request)
        return {
            "TrainingJobStatus": "Completed",
            "TrainingJobArn": f"arn:training/{request['TrainingJobName']}",
            "ModelArtifacts": {"S3ModelArtifacts": f"s3://b/{request['TrainingJobName']}/model.tar.gz"},
            "CreationTime": NOW,
            "TrainingEndTime": NOW + timedelta(minutes=1),
            "LastModifiedTime": NOW + timedelta(minutes=1),
        }


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> SageMaker:
    made = SageMaker()
    for module in (whole, jobs, trainings, versions, tuning):
        monkeypatch.setattr(module, "client", lambda _service: made)
    monkeypatch.setattr(trainings, "head", lambda *_: {"LastModified": NOW})
    monkeypatch.setenv("STACK_NAME", "demo-dev")
    return made


def test_a_finished_search_leaves_what_tune_leaves(aws: SageMaker) -> None:
    aws.tunings = {
        "demo-dev-11111111-00": ("other", "demo-dev-11111111-00-001-a"),
        "demo-dev-22222222-00": ("f-1", None),
        "demo-dev-33333333-00": ("f-1", "demo-dev-33333333-00-004-b"),
        "my-demo-dev-44444444-00": ("f-1", "not-ours"),
    }
    found = reusable.find(EVENT)
    best = "demo-dev-33333333-00-004-b"
    assert found["training"] == {
        "TrainingJobName": best,
        "TrainingJobArn": f"arn:training/{best}",
        "ModelArtifacts": {"S3ModelArtifacts": f"s3://b/{best}/model.tar.gz"},
    }
    assert found["tuning"] == {
        "HyperParameterTuningJobName": "demo-dev-33333333-00",
        "HyperParameterTuningJobArn": "arn:tuning/demo-dev-33333333-00",
        "TrainingJobName": best,
        "hyperparameters": {"rate": "0.2"},
        "objective": 0.97,
    }
    why = found["reuse"]["training"]
    assert why == {
        "reuse": True,
        "why": "tuning job demo-dev-33333333-00 had the same data, code and parameters",
    }
    assert aws.since < NOW - timedelta(days=4), "only what was made since the data's day is looked at"


def test_without_one_the_search_is_made(aws: SageMaker) -> None:
    aws.tunings = {"demo-dev-22222222-00": ("f-1", None)}
    found = reusable.find(EVENT)
    assert "training" not in found and "tuning" not in found
    assert "cannot be used: it is Completed, and has no best job" in found["reuse"]["training"]["why"]
