"""References in templates: what AWS refuses before it makes anything."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.local.adapter.templates import undefined

TOPIC = {"Type": "AWS::SNS::Topic"}


def template(value: Any, **more: Any) -> dict[str, Any]:
    parameter = {"Type": "AWS::SSM::Parameter", "Properties": {"Type": "String", "Value": value}}
    return {"Parameters": {"P": {"Type": "String"}}, "Resources": {"T": TOPIC, "X": parameter}, **more}


@pytest.mark.parametrize(
    "value",
    [
        {"Ref": "T"},
        {"Ref": "P"},
        {"Ref": "AWS::AccountId"},
        {"Fn::GetAtt": ["T", "TopicArn"]},
        {"Fn::GetAtt": "T.TopicArn"},
        {"Fn::Sub": "${T}-${P}-${T.TopicArn}-${AWS::Region}-${!Literal}"},
        {"Fn::Sub": ["${Own}-${T}", {"Own": {"Ref": "P"}}]},
        {"Fn::Join": ["", ["a", {"Ref": "P"}]]},
        "${NotASub}",
    ],
)
def test_what_is_defined_passes(value: Any) -> None:
    assert undefined(template(value)) is None


RESOURCES = (
    "Template format error: Unresolved resource dependencies [{}] in the Resources block of the template"
)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"Ref": "Nope"}, RESOURCES.format("Nope")),
        ({"Fn::Join": ["", [{"Ref": "B"}, {"Ref": "A"}]]}, RESOURCES.format("A, B")),
        ({"Fn::Sub": "x${Nope}"}, RESOURCES.format("Nope")),
        ({"Fn::Sub": ["${Own}", {"Own": {"Ref": "Nope"}}]}, RESOURCES.format("Nope")),
        (
            {"Fn::GetAtt": ["Nope", "Arn"]},
            "Template error: instance of Fn::GetAtt references undefined resource Nope",
        ),
        (
            {"Fn::GetAtt": ["P", "Arn"]},
            "Template error: instance of Fn::GetAtt references undefined resource P",
        ),
        (
            {"Fn::Sub": "${Nope.Arn}"},
            "Template error: instance of Fn::GetAtt references undefined resource Nope",
        ),
    ],
)
def test_what_is_not_is_refused(value: Any, message: str) -> None:
    assert undefined(template(value)) == message


def test_depends_on_names_resources_only() -> None:
    given = template("x")
    given["Resources"]["X"]["DependsOn"] = ["T", "P"]
    assert undefined(given) == RESOURCES.format("P")


def test_outputs_have_a_block_of_their_own() -> None:
    given = template("x", Outputs={"O": {"Value": {"Ref": "Gone"}}})
    assert undefined(given) == RESOURCES.format("Gone").replace("Resources block", "Outputs block")


def test_a_transform_may_define_the_rest() -> None:
    assert undefined(template({"Ref": "Nope"}, Transform="AWS::Serverless-2016-10-31")) is None
