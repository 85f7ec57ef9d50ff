"""Starting, invoking, reading logs: the calls made, and what each refusal becomes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.stub import ANY, Stubber

from pipeline.aws import Clients, Target
from pipeline.errors import ExecutionError, TargetError
from pipeline.execution import approve, batch, invoke, logs, serving, start
from pipeline.execution.removal import made_by_runs
from pipeline.execution.status import warnings
from pipeline.settings.model import Smoke

NOW = datetime(2026, 11, 22, tzinfo=UTC)
ARN = "arn:aws:states:eu-west-1:111111111111:stateMachine:iris-dev"


class Stubbed:
    """Clients whose services answer what the test says, in its order."""

    def __init__(self) -> None:
        self.clients = Clients(Target("aws", None, "eu-west-1", "111111111111"), None)
        self._stubbers: dict[str, Stubber] = {}

    def __getattr__(self, service: str) -> Stubber:
        if service not in self._stubbers:
            client = boto3.client(
                service.replace("_", "-"),
                region_name="eu-west-1",
                aws_access_key_id="a",
                aws_secret_access_key="b",
                config=Config(retries={"total_max_attempts": 1}),
            )
            self.clients.__dict__[service] = client
            self._stubbers[service] = Stubber(client)
            self._stubbers[service].activate()
        return self._stubbers[service]

    def done(self) -> None:
        for stubber in self._stubbers.values():
            stubber.assert_no_pending_responses()


@pytest.fixture
def aws() -> Iterator[Stubbed]:
    stubbed = Stubbed()
    yield stubbed
    stubbed.done()


@pytest.fixture
def settings(tmp_path: Path) -> Any:
    return SimpleNamespace(
        root=tmp_path,
        name="iris",
        environment_name="dev",
        stack_name="iris-dev",
        artifact_bucket="ml-111111111111-eu-west-1",
        project=SimpleNamespace(name="ml"),
        environment=SimpleNamespace(account="111111111111", region="eu-west-1", tags={}),
        pipeline=SimpleNamespace(smoke=Smoke(body="1,2", content_type="text/csv", accept="application/json")),
    )


def machine(aws: Stubbed) -> None:
    found = {
        "stateMachineArn": ARN,
        "name": "iris-dev",
        "definition": "{}",
        "roleArn": "arn:aws:iam::111111111111:role/r",
        "type": "STANDARD",
        "creationDate": NOW,
    }
    aws.stepfunctions.add_response("describe_state_machine", found)


def executions(aws: Stubbed, *found: tuple[str, str]) -> None:
    listed = [
        {
            "executionArn": f"{ARN.replace(':stateMachine:', ':execution:')}:{name}",
            "stateMachineArn": ARN,
            "name": name,
            "status": status,
            "startDate": NOW,
        }
        for name, status in found
    ]
    aws.stepfunctions.add_response("list_executions", {"executions": listed})


def name_of() -> str:
    return start.names.base_name(
        "2026-11-22", "", "{}arn:aws:iam::111111111111:role/r", {"DATE": "2026-11-22"}
    )


def test_a_running_start_is_attached_to(aws: Stubbed, settings: Any) -> None:
    name = name_of()
    machine(aws)
    executions(aws, (f"{name}-2", "RUNNING"), (name, "FAILED"), ("other", "RUNNING"))
    found = start.start(settings, aws.clients, date="2026-11-22")
    assert (found.name, found.attached) == (f"{name}-2", True)


def test_a_closed_start_is_repeated_under_the_next_name_also_when_somebody_takes_it(
    aws: Stubbed, settings: Any
) -> None:
    name = name_of()
    machine(aws)
    executions(aws, (name, "SUCCEEDED"))
    aws.stepfunctions.add_client_error("start_execution", "ExecutionAlreadyExists")
    executions(aws, (f"{name}-2", "ABORTED"), (name, "SUCCEEDED"))
    expected = {"stateMachineArn": ARN, "name": f"{name}-3", "input": json.dumps({"DATE": "2026-11-22"})}
    aws.stepfunctions.add_response("start_execution", {"executionArn": "arn:x", "startDate": NOW}, expected)
    found = start.start(settings, aws.clients, date="2026-11-22")
    assert (found.name, found.attached) == (f"{name}-3", False)


def test_what_is_not_deployed_is_told_with_what_to_do(aws: Stubbed, settings: Any) -> None:
    aws.stepfunctions.add_client_error("describe_state_machine", "StateMachineDoesNotExist")
    with pytest.raises(ExecutionError, match="not deployed") as caught:
        start.start(settings, aws.clients)
    assert caught.value.hint == "pipeline apply iris -e dev"


def test_a_refused_start_is_not_repeated_for_ever(aws: Stubbed, settings: Any) -> None:
    machine(aws)
    executions(aws)
    aws.stepfunctions.add_client_error("start_execution", "AccessDeniedException", "no", 400)
    with pytest.raises(TargetError, match="permission denied"):
        start.start(settings, aws.clients, date="2026-11-22")


def test_the_models_refusal_is_told_in_its_own_words(aws: Stubbed, settings: Any) -> None:
    aws.sagemaker_runtime.add_client_error(
        "invoke_endpoint",
        "ModelError",
        "Received client error (400) from primary",
        424,
        modeled_fields={"OriginalStatusCode": 400, "OriginalMessage": '{"error": "row 1"}'},
        expected_params={
            "EndpointName": "iris-dev",
            "Body": b"1,2",
            "ContentType": "text/csv",
            "Accept": ANY,
        },
    )
    with pytest.raises(ExecutionError, match=r"answered 400.*row 1"):
        invoke.invoke(settings, aws.clients)


@pytest.mark.parametrize(
    ("status", "says"), [(None, "no endpoint yet"), ("Creating", "not found .it is Creating.")]
)
def test_an_endpoint_that_does_not_serve_is_told_apart(
    aws: Stubbed, settings: Any, status: str | None, says: str
) -> None:
    aws.sagemaker_runtime.add_client_error(
        "invoke_endpoint", "ValidationError", "Endpoint iris-dev not found"
    )
    if status is None:
        message = "Could not find endpoint"
        aws.sagemaker.add_client_error("describe_endpoint", "ValidationException", message)
    else:
        found = {
            "EndpointName": "iris-dev",
            "EndpointArn": "arn:aws:sagemaker:eu-west-1:111111111111:endpoint/iris-dev",
            "EndpointStatus": status,
            "CreationTime": NOW,
            "LastModifiedTime": NOW,
        }
        aws.sagemaker.add_response("describe_endpoint", found)
    with pytest.raises(ExecutionError, match=says):
        invoke.invoke(settings, aws.clients)


def test_a_jobs_lines_come_from_its_own_streams(aws: Stubbed) -> None:
    source = logs.Source("Train", "/aws/sagemaker/TrainingJobs", "iris-dev-1-0/")
    stream = "iris-dev-1-0/algo-1-1"
    asked = {"logGroupName": source.group, "logStreamNamePrefix": "iris-dev-1-0/"}
    aws.logs.add_response("describe_log_streams", {"logStreams": [{"logStreamName": stream}]}, asked)
    event = {"logStreamName": stream, "timestamp": 5, "message": "accuracy=0.9\n", "eventId": "1"}
    asked = {"logGroupName": source.group, "logStreamNames": [stream]}
    aws.logs.add_response("filter_log_events", {"events": [event]}, asked)
    (line,) = logs.read(aws.clients, source)
    assert (line.text, line.time, line.step) == ("accuracy=0.9", 5, "Train")


def test_a_log_that_is_not_there_yet_is_empty_and_one_that_is_forbidden_is_told(aws: Stubbed) -> None:
    source = logs.Source("Gate", "/aws/lambda/iris-dev-gate")
    aws.logs.add_client_error("filter_log_events", "ResourceNotFoundException")
    assert logs.read(aws.clients, source) == []
    aws.logs.add_client_error("filter_log_events", "AccessDeniedException", "no", 400)
    with pytest.raises(TargetError, match="permission denied"):
        logs.read(aws.clients, source)


def test_calls_of_one_function_end_where_the_next_begins() -> None:
    first, second = logs.Source("A", "g", start=0, end=2000), logs.Source("B", "g", start=900, end=3000)
    other = logs.Source("C", "h", start=100, end=5000)
    assert [s.end for s in logs.apart([first, other, second])] == [899, 5000, 3000]


def approval(aws: Stubbed, *, waiting: bool) -> None:
    executions(aws, ("run-1", "RUNNING"))
    if not waiting:
        aws.s3.add_client_error("get_object", "NoSuchKey", "", 404)
        return
    body = json.dumps({"task_token": "t", "model_package_arn": "arn:m"}).encode()
    key = {"Bucket": "ml-111111111111-eu-west-1", "Key": "iris-dev/approvals/run-1.json"}
    aws.s3.add_response("get_object", {"Body": SimpleNamespace(read=lambda: body)}, key)


def test_a_rejection_carries_its_reason_and_the_request_is_taken_away(aws: Stubbed, settings: Any) -> None:
    approval(aws, waiting=True)
    expected = {"taskToken": "t", "error": "ApprovalRejected", "cause": "rejected by a person: bias"}
    aws.stepfunctions.add_response("send_task_failure", {}, expected)
    aws.s3.add_response("delete_object", {})
    decision = approve.decide(settings, aws.clients, None, approved=False, reason="bias")
    assert decision["decision"] == "rejected"
    assert decision["model_package_arn"] == "arn:m"


def test_nothing_to_approve_and_too_late_are_told(aws: Stubbed, settings: Any) -> None:
    approval(aws, waiting=False)
    with pytest.raises(ExecutionError, match="no run waits"):
        approve.decide(settings, aws.clients, None, approved=True)
    approval(aws, waiting=True)
    aws.stepfunctions.add_client_error("send_task_success", "TaskTimedOut")
    with pytest.raises(ExecutionError, match="waits no longer"):
        approve.decide(settings, aws.clients, None, approved=True)


def test_names_of_runs_are_told_from_those_of_a_pipeline_called_alike(settings: Any) -> None:
    ours = made_by_runs(settings)
    assert ours.fullmatch("iris-dev-20261122-0123abcd")
    assert ours.fullmatch("iris-dev-20261122-0123abcd-0")
    assert not ours.fullmatch("iris-dev-two-20261122-0123abcd-0")
    assert not ours.fullmatch("my-iris-dev-20261122-0123abcd")


def test_a_report_warns_of_what_needs_a_person_and_of_nothing_else() -> None:
    well = {
        "pipeline": "iris",
        "stack": {"status": "UPDATE_COMPLETE"},
        "drift": {"changes": 0},
        "endpoint": {"status": "InService", "reason": ""},
        "executions": [{"name": "a", "status": "SUCCEEDED", "error": ""}],
        "serves": {"version": 3},
    }
    assert warnings(well) == []
    assert warnings({**well, "drift": None, "endpoint": None, "executions": []}) == []
    bad = {
        **well,
        "stack": {"status": "UPDATE_ROLLBACK_COMPLETE"},
        "drift": {"changes": 2},
        "endpoint": {"status": "Failed", "reason": "no capacity"},
        "executions": [{"name": "a", "status": "TIMED_OUT", "error": ""}],
    }
    said = "\n".join(warnings(bad))
    for words in ("UPDATE_ROLLBACK_COMPLETE", "2 changes", "no capacity", "TIMED_OUT"):
        assert words in said


@pytest.mark.parametrize(
    ("error", "serves", "told"),
    [
        ("ModelRejected", {"version": 3}, "the last run's model was rejected: version 3 serves as before"),
        ("DataRejected", {"version": 3}, "the last run's data was rejected: version 3 serves as before"),
        ("DataRejected", None, "the last run's data was rejected: no version serves"),
        ("States.TaskFailed", {"version": 3}, "the last run FAILED: pipeline run iris --execution a"),
    ],
)
def test_a_rejection_is_told_with_what_serves_all_the_same(error: str, serves: Any, told: str) -> None:
    found = {
        "pipeline": "iris",
        "stack": {"status": "UPDATE_COMPLETE"},
        "drift": {"changes": 0},
        "endpoint": None,
        "executions": [{"name": "a", "status": "FAILED", "error": error}],
        "serves": serves,
    }
    assert warnings(found) == [told]


def test_the_version_that_serves_is_read_from_the_endpoints_config(aws: Stubbed) -> None:
    package = "arn:aws:sagemaker:eu-west-1:111111111111:model-package/iris-dev/3"
    here = "arn:aws:sagemaker:eu-west-1:111111111111"
    config = {"EndpointConfigName": "c", "EndpointConfigArn": f"{here}:endpoint-config/c"}
    aws.sagemaker.add_response(
        "describe_endpoint_config",
        {**config, "ProductionVariants": [{"VariantName": "v", "ModelName": "m"}], "CreationTime": NOW},
        {"EndpointConfigName": "c"},
    )
    aws.sagemaker.add_response(
        "describe_model",
        {
            "ModelName": "m",
            "ModelArn": "arn:aws:sagemaker:eu-west-1:111111111111:model/m",
            "CreationTime": NOW,
            "PrimaryContainer": {"ModelPackageName": package},
        },
        {"ModelName": "m"},
    )
    aws.sagemaker.add_response(
        "describe_model_package",
        {
            "ModelPackageName": "iris-dev",
            "ModelPackageArn": package,
            "ModelPackageVersion": 3,
            "ModelApprovalStatus": "Approved",
            "CreationTime": NOW,
            "ModelPackageStatus": "Completed",
            "ModelPackageStatusDetails": {"ValidationStatuses": []},
            "CustomerMetadataProperties": {"data_date": "2026-11-20"},
        },
        {"ModelPackageName": package},
    )
    found = serving.version(aws.clients, "c")
    assert found is not None
    assert (found["version"], found["approval"], found["data_date"]) == (3, "Approved", "2026-11-20")


def test_the_newest_batch_is_the_pipelines_own(aws: Stubbed, settings: Any) -> None:
    def job(name: str) -> dict[str, Any]:
        arn = f"arn:aws:sagemaker:eu-west-1:111111111111:transform-job/{name}"
        return {
            "TransformJobName": name,
            "TransformJobArn": arn,
            "CreationTime": NOW,
            "TransformJobStatus": "Failed",
        }

    asked = {"NameContains": "iris-dev-batch-", "SortBy": "CreationTime", "SortOrder": "Descending"}
    others, own = job("my-iris-dev-batch-20261122000000-aaaa"), job("iris-dev-batch-20261121000000-bbbb")
    aws.sagemaker.add_response("list_transform_jobs", {"TransformJobSummaries": [others, own]}, asked)
    assert batch.newest(settings, aws.clients) == "iris-dev-batch-20261121000000-bbbb"
    aws.sagemaker.add_response("list_transform_jobs", {"TransformJobSummaries": [others]}, asked)
    with pytest.raises(ExecutionError, match="there was no batch yet"):
        batch.newest(settings, aws.clients)


def test_what_is_gone_between_endpoint_and_version_is_no_error(aws: Stubbed) -> None:
    aws.sagemaker.add_client_error("describe_endpoint_config", "ValidationException", "Could not find it")
    assert serving.version(aws.clients, "c") is None
