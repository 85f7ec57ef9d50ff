"""SageMaker's built-in XGBoost on the local target: AWS's image URI, real training, XGBoost's own model."""

from __future__ import annotations

import csv
import io
import json
import tarfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import botocore.exceptions
import pytest

from tests.e2e.local_jobs.conftest import BUCKET, REGION, Jobs
from tests.e2e.local_jobs.xgboost_jobs import (
    ACCOUNT_OF_AWS,
    GIVEN,
    IMAGE,
    LABELS,
    ROWS,
    Plain,
    as_csv,
    first_trained,
    plain_xgboost,
    train,
)


@pytest.fixture(scope="module")
def trained(jobs: Jobs) -> dict[str, Any]:
    return first_trained(jobs)


@pytest.fixture(scope="module")
def plain(jobs: Jobs, trained: dict[str, Any]) -> Plain:
    assert trained["TrainingJobStatus"] == "Completed", trained
    return plain_xgboost(jobs)


@pytest.fixture(scope="module")
def endpoint(jobs: Jobs) -> Iterator[Callable[[str], str]]:
    """Deploy a model.tar.gz on the built-in image; the endpoint's name."""
    sagemaker = jobs.client("sagemaker")
    made: list[str] = []

    def deploy(url: str) -> str:
        name = f"xgb-{len(made)}"
        sagemaker.create_model(
            ModelName=name, ExecutionRoleArn=jobs.role, PrimaryContainer={"Image": IMAGE, "ModelDataUrl": url}
        )
        variant = {
            "VariantName": "only",
            "ModelName": name,
            "InstanceType": "ml.m5.large",
            "InitialInstanceCount": 1,
        }
        sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant])
        sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)
        made.append(name)
        for _ in range(1200):
            found = sagemaker.describe_endpoint(EndpointName=name)
            if found["EndpointStatus"] != "Creating":
                break
            time.sleep(0.1)
        assert found["EndpointStatus"] == "InService", found.get("FailureReason")
        return name

    yield deploy
    for name in made:
        sagemaker.delete_endpoint(EndpointName=name)


def ask(jobs: Jobs, name: str, body: str, **headers: str) -> str:
    headers.setdefault("ContentType", "text/csv")
    answer = jobs.client("sagemaker-runtime").invoke_endpoint(
        EndpointName=name, Body=body.encode(), **headers
    )
    return answer["Body"].read().decode()


def test_the_model_of_a_job_is_xgboosts_own_and_the_endpoint_predicts_the_same(
    jobs: Jobs, trained: dict[str, Any], plain: Plain, endpoint: Callable[[str], str], tmp_path: Path
) -> None:
    url = trained["ModelArtifacts"]["S3ModelArtifacts"]
    files = jobs.unpacked(url.removeprefix(f"s3://{BUCKET}/"))
    assert list(files) == ["xgboost-model"]
    model = tmp_path / "xgboost-model"
    model.write_bytes(files["xgboost-model"])
    expected = plain("predict", model)
    # Not only of the right form: plain XGBoost makes the same of the same rows and hyperparameters.
    assert plain("train", tmp_path / "plain.json") == expected

    name = endpoint(url)
    answer = ask(jobs, name, as_csv(ROWS))
    assert [float(row[0]) for row in csv.reader(io.StringIO(answer))] == expected
    sparse = "\n".join(" ".join(f"{i}:{v}" for i, v in enumerate(row)) for row in ROWS)
    found = json.loads(ask(jobs, name, sparse, ContentType="text/libsvm", Accept="application/json"))
    assert [each["score"] for each in found["predictions"]] == expected
    for body, content_type, code, says in (
        ("1,2\n", "text/csv", 400, "2 features; the model was trained with 3"),
        ("a,b,c\n", "text/csv", 415, "header"),
        ("{}", "application/json", 415, "it reads text/csv"),
    ):
        with pytest.raises(botocore.exceptions.ClientError) as refused:
            ask(jobs, name, body, ContentType=content_type)
        assert refused.value.response["OriginalStatusCode"] == code
        assert says in refused.value.response["OriginalMessage"]


def test_metrics_come_by_themselves_from_lines_in_awss_form(jobs: Jobs, trained: dict[str, Any]) -> None:
    found = {each["MetricName"]: each["Value"] for each in trained["FinalMetricDataList"]}
    assert {"train:rmse", "validation:rmse", "validation:r2"} <= set(found)
    assert found["validation:r2"] > 0.9
    lines = [line for line in jobs.logged(trained["TrainingJobName"]) if line.startswith("[")]
    assert len(lines) == int(GIVEN["num_round"])
    assert lines[-1].startswith("[11]#011train-rmse:")
    with pytest.raises(botocore.exceptions.ClientError, match="can't override the metric definitions"):
        metrics = [{"Name": "mine", "Regex": "a=(.*)"}]
        train(jobs, algorithm={"TrainingImage": IMAGE, "MetricDefinitions": metrics})


def test_a_model_trained_by_plain_xgboost_deploys_and_predicts_the_same(
    jobs: Jobs, plain: Plain, endpoint: Callable[[str], str], tmp_path: Path
) -> None:
    model = tmp_path / "mine.json"
    expected = plain("train", model)
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        archive.add(model, "mine.json")
    url = jobs.put("plain/model.tar.gz", buffer.getvalue())
    answer = ask(jobs, endpoint(url), as_csv(ROWS))
    assert [float(line) for line in answer.splitlines()] == expected


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"hyperparameters": {"etaa": "1"}}, "hyperparameter etaa: xgboost knows no hyperparameter 'etaa'"),
        ({"hyperparameters": {"eta": "7"}}, "hyperparameter eta: 7 is out of range"),
        ({"body": "price,size\n1,2\n"}, "the first line is a header (price,size)"),
        ({"body": "1,2,3,4\nmany,2,3,4\n"}, "line 2: the label is 'many', which is no number"),
        ({"content_type": "application/x-parquet"}, "is not read by the local target's XGBoost"),
        ({"channel": "training"}, "the channel 'train' is missing; the job has training, validation"),
    ],
)
@pytest.mark.usefixtures("trained")
def test_what_is_wrong_is_told_in_the_failure_reason(
    jobs: Jobs, changes: dict[str, Any], reason: str
) -> None:
    found = jobs.trained(train(jobs, **changes), seconds=60)
    assert found["TrainingJobStatus"] == "Failed"
    assert reason in found["FailureReason"], found["FailureReason"]


@pytest.mark.usefixtures("trained")
def test_a_job_resumes_from_its_checkpoint_and_stops_when_it_gets_no_better(jobs: Jobs) -> None:
    place = {"S3Uri": f"s3://{BUCKET}/xgb-checkpoints", "LocalPath": "/opt/ml/checkpoints"}
    given = {"num_round": "3"}
    assert (
        jobs.trained(train(jobs, hyperparameters=given, CheckpointConfig=place), 60)["TrainingJobStatus"]
        == "Completed"
    )
    assert "xgb-checkpoints/xgboost-checkpoint.2" in jobs.keys("xgb-checkpoints")
    # The metric that is named last is what counts, and r2 of what is learned by heart gets no better.
    given = {"num_round": "400", "early_stopping_rounds": "3", "eta": "1"}
    name = train(jobs, hyperparameters=given, CheckpointConfig=place)
    assert jobs.trained(name, 120)["TrainingJobStatus"] == "Completed"
    lines = jobs.logged(name)
    assert "resumes after round 3 (xgboost-checkpoint.2)" in lines
    rounds = [line for line in lines if line.startswith("[")]
    assert rounds[0].startswith("[3]#011") and len(rounds) < 390
    kept = next(int(line.split()[2]) for line in lines if line.startswith("model: "))
    assert kept == 3 + len(rounds) - 3


@pytest.mark.usefixtures("trained")
def test_weights_and_libsvm_train_too(jobs: Jobs, plain: Plain, tmp_path: Path) -> None:
    weighted = as_csv([[1, *row] for row in ROWS], LABELS)
    sparse = [" ".join(f"{i}:{v}" for i, v in enumerate(row)) for row in ROWS]
    lines = "".join(f"{a} {b}\n" for a, b in zip(LABELS, sparse, strict=True))
    no_validation = {"validation": False}
    names = {
        "csv": train(jobs, weighted, hyperparameters={"csv_weights": "1"}, **no_validation),
        "libsvm": train(jobs, lines, content_type="text/libsvm", **no_validation),
    }
    expected = plain("train", tmp_path / "plain.json")
    for kind, name in names.items():
        found = jobs.trained(name, 60)
        assert found["TrainingJobStatus"] == "Completed", found["FailureReason"]
        files = jobs.unpacked(found["ModelArtifacts"]["S3ModelArtifacts"].removeprefix(f"s3://{BUCKET}/"))
        model = tmp_path / kind
        model.write_bytes(files["xgboost-model"])
        # All weights are 1, and no value is missing: it is the same model.
        assert plain("predict", model) == expected


@pytest.mark.usefixtures("trained")
def test_1_7_has_its_own_defaults(jobs: Jobs, plain: Plain, tmp_path: Path) -> None:
    found = jobs.trained(train(jobs, image=IMAGE.replace("3.0-5", "1.7-1")), 60)
    assert found["TrainingJobStatus"] == "Completed", found.get("FailureReason")
    files = jobs.unpacked(found["ModelArtifacts"]["S3ModelArtifacts"].removeprefix(f"s3://{BUCKET}/"))
    model = tmp_path / "old"
    model.write_bytes(files["xgboost-model"])
    as_old = {**GIVEN, "base_score": "0.5", "tree_method": "exact"}
    assert plain("predict", model) == plain("train", tmp_path / "as_old.json", as_old)
    assert plain("predict", model) != plain("train", tmp_path / "new.json")


def test_a_batch_has_a_line_for_each_row(
    jobs: Jobs, trained: dict[str, Any], plain: Plain, tmp_path: Path
) -> None:
    sagemaker, url = jobs.client("sagemaker"), trained["ModelArtifacts"]["S3ModelArtifacts"]
    sagemaker.create_model(
        ModelName="batch", ExecutionRoleArn=jobs.role, PrimaryContainer={"Image": IMAGE, "ModelDataUrl": url}
    )
    uri = jobs.put("xgb-batch/in/rows.csv", as_csv(ROWS))
    sagemaker.create_transform_job(
        TransformJobName="xgb",
        ModelName="batch",
        BatchStrategy="MultiRecord",
        TransformInput={
            "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": uri}},
            "ContentType": "text/csv",
            "SplitType": "Line",
        },
        TransformOutput={"S3OutputPath": f"s3://{BUCKET}/xgb-batch/out", "AssembleWith": "None"},
        TransformResources={"InstanceType": "ml.m5.large", "InstanceCount": 1},
    )
    describe = lambda: sagemaker.describe_transform_job(TransformJobName="xgb")  # noqa: E731
    found = jobs._over(describe, "TransformJobStatus", 60)
    assert found["TransformJobStatus"] == "Completed", found.get("FailureReason")
    model = tmp_path / "xgboost-model"
    model.write_bytes(jobs.unpacked(url.removeprefix(f"s3://{BUCKET}/"))["xgboost-model"])
    answers = jobs.get("xgb-batch/out/rows.csv.out").decode().splitlines()
    assert [float(line) for line in answers] == plain("predict", model)


@pytest.mark.usefixtures("trained")
def test_a_search_looks_at_the_algorithms_own_metric(jobs: Jobs) -> None:
    channels = []
    for name in ("train", "validation"):
        jobs.put(f"xgb-search/{name}/rows.csv", as_csv(ROWS, LABELS))
        channels.append(jobs.channel(name, f"s3://{BUCKET}/xgb-search/{name}", ContentType="text/csv"))
    fixed = {key: value for key, value in GIVEN.items() if key not in ("eta", "eval_metric")}
    jobs.client("sagemaker").create_hyper_parameter_tuning_job(
        HyperParameterTuningJobName="xgb",
        HyperParameterTuningJobConfig={
            "Strategy": "Random",
            "HyperParameterTuningJobObjective": {"Type": "Minimize", "MetricName": "validation:rmse"},
            "ResourceLimits": {"MaxNumberOfTrainingJobs": 2, "MaxParallelTrainingJobs": 1},
            "ParameterRanges": {
                "ContinuousParameterRanges": [{"Name": "eta", "MinValue": "0.1", "MaxValue": "0.9"}]
            },
        },
        TrainingJobDefinition={
            "StaticHyperParameters": fixed,
            "AlgorithmSpecification": {"TrainingImage": IMAGE, "TrainingInputMode": "File"},
            "RoleArn": jobs.role,
            "InputDataConfig": channels,
            "OutputDataConfig": {"S3OutputPath": f"s3://{BUCKET}/out"},
            "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
            "StoppingCondition": {"MaxRuntimeInSeconds": 60},
        },
    )
    sagemaker = jobs.client("sagemaker")
    describe = lambda: sagemaker.describe_hyper_parameter_tuning_job(HyperParameterTuningJobName="xgb")  # noqa: E731
    found = jobs._over(describe, "HyperParameterTuningJobStatus", 120)
    best = found["BestTrainingJob"]["FinalHyperParameterTuningJobObjectiveMetric"]
    assert best["MetricName"] == "validation:rmse" and 0 < best["Value"] < 10
    assert found["TrainingJobStatusCounters"]["Completed"] == 2


def test_images_that_are_not_carried_are_refused_with_what_is(jobs: Jobs) -> None:
    others = {
        f"438346466558.dkr.ecr.{REGION}.amazonaws.com/linear-learner:1": "linear-learner",
        f"763104351884.dkr.ecr.{REGION}.amazonaws.com/pytorch-training:2.5": "pytorch",
        f"{ACCOUNT_OF_AWS}.dkr.ecr.{REGION}.amazonaws.com/sagemaker-xgboost:0.90-2": "xgboost",
    }
    for image, name in others.items():
        for call in (
            lambda image=image: train(jobs, image=image),
            lambda image=image: jobs.client("sagemaker").create_model(
                ModelName="none", ExecutionRoleArn=jobs.role, PrimaryContainer={"Image": image}
            ),
        ):
            with pytest.raises(botocore.exceptions.ClientError) as refused:
                call()
            said = refused.value.response["Error"]["Message"]
            assert "xgboost (1.7-1, 3.0-5)" in said and name in said, said


def test_a_role_must_be_allowed_to_pull_from_awss_registry(jobs: Jobs) -> None:
    own = {
        "Effect": "Allow",
        "Action": "ecr:*",
        "Resource": "arn:aws:ecr:eu-west-1:111122223333:repository/*",
    }
    role = jobs.make_role("pulls-own-only", own, {"Effect": "Allow", "Action": "s3:*", "Resource": "*"})
    with pytest.raises(botocore.exceptions.ClientError, match="Access denied for registry path"):
        train(jobs, RoleArn=role)
