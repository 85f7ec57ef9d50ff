"""Requests are refused in AWS's own words (samples from public issue reports of real AWS answers)."""

from __future__ import annotations

import json

import pytest

from pipeline.local.sagemaker import validation
from pipeline.local.sagemaker.errors import SerializationException, ValidationException


def refused(operation: str, **request: object) -> str:
    with pytest.raises(ValidationException) as caught:
        validation.parse(operation, json.dumps(request).encode())
    return caught.value.message


def test_one_violation_reads_as_on_aws() -> None:
    name = "generic-training-pipeline-2023-04-13-06-05-26-177259-model-trainer"
    assert (
        f"Value '{name}' at 'trainingJobName' failed to satisfy constraint: Member must have length less "
        in (refused("CreateTrainingJob", TrainingJobName=name))
    )
    pattern = validation.model().shape_for("EndpointName").metadata["pattern"]
    assert refused("DescribeEndpoint", EndpointName="a_b") == (
        "1 validation error detected: Value 'a_b' at 'endpointName' failed to satisfy constraint: "
        f"Member must satisfy regular expression pattern: {pattern}"
    )


def test_all_violations_are_told_at_once() -> None:
    told = refused("CreateModel", ModelName="{{ x }}" * 10, Tags=[{"Key": "k"}])
    assert told.startswith("3 validation errors detected: Value '{{ x }}")
    assert (
        "; Value null at 'tags.1.member.value' failed to satisfy constraint: Member must not be null" in told
    )


def test_numbers_enums_lists_and_maps() -> None:
    variant = {"VariantName": "a", "ModelName": "m", "InstanceType": "ml.none", "InitialInstanceCount": 0}
    vpc = {"Subnets": ["subnet!"], "SecurityGroupIds": ["sg-1"]}
    told = refused(
        "CreateEndpointConfig", EndpointConfigName="c", ProductionVariants=[variant], VpcConfig=vpc
    )
    assert told.startswith("3 validation errors detected: ")
    assert (
        "at 'productionVariants.1.member.instanceType' failed to satisfy constraint: Member must satisfy "
        in told
    )
    assert (
        "Value '0' at 'productionVariants.1.member.initialInstanceCount' failed to satisfy constraint: "
        "Member must have value greater than or equal to 1" in told
    )
    assert (
        "Value '[subnet!]' at 'vpcConfig.subnets' failed to satisfy constraint: Member must satisfy "
        "constraint: [Member must have length less than or equal to 32, "
        "Member must have length greater than or equal to 0, "
        "Member must satisfy regular expression pattern: [-0-9a-zA-Z]+]" in told
    )
    told = refused("CreateModel", ModelName="m", PrimaryContainer={"Environment": {"a-b": "c"}})
    assert (
        "Value '{a-b=c}' at 'primaryContainer.environment' failed to satisfy constraint: Map keys must "
        in told
    )


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"{", "not valid JSON"),
        (b"[]", "Expected a structure"),
        (b'{"ModelName": 1}', "NUMBER_VALUE can not be converted to a String"),
        (b'{"ModelName": true}', "TRUE_VALUE can not be converted to a String"),
        (b'{"EnableNetworkIsolation": "yes"}', "STRING_VALUE can not be converted to a Boolean"),
        (b'{"Containers": {}}', "Expected a list at 'containers'"),
    ],
)
def test_wrong_json_types_are_serialization_errors(body: bytes, told: str) -> None:
    with pytest.raises(SerializationException, match=told):
        validation.parse("CreateModel", body)


def test_a_misspelt_member_is_named() -> None:
    assert refused("CreateModel", ModelNme="m").startswith("Unknown member 'ModelNme' at 'CreateModelInput'.")


def test_typed_values_and_dropped_nulls() -> None:
    parsed = validation.check(
        "ListEndpoints",
        {"MaxResults": 5.0, "CreationTimeAfter": "2026-01-01T00:00:00Z", "NameContains": None},
    )
    assert parsed == {"MaxResults": 5, "CreationTimeAfter": 1767225600.0}
    assert isinstance(parsed["MaxResults"], int)


def test_responses_hold_only_what_the_model_has() -> None:
    record = {"ModelName": "m", "ModelArn": "a", "CreationTime": 1.0, "Resolved": {}, "VpcConfig": None}
    assert validation.shaped("DescribeModel", record) == {
        "ModelName": "m",
        "ModelArn": "a",
        "CreationTime": 1.0,
    }
    assert validation.faults("DescribeModel", {"ModelName": "m"}) != []
