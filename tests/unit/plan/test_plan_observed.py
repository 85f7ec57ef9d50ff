"""What the target is asked for a report, against SageMaker's answers as botocore's model has them."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from botocore.response import StreamingBody
from botocore.stub import Stubber

from pipeline import cost
from pipeline.aws import Clients, Target
from pipeline.plan import champion, observed, told
from pipeline.plan.observed import observe
from pipeline.plan.report import build
from pipeline.settings import load
from pipeline.settings.model import Settings
from tests.conftest import REPOSITORY
from tests.unit.plan import example

NOW = datetime(2026, 11, 22, tzinfo=UTC)
PACKAGE = "arn:aws:sagemaker:eu-west-1:222222222222:model-package/iris-staging/7"
EXECUTION = "arn:aws:states:eu-west-1:222222222222:execution:iris-staging:run"
SERVICES = ("sagemaker", "s3", "stepfunctions", "ssm", "ecr")


@pytest.fixture(scope="module")
def settings() -> Settings:
    return load(REPOSITORY, "iris", "staging")


class Asked:
    """Clients that answer in the order the test says, and refuse anything else."""

    def __init__(self) -> None:
        self.clients = Clients(Target("aws", None, "eu-west-1", "222222222222"), None)
        self.stubs: dict[str, Stubber] = {}
        for service in SERVICES:
            client = boto3.client(
                service, region_name="eu-west-1", aws_access_key_id="a", aws_secret_access_key="b"
            )
            self.clients.__dict__[service] = client
            self.stubs[service] = Stubber(client)
            self.stubs[service].activate()

    def answer(self, service: str, operation: str, found: dict[str, Any]) -> None:
        self.stubs[service].add_response(operation, found)

    def refuse(self, service: str, operation: str, error: str, text: str = "no") -> None:
        self.stubs[service].add_client_error(operation, error, text)


@pytest.fixture
def asked() -> Iterator[Asked]:
    yield Asked()


def serving(asked: Asked, container: dict[str, Any]) -> None:
    endpoint = {
        "EndpointName": "iris-staging",
        "EndpointArn": "arn:aws:sagemaker:eu-west-1:222222222222:endpoint/iris-staging",
        "EndpointConfigName": "iris-staging-1",
        "EndpointStatus": "InService",
        "CreationTime": NOW,
        "LastModifiedTime": NOW,
    }
    asked.answer("sagemaker", "describe_endpoint", endpoint)
    config = {
        "EndpointConfigName": "iris-staging-1",
        "EndpointConfigArn": "arn:aws:sagemaker:eu-west-1:222222222222:endpoint-config/iris-staging-1",
        "ProductionVariants": [{"VariantName": "all", "ModelName": "iris-staging-1"}],
        "CreationTime": NOW,
    }
    asked.answer("sagemaker", "describe_endpoint_config", config)
    model = {
        "ModelName": "iris-staging-1",
        "PrimaryContainer": container,
        "CreationTime": NOW,
        "ModelArn": "arn:aws:sagemaker:eu-west-1:222222222222:model/iris-staging-1",
    }
    asked.answer("sagemaker", "describe_model", model)


def package(asked: Asked, artifact: str = "s3://b/model.tar.gz") -> None:
    found = {
        "ModelPackageName": "iris-staging",
        "ModelPackageArn": PACKAGE,
        "CreationTime": NOW,
        "ModelPackageStatus": "Completed",
        "ModelPackageStatusDetails": {"ValidationStatuses": []},
        "InferenceSpecification": {"Containers": [{"Image": "i", "ModelDataUrl": artifact}]},
        "ModelMetrics": {
            "ModelQuality": {
                "Statistics": {"ContentType": "application/json", "S3Uri": "s3://b/evaluation.json"}
            }
        },
        "CustomerMetadataProperties": {"data_date": "2026-11-20", "execution": EXECUTION},
    }
    asked.answer("sagemaker", "describe_model_package", found)


def report(asked: Asked) -> None:
    body = json.dumps(
        {
            "multiclass_classification_metrics": {
                "accuracy": {"value": 0.93},
                "setosa": {"recall": {"value": 1.0}},
            }
        }
    ).encode()
    asked.answer("s3", "get_object", {"Body": StreamingBody(io.BytesIO(body), len(body))})


def ran(asked: Asked, seconds: int) -> None:
    found = {
        "executionArn": EXECUTION,
        "stateMachineArn": EXECUTION.replace(":execution:", ":stateMachine:").removesuffix(":run"),
        "status": "SUCCEEDED",
        "startDate": NOW,
        "stopDate": NOW + timedelta(seconds=seconds),
    }
    asked.answer("stepfunctions", "describe_execution", found)


def test_the_champion_is_found_by_the_chain_from_its_endpoint(asked: Asked, settings: Settings) -> None:
    serving(asked, {"ModelPackageName": PACKAGE})
    package(asked)
    report(asked)
    ran(asked, 431)
    found = champion.find(settings, asked.clients)
    assert found is not None
    assert (found.package, found.metrics, found.data_date) == (PACKAGE, {"accuracy": 0.93}, "2026-11-20")
    assert found.run_seconds == 431


def test_a_model_made_from_an_image_is_found_by_its_artifact(asked: Asked, settings: Settings) -> None:
    serving(asked, {"Image": "i", "ModelDataUrl": "s3://b/model.tar.gz"})
    summary = {
        "ModelPackageArn": PACKAGE,
        "CreationTime": NOW,
        "ModelPackageStatus": "Completed",
    }
    asked.answer("sagemaker", "list_model_packages", {"ModelPackageSummaryList": [summary]})
    package(asked)
    package(asked)
    asked.refuse("s3", "get_object", "NoSuchKey")
    asked.refuse("stepfunctions", "describe_execution", "ExecutionDoesNotExist")
    found = champion.find(settings, asked.clients)
    assert found is not None
    assert found.package == PACKAGE
    assert found.metrics == {}
    assert found.run_seconds is None


def test_without_an_endpoint_there_is_no_champion(asked: Asked, settings: Settings) -> None:
    asked.refuse("sagemaker", "describe_endpoint", "ValidationException", "Could not find endpoint")
    assert champion.find(settings, asked.clients) is None


def test_nested_metrics_are_found_by_their_path() -> None:
    found = {"x_metrics": {"setosa": {"recall": {"value": 0.5}}, "flag": True}, "other": {"accuracy": 1}}
    assert champion.metrics(found, ["setosa.recall", "accuracy", "flag"]) == {"setosa.recall": 0.5}


def test_what_may_not_be_read_is_told_and_stops_nothing(settings: Settings) -> None:
    class Denied:
        def __getattr__(self, name: str) -> Any:
            error = {"Error": {"Code": "AccessDeniedException", "Message": "not authorized"}}
            raise ClientError(error, name)

    clients = Clients(Target("aws", None, "eu-west-1", "222222222222"), None)
    clients.__dict__.update({service: Denied() for service in SERVICES})
    before = example.plan_example.template()
    plan = example.plan_example.plan(before, before)
    facts = observe(plan, settings, clients, NOW)
    assert facts.champion is None
    assert not facts.durations
    assert "the serving model: AccessDeniedException: not authorized" in facts.unknown
    found = build(plan, facts)
    assert {step.does for step in found.steps if step.step != "image"} == {"unknown"}
    assert found.unknown == facts.unknown


def test_the_expected_time_is_measured_else_limited_and_says_which() -> None:
    plan, found = example.plan_example.report()
    measured = "Train, Evaluate together about 3 min, as the last ones took"
    assert told.expected(found) == f"{measured}; the whole run behind what serves took 7 min"
    facts = replace(example.plan_example.facts(), durations={}, champion=None)
    assert (
        told.expected(build(plan, facts)) == "Train, Evaluate together at most 90 min, by their time limits"
    )


def test_a_duration_says_of_which_kind_of_job_it_is_the_last() -> None:
    begun = datetime(2026, 11, 22, 12, tzinfo=UTC)
    sagemaker = SimpleNamespace(
        list_processing_jobs=lambda **_: {"ProcessingJobSummaries": [{"ProcessingJobName": "iris-dev-1-e"}]},
        describe_processing_job=lambda **_: {
            "ProcessingStartTime": begun,
            "ProcessingEndTime": begun + timedelta(seconds=5),
        },
    )
    settings: Any = SimpleNamespace(stack_name="iris-dev")
    clients: Any = SimpleNamespace(sagemaker=sagemaker)
    found = observed._duration(settings, clients, "processing")
    assert found == cost.Duration(5.0, "as iris-dev-1-e took, the last processing job that ended well")
