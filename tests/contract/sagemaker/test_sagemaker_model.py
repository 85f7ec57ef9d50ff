"""What the local SageMaker offers, against botocore's model and the service authorization data."""

from __future__ import annotations

import asyncio
import json
import re
import time
from pathlib import Path
from typing import Any

import pytest
from policy_sentry.querying.actions import get_action_data

from pipeline.local.api import patterns
from pipeline.local.sagemaker import backend, model_package, service, validation
from pipeline.local.sagemaker.errors import SageMakerError
from pipeline.local.sagemaker.store import Scope, store

SCOPE = Scope("111122223333", "eu-west-1", "arn:aws:iam::111122223333:root")
NAMES = {
    "TrainingJobName": "t", "ProcessingJobName": "p", "TransformJobName": "b",
    "HyperParameterTuningJobName": "h", "ModelName": "m", "EndpointConfigName": "c",
    "EndpointName": "e", "ModelPackageGroupName": "g", "ModelPackageName": "g/1",
    "ModelPackageArn": SCOPE.arn("model-package/g/1"), "ResourceArn": SCOPE.arn("model/m"),
    "ModelPackageArnList": [SCOPE.arn("model-package/g/1")],
}  # fmt: skip


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "_root", tmp_path)
    monkeypatch.setattr(store, "_kinds", {})


def test_every_operation_exists_in_botocore() -> None:
    assert service.supported() <= validation.operations()
    needed = {
        f"{verb}{noun}"
        for noun in ("Model", "EndpointConfig", "Endpoint", "ModelPackageGroup", "ModelPackage")
        for verb in ("Create", "Describe", "Delete")
    } | {"ListModels", "ListEndpoints", "ListEndpointConfigs", "ListModelPackages", "ListModelPackageGroups"}
    needed |= {"UpdateEndpoint", "UpdateEndpointWeightsAndCapacities", "UpdateModelPackage"}
    needed |= {"AddTags", "ListTags", "DeleteTags"}
    needed |= {f"{verb}HyperParameterTuningJob" for verb in ("Create", "Describe", "Stop", "Delete")} | {
        "ListHyperParameterTuningJobs",
        "ListTrainingJobsForHyperParameterTuningJob",
    }
    assert needed <= service.supported()


@pytest.mark.parametrize("name", sorted(service.supported()))
@pytest.mark.usefixtures("registry")
def test_the_weighed_resources_are_those_of_the_authorization_reference(name: str) -> None:
    found = get_action_data("sagemaker", name)
    assert found, f"IAM has no action sagemaker:{name}"
    formats = [row["resource_arn_format"] for row in found["sagemaker"]]
    allowed = [re.compile(re.sub(r"\\\$\\\{\w+\\\}", ".+", re.escape(form))) for form in formats]
    for arn in service._OPERATIONS[name].resources(dict(NAMES), SCOPE):
        assert any(form.fullmatch(arn) for form in allowed), f"{arn} is none of {formats}"


def test_every_pattern_of_the_model_compiles() -> None:
    model = validation.model()
    for name in model.shape_names:
        pattern = model.shape_for(name).metadata.get("pattern")
        if pattern:
            patterns.compiled(pattern)
    tag = patterns.compiled(model.shape_for("TagValue").metadata["pattern"])
    assert tag("Größe 1_2:/=+-@") and tag("日本") and not tag("a;b")


@pytest.mark.usefixtures("registry")
def test_responses_of_the_registry_and_of_configurations_fit_their_shapes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(model_package, "_inspect", lambda *_: None)  # no ECR here

    def call(name: str, **request: Any) -> dict[str, Any]:
        response = service.call(name, request, SCOPE)
        faults = validation.faults(name, response)
        if name == "DescribeModelPackage":
            # AWS, too, gives a version no name of its own, whatever its model says.
            faults = [fault for fault in faults if "'modelPackageName'" not in fault]
        assert faults == []
        return response

    store.put(SCOPE, "model", "m", {
        "ModelName": "m", "ModelArn": SCOPE.arn("model/m"), "CreationTime": time.time(),
        "ExecutionRoleArn": "arn:aws:iam::111122223333:role/r", "EnableNetworkIsolation": False,
        "Resolved": {"Image": "i"},
    })  # fmt: skip
    call("DescribeModel", ModelName="m")
    assert call("ListModels")["Models"][0]["ModelName"] == "m"
    variant = {"VariantName": "v", "ModelName": "m", "InstanceType": "ml.m5.large", "InitialInstanceCount": 1}
    call("CreateEndpointConfig", EndpointConfigName="c", ProductionVariants=[variant])
    assert call("DescribeEndpointConfig", EndpointConfigName="c")["ProductionVariants"] == [
        {**variant, "InitialVariantWeight": 1.0}
    ]
    call("ListEndpointConfigs")
    call("CreateModelPackageGroup", ModelPackageGroupName="g", ModelPackageGroupDescription="d")
    call("DescribeModelPackageGroup", ModelPackageGroupName=SCOPE.arn("model-package-group/g"))
    call("ListModelPackageGroups")
    specification = {"Containers": [{"Image": "i"}], "SupportedContentTypes": ["text/csv"]}
    made = call("CreateModelPackage", ModelPackageGroupName="g", InferenceSpecification=specification)
    arn = made["ModelPackageArn"]
    call("DescribeModelPackage", ModelPackageName=arn)
    call("UpdateModelPackage", ModelPackageArn=arn, ModelApprovalStatus="Rejected")
    call("ListModelPackages", ModelPackageGroupName="g")
    found = call("BatchDescribeModelPackage", ModelPackageArnList=[arn, arn[:-1] + "9"])
    assert list(found["ModelPackageSummaries"]) == [arn]
    assert found["BatchDescribeModelPackageErrorMap"][arn[:-1] + "9"]["ErrorCode"] == "ValidationException"
    token = {"ModelPackageGroupName": "g", "ClientToken": "x" * 36}
    assert call("CreateModelPackage", **token) == call("CreateModelPackage", **token)
    call("AddTags", ResourceArn=arn, Tags=[{"Key": "k", "Value": "v"}])
    assert call("ListTags", ResourceArn=arn)["Tags"] == [{"Key": "k", "Value": "v"}]


@pytest.mark.usefixtures("registry")
def test_endpoints_in_every_status_fit_their_shape() -> None:
    model = {
        "ModelName": "m",
        "RoleArn": "r",
        "Image": "i",
        "ResolvedImage": "i@sha256:1",
        "ResolutionTime": 1.0,
    }
    fleet = {
        "Id": "1", "EndpointConfigName": "c",
        "Variants": [
            {"VariantName": "v", "Weight": 1.0, "Count": 1, "InstanceType": "ml.m5.large", "Model": model}
        ],
    }  # fmt: skip
    for status in validation.model().shape_for("EndpointStatus").enum:
        pending = {"Pending": fleet, "PendingSince": 1.0} if status == "Updating" else {}
        store.put(SCOPE, "endpoint", "e", {
            "EndpointName": "e", "EndpointArn": SCOPE.arn("endpoint/e"), "EndpointConfigName": "c",
            "EndpointStatus": status, "CreationTime": 1.0, "LastModifiedTime": 1.0, "Fleet": fleet, **pending,
        })  # fmt: skip
        response = service.call("DescribeEndpoint", {"EndpointName": "e"}, SCOPE)
        assert validation.faults("DescribeEndpoint", response) == []
        assert ("PendingDeploymentSummary" in response) == (status == "Updating")
        assert validation.faults("ListEndpoints", service.call("ListEndpoints", {}, SCOPE)) == []


@pytest.mark.parametrize(
    ("target", "status", "code", "told"),
    [
        (
            "SageMaker.CreateHub",
            501,
            "UnsupportedOperation",
            "CreateHub is not supported by the local target",
        ),
        ("SageMaker.MakeCoffee", 404, "UnknownOperationException", "'MakeCoffee'"),
        ("Glue.GetJob", 404, "UnknownOperationException", "Glue.GetJob"),
        ("SageMaker.DescribeEndpoint", 400, "ValidationException", "Value null at 'endpointName'"),
    ],
)
def test_errors_on_the_wire(
    target: str, status: int, code: str, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "current_scope", lambda: SCOPE)
    answer = asyncio.run(service.handle_request("POST", "/", {"X-Amz-Target": target}, b"{}", {}))
    assert answer[0] == status and answer[1]["x-amzn-errortype"] == code
    body = json.loads(answer[2])
    assert body["__type"] == code and told in body["message"]


@pytest.mark.usefixtures("registry")
def test_what_is_known_to_be_missing_is_refused_by_name() -> None:
    store.put(SCOPE, "model", "m", {"ModelName": "m"})
    variant = {"VariantName": "v", "ModelName": "m", "InstanceType": "ml.m5.large", "InitialInstanceCount": 1}
    asked = {"EndpointConfigName": "c", "ProductionVariants": [variant]}
    for member, value, feature in (
        ("AsyncInferenceConfig", {"OutputConfig": {}}, "Asynchronous inference"),
        ("ShadowProductionVariants", [variant], "Shadow variants"),
    ):
        with pytest.raises(SageMakerError, match=f"{feature} is not supported|{feature}.* not supported"):
            service.call("CreateEndpointConfig", {**asked, member: value}, SCOPE)
    scaled = {**asked["ProductionVariants"][0], "ManagedInstanceScaling": {"Status": "ENABLED"}}
    with pytest.raises(SageMakerError, match="Managed instance scaling is not supported"):
        service.call("CreateEndpointConfig", {**asked, "ProductionVariants": [scaled]}, SCOPE)


@pytest.mark.usefixtures("registry")
def test_the_runtime_s_limit_and_operations_are_botocore_s() -> None:
    import botocore.session

    runtime = botocore.session.get_session().get_service_model("sagemaker-runtime")
    assert runtime.shape_for("BodyBlob").metadata["max"] == backend.MAX_BODY
    for name in runtime.operation_names:
        path = runtime.operation_model(name).http["requestUri"].replace("{EndpointName}", "none")
        answer = asyncio.run(service.handle_request("POST", path, {}, b"x", {}))
        assert answer[1]["x-amzn-errortype"] == (
            "ValidationError" if name == "InvokeEndpoint" else "UnsupportedOperation"
        )
        assert name == "InvokeEndpoint" or f"operation {name} is not supported" in answer[2].decode()
