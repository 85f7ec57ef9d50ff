"""SageMaker's CloudFormation types, in a real stack: created, updated, rolled back, deleted."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.e2e.hosting.conftest import Host, until


def template(host: Host, answer: str, mode: str = "") -> str:
    url = host.artefact(answer)
    suffix = answer
    resources: dict[str, Any] = {
        "Group": {
            "Type": "AWS::SageMaker::ModelPackageGroup",
            "Properties": {"ModelPackageGroupName": "stack-group"},
        },
        "Model": {
            "Type": "AWS::SageMaker::Model",
            "Properties": {
                "ModelName": f"stack-model-{suffix}",
                "ExecutionRoleArn": host.role,
                "PrimaryContainer": {
                    "Image": host.image,
                    "ModelDataUrl": url,
                    "Environment": {"MODE": mode} if mode else {"A": "1"},
                },
            },
        },
        "Config": {
            "Type": "AWS::SageMaker::EndpointConfig",
            "Properties": {
                "ProductionVariants": [
                    {
                        "VariantName": "all",
                        "ModelName": {"Fn::GetAtt": ["Model", "ModelName"]},
                        "InstanceType": "ml.m5.large",
                        "InitialInstanceCount": "1",
                        "InitialVariantWeight": 1,
                    }
                ]
            },
        },
        "Endpoint": {
            "Type": "AWS::SageMaker::Endpoint",
            "Properties": {
                "EndpointName": "stack-endpoint",
                "EndpointConfigName": {"Fn::GetAtt": ["Config", "EndpointConfigName"]},
            },
        },
    }
    outputs = {
        "Endpoint": {"Value": {"Ref": "Endpoint"}},
        "Name": {"Value": {"Fn::GetAtt": ["Endpoint", "EndpointName"]}},
        "Group": {"Value": {"Ref": "Group"}},
    }
    return json.dumps({"Resources": resources, "Outputs": outputs})


def settled(host: Host) -> dict[str, Any]:
    cfn = host.client("cloudformation")

    def look() -> dict[str, Any] | None:
        stack = cfn.describe_stacks(StackName="hosting")["Stacks"][0]
        return None if stack["StackStatus"].endswith("_IN_PROGRESS") else dict(stack)

    return dict(until(look, 60))


@pytest.mark.timeout(120)
def test_a_stack_of_hosting(host: Host) -> None:
    cfn = host.client("cloudformation")
    cfn.create_stack(StackName="hosting", TemplateBody=template(host, "first"))
    stack = settled(host)
    assert stack["StackStatus"] == "CREATE_COMPLETE", stack
    outputs = {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}
    assert outputs["Endpoint"].endswith(":endpoint/stack-endpoint") and outputs["Name"] == "stack-endpoint"
    assert outputs["Group"].endswith(":model-package-group/stack-group")
    assert host.invoke("stack-endpoint")["Body"] == "first"

    cfn.update_stack(StackName="hosting", TemplateBody=template(host, "second"))
    assert settled(host)["StackStatus"] == "UPDATE_COMPLETE"
    assert host.invoke("stack-endpoint")["Body"] == "second"

    cfn.update_stack(StackName="hosting", TemplateBody=template(host, "third", "crash"))
    assert settled(host)["StackStatus"] == "UPDATE_ROLLBACK_COMPLETE"
    assert host.invoke("stack-endpoint")["Body"] == "second"
    events = cfn.describe_stack_events(StackName="hosting")["StackEvents"]
    reasons = [event.get("ResourceStatusReason", "") for event in events]
    assert any("did not pass the ping health check" in reason for reason in reasons)

    cfn.delete_stack(StackName="hosting")
    until(lambda: not host.sm.list_endpoints()["Endpoints"], 30)
    until(lambda: not host.sm.list_model_package_groups()["ModelPackageGroupSummaryList"], 30)
    assert host.sm.list_models(NameContains="stack-model")["Models"] == []
