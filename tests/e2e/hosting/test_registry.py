"""The model registry: versions, approval, filters, and deployment out of a package."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.e2e.hosting.conftest import Host


@pytest.fixture(scope="module")
def group(host: Host) -> str:
    host.sm.create_model_package_group(
        ModelPackageGroupName="flowers", Tags=[{"Key": "pipeline", "Value": "iris"}]
    )
    return "flowers"


def register(host: Host, group: str, answer: str, **more: Any) -> str:
    container = {"Image": host.image, "ModelDataUrl": host.artefact(answer), "Environment": {"A": "1"}}
    specification = {
        "Containers": [container],
        "SupportedContentTypes": ["text/csv"],
        "SupportedResponseMIMETypes": ["text/csv"],
    }
    made = host.sm.create_model_package(
        ModelPackageGroupName=group, InferenceSpecification=specification, **more
    )
    return str(made["ModelPackageArn"])


def message(call: Any, **arguments: Any) -> str:
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    return str(caught.value.response["Error"]["Message"])


def test_versions_count_up_and_wait_for_approval(host: Host, group: str) -> None:
    metrics = {"ModelQuality": {"Statistics": {"ContentType": "application/json", "S3Uri": "s3://b/e.json"}}}
    first = register(host, group, "v1", ModelMetrics=metrics, CustomerMetadataProperties={"git": "abc"})
    assert first.endswith(":model-package/flowers/1")
    described = host.sm.describe_model_package(ModelPackageName=first)
    assert described["ModelApprovalStatus"] == "PendingManualApproval"
    assert described["ModelMetrics"] == metrics and described["ModelPackageVersion"] == 1
    (container,) = described["InferenceSpecification"]["Containers"]
    assert host.image.endswith(container["ImageDigest"]) and container["ModelDataETag"]

    host.sm.update_model_package(
        ModelPackageArn=first,
        ModelApprovalStatus="Approved",
        ApprovalDescription="accuracy 0.97",
        CustomerMetadataProperties={"run": "7"},
        CustomerMetadataPropertiesToRemove=["git"],
    )
    described = host.sm.describe_model_package(ModelPackageName=first)
    assert described["ModelApprovalStatus"] == "Approved"
    assert described["ApprovalDescription"] == "accuracy 0.97"
    assert described["CustomerMetadataProperties"] == {"run": "7"}

    second = register(host, group, "v2", ModelApprovalStatus="Rejected")
    host.sm.delete_model_package(ModelPackageName=second)
    third = register(host, group, "v3")
    assert third.endswith("/3"), "a deleted version's number is not given again"
    assert message(host.sm.describe_model_package, ModelPackageName=second) == (
        f"ModelPackage {second} does not exist."
    )


def test_lists_filter_sort_and_page(host: Host, group: str) -> None:
    for number in range(4, 13):
        register(host, group, f"v{number}")
    listed: list[int] = []
    pages = 0
    for page in host.sm.get_paginator("list_model_packages").paginate(
        ModelPackageGroupName=group, SortOrder="Descending", PaginationConfig={"PageSize": 4}
    ):
        pages += 1
        listed += [summary["ModelPackageVersion"] for summary in page["ModelPackageSummaryList"]]
    assert listed == [12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 1] and pages == 3
    approved = host.sm.list_model_packages(ModelPackageGroupName=group, ModelApprovalStatus="Approved")
    assert [s["ModelPackageVersion"] for s in approved["ModelPackageSummaryList"]] == [1]
    assert host.sm.list_model_packages()["ModelPackageSummaryList"] == []
    assert message(host.sm.list_model_packages, ModelPackageGroupName="none").endswith("does not exist.")


def test_a_package_is_deployed_only_when_approved(host: Host, group: str) -> None:
    base = f"arn:aws:sagemaker:eu-west-1:111122223333:model-package/{group}"

    def create(name: str, version: int) -> None:
        host.sm.create_model(
            ModelName=name,
            ExecutionRoleArn=host.role,
            PrimaryContainer={"ModelPackageName": f"{base}/{version}", "Environment": {"B": "2"}},
        )

    with pytest.raises(ClientError, match="must be Approved"):
        create("from-three", 3)
    create("from-one", 1)
    host.serving("packaged", "from-one")
    assert host.invoke("packaged")["Body"] == "v1"
    environment = host.invoke("packaged", "environ")["Body"]
    assert '"A": "1"' in environment and '"B": "2"' in environment
    host.sm.delete_endpoint(EndpointName="packaged")


def test_tags_live_with_their_resource(host: Host, group: str) -> None:
    arn = host.sm.describe_model_package_group(ModelPackageGroupName=group)["ModelPackageGroupArn"]
    host.sm.add_tags(ResourceArn=arn, Tags=[{"Key": f"k{i}", "Value": "v"} for i in range(49)])
    assert len(host.sm.list_tags(ResourceArn=arn)["Tags"]) == 50
    assert "limit of 50" in message(
        host.sm.add_tags, ResourceArn=arn, Tags=[{"Key": "one-more", "Value": "v"}]
    )
    host.sm.delete_tags(ResourceArn=arn, TagKeys=[f"k{i}" for i in range(49)])
    assert host.sm.list_tags(ResourceArn=arn)["Tags"] == [{"Key": "pipeline", "Value": "iris"}]


def test_a_group_with_versions_is_not_deleted(host: Host, group: str) -> None:
    with pytest.raises(host.sm.exceptions.ConflictException):
        host.sm.delete_model_package_group(ModelPackageGroupName=group)
    assert "already exists" in message(host.sm.create_model_package_group, ModelPackageGroupName=group)


def test_what_is_not_there_is_refused_by_name(host: Host) -> None:
    assert message(host.sm.list_notebook_instances) == (
        "The SageMaker operation ListNotebookInstances is not supported by the local target."
    )
