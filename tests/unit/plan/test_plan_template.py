"""Templates as data: short tags, defaults, references."""

from __future__ import annotations

from pipeline.plan.template import defaults, filled, parse, references


def test_yaml_short_forms_and_dates_become_json_long_forms() -> None:
    text = """
AWSTemplateFormatVersion: 2010-09-09
Resources:
  A:
    Type: X
    Properties: {Arn: !GetAtt B.Arn, Name: !Sub "${B}-x", Ref: !Ref B, If: !If [C, 1, !Ref "AWS::NoValue"]}
"""
    found = parse(text)
    assert found["AWSTemplateFormatVersion"] == "2010-09-09"
    assert found["Resources"]["A"]["Properties"] == {
        "Arn": {"Fn::GetAtt": ["B", "Arn"]},
        "Name": {"Fn::Sub": "${B}-x"},
        "Ref": {"Ref": "B"},
        "If": {"Fn::If": ["C", 1, {"Ref": "AWS::NoValue"}]},
    }
    assert parse('{"Resources": {"A": {"Fn::GetAtt": "B.C.D"}}}')["Resources"]["A"] == {
        "Fn::GetAtt": ["B", "C.D"]
    }


def test_defaults_are_text_as_cloudformation_gives_them_back() -> None:
    declared = {"A": {"Default": 3}, "B": {"Default": True}, "C": {}, "D": {"Default": [1, 2]}}
    assert defaults({"Parameters": declared}) == {"A": "3", "B": "true", "D": "1,2"}


def test_substitution_fills_parameters_and_leaves_the_rest() -> None:
    template = {
        "Resources": {
            "A": {
                "Properties": {
                    "All": {"Fn::Sub": "${P}"},
                    "Some": {"Fn::Sub": ["${P}-${Q}-${!Literal}-${B.Arn}", {"Q": "q"}]},
                    "Own": {"Fn::Sub": ["${Q}", {"Q": {"Fn::GetAtt": ["B", "Arn"]}}]},
                }
            }
        }
    }
    properties = filled(template, {"P": "p"})["Resources"]["A"]["Properties"]
    assert properties["All"] == "p"
    assert properties["Some"] == {"Fn::Sub": "p-q-${!Literal}-${B.Arn}"}
    assert properties["Own"] == {"Fn::Sub": ["${Q}", {"Q": {"Fn::GetAtt": ["B", "Arn"]}}]}


def test_references_are_found_wherever_they_hide() -> None:
    value = [
        {"Ref": "A"},
        {"x": {"Fn::GetAtt": ["B", "Arn"]}},
        {"Fn::Sub": ["${C.Arn} ${own} ${!not}", {"own": {"Ref": "D"}}]},
    ]
    assert references(value) == {"A", "B", "C", "D"}
