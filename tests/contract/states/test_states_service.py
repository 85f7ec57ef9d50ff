"""Step Functions of a real local target, seen through boto3: roles, errors, stops, tokens, CloudFormation."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from pipeline.local import down, ensure_up, status

PASS = {"StartAt": "A", "States": {"A": {"Type": "Pass", "End": True}}}
WAIT = {"StartAt": "W", "States": {"W": {"Type": "Wait", "Seconds": 1_000_000, "End": True}}}


def task(resource: str, parameters: Any, **more: Any) -> dict[str, Any]:
    state = {
        "Type": "Task",
        "Resource": f"arn:aws:states:::{resource}",
        "Parameters": parameters,
        "End": True,
    }
    return {"StartAt": "T", "States": {"T": {**state, **more}, **more.pop("others", {})}}


def allow(*actions: str, resource: str = "*") -> dict[str, Any]:
    return {"Effect": "Allow", "Action": list(actions), "Resource": resource}


def test_a_task_may_do_what_the_machines_role_may(aws: Any) -> None:
    put = task("aws-sdk:ssm:putParameter", {"Name": "/states/x", "Value.$": "$.v", "Type": "String"})
    weak = aws.role(allow("ssm:GetParameter"))
    denied = aws.run(put, weak, {"v": "1"})
    assert denied["status"] == "FAILED"
    assert denied["error"] in ("Ssm.AccessDeniedException", "Ssm.SsmException")
    assert "is not authorized to perform: ssm:PutParameter on resource: " in denied["cause"]
    assert f"assumed-role/{weak.rsplit('/', 1)[-1]}/" in denied["cause"]
    assert "(Service: Ssm, Status Code: 400, Request ID:" in denied["cause"]

    allowed = aws.run(put, aws.role(allow("ssm:PutParameter")), {"v": "1"})
    assert json.loads(allowed["output"])["Version"] == 1


def test_sagemaker_refuses_a_role_in_the_words_of_each_integration(aws: Any) -> None:
    weak = aws.role(allow("s3:*"))
    model = {"ModelName": "m", "ExecutionRoleArn": weak, "PrimaryContainer": {"Image": "i"}}
    optimised = aws.run(task("sagemaker:createModel", model), weak)
    assert optimised["error"] == "SageMaker.AmazonSageMakerException"
    assert "is not authorized to perform: sagemaker:CreateModel" in optimised["cause"]
    assert (
        "(Service: AmazonSageMaker; Status Code: 400; Error Code: AccessDeniedException;"
        in optimised["cause"]
    )
    generic = aws.run(task("aws-sdk:sagemaker:createModel", model), weak)
    assert generic["error"] == "SageMaker.SageMakerException"


def test_what_does_not_exist_is_caught_by_its_name(aws: Any, admin: str) -> None:
    catch = [{"ErrorEquals": ["Ssm.ParameterNotFoundException"], "ResultPath": "$.e", "Next": "Done"}]
    missing = task("aws-sdk:ssm:getParameter", {"Name": "/none"}, Catch=catch)
    missing["States"]["Done"] = {"Type": "Succeed"}
    assert aws.run(missing, admin)["status"] == "SUCCEEDED"

    lookup = task("aws-sdk:sagemaker:describeEndpoint", {"EndpointName": "none"})
    found = aws.run(lookup, admin)
    assert found["error"] == "SageMaker.SageMakerException"
    assert "Could not find endpoint" in found["cause"]


def test_a_role_must_trust_step_functions(aws: Any) -> None:
    stranger = aws.role(allow("*"), service="lambda")
    with pytest.raises(ClientError) as refused:
        aws.machine(PASS, stranger)
    assert refused.value.response["Error"]["Code"] == "AccessDeniedException"
    assert "states.amazonaws.com" in refused.value.response["Error"]["Message"]


def test_a_sync_task_needs_the_managed_rule(aws: Any) -> None:
    sync = task("sagemaker:createTrainingJob.sync", {})
    rule = "rule/StepFunctionsGetEventsForSageMakerTrainingJobsRule"
    without = aws.role(allow("sagemaker:*"))
    with pytest.raises(ClientError) as refused:
        aws.machine(sync, without)
    assert (
        refused.value.response["Error"]["Message"] == f"'{without}' is not authorized to create managed-rule."
    )
    events = allow(
        "events:PutTargets", "events:PutRule", "events:DescribeRule", resource=f"arn:aws:events:*:*:{rule}"
    )
    aws.machine(sync, aws.role(allow("sagemaker:*"), events))


def test_definitions_are_checked_by_every_door(aws: Any, admin: str) -> None:
    sfn = aws.client("stepfunctions")
    broken = json.dumps({"StartAt": "A", "States": {"A": {"Type": "Pass", "Next": "B"}}})
    said = "MISSING_TRANSITION_TARGET: Missing 'Next' target: B at /States/A/Next"
    with pytest.raises(sfn.exceptions.InvalidDefinition, match="Missing 'Next' target: B"):
        sfn.create_state_machine(name="broken", definition=broken, roleArn=admin)
    machine = aws.machine(PASS, admin)
    with pytest.raises(sfn.exceptions.InvalidDefinition, match="Missing 'Next' target: B"):
        sfn.update_state_machine(stateMachineArn=machine, definition=broken)
    answer = sfn.validate_state_machine_definition(definition=broken)
    assert answer["result"] == "FAIL"
    assert answer["diagnostics"][0]["code"] == "MISSING_TRANSITION_TARGET"
    assert answer["diagnostics"][0]["location"] == "/States/A/Next"
    assert sfn.validate_state_machine_definition(definition=json.dumps(PASS))["result"] == "OK"

    cloudformation = aws.client("cloudformation")
    properties = {"DefinitionString": broken, "RoleArn": admin}
    template = {"Resources": {"M": {"Type": "AWS::StepFunctions::StateMachine", "Properties": properties}}}
    cloudformation.create_stack(StackName="broken", TemplateBody=json.dumps(template))
    until = time.monotonic() + 20
    while True:
        stack = cloudformation.describe_stacks(StackName="broken")["Stacks"][0]
        if not stack["StackStatus"].endswith("_IN_PROGRESS"):
            break
        assert time.monotonic() < until
        time.sleep(0.1)
    assert stack["StackStatus"] == "ROLLBACK_COMPLETE"
    events = cloudformation.describe_stack_events(StackName="broken")["StackEvents"]
    assert any(said in event.get("ResourceStatusReason", "") for event in events)


def test_lambda_results_exceptions_and_denial(aws: Any) -> None:
    source = (
        "class BadDate(Exception):\n    pass\n"
        "def handler(event, context):\n"
        "    if event == 'raise':\n        raise BadDate('no such day')\n"
        "    return {'got': event}\n"
    )
    function = aws.function(source)
    role = aws.role(allow("lambda:InvokeFunction", resource=function))
    invoke = task("lambda:invoke", {"FunctionName": function, "Payload.$": "$.p"})
    result = json.loads(aws.run(invoke, role, {"p": {"a": [1]}})["output"])
    assert result["Payload"] == {"got": {"a": [1]}}
    assert (result["ExecutedVersion"], result["StatusCode"]) == ("$LATEST", 200)

    raised = aws.run(invoke, role, {"p": '"raise"'})
    assert raised["error"] == "BadDate"
    assert json.loads(raised["cause"])["errorMessage"] == "no such day"

    plain = {"StartAt": "T", "States": {"T": {"Type": "Task", "Resource": function, "End": True}}}
    assert json.loads(aws.run(plain, role, {"x": 1})["output"]) == {"got": {"x": 1}}

    denied = aws.run(invoke, aws.role(allow("ssm:*")), {"p": 1})
    assert denied["error"] == "Lambda.AWSLambdaException"
    assert "is not authorized to perform: lambda:InvokeFunction" in denied["cause"]


def test_stopping_an_execution_stops_the_execution_it_waits_for(aws: Any, admin: str) -> None:
    sfn = aws.client("stepfunctions")
    child = aws.machine(WAIT, admin)
    parent = aws.start(
        aws.machine(task("states:startExecution.sync:2", {"StateMachineArn": child, "Name": "child"}), admin)
    )
    kid = f"{child.replace(':stateMachine:', ':execution:')}:child"
    until = time.monotonic() + 10
    while True:
        try:
            assert sfn.describe_execution(executionArn=kid)["status"] == "RUNNING"
            break
        except sfn.exceptions.ExecutionDoesNotExist:
            assert time.monotonic() < until
            time.sleep(0.02)
    sfn.stop_execution(executionArn=parent, error="Enough", cause="said so")
    described = aws.ended(parent)
    assert (described["status"], described["error"], described["cause"]) == ("ABORTED", "Enough", "said so")
    assert aws.ended(kid)["status"] == "ABORTED"
    assert aws.history(parent)[-1]["type"] == "ExecutionAborted"


def test_a_nested_execution_gives_its_output_or_fails_the_task(aws: Any, admin: str) -> None:
    child = aws.machine(PASS, admin)
    parent = task("states:startExecution.sync:2", {"StateMachineArn": child, "Input": {"a": 1}})
    assert json.loads(aws.run(parent, admin)["output"])["Output"] == {"a": 1}
    failing = aws.machine(
        {"StartAt": "F", "States": {"F": {"Type": "Fail", "Error": "Inner", "Cause": "c"}}}, admin
    )
    failed = aws.run(task("states:startExecution.sync", {"StateMachineArn": failing}), admin)
    assert failed["error"] == "States.TaskFailed"
    assert json.loads(failed["cause"])["Error"] == "Inner"


def test_a_task_token_travels_through_lambda_and_back(aws: Any, admin: str) -> None:
    store = "import boto3\ndef handler(event, context):\n    boto3.client('ssm').put_parameter(**event)\n"
    function = aws.function(store)
    configuration = aws.client("lambda").get_function_configuration(FunctionName=function)
    aws.client("iam").put_role_policy(
        RoleName=configuration["Role"].rsplit("/", 1)[-1],
        PolicyName="ssm",
        PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [allow("ssm:PutParameter")]}),
    )
    payload = {"Name": "/token", "Type": "String", "Overwrite": True, "Value.$": "$$.Task.Token"}
    waiting = task(
        "lambda:invoke.waitForTaskToken", {"FunctionName": function, "Payload": payload}, HeartbeatSeconds=30
    )
    execution = aws.start(aws.machine(waiting, admin))
    ssm, sfn = aws.client("ssm"), aws.client("stepfunctions")
    until = time.monotonic() + 15
    while not any(event["type"] == "TaskSubmitted" for event in aws.history(execution)):
        assert time.monotonic() < until
        time.sleep(0.05)
    token = ssm.get_parameter(Name="/token")["Parameter"]["Value"]
    sfn.send_task_heartbeat(taskToken=token)
    with pytest.raises(sfn.exceptions.InvalidOutput):
        sfn.send_task_success(taskToken=token, output="no json")
    sfn.send_task_success(taskToken=token, output='{"approved": true}')
    assert json.loads(aws.ended(execution)["output"]) == {"approved": True}
    with pytest.raises(sfn.exceptions.TaskTimedOut):
        sfn.send_task_failure(taskToken=token)
    with pytest.raises(sfn.exceptions.InvalidToken):
        sfn.send_task_heartbeat(taskToken="nonsense")


def test_history_pages_reverse_order_and_hidden_data(aws: Any, admin: str) -> None:
    states: dict[str, Any] = {f"S{i}": {"Type": "Pass", "Next": f"S{i + 1}"} for i in range(60)}
    states["S60"] = {"Type": "Succeed"}
    described = aws.run({"StartAt": "S0", "States": states}, admin, {"secret": 1})
    arn = described["executionArn"]
    events = aws.history(arn, maxResults=50)
    assert [event["id"] for event in events] == list(range(1, 125))
    assert events[0]["previousEventId"] == events[1]["previousEventId"] == 0
    assert all(event["previousEventId"] == event["id"] - 1 for event in events[2:])
    backwards = aws.history(arn, maxResults=50, reverseOrder=True)
    assert [event["id"] for event in backwards] == list(range(124, 0, -1))
    hidden = aws.history(arn, includeExecutionData=False)
    assert "input" not in hidden[1]["stateEnteredEventDetails"]
    assert hidden[1]["stateEnteredEventDetails"]["name"] == "S0"


def test_starting_again_with_the_same_name(aws: Any, admin: str) -> None:
    sfn = aws.client("stepfunctions")
    machine = aws.machine(WAIT, admin)
    first = aws.start(machine, {"a": 1}, name="once")
    assert aws.start(machine, {"a": 1}, name="once") == first
    with pytest.raises(sfn.exceptions.ExecutionAlreadyExists):
        aws.start(machine, {"a": 2}, name="once")
    sfn.stop_execution(executionArn=first)
    with pytest.raises(sfn.exceptions.ExecutionAlreadyExists):
        aws.start(machine, {"a": 1}, name="once")
    with pytest.raises(sfn.exceptions.InvalidExecutionInput):
        sfn.start_execution(stateMachineArn=machine, input="{nope")
    with pytest.raises(sfn.exceptions.StateMachineDoesNotExist):
        aws.start(machine + "x")
    with pytest.raises(sfn.exceptions.InvalidArn):
        sfn.describe_execution(executionArn="nonsense")


def test_a_synchronous_execution_answers_with_its_end(aws: Any, admin: str) -> None:
    sfn = aws.client("stepfunctions")
    machine = aws.machine(PASS, admin, type="EXPRESS")
    answer = sfn.start_sync_execution(stateMachineArn=machine, input='{"a":1}')
    assert (answer["status"], json.loads(answer["output"])) == ("SUCCEEDED", {"a": 1})


def test_a_distributed_map_runs_its_children_under_the_role(aws: Any) -> None:
    processor = {
        "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"},
        "StartAt": "G",
        "States": {
            "G": {
                "Type": "Task",
                "Resource": "arn:aws:states:::aws-sdk:ssm:getParameter",
                "Parameters": {"Name.$": "$.name"},
                "ResultSelector": {"v.$": "$.Parameter.Value"},
                "End": True,
            }
        },
    }
    aws.client("ssm").put_parameter(Name="/each", Value="7", Type="String")
    machine = {"StartAt": "M", "States": {"M": {"Type": "Map", "ItemProcessor": processor, "End": True}}}
    items = [{"name": "/each"}] * 3
    assert (
        json.loads(aws.run(machine, aws.role(allow("ssm:GetParameter")), items)["output"]) == [{"v": "7"}] * 3
    )
    assert aws.run(machine, aws.role(allow("s3:*")), items)["status"] == "FAILED"


def test_test_state_uses_the_role_it_is_given(aws: Any) -> None:
    sfn = aws.client("stepfunctions")
    state = json.dumps(task("aws-sdk:ssm:describeParameters", {})["States"]["T"])
    assert sfn.test_state(definition=state, roleArn=aws.role(allow("ssm:*")))["status"] == "SUCCEEDED"
    assert sfn.test_state(definition=state, roleArn=aws.role(allow("s3:*")))["status"] == "FAILED"


def test_an_execution_killed_with_the_server_is_failed_and_says_so(aws: Any, tmp_path: Path) -> None:
    aws = type(aws)(ensure_up(tmp_path).endpoint_url)
    try:
        role = aws.role(allow("*"))
        done, open_ended = aws.machine(PASS, role), aws.machine(WAIT, role)
        finished, running = aws.start(done, {"a": 1}), aws.start(open_ended)
        aws.ended(finished)
        time.sleep(1)
        pid = status(tmp_path).pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        until = time.monotonic() + 5
        while status(tmp_path).state != "stopped":
            assert time.monotonic() < until
            time.sleep(0.02)
        again = type(aws)(ensure_up(tmp_path).endpoint_url)
        assert again.ended(finished)["output"] == '{"a":1}'
        found = again.ended(running)
        assert (found["status"], found["error"]) == ("FAILED", "LocalTarget.Interrupted")
        assert "was running" in found["cause"]
        assert again.history(running)[-1]["type"] == "ExecutionFailed"
    finally:
        down(tmp_path)


def test_a_task_may_take_a_role_of_its_own(aws: Any) -> None:
    reader = aws.role(allow("ssm:DescribeParameters"))
    credentials = {"RoleArn": reader}
    machine = task("aws-sdk:ssm:describeParameters", {}, Credentials=credentials)
    machines_own = aws.role(allow("ssm:*"))
    refused = aws.run(machine, machines_own)
    assert refused["error"] == "States.TaskFailed"
    assert refused["cause"] == (
        f"The role {machines_own} is not authorized to assume the task state's role, {reader}."
    )
    trust = {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}],
    }
    aws.client("iam").update_assume_role_policy(
        RoleName=reader.rsplit("/", 1)[-1], PolicyDocument=json.dumps(trust)
    )
    described = aws.run(machine, aws.role(allow("sts:AssumeRole", resource=reader)))
    assert described["status"] == "SUCCEEDED", described.get("cause")
    scheduled = next(e for e in aws.history(described["executionArn"]) if e["type"] == "TaskScheduled")
    assert scheduled["taskScheduledEventDetails"]["taskCredentials"] == {"roleArn": reader}
