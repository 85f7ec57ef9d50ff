"""Two templates in, changes by resource and property out."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pipeline.plan.diff import diff, sections
from pipeline.plan.registry import replaces

ROLE: dict[str, Any] = {
    "Type": "AWS::IAM::Role",
    "Properties": {
        "RoleName": "iris-dev-train",
        "AssumeRolePolicyDocument": {"Statement": [{"Effect": "Allow"}]},
        "Policies": [
            {
                "PolicyName": "data",
                "PolicyDocument": {"Statement": [{"Sid": "Read", "Action": "s3:GetObject"}]},
            }
        ],
    },
}
FUNCTION: dict[str, Any] = {
    "Type": "AWS::Lambda::Function",
    "Properties": {"Role": {"Fn::GetAtt": ["Role", "Arn"]}, "Timeout": 30, "Code": {"S3Key": "code/a.zip"}},
}
ALARM: dict[str, Any] = {
    "Type": "AWS::CloudWatch::Alarm",
    "Properties": {"AlarmDescription": {"Fn::Sub": "of ${Function} and ${Role.Arn}"}},
}


def template(**resources: Any) -> dict[str, Any]:
    return {"Resources": json.loads(json.dumps(resources))}


def changed(old: dict[str, Any] | None, new: dict[str, Any], **parameters: Any) -> dict[str, Any]:
    found = diff(old, new, parameters.get("before", {}), parameters.get("after", {}), replaces)
    return {change.logical_id: change for change in found}


def test_the_same_template_changes_nothing() -> None:
    assert changed(template(Role=ROLE, Function=FUNCTION), template(Role=ROLE, Function=FUNCTION)) == {}


def test_a_new_stack_adds_everything_in_its_order() -> None:
    found = diff(None, template(Role=ROLE, Function=FUNCTION), {}, {}, replaces)
    assert [(c.action, c.logical_id) for c in found] == [("Add", "Role"), ("Add", "Function")]


def test_a_property_is_named_to_its_smallest_part() -> None:
    new = template(Role=ROLE)
    new["Resources"]["Role"]["Properties"]["Policies"][0]["PolicyDocument"]["Statement"][0]["Action"] = "s3:*"
    change = changed(template(Role=ROLE), new)["Role"]
    assert change.action == "Modify"
    (item,) = change.properties
    assert item.path == "Policies.[data].PolicyDocument.Statement.[Read].Action"
    assert (item.before, item.after, item.replaces) == ("s3:GetObject", "s3:*", "never")


def test_an_added_policy_does_not_make_the_others_look_changed() -> None:
    new = template(Role=ROLE)
    new["Resources"]["Role"]["Properties"]["Policies"].insert(0, {"PolicyName": "logs", "PolicyDocument": {}})
    (item,) = changed(template(Role=ROLE), new)["Role"].properties
    assert (item.path, item.before) == ("Policies.[logs]", None)


def test_a_definition_in_a_string_is_compared_state_by_state() -> None:
    def machine(limit: int) -> dict[str, Any]:
        asl = {"States": {"Train": {"Type": "Task", "TimeoutSeconds": limit}}}
        return {
            "Type": "AWS::StepFunctions::StateMachine",
            "Properties": {"DefinitionString": json.dumps(asl)},
        }

    (item,) = changed(template(M=machine(60)), template(M=machine(90)))["M"].properties
    assert (item.path, item.before, item.after) == ("DefinitionString.States.Train.TimeoutSeconds", 60, 90)


def test_a_create_only_property_replaces_and_whoever_names_the_resource_follows() -> None:
    new = template(Role=ROLE, Function=FUNCTION, Alarm=ALARM)
    new["Resources"]["Role"]["Properties"]["RoleName"] = "iris-dev-training"
    found = changed(template(Role=ROLE, Function=FUNCTION, Alarm=ALARM), new)
    assert found["Role"].action == "Replace"
    assert found["Role"].properties[0].replaces == "always"
    assert found["Function"].action == "Modify"
    assert found["Function"].properties[0].path == "Role"
    assert found["Function"].properties[0].why == "follows the replacement of Role"
    assert found["Alarm"].properties[0].path == "AlarmDescription"


def test_a_replacement_goes_on_where_a_create_only_property_names_the_replaced() -> None:
    bucket = {"Type": "AWS::S3::Bucket", "Properties": {"BucketName": "one"}}
    policy = {
        "Type": "AWS::S3::BucketPolicy",
        "Properties": {"Bucket": {"Ref": "Bucket"}, "PolicyDocument": {}},
    }
    new = template(Bucket=bucket, Policy=policy)
    new["Resources"]["Bucket"]["Properties"]["BucketName"] = "two"
    assert changed(template(Bucket=bucket, Policy=policy), new)["Policy"].action == "Replace"


def test_a_parameters_value_is_a_change_where_it_is_used() -> None:
    model = {
        "Type": "AWS::SageMaker::Model",
        "Properties": {"PrimaryContainer": {"Image": {"Ref": "ImageUri"}}},
    }
    other = {"Type": "AWS::SSM::Parameter", "Properties": {"Value": {"Fn::Sub": "of ${ImageUri}"}}}
    same = template(Model=model, Note=other, Role=ROLE)
    found = changed(same, same, before={"ImageUri": "a@sha256:1"}, after={"ImageUri": "a@sha256:2"})
    assert set(found) == {"Model", "Note"}
    assert found["Model"].properties[0].after == "a@sha256:2"
    assert found["Note"].properties[0].after == "of a@sha256:2"


def test_another_type_replaces_and_a_missing_one_is_removed_or_let_stand() -> None:
    kept = {**ROLE, "DeletionPolicy": "Retain"}
    old = template(X=ROLE, Gone=FUNCTION, Kept=kept)
    found = changed(old, template(X={"Type": "AWS::IAM::User", "Properties": {}}))
    assert found["X"].action == "Replace"
    assert (found["Gone"].action, found["Gone"].why) == ("Remove", "")
    assert "Retain" in found["Kept"].why


@pytest.mark.parametrize(("stage", "expected"), [("prod", {"Role"}), ("dev", set())])
def test_conditions_decide_what_is_there(stage: str, expected: set[str]) -> None:
    new = {
        "Parameters": {"Stage": {"Type": "String", "Default": "dev"}},
        "Conditions": {
            "Prod": {"Fn::Equals": [{"Ref": "Stage"}, "prod"]},
            "Both": {"Fn::And": [{"Condition": "Prod"}, {"Fn::Not": [{"Fn::Equals": ["a", "b"]}]}]},
        },
        "Resources": {"Role": {**ROLE, "Condition": "Both"}},
    }
    assert set(changed(None, new, after={"Stage": stage})) == expected


def test_no_value_is_no_property() -> None:
    with_it = template(
        R={"Type": "AWS::SNS::Topic", "Properties": {"KmsMasterKeyId": {"Ref": "AWS::NoValue"}}}
    )
    without = template(R={"Type": "AWS::SNS::Topic", "Properties": {}})
    assert changed(without, with_it) == {}


def test_outputs_and_tags_are_changes_too() -> None:
    old, new = {"Outputs": {"A": {"Value": "1"}}}, {"Outputs": {"A": {"Value": "2"}}}
    found = sections(old, new, {}, {}, {"team": "a"}, {"team": "b"})
    assert [(c.path, c.before, c.after) for c in found] == [
        ("Outputs.A.Value", "1", "2"),
        ("Tags.team", "a", "b"),
    ]


@pytest.mark.parametrize(
    ("kind", "path", "expected"),
    [
        ("AWS::S3::Bucket", ("BucketName",), "always"),
        ("AWS::S3::Bucket", ("VersioningConfiguration", "Status"), "never"),
        ("AWS::Lambda::Function", ("FunctionName",), "always"),
        ("AWS::Lambda::Function", ("Timeout",), "never"),
        ("AWS::SageMaker::ModelPackageGroup", ("ModelPackageGroupName",), "always"),
        ("AWS::Nobody::KnowsThis", ("Name",), "never"),
    ],
)
def test_the_registry_knows_what_replaces(kind: str, path: tuple[str, ...], expected: str) -> None:
    assert replaces(kind, path) == expected
    assert replaces(kind, path, "no-where-1") == expected
