"""The files and variables a container finds, against the documented shapes."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pipeline.local.runner import image, instances
from pipeline.local.runner.instances import Resources
from pipeline.local.sagemaker import processing_job_checks, processing_job_contract
from pipeline.local.sagemaker import training_job_checks as checks
from pipeline.local.sagemaker import training_job_contract as contract
from pipeline.local.sagemaker.errors import SageMakerError
from pipeline.local.sagemaker.training_job_metrics import Metrics
from pipeline.local.sagemaker.training_job_metrics import check as check_metrics


def training_request(**changes: Any) -> dict[str, Any]:
    request: dict[str, Any] = {
        "TrainingJobName": "job",
        "HyperParameters": {"num-class": "3", "objective": "multiclass"},
        "AlgorithmSpecification": {"TrainingImage": "image", "TrainingInputMode": "File"},
        "RoleArn": "arn:aws:iam::123456789012:role/job",
        "InputDataConfig": [channel("train", ContentType="text/csv"), channel("fast", InputMode="FastFile")],
        "OutputDataConfig": {"S3OutputPath": "s3://bucket/out"},
        "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
        "StoppingCondition": {"MaxRuntimeInSeconds": 60},
    }
    return request | changes


def channel(name: str, source: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    data = {"S3DataType": "S3Prefix", "S3Uri": f"s3://bucket/{name}/"} | (source or {})
    return {"ChannelName": name, "DataSource": {"S3DataSource": data}} | changes


def test_input_data_config_has_the_documented_shape() -> None:
    assert contract.input_data_config(training_request()) == {
        "train": {
            "ContentType": "text/csv",
            "TrainingInputMode": "File",
            "S3DistributionType": "FullyReplicated",
            "RecordWrapperType": "None",
        },
        # documented: FastFile is written as File
        "fast": {
            "TrainingInputMode": "File",
            "S3DistributionType": "FullyReplicated",
            "RecordWrapperType": "None",
        },
    }


def test_variables_name_the_job_its_channels_and_hyperparameters() -> None:
    request = training_request(Environment={"SM_LOG_LEVEL": "10", "MINE": "yes"})
    found = contract.variables(request, "arn:job", "ml.m5.large", Resources(2, 0))
    assert found["TRAINING_JOB_NAME"] == "job"
    assert found["TRAINING_JOB_ARN"] == "arn:job"
    assert found["SM_CHANNEL_TRAIN"] == "/opt/ml/input/data/train"
    assert json.loads(found["SM_CHANNELS"]) == ["fast", "train"]
    assert found["SM_HP_NUM_CLASS"] == "3"
    assert json.loads(found["SM_HPS"]) == {"num-class": 3, "objective": "multiclass"}
    assert json.loads(found["SM_USER_ARGS"]) == ["--num-class", "3", "--objective", "multiclass"]
    assert found["SM_NUM_CPUS"] == "2"
    assert (found["SM_LOG_LEVEL"], found["MINE"]) == ("10", "yes")
    assert contract.hyperparameters(request) == {"num-class": "3", "objective": "multiclass"}
    hosts = contract.resource_config("ml.m5.large")
    assert (hosts["current_host"], hosts["hosts"]) == ("algo-1", ["algo-1"])


def test_each_of_two_hosts_is_told_of_both_and_of_itself() -> None:
    found = contract.variables(training_request(), "arn:job", "ml.m5.large", Resources(2, 0), 2, "algo-2")
    assert (found["SM_CURRENT_HOST"], json.loads(found["SM_HOSTS"])) == ("algo-2", ["algo-1", "algo-2"])
    config = contract.resource_config("ml.m5.large", 2, "algo-2")
    assert json.loads(found["SM_RESOURCE_CONFIG"]) == config
    assert (config["current_host"], config["hosts"]) == ("algo-2", ["algo-1", "algo-2"])
    assert config["instance_groups"][0]["hosts"] == ["algo-1", "algo-2"]


def test_processing_config_spells_absent_members_as_null() -> None:
    request = {
        "ProcessingJobName": "job",
        "AppSpecification": {"ImageUri": "image"},
        "ProcessingInputs": [
            {
                "InputName": "model",
                "S3Input": {
                    "S3Uri": "s3://b/m",
                    "LocalPath": "/opt/ml/processing/model",
                    "S3DataType": "S3Prefix",
                },
            }
        ],
        "ProcessingResources": {
            "ClusterConfig": {"InstanceCount": 1, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 1}
        },
        "RoleArn": "role",
        "StoppingCondition": {"MaxRuntimeInSeconds": 60},
    }
    found = processing_job_contract.job_config(request, "arn:job")
    assert found["AppSpecification"] == {
        "ImageUri": "image",
        "ContainerEntrypoint": None,
        "ContainerArguments": None,
    }
    assert found["ProcessingInputs"][0]["S3Input"]["S3InputMode"] == "File"
    assert found["ProcessingOutputConfig"] == {"Outputs": [], "KmsKeyId": None}
    assert found["ProcessingResources"]["ClusterConfig"]["VolumeKmsKeyId"] is None


def metrics_of(lines: list[str], **definitions: str) -> dict[str, float]:
    found = Metrics([{"Name": name, "Regex": regex} for name, regex in definitions.items()])
    for when, line in enumerate(lines):
        found.take(line, float(when))
    return {each["MetricName"]: each["Value"] for each in found.final()}


def test_the_last_value_of_a_metric_is_final() -> None:
    lines = ["Train_error=0.138318;  Valid_error = 0.324557;", "noise", "Train_error=0.1;"]
    found = metrics_of(lines, train="Train_error=(.*?);", valid="Valid_error = (.*?);", never="x=(.*)")
    assert found == {"train": 0.1, "valid": 0.324557}


def test_an_expression_is_searched_so_only_anchoring_keeps_other_names_out() -> None:
    lines = ["accuracy=0.5", "val_accuracy=0.9"]
    assert metrics_of(lines, accuracy="accuracy=([0-9.]+)") == {"accuracy": 0.9}
    assert metrics_of(lines, accuracy=r"\baccuracy=([0-9.]+)") == {"accuracy": 0.5}
    assert metrics_of(lines, accuracy="^accuracy=([0-9.]+)") == {"accuracy": 0.5}
    # and a line that a logger has put its time before begins with the time
    assert metrics_of(["12:00 INFO accuracy=0.5"], accuracy="^accuracy=([0-9.]+)") == {}


def test_what_is_no_finite_number_is_no_value() -> None:
    lines = ["loss=0.5;", "loss=nan;", "loss=inf;", "loss=n/a;", "loss=;"]
    assert metrics_of(lines, loss="loss=(.*?);") == {"loss": 0.5}
    assert metrics_of(["loss=1e-3; loss=2;"], loss="loss=(.*?);") == {"loss": 2.0}


@pytest.mark.parametrize(("regex", "why"), [("(", "Invalid regex"), ("loss=.*", "capturing group")])
def test_a_regex_that_finds_nothing_is_refused(regex: str, why: str) -> None:
    with pytest.raises(SageMakerError, match=why):
        check_metrics([{"Name": "loss", "Regex": regex}])


RESOURCES = {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1}
ALGORITHM = {"TrainingImage": "image", "TrainingInputMode": "File"}
AUGMENTED = {"S3DataType": "AugmentedManifestFile", "AttributeNames": ["a"]}


@pytest.mark.parametrize(
    ("changes", "code", "why"),
    [
        (
            {"ResourceConfig": RESOURCES | {"InstanceCount": 9}},
            "UnsupportedOperation",
            "one machine stands for all",
        ),
        ({"VpcConfig": {"Subnets": ["s"]}}, "UnsupportedOperation", "VpcConfig"),
        ({"ResourceConfig": {"InstanceType": "ml.m5.large"}}, "ValidationException", "InstanceCount"),
        (
            {"AlgorithmSpecification": {"AlgorithmName": "x", "TrainingInputMode": "File"}},
            "UnsupportedOperation",
            "AlgorithmName",
        ),
        (
            {"InputDataConfig": [channel("t", RecordWrapperType="RecordIO")]},
            "UnsupportedOperation",
            "RecordIO",
        ),
        ({"InputDataConfig": [channel("t", AUGMENTED)]}, "ValidationException", "input mode is Pipe"),
        (
            {"InputDataConfig": [channel("t", {"S3DataType": "AugmentedManifestFile"}, InputMode="Pipe")]},
            "ValidationException",
            "AttributeNames",
        ),
        ({"InputDataConfig": [channel("t", CompressionType="Gzip")]}, "ValidationException", "Gzip"),
        ({"InputDataConfig": [channel("t"), channel("t")]}, "ValidationException", "Duplicate channel"),
        (
            {"InputDataConfig": [channel("t", {"S3DataType": "ManifestFile"}, InputMode="FastFile")]},
            "ValidationException",
            "FastFile",
        ),
        ({"EnableManagedSpotTraining": True}, "ValidationException", "MaxWaitTimeInSeconds must"),
        (
            {
                "EnableManagedSpotTraining": True,
                "StoppingCondition": {"MaxRuntimeInSeconds": 60, "MaxWaitTimeInSeconds": 30},
            },
            "ValidationException",
            "Invalid MaxWaitTime",
        ),
        (
            {"CheckpointConfig": {"S3Uri": "s3://b/c", "LocalPath": "/tmp/x"}},
            "UnsupportedOperation",
            "LocalPath",
        ),
    ],
)
def test_a_training_job_that_cannot_be_run_as_asked_is_refused(
    changes: dict[str, Any], code: str, why: str
) -> None:
    with pytest.raises(SageMakerError, match=why) as caught:
        checks.check(training_request(**changes))
    assert caught.value.code == code


def test_a_sound_training_job_is_accepted() -> None:
    checks.check(training_request(InputDataConfig=[channel("t", AUGMENTED, InputMode="Pipe")]))


@pytest.mark.parametrize("path", ["/tmp/x", "/opt/ml/model", "/opt/ml/processing/../model", None])
def test_processing_paths_stay_in_their_folder(path: str | None) -> None:
    request = {
        "ProcessingResources": {
            "ClusterConfig": {"InstanceCount": 1, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 1}
        },
        "ProcessingInputs": [
            {"InputName": "i", "S3Input": {"S3Uri": "s3://b/x", "S3DataType": "S3Prefix", "LocalPath": path}}
        ],
    }
    with pytest.raises(SageMakerError, match="must be an absolute path"):
        processing_job_checks.check(request)


@pytest.mark.parametrize(
    ("name", "cpus", "gpus"),
    [
        ("ml.m5.large", 2, 0),
        ("ml.m5.xlarge", 4, 0),
        ("ml.m5.24xlarge", 96, 0),
        ("ml.c5.9xlarge", 36, 0),
        ("ml.t3.medium", 2, 0),
        ("ml.g5.12xlarge", 48, 4),
        ("ml.p3.2xlarge", 8, 1),
    ],
)
def test_an_instance_type_has_its_processors(name: str, cpus: int, gpus: int) -> None:
    assert instances.nominal(name) == Resources(cpus, gpus)
    assert instances.available(name).cpus <= cpus


def test_a_dockerfile_gives_environment_entrypoint_and_command_of_its_last_stage() -> None:
    text = """
    # syntax=docker/dockerfile:1
    ARG BASE=python:3.11
    FROM ${BASE} AS build
    ENV LOST=1
    ENTRYPOINT ["lost"]
    FROM ${BASE}
    ARG LEVEL=info
    ENV PYTHONUNBUFFERED=1 \\
        TITLE="two words" LOG=${LEVEL} PATH=/opt/program:$PATH
    ENV OLD old form
    ENTRYPOINT ["python3", "-u"]
    CMD ["serve"]
    """
    found = image.parse(text)
    assert found.environment == {
        "PYTHONUNBUFFERED": "1",
        "TITLE": "two words",
        "LOG": "info",
        "OLD": "old form",
    }
    assert found.command_line(("train",), False) == ["python3", "-u", "train"]
    assert found.command_line((), False) == ["python3", "-u", "serve"]
    assert found.command_line(("/opt/program/evaluate",), True) == ["/opt/program/evaluate"]
    assert image.parse("FROM scratch\nENTRYPOINT run me").entrypoint == ("/bin/sh", "-c", "run me")
