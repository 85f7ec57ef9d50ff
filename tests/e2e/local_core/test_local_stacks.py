"""CloudFormation on the local target: our types, what is refused, and what a rollback says."""

from __future__ import annotations

import json
import uuid
from typing import Any

import botocore.exceptions
import pytest

from tests.e2e.local_core.conftest import ACCOUNT, REGION, Target, until, zipped


def trusting(service: str) -> dict[str, Any]:
    principal = {"Service": f"{service}.amazonaws.com"}
    statement = {"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"}
    document = {"Version": "2012-10-17", "Statement": [statement]}
    return {"Type": "AWS::IAM::Role", "Properties": {"AssumeRolePolicyDocument": document}}


def deploy(target: Target, name: str, resources: dict[str, Any]) -> dict[str, Any]:
    """Apply through a change set, as `pipeline apply` does; the stack at the end."""
    client = target.client("cloudformation")
    exists = any(each["StackName"] == name for each in client.describe_stacks()["Stacks"])
    change_set = f"change-{uuid.uuid4().hex[:8]}"
    client.create_change_set(
        StackName=name,
        ChangeSetName=change_set,
        ChangeSetType="UPDATE" if exists else "CREATE",
        TemplateBody=json.dumps({"Resources": resources}),
        Capabilities=["CAPABILITY_NAMED_IAM"],
    )

    def change() -> dict[str, Any]:
        return dict(client.describe_change_set(StackName=name, ChangeSetName=change_set))

    until(lambda: change()["Status"] == "CREATE_COMPLETE")
    client.execute_change_set(StackName=name, ChangeSetName=change_set)

    def ended() -> dict[str, Any] | None:
        stack = client.describe_stacks(StackName=name)["Stacks"][0]
        return dict(stack) if stack["StackStatus"].endswith(("COMPLETE", "FAILED")) else None

    until(lambda: change()["ExecutionStatus"] == "EXECUTE_COMPLETE" or ended())
    return dict(until(ended))


def causes(target: Target, name: str) -> dict[str, str]:
    """Reason by logical id of what failed."""
    events = target.client("cloudformation").describe_stack_events(StackName=name)["StackEvents"]
    failed = [event for event in events if event["ResourceStatus"].endswith("_FAILED")]
    return {event["LogicalResourceId"]: event.get("ResourceStatusReason", "") for event in failed}


def test_a_state_machine_keeps_logging_tracing_and_substitutions(target: Target) -> None:
    definition = {"StartAt": "P", "States": {"P": {"Type": "Pass", "Result": "${Role}", "End": True}}}
    resources = {
        "Role": trusting("states"),
        "Log": {"Type": "AWS::Logs::LogGroup", "Properties": {"RetentionInDays": 14}},
        "Machine": {
            "Type": "AWS::StepFunctions::StateMachine",
            "Properties": {
                "StateMachineName": "logged",
                "RoleArn": {"Fn::GetAtt": ["Role", "Arn"]},
                "DefinitionString": json.dumps(definition),
                "DefinitionSubstitutions": {"Role": {"Fn::GetAtt": ["Role", "Arn"]}},
                "LoggingConfiguration": {
                    "Level": "ERROR",
                    "IncludeExecutionData": True,
                    "Destinations": [
                        {"CloudWatchLogsLogGroup": {"LogGroupArn": {"Fn::GetAtt": ["Log", "Arn"]}}}
                    ],
                },
                "TracingConfiguration": {"Enabled": True},
            },
        },
    }
    assert deploy(target, "machine", resources)["StackStatus"] == "CREATE_COMPLETE"
    arn = f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:logged"
    found = target.client("stepfunctions").describe_state_machine(stateMachineArn=arn)
    assert json.loads(found["definition"])["States"]["P"]["Result"] == found["roleArn"]
    logging = found["loggingConfiguration"]
    assert (logging["level"], logging["includeExecutionData"]) == ("ERROR", True)
    assert logging["destinations"][0]["cloudWatchLogsLogGroup"]["logGroupArn"].endswith(":*")
    assert found["tracingConfiguration"] == {"enabled": True}

    resources["Machine"]["Properties"]["LoggingConfiguration"]["Level"] = "ALL"
    resources["Machine"]["Properties"]["TracingConfiguration"]["Enabled"] = False
    assert deploy(target, "machine", resources)["StackStatus"] == "UPDATE_COMPLETE"
    found = target.client("stepfunctions").describe_state_machine(stateMachineArn=arn)
    assert found["loggingConfiguration"]["level"] == "ALL"
    assert found["tracingConfiguration"] == {"enabled": False}


def test_sagemakers_types_are_made_and_deleted(target: Target) -> None:
    group = {"Type": "AWS::SageMaker::ModelPackageGroup", "Properties": {"ModelPackageGroupName": "models"}}
    assert deploy(target, "group", {"Group": group})["StackStatus"] == "CREATE_COMPLETE"
    sagemaker = target.client("sagemaker")
    assert sagemaker.describe_model_package_group(ModelPackageGroupName="models")
    target.client("cloudformation").delete_stack(StackName="group")
    until(lambda: not sagemaker.list_model_package_groups()["ModelPackageGroupSummaryList"])


def test_a_function_whose_code_is_missing_rolls_back_and_says_so(target: Target) -> None:
    function = {
        "Type": "AWS::Lambda::Function",
        "Properties": {
            "Role": {"Fn::GetAtt": ["Role", "Arn"]},
            "Runtime": "python3.11",
            "Handler": "handler.handler",
            "Code": {"S3Bucket": "no-such-bucket", "S3Key": "code/x.zip"},
        },
    }
    stack = deploy(target, "codeless", {"Role": trusting("lambda"), "Function": function})
    assert stack["StackStatus"] == "ROLLBACK_COMPLETE"
    assert "code/x.zip" in causes(target, "codeless")["Function"]
    roles = target.client("iam").list_roles()["Roles"]
    assert not [role for role in roles if role["RoleName"].startswith("codeless-")]


def test_a_function_whose_role_does_not_trust_lambda(target: Target) -> None:
    s3 = target.client("s3")
    s3.create_bucket(Bucket="code-there", CreateBucketConfiguration={"LocationConstraint": REGION})
    s3.put_object(
        Bucket="code-there", Key="x.zip", Body=zipped({"handler.py": "def handler(e, c): return 1"})
    )
    function = {
        "Type": "AWS::Lambda::Function",
        "Properties": {
            "FunctionName": "from-a-stack",
            "Role": {"Fn::GetAtt": ["Role", "Arn"]},
            "Runtime": "python3.11",
            "Handler": "handler.handler",
            "Code": {"S3Bucket": "code-there", "S3Key": "x.zip"},
        },
    }
    stack = deploy(target, "untrusted", {"Role": trusting("states"), "Function": function})
    assert stack["StackStatus"] == "ROLLBACK_COMPLETE"
    assert "cannot be assumed by Lambda" in causes(target, "untrusted")["Function"]
    stack = deploy(target, "trusted", {"Role": trusting("lambda"), "Function": function})
    assert stack["StackStatus"] == "CREATE_COMPLETE"
    assert target.invoke("from-a-stack") == (None, 1)


def test_a_failed_update_rolls_back_to_what_was(target: Target) -> None:
    topic = {"Type": "AWS::SNS::Topic", "Properties": {"DisplayName": "first"}}
    assert deploy(target, "updated", {"Topic": topic})["StackStatus"] == "CREATE_COMPLETE"
    broken = {
        "Topic": {**topic, "Properties": {"DisplayName": "second"}},
        "Value": {
            "Type": "AWS::SSM::Parameter",
            "Properties": {"Type": "String", "Value": {"Fn::GetAtt": ["Topic", "Nothing"]}},
        },
    }
    assert deploy(target, "updated", broken)["StackStatus"] == "UPDATE_ROLLBACK_COMPLETE"
    assert "Nothing" in causes(target, "updated")["Value"]
    found = target.client("cloudformation").describe_stack_resource(
        StackName="updated", LogicalResourceId="Topic"
    )
    arn = found["StackResourceDetail"]["PhysicalResourceId"]
    assert target.client("sns").get_topic_attributes(TopicArn=arn)["Attributes"]["DisplayName"] == "first"


@pytest.mark.parametrize(
    ("resource", "part"),
    [
        (
            {"Type": "AWS::Athena::WorkGroup", "Properties": {}},
            "Unrecognized resource types: [AWS::Athena::WorkGroup]",
        ),
        (
            {"Type": "AWS::SNS::Topic", "Properties": {"TopicName": {"Ref": "Gone"}}},
            "Unresolved resource dependencies [Gone]",
        ),
        (
            {"Type": "AWS::SNS::Topic", "Properties": {"TopicName": {"Fn::GetAtt": ["Gone", "Arn"]}}},
            "instance of Fn::GetAtt references undefined resource Gone",
        ),
    ],
)
def test_a_template_is_refused_before_anything_is_made(
    target: Target, resource: dict[str, Any], part: str
) -> None:
    client = target.client("cloudformation")
    body = json.dumps({"Resources": {"R": resource}})
    with pytest.raises(botocore.exceptions.ClientError) as raised:
        client.create_change_set(StackName="x", ChangeSetName="c", ChangeSetType="CREATE", TemplateBody=body)
    assert raised.value.response["Error"]["Code"] == "ValidationError"
    assert part in raised.value.response["Error"]["Message"]
    with pytest.raises(botocore.exceptions.ClientError, match="ValidationError"):
        client.validate_template(TemplateBody=body)
