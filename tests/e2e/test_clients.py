"""Unmodified clients drive the local target: the sagemaker SDK's Estimator and Predictor, and the AWS CLI."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.e2e.conftest import Iris

SDK = """
import json, sys
import boto3, sagemaker
from sagemaker.deserializers import JSONDeserializer
from sagemaker.estimator import Estimator
from sagemaker.inputs import TrainingInput
from sagemaker.serializers import CSVSerializer

image, role, bucket = sys.argv[1:]
session = sagemaker.Session(boto3.Session(), default_bucket=bucket)
estimator = Estimator(
    image, role, 1, "ml.m5.large", base_job_name="from-the-sdk", sagemaker_session=session, output_path=f"s3://{bucket}/sdk",
    hyperparameters={"objective": "multiclass", "num_class": 3, "max_leaf_nodes": 5},
    metric_definitions=[{"Name": "accuracy", "Regex": r"validation_accuracy=([0-9.]+);"}],
)
data = {c: TrainingInput(f"s3://{bucket}/input-data-{w}/2026-03-01/multiclass/", content_type="text/csv")
        for c, w in (("train", "training"), ("validation", "validation"))}
estimator.fit(data, logs="All")
predictor = estimator.deploy(1, "ml.m5.large", endpoint_name="from-the-sdk",
                             serializer=CSVSerializer(), deserializer=JSONDeserializer())
print("ANSWER", json.dumps(predictor.predict([[5.1, 3.5, 1.4, 0.2], [6.3, 3.3, 6.0, 2.5]])))
predictor.delete_endpoint()
"""


def environment(iris: Iris, tmp_path: Path) -> dict[str, str]:
    """What `pipeline local env` prints, and a home without settings of this machine's user."""
    config = tmp_path / "sagemaker.yaml"
    opt_out = {"SageMaker": {"PythonSDK": {"Modules": {"TelemetryOptOut": True}}}}
    config.write_text(json.dumps({"SchemaVersion": "1.0", **opt_out}))
    return {
        **{k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "SAGEMAKER_"))},
        **iris.variables,
        "SAGEMAKER_USER_CONFIG_OVERRIDE": str(config),
        "HOME": str(tmp_path),
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def test_the_sagemaker_sdk_trains_deploys_and_predicts(iris: Iris, tmp_path: Path) -> None:
    sagemaker = iris.client("sagemaker")
    job = sagemaker.list_training_jobs()["TrainingJobSummaries"][0]["TrainingJobName"]
    described = sagemaker.describe_training_job(TrainingJobName=job)
    image, role = described["AlgorithmSpecification"]["TrainingImage"], described["RoleArn"]
    # The run's own role may write under the pipeline's prefixes only; the SDK's job gets a role of its own.
    role = sdk_role(iris)
    done = subprocess.run(
        [sys.executable, "-c", SDK, image, role, "ml-111111111111-eu-west-1"],
        env=environment(iris, tmp_path),
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    answer = json.loads(done.stdout.split("ANSWER", 1)[1])
    assert "setosa" in json.dumps(answer)
    assert "virginica" in json.dumps(answer)


def sdk_role(iris: Iris) -> str:
    """A role for jobs and models that may use the account's bucket."""
    iam = iris.client("iam")
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": "sagemaker.amazonaws.com"},
        "Action": "sts:AssumeRole",
    }
    trust = {"Version": "2012-10-17", "Statement": [statement]}
    role = iam.create_role(RoleName="sdk-user", AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]
    actions = ["s3:*", "logs:*", "cloudwatch:PutMetricData", "ecr:*"]
    policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": actions, "Resource": "*"}]}
    iam.put_role_policy(RoleName="sdk-user", PolicyName="jobs", PolicyDocument=json.dumps(policy))
    return str(role)


def test_the_aws_command_line_drives_the_local_target(iris: Iris, tmp_path: Path) -> None:
    def aws(*arguments: str) -> dict[str, object]:
        done = subprocess.run(
            [str(Path(sys.executable).with_name("aws")), *arguments, "--output", "json"],
            env=environment(iris, tmp_path),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout) if done.stdout.strip() else {}

    assert (
        aws("sagemaker", "describe-endpoint", "--endpoint-name", "iris-dev")["EndpointStatus"] == "InService"
    )
    machines = aws("stepfunctions", "list-state-machines")["stateMachines"]
    assert [m["name"] for m in machines] == ["iris-dev"]
    body, out = tmp_path / "row.csv", tmp_path / "answer.json"
    body.write_text("5.1,3.5,1.4,0.2\n")
    aws(
        *(
            "sagemaker-runtime",
            "invoke-endpoint",
            "--endpoint-name",
            "iris-dev",
            "--content-type",
            "text/csv",
        ),
        *("--accept", "application/json", "--body", f"fileb://{body}", str(out)),
    )
    assert "setosa" in out.read_text()
