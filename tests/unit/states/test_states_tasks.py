"""Task states against fake clients with botocore's real models: jobs, Lambda, errors, limits, tokens."""

from __future__ import annotations

import io
import json
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.exceptions import ClientError
from states_machines import details, kinds, single

from pipeline.local.states import execution, tokens

Run = Callable[..., Any]
TRAIN = {
    "Type": "Task",
    "Resource": "arn:aws:states:::sagemaker:createTrainingJob.sync",
    "Parameters": {
        "TrainingJobName.$": "States.Format('job-{}', $$.State.RetryCount)",
        "AlgorithmSpecification": {"TrainingInputMode": "File", "TrainingImage": "image"},
        "RoleArn": "arn:aws:iam::123456789012:role/job",
        "OutputDataConfig": {"S3OutputPath": "s3://b/o"},
        "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
        "StoppingCondition": {"MaxRuntimeInSeconds": 60},
        "HyperParameters": {"num_class": "3"},
        "Tags": [{"Key": "team", "Value": "ml"}],
    },
}


def refused(operation: str, code: str, message: str, status: int = 400) -> ClientError:
    answer = {
        "Error": {"Code": code, "Message": message},
        "ResponseMetadata": {"HTTPStatusCode": status, "RequestId": "r-1"},
    }
    return ClientError(answer, operation)  # type: ignore[arg-type]


def training(aws: Any, *statuses: str, **more: Any) -> None:
    """A SageMaker whose training job goes through the statuses and stays at the last; Stop ends it."""
    left = list(statuses)

    def describe(parameters: dict[str, Any]) -> dict[str, Any]:
        status = left.pop(0) if len(left) > 1 else left[0]
        moment = datetime(2026, 11, 22, tzinfo=UTC)
        return {**parameters, "TrainingJobStatus": status, "CreationTime": moment, **more}

    def stop(_parameters: dict[str, Any]) -> dict[str, Any]:
        left[:] = ["Stopped"]
        return {}

    aws.answers["CreateTrainingJob"] = lambda parameters: {
        "TrainingJobArn": f"arn:aws:sagemaker:::training-job/{parameters['TrainingJobName']}",
        "ResponseMetadata": {"HTTPStatusCode": 200, "RequestId": "r-0", "HTTPHeaders": {"a": "b"}},
    }
    aws.answers["DescribeTrainingJob"] = describe
    aws.answers["StopTrainingJob"] = stop


def test_a_job_is_run_to_its_end_and_its_description_is_the_result(run: Run, aws: Any) -> None:
    training(aws, "InProgress", "InProgress", "Completed", HyperParameters={"num_class": "3"})
    record = run(single(TRAIN))
    result = json.loads(record["output"])
    assert result["TrainingJobStatus"] == "Completed"
    assert result["CreationTime"] == 1795305600000
    assert result["HyperParameters"] == {"num_class": "3"}
    assert result["Tags"] == {
        "team": "ml",
        "MANAGED_BY_AWS": "STARTED_BY_STEP_FUNCTIONS",
        "AWS_STEP_FUNCTIONS_EXECUTION_ARN": record["executionArn"],
    }
    assert [tag["Key"] for tag in aws.calls[0][1]["Tags"]] == [
        "team",
        "MANAGED_BY_AWS",
        "AWS_STEP_FUNCTIONS_EXECUTION_ARN",
    ]
    assert kinds(record)[2:6] == ["TaskScheduled", "TaskStarted", "TaskSubmitted", "TaskSucceeded"]
    scheduled, submitted = details(record["events"][2]), details(record["events"][4])
    assert (scheduled["resourceType"], scheduled["resource"], scheduled["region"]) == (
        "sagemaker",
        "createTrainingJob.sync",
        "eu-west-1",
    )
    assert json.loads(submitted["output"])["SdkHttpMetadata"]["HttpStatusCode"] == 200


@pytest.mark.parametrize("status", ["Failed", "Stopped"])
def test_a_failed_job_is_task_failed_with_its_description_as_cause(run: Run, aws: Any, status: str) -> None:
    training(aws, status, FailureReason="AlgorithmError: x")
    record = run(single(TRAIN))
    assert record["error"] == "States.TaskFailed"
    cause = json.loads(record["cause"])
    assert (cause["TrainingJobStatus"], cause["FailureReason"]) == (status, "AlgorithmError: x")


def test_each_retry_sees_its_count_and_starts_a_new_job(run: Run, aws: Any) -> None:
    training(aws, "Failed")
    state = {**TRAIN, "Retry": [{"ErrorEquals": ["States.TaskFailed"], "MaxAttempts": 2}]}
    record = run(single(state))
    created = [parameters["TrainingJobName"] for name, parameters in aws.calls if name == "CreateTrainingJob"]
    assert created == ["job-0", "job-1", "job-2"]
    assert kinds(record).count("TaskFailed") == 3


def test_a_task_timeout_stops_the_job(run: Run, aws: Any) -> None:
    training(aws, "InProgress")
    state = {
        **TRAIN,
        "TimeoutSecondsPath": "$.limit",
        "Catch": [{"ErrorEquals": ["States.Timeout"], "Next": "S2"}],
    }
    machine = {"StartAt": "S", "States": {"S": {**state, "End": True}, "S2": {"Type": "Succeed"}}}
    record = run(machine, {"limit": 1})
    assert record["status"] == "SUCCEEDED"
    assert json.loads(record["output"]) == {"Error": "States.Timeout", "Cause": ""}
    assert aws.names()[-1] == "StopTrainingJob"
    timed_out = next(event for event in record["events"] if event["type"] == "TaskTimedOut")
    assert timed_out["taskTimedOutEventDetails"]["error"] == "States.Timeout"
    assert details(record["events"][2])["timeoutInSeconds"] == 1


def test_the_machines_timeout_stops_the_job(run: Run, aws: Any) -> None:
    training(aws, "InProgress")
    record = run(single(TRAIN, TimeoutSeconds=1))
    assert record["status"] == "TIMED_OUT"
    assert "StopTrainingJob" in aws.names()


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < end, "it did not happen in 5 s"
        time.sleep(0.005)


def test_stopping_the_execution_stops_the_job(start: Callable[..., execution.Execution], aws: Any) -> None:
    training(aws, "InProgress")
    one = start(single(TRAIN))
    thread = threading.Thread(target=one.run)
    thread.start()
    until(lambda: "DescribeTrainingJob" in aws.names())
    one.stop(None, None)
    thread.join(5)
    assert ("StopTrainingJob", {"TrainingJobName": "job-0"}) in aws.calls
    assert one.record["status"] == "ABORTED"


def test_a_job_whose_creation_is_under_way_is_stopped_once_it_exists(
    start: Callable[..., execution.Execution], aws: Any
) -> None:
    training(aws, "InProgress")
    create, entered, leave = aws.answers["CreateTrainingJob"], threading.Event(), threading.Event()

    def slow(parameters: dict[str, Any]) -> Any:
        entered.set()
        assert leave.wait(5)
        return create(parameters)

    aws.answers["CreateTrainingJob"] = slow
    one = start(single(TRAIN))
    thread = threading.Thread(target=one.run)
    thread.start()
    assert entered.wait(5)
    one.stop(None, None)
    thread.join(5)
    assert not thread.is_alive()
    assert "StopTrainingJob" not in aws.names()
    leave.set()
    until(lambda: "StopTrainingJob" in aws.names())


def test_a_failed_sibling_stops_the_job(run: Run, aws: Any) -> None:
    training(aws, "InProgress")
    fail = {"W": {"Type": "Wait", "Seconds": 10, "Next": "F"}, "F": {"Type": "Fail", "Error": "Sibling"}}
    state = {
        "Type": "Parallel",
        "Branches": [{"StartAt": "S", "States": single(TRAIN)["States"]}, {"StartAt": "W", "States": fail}],
    }
    record = run(single(state))
    assert record["error"] == "Sibling"
    assert "StopTrainingJob" in aws.names()
    assert "TaskStateAborted" in kinds(record)


@pytest.mark.parametrize(
    ("resource", "code", "error", "label"),
    [
        (
            "sagemaker:createModel",
            "AccessDeniedException",
            "SageMaker.AmazonSageMakerException",
            "AmazonSageMaker; S",
        ),
        (
            "sagemaker:createModel",
            "ResourceLimitExceeded",
            "SageMaker.ResourceLimitExceededException",
            "Error Code: R",
        ),
        (
            "aws-sdk:sagemaker:createModel",
            "AccessDeniedException",
            "SageMaker.SageMakerException",
            "SageMaker, S",
        ),
        (
            "aws-sdk:sagemaker:createModel",
            "ResourceNotFound",
            "SageMaker.ResourceNotFoundException",
            "Request ID: r-1)",
        ),
    ],
)
def test_service_errors_are_named_as_on_aws(
    run: Run, aws: Any, resource: str, code: str, error: str, label: str
) -> None:
    def answer(_parameters: dict[str, Any]) -> Any:
        raise refused("CreateModel", code, "no way")

    aws.answers["CreateModel"] = answer
    record = run(
        single({"Type": "Task", "Resource": f"arn:aws:states:::{resource}", "Parameters": {"ModelName": "m"}})
    )
    assert record["error"] == error
    assert record["cause"].startswith("no way (Service: ")
    assert label in record["cause"]


def test_parameters_are_checked_before_the_call(run: Run, aws: Any) -> None:
    task = {"Type": "Task", "Resource": "arn:aws:states:::aws-sdk:sagemaker:describeEndpoint"}
    record = run(single({**task, "Parameters": {"EndpointNme": "x"}}))
    assert record["error"] == "States.Runtime"
    assert "is not supported by Step Functions" in record["cause"]
    record = run(single({**task, "Parameters": {}}))
    assert record["error"] == "SageMaker.SageMakerException"
    assert (
        "Value null at 'endpointName' failed to satisfy constraint: Member must not be null"
        in record["cause"]
    )
    assert aws.calls == []


def invoked(payload: str, **more: Any) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda _parameters: {
        "StatusCode": 200,
        "ExecutedVersion": "$LATEST",
        "Payload": io.BytesIO(payload.encode()),
        "ResponseMetadata": {"HTTPStatusCode": 200, "RequestId": "r", "HTTPHeaders": {}},
        **more,
    }


INVOKE = {
    "Type": "Task",
    "Resource": "arn:aws:states:::lambda:invoke",
    "Parameters": {"FunctionName": "f", "Payload.$": "$.p"},
}


def test_lambda_invoke_has_aws_output(run: Run, aws: Any) -> None:
    aws.answers["Invoke"] = invoked('{"ok":true}')
    result = json.loads(run(single(INVOKE), {"p": {"a": 1}})["output"])
    assert list(result) == [
        "ExecutedVersion",
        "Payload",
        "SdkHttpMetadata",
        "SdkResponseMetadata",
        "StatusCode",
    ]
    assert result["Payload"] == {"ok": True}
    assert aws.calls == [("Invoke", {"FunctionName": "f", "Payload": '{"a":1}'})]


@pytest.mark.parametrize(("payload", "sent"), [('"text"', '"text"'), (None, None), ([1], "[1]")])
def test_a_string_payload_is_the_body_itself_and_null_is_none(
    run: Run, aws: Any, payload: Any, sent: Any
) -> None:
    aws.answers["Invoke"] = invoked("{}")
    run(single(INVOKE), {"p": payload})
    assert aws.calls[0][1].get("Payload") == sent


def test_a_functions_exception_is_the_error_and_can_be_caught_by_its_class(run: Run, aws: Any) -> None:
    report = {"errorMessage": "bad date", "errorType": "ValueError", "requestId": "r", "stackTrace": []}
    aws.answers["Invoke"] = invoked(json.dumps(report), FunctionError="Unhandled")
    machine = {
        "StartAt": "S",
        "States": {
            "S": {
                **INVOKE,
                "Catch": [{"ErrorEquals": ["ValueError"], "ResultPath": "$.e", "Next": "Done"}],
                "End": True,
            },
            "Done": {"Type": "Succeed"},
        },
    }
    record = run(machine, {"p": 1})
    caught = json.loads(record["output"])["e"]
    assert caught["Error"] == "ValueError"
    assert json.loads(caught["Cause"]) == report


def test_a_function_named_by_its_arn_has_events_of_its_own(run: Run, aws: Any) -> None:
    aws.answers["Invoke"] = invoked('[1, "two"]')
    arn = "arn:aws:lambda:eu-west-1:123456789012:function:f"
    record = run(single({"Type": "Task", "Resource": arn}), {"p": 1})
    assert json.loads(record["output"]) == [1, "two"]
    assert kinds(record)[2:5] == [
        "LambdaFunctionScheduled",
        "LambdaFunctionStarted",
        "LambdaFunctionSucceeded",
    ]
    assert details(record["events"][2])["resource"] == arn


def test_a_result_above_the_limit_fails_the_task_and_can_be_caught(run: Run, aws: Any) -> None:
    aws.answers["Invoke"] = invoked(json.dumps("x" * 270_000))
    record = run(single(INVOKE), {"p": 1})
    assert record["error"] == "States.DataLimitExceeded"
    assert record["cause"].startswith("The state/task 'lambda' returned a result")
    assert "TaskFailed" in kinds(record)


def test_a_hanging_function_is_not_waited_for(run: Run, aws: Any) -> None:
    released = threading.Event()
    aws.answers["Invoke"] = lambda _parameters: released.wait(20) and {}
    began = time.monotonic()
    record = run(single({**INVOKE, "TimeoutSeconds": 1}), {"p": 1})
    released.set()
    assert record["error"] == "States.Timeout"
    assert time.monotonic() - began < 4


WAITING = {
    "Type": "Task",
    "Resource": "arn:aws:states:::lambda:invoke.waitForTaskToken",
    "Parameters": {"FunctionName": "f", "Payload": {"token.$": "$$.Task.Token"}},
}


@pytest.fixture
def waiting(start: Callable[..., execution.Execution], aws: Any) -> Callable[..., Any]:
    """Start a machine that waits for a token; the execution, its thread and the token."""
    aws.answers["Invoke"] = invoked("{}")

    def begin(**more: Any) -> tuple[execution.Execution, threading.Thread, str]:
        one = start(single({**WAITING, **more}))
        thread = threading.Thread(target=one.run)
        thread.start()
        until(lambda: "TaskSubmitted" in kinds(one.record))
        return one, thread, json.loads(aws.calls[0][1]["Payload"])["token"]

    return begin


def test_a_token_ends_the_task_well_and_only_once(waiting: Callable[..., Any]) -> None:
    one, thread, token = waiting()
    tokens.succeed(token, '{"approved":true}')
    thread.join(5)
    assert json.loads(one.record["output"]) == {"approved": True}
    with pytest.raises(tokens.TokenError) as found:
        tokens.succeed(token, "{}")
    assert found.value.code == "TaskTimedOut"
    with pytest.raises(tokens.TokenError) as found:
        tokens.beat("nonsense")
    assert found.value.code == "InvalidToken"


def test_a_token_ends_the_task_badly(waiting: Callable[..., Any]) -> None:
    one, thread, token = waiting()
    tokens.fail(token, "Rejected", "not good enough")
    thread.join(5)
    assert (one.record["error"], one.record["cause"]) == ("Rejected", "not good enough")


def test_heartbeats_keep_a_task_alive_until_they_stop(waiting: Callable[..., Any]) -> None:
    one, thread, token = waiting(HeartbeatSeconds=1, TimeoutSeconds=60)
    for _ in range(3):
        time.sleep(0.5)
        tokens.beat(token)
    assert one.record["status"] == "RUNNING"
    thread.join(5)
    assert one.record["error"] == "States.Timeout"
    assert "TaskTimedOut" in kinds(one.record)
