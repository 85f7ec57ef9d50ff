"""The state machine's role is what its Tasks need, by name, and nothing is guessed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from pipeline.errors import DefinitionError
from pipeline.names import Names
from pipeline.render.permissions import allow, derive, merge, role_reference
from pipeline.render.tasks import Call, call, pattern_of
from pipeline.settings.model import Settings

BASE = "arn:aws:sagemaker:eu-west-1:123456789012"


@pytest.fixture
def names(make_settings: Callable[..., Settings]) -> Names:
    return Names.of(make_settings())


def granted(statements: list[dict[str, Any]]) -> dict[str, list[Any]]:
    """action -> resources"""
    return {action: s["Resource"] for s in statements for action in s["Action"]}


def test_a_job_with_sync_needs_more_than_its_own_action(names: Names, machine: dict[str, Any]) -> None:
    found = granted(derive(machine, names, []))
    job = [f"{BASE}:training-job/demo-dev-*"]
    for action in ("CreateTrainingJob", "DescribeTrainingJob", "StopTrainingJob", "AddTags", "ListTags"):
        assert found[f"sagemaker:{action}"] == job
    rule = "arn:aws:events:eu-west-1:123456789012:rule/StepFunctionsGetEventsForSageMakerTrainingJobsRule"
    for action in ("PutRule", "PutTargets", "DescribeRule"):
        assert found[f"events:{action}"] == [rule]
    assert found["iam:PassRole"] == [{"Fn::GetAtt": ["TrainingRole", "Arn"]}]
    assert found["ssm:PutParameter"] == ["arn:aws:ssm:eu-west-1:123456789012:parameter/ml/demo-dev/watermark"]
    assert found["lambda:InvokeFunction"] == ["arn:aws:lambda:eu-west-1:123456789012:function:demo-dev-gate"]


def test_roles_are_passed_to_sagemaker_only(names: Names, machine: dict[str, Any]) -> None:
    (statement,) = [s for s in derive(machine, names, []) if s["Action"] == ["iam:PassRole"]]
    assert statement["Condition"] == {"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}}


def test_without_tags_nobody_may_tag(names: Names, machine: dict[str, Any]) -> None:
    del machine["States"]["Train"]["Parameters"]["Tags"]
    assert "sagemaker:AddTags" not in granted(derive(machine, names, []))


def test_an_unknown_call_is_an_error_unless_the_definition_states_it(names: Names) -> None:
    resource = "arn:aws:states:::dynamodb:putItem"
    asl = {"States": {"Note": {"Type": "Task", "Resource": resource, "Parameters": {}}}}
    with pytest.raises(DefinitionError, match=r"state Note calls .*dynamodb:putItem"):
        derive(asl, names, [])
    own = allow("dynamodb:PutItem", "arn:aws:dynamodb:eu-west-1:123456789012:table/t")
    assert "dynamodb:PutItem" in granted(derive(asl, names, [own]))


def test_only_what_iam_cannot_bind_to_a_resource_has_a_star(names: Names, machine: dict[str, Any]) -> None:
    stars = {action for action, resources in granted(derive(machine, names, [])).items() if "*" in resources}
    assert {action.split(":")[0] for action in stars} == {"logs", "xray"}


def test_statements_of_the_same_actions_become_one() -> None:
    one, two = allow("s3:GetObject", "arn:b"), allow("s3:GetObject", ["arn:a", "arn:b"])
    bound = allow("s3:GetObject", "arn:c", {"StringEquals": {"x": "y"}})
    merged = merge([one, bound, two])
    assert [s["Resource"] for s in merged] == [["arn:a", "arn:b"], ["arn:c"]]
    assert len({s["Sid"] for s in merged}) == 2


@pytest.mark.parametrize(
    ("parameters", "pattern"),
    [
        ({"Name": "fixed"}, "fixed"),
        ({"Name.$": "States.Format('a-{}-{}', $.x, $.y)"}, "a-*"),
        ({"Name.$": r"States.Format('it\'s-{}', $.x)"}, "it's-*"),
        ({"Name.$": "$.x"}, "else"),
        ({}, "else"),
    ],
)
def test_a_name_becomes_a_pattern(parameters: dict[str, Any], pattern: str) -> None:
    assert pattern_of(parameters, "Name", "else") == pattern


@pytest.mark.parametrize(
    ("resource", "expected"),
    [
        (
            "arn:aws:states:::sagemaker:createTrainingJob.sync",
            Call("sagemaker", "createTrainingJob", "sync"),
        ),
        (
            "arn:aws-cn:states:::lambda:invoke.waitForTaskToken",
            Call("lambda", "invoke", "waitForTaskToken"),
        ),
        ("arn:aws:states:::aws-sdk:ssm:putParameter", Call("ssm", "putParameter", "", sdk=True)),
        ("arn:aws:states:::states:startExecution.sync:2", Call("states", "startExecution", "sync")),
        ("arn:aws:lambda:eu-west-1:123456789012:function:f", Call("lambda", "invoke")),
        ("arn:aws:states:eu-west-1:123456789012:activity:a", None),
    ],
)
def test_a_resource_says_what_is_called(resource: str, expected: Call | None) -> None:
    assert call(resource) == expected


def test_a_role_is_a_reference_or_what_was_written() -> None:
    assert role_reference("${TrainingRoleArn}") == {"Fn::GetAtt": ["TrainingRole", "Arn"]}
    assert role_reference("arn:aws:iam::123456789012:role/x") == "arn:aws:iam::123456789012:role/x"


def test_the_model_writes_batches_answers_and_captures_and_nothing_else(
    make_settings: Callable[..., Settings],
) -> None:
    from pipeline.render.context import Context
    from pipeline.render.roles import resources

    def may(pipeline: dict[str, Any]) -> dict[str, list[Any]]:
        settings = make_settings(pipeline=pipeline)
        context = Context(settings, Names.of(settings), {"States": {}}, [], ())
        policy = resources(context)["ModelRole"]["Properties"]["Policies"][0]["PolicyDocument"]
        return granted(policy["Statement"])

    own = "arn:aws:s3:::ml-123456789012-eu-west-1/demo-dev"
    assert may({})["s3:PutObject"] == [f"{own}/batch/*"]
    found = may({"capture": {"percent": 5}})
    assert sorted(found["s3:PutObject"]) == [f"{own}/batch/*", f"{own}/capture/*"]
