"""Definitions: each thing that AWS refuses is refused, in its words, and nothing else is."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pipeline.local.states import managed_rules, validate

GOOD = {
    "StartAt": "Train",
    "TimeoutSeconds": 100,
    "States": {
        "Train": {
            "Type": "Task",
            "Resource": "arn:aws:states:::sagemaker:createTrainingJob.sync",
            "Parameters": {"TrainingJobName.$": "States.Format('x-{}', $$.State.RetryCount)"},
            "Retry": [{"ErrorEquals": ["States.ALL"], "JitterStrategy": "FULL", "MaxDelaySeconds": 5}],
            "Catch": [{"ErrorEquals": ["States.ALL"], "ResultPath": "$.e", "Next": "Failed"}],
            "Next": "Each",
        },
        "Each": {
            "Type": "Map",
            "ItemsPath": "$.items",
            "ItemProcessor": {
                "StartAt": "Process",
                "States": {
                    "Process": {
                        "Type": "Task",
                        "Resource": "arn:aws:states:::sagemaker:createProcessingJob.sync",
                        "End": True,
                    }
                },
            },
            "Next": "Choose",
        },
        "Choose": {
            "Type": "Choice",
            "Choices": [{"Variable": "$.x", "IsPresent": True, "Next": "Wait"}],
            "Default": "Done",
        },
        "Wait": {"Type": "Wait", "Seconds": 1, "Next": "Choose"},
        "Done": {"Type": "Succeed"},
        "Failed": {"Type": "Fail", "ErrorPath": "$.e.Error", "CausePath": "$.e.Cause"},
    },
}


def problems(machine: Any, kind: str = "STANDARD") -> list[str]:
    text = machine if isinstance(machine, str) else json.dumps(machine)
    return [str(found) for found in validate.check(text, kind)]


def with_state(state: dict[str, Any]) -> dict[str, Any]:
    return {"StartAt": "S", "States": {"S": state}}


def test_a_good_definition_passes_and_tells_its_managed_rules() -> None:
    assert problems(GOOD) == []
    assert managed_rules.rules(json.dumps(GOOD)) == [
        "StepFunctionsGetEventsForSageMakerProcessingJobsRule",
        "StepFunctionsGetEventsForSageMakerTrainingJobsRule",
    ]


@pytest.mark.parametrize(
    ("machine", "said"),
    [
        ("", "SCHEMA_VALIDATION_FAILED: Definition must be a valid JSON object"),
        ("[]", "SCHEMA_VALIDATION_FAILED: Definition must be a valid JSON object"),
        ("{}", "SCHEMA_VALIDATION_FAILED: These fields are required: [States, StartAt] at /"),
        (
            with_state({"Type": "Pass", "End": True, "TimeoutSeconds": 1}),
            "SCHEMA_VALIDATION_FAILED: Field 'TimeoutSeconds' is not supported at /States/S",
        ),
        (
            with_state({"Type": "Tusk", "End": True}),
            "SCHEMA_VALIDATION_FAILED: Value is not valid, expected one of [Pass, Task, Choice, Wait, "
            "Succeed, Fail, Parallel, Map]: Tusk at /States/S/Type",
        ),
        (
            with_state({"Type": "Wait", "Timestamp": "2026-11-22 10:00", "End": True}),
            "SCHEMA_VALIDATION_FAILED: String does not match RFC3339 timestamp at /States/S/Timestamp",
        ),
        (
            with_state({"Type": "Pass", "Parameters": {"a": [{"b.$": "no path"}]}, "End": True}),
            "SCHEMA_VALIDATION_FAILED: The value for the field 'b.$' must be a valid JSONPath or a valid "
            "intrinsic function call at /States/S/Parameters",
        ),
        (
            with_state(
                {"Type": "Task", "Resource": "arn:aws:states:::sagemaker:createEndpoint.sync", "End": True}
            ),
            "SCHEMA_VALIDATION_FAILED: The resource provided arn:aws:states:::sagemaker:createEndpoint.sync "
            "is not recognized. The value is not a valid resource ARN, or the resource is not available in "
            "this region. at /States/S/Resource",
        ),
        (
            {
                **with_state({"Type": "Pass", "QueryLanguage": "JSONPath", "End": True}),
                "QueryLanguage": "JSONata",
            },
            "SCHEMA_VALIDATION_FAILED: 'QueryLanguage' can not be 'JSONPath' if set to 'JSONata' for whole "
            "state machine at /States/S",
        ),
    ],
)
def test_one_thing_wrong_is_one_diagnostic(machine: Any, said: str) -> None:
    assert problems(machine) == [said]


def test_transitions_are_followed() -> None:
    machine = {
        "StartAt": "pass1",
        "States": {
            "pass1": {"Type": "Pass", "Next": "pass3"},
            "pass2": {"Type": "Pass", "End": True},
        },
    }
    assert validate.refusal(validate.check(json.dumps(machine))) == (
        "Invalid State Machine Definition: 'MISSING_TRANSITION_TARGET: Missing 'Next' target: pass3 at "
        '/States/pass1/Next, MISSING_TRANSITION_TARGET: State "pass2" is not reachable. at /States/pass2\''
    )


def test_branches_are_checked_too() -> None:
    inner = {"StartAt": "A", "States": {"A": {"Type": "Pass"}}}
    found = problems(with_state({"Type": "Parallel", "Branches": [inner], "End": True}))
    assert any("/States/S/Branches[0]/States/A" in one for one in found)


def test_an_express_machine_waits_for_nothing() -> None:
    task = {"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke.waitForTaskToken", "End": True}
    assert problems(with_state(task)) == []
    assert problems(with_state(task), "EXPRESS") == [
        "SCHEMA_VALIDATION_FAILED: Express state machine does not support '.waitForTaskToken' service "
        "integration  at /States/S/Resource"
    ]


@pytest.mark.parametrize(
    "resource",
    [
        "arn:aws:states:::aws-sdk:sagemaker:describeEndpoint",
        "arn:aws:states:::aws-sdk:cloudwatchlogs:putLogEvents",
        "arn:aws:states:::aws-sdk:sfn:sendTaskSuccess",
        "arn:aws:states:::states:startExecution.sync:2",
        "arn:aws:lambda:eu-west-1:123456789012:function:f",
        "arn:aws:states:eu-west-1:123456789012:activity:a",
    ],
)
def test_known_resources(resource: str) -> None:
    assert problems(with_state({"Type": "Task", "Resource": resource, "End": True})) == []


@pytest.mark.parametrize(
    "resource",
    [
        "arn:aws:states:::aws-sdk:sagemaker:describeEndpoints",
        "arn:aws:states:::aws-sdk:sagemakr:describeEndpoint",
        "arn:aws:states:::glue:startJobRun.sync:2",
        "arn:aws:states:::lambda:invoke.sync",
        "lambda",
    ],
)
def test_unknown_resources(resource: str) -> None:
    assert "is not recognized" in problems(with_state({"Type": "Task", "Resource": resource, "End": True}))[0]
