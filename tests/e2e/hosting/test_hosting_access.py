"""What a role may do with models and endpoints is what its policies say, told in AWS's words."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.e2e.hosting.conftest import ACCOUNT, BUCKET, EVERYTHING, REGION, Host


def statement(*actions: str, resource: str = "*", **more: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": list(actions), "Resource": resource, **more}


def denied(call: Any, **arguments: Any) -> str:
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    error = caught.value.response["Error"]
    assert error["Code"] == "AccessDeniedException"
    return str(error["Message"])


def test_create_endpoint_is_weighed_on_endpoint_and_configuration(host: Host) -> None:
    host.config("guarded-config", host.model("guarded-model"))
    arn = f"arn:aws:sagemaker:{REGION}:{ACCOUNT}"
    only_endpoint = statement("sagemaker:CreateEndpoint", resource=f"{arn}:endpoint/guarded")
    role = host.make_role("deployer", None, only_endpoint)
    client = host.client("sagemaker", host.assume(role))
    asked = {"EndpointName": "guarded", "EndpointConfigName": "guarded-config"}
    assert denied(client.create_endpoint, **asked) == (
        f"User: arn:aws:sts::{ACCOUNT}:assumed-role/deployer/test is not authorized to perform: "
        f"sagemaker:CreateEndpoint on resource: {arn}:endpoint-config/guarded-config because no "
        "identity-based policy allows the sagemaker:CreateEndpoint action"
    )
    allow = {
        "Statement": [
            only_endpoint,
            statement("sagemaker:CreateEndpoint", resource=f"{arn}:endpoint-config/*"),
        ]
    }
    import json

    host.client("iam").put_role_policy(
        RoleName="deployer", PolicyName="own", PolicyDocument=json.dumps(allow)
    )
    tagged = denied(client.create_endpoint, **asked, Tags=[{"Key": "team", "Value": "a"}])
    assert "sagemaker:AddTags on resource: " + arn + ":endpoint/guarded" in tagged
    client.create_endpoint(**asked)
    assert host.settled("guarded")["EndpointStatus"] == "InService"
    runtime = host.client("sagemaker-runtime", host.assume(role))
    assert "sagemaker:InvokeEndpoint" in denied(runtime.invoke_endpoint, EndpointName="guarded", Body=b"x")
    host.sm.delete_endpoint(EndpointName="guarded")


def test_a_role_is_passed_only_with_pass_role_to_sagemaker(host: Host) -> None:
    container = {"Image": host.image, "ModelDataUrl": host.artefact("passed")}
    asked = {"ModelName": "passed", "ExecutionRoleArn": host.role, "PrimaryContainer": container}
    creates = statement("sagemaker:CreateModel")
    none = host.make_role("passes-nothing", None, creates)
    assert f"iam:PassRole on resource: {host.role}" in denied(
        host.client("sagemaker", host.assume(none)).create_model, **asked
    )
    condition = {"Condition": {"StringEquals": {"iam:PassedToService": "lambda.amazonaws.com"}}}
    other = host.make_role("passes-to-lambda", None, creates, statement("iam:PassRole", **condition))
    denied(host.client("sagemaker", host.assume(other)).create_model, **asked)
    condition["Condition"]["StringEquals"]["iam:PassedToService"] = "sagemaker.amazonaws.com"
    right = host.make_role(
        "passes-to-sagemaker", None, creates, statement("iam:PassRole", resource=host.role, **condition)
    )
    host.client("sagemaker", host.assume(right)).create_model(**asked)


def test_the_execution_role_must_reach_image_and_data(host: Host) -> None:
    url = host.artefact("reach")
    container = {"Image": host.image, "ModelDataUrl": url}

    def create(role: str, **more: Any) -> str:
        with pytest.raises(ClientError) as caught:
            host.sm.create_model(ModelName="reach", ExecutionRoleArn=role, PrimaryContainer=container | more)
        error = caught.value.response["Error"]
        assert error["Code"] == "ValidationException"
        return str(error["Message"])

    ecr = statement("ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer", "ecr:GetAuthorizationToken")
    no_data = host.make_role("no-data", "sagemaker", ecr)
    assert create(no_data).startswith(f'Could not access model data at {url}. Please ensure that the role "')
    untrusted = host.make_role("untrusted", "lambda", EVERYTHING)
    assert "sts:AssumeRole" in create(untrusted)
    no_image = host.make_role(
        "no-image", "sagemaker", statement("s3:GetObject", resource=f"arn:aws:s3:::{BUCKET}/*")
    )
    assert f"Requested image {host.image} not found." in create(no_image)
    missing = f"s3://{BUCKET}/none/model.tar.gz"
    assert create(host.role, ModelDataUrl=missing) == f"Could not find model data at {missing}."


def test_policies_may_speak_of_tags(host: Host) -> None:
    mine = {"Condition": {"StringEquals": {"aws:ResourceTag/owner": "me"}}}
    asks = {"Condition": {"StringEquals": {"aws:RequestTag/owner": "me"}}}
    role = host.make_role(
        "by-tag",
        None,
        statement("sagemaker:DescribeModelPackageGroup", "sagemaker:DeleteModelPackageGroup", **mine),
        statement("sagemaker:CreateModelPackageGroup", "sagemaker:AddTags", **asks),
    )
    client = host.client("sagemaker", host.assume(role))
    denied(client.create_model_package_group, ModelPackageGroupName="mine")
    denied(
        client.create_model_package_group,
        ModelPackageGroupName="mine",
        Tags=[{"Key": "owner", "Value": "you"}],
    )
    client.create_model_package_group(ModelPackageGroupName="mine", Tags=[{"Key": "owner", "Value": "me"}])
    client.describe_model_package_group(ModelPackageGroupName="mine")
    host.sm.create_model_package_group(ModelPackageGroupName="theirs")
    denied(client.describe_model_package_group, ModelPackageGroupName="theirs")
    client.delete_model_package_group(ModelPackageGroupName="mine")
