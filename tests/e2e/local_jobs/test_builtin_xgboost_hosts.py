"""The built-in XGBoost on two hosts: one model of what each of them was given."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from pipeline.local.runner import mount
from tests.e2e.local_jobs.conftest import BUCKET, Jobs
from tests.e2e.local_jobs.xgboost_jobs import (
    GIVEN,
    IMAGE,
    LABELS,
    ROWS,
    Plain,
    as_csv,
    first_trained,
    plain_xgboost,
)

pytestmark = pytest.mark.skipif(
    mount.isolation() == mount.MAPPED, reason="this kernel gives no mount namespaces"
)
TWO = {"InstanceType": "ml.m5.large", "InstanceCount": 2, "VolumeSizeInGB": 1}
SHARDED = {"S3DataDistributionType": "ShardedByS3Key"}


@pytest.fixture(scope="module")
def trained(jobs: Jobs) -> dict[str, Any]:
    return first_trained(jobs)


@pytest.fixture(scope="module")
def plain(jobs: Jobs, trained: dict[str, Any]) -> Plain:
    assert trained["TrainingJobStatus"] == "Completed", trained
    return plain_xgboost(jobs)


def train_on_two(jobs: Jobs, parts: dict[str, str], **changes: Any) -> str:
    """Start a training on two hosts: they share the files of `train` and both have `validation`."""
    stamp = time.time_ns()
    for file, text in parts.items():
        jobs.put(f"xgb-two/{stamp}/train/{file}", text)
    jobs.put(f"xgb-two/{stamp}/validation/rows.csv", as_csv(ROWS[::3], LABELS[::3]))
    uri = f"s3://{BUCKET}/xgb-two/{stamp}"
    channels = [
        jobs.channel("train", f"{uri}/train", ContentType="text/csv", source=SHARDED),
        jobs.channel("validation", f"{uri}/validation", ContentType="text/csv"),
    ]
    given = {**GIVEN, **changes.pop("hyperparameters", {})}
    request = {"HyperParameters": given, "InputDataConfig": channels, "ResourceConfig": TWO}
    return jobs.train("unused", algorithm={"TrainingImage": IMAGE}, **(request | changes))


HALVES = {"a.csv": as_csv(ROWS[::2], LABELS[::2]), "b.csv": as_csv(ROWS[1::2], LABELS[1::2])}


@pytest.mark.parametrize("isolated", [False, True])
@pytest.mark.usefixtures("trained")
def test_two_hosts_with_half_of_the_rows_each_leave_one_model_of_all_rows(
    jobs: Jobs, plain: Plain, tmp_path: Path, isolated: bool
) -> None:
    name = train_on_two(jobs, HALVES, EnableNetworkIsolation=isolated)
    found = jobs.trained(name, 60)
    assert found["TrainingJobStatus"] == "Completed", found["FailureReason"]
    said = logged_by_host(jobs, name)
    assert "train: 80 rows, 3 features" in said["algo-1"] and "train: 80 rows, 3 features" in said["algo-2"]
    rounds = {host: [line for line in lines if "#011" in line] for host, lines in said.items()}
    assert len(rounds["algo-1"]) == int(GIVEN["num_round"]) and not rounds["algo-2"]
    files = jobs.unpacked(found["ModelArtifacts"]["S3ModelArtifacts"].removeprefix(f"s3://{BUCKET}/"))
    assert list(files) == ["xgboost-model"]
    model = tmp_path / "xgboost-model"
    model.write_bytes(files["xgboost-model"])
    predicted, of_one = plain("predict", model), plain("train", tmp_path / "plain.json")
    # The histograms' borders come of sketches of the halves, so the same to the last bit it is not.
    far = [abs(a - b) for a, b in zip(predicted, of_one, strict=True)]
    assert sum(far) / len(far) < 0.05 * (max(LABELS) - min(LABELS))
    # A model of one half would be further off: on the rows of the other half.
    errors = [abs(a - b) for a, b in zip(predicted[1::2], LABELS[1::2], strict=True)]
    assert sum(errors) / len(errors) < 0.3
    metrics = {each["MetricName"]: each["Value"] for each in found["FinalMetricDataList"]}
    third = list(zip(predicted, LABELS, strict=True))[::3]
    # Both hosts have all of validation: the metric of it is the model's that was kept.
    rmse = (sum((a - b) ** 2 for a, b in third) / len(third)) ** 0.5
    assert metrics["validation:rmse"] == pytest.approx(rmse, abs=1e-3)
    mean = sum(label for _, label in third) / len(third)
    r2 = 1 - sum((a - b) ** 2 for a, b in third) / sum((label - mean) ** 2 for _, label in third)
    assert metrics["validation:r2"] == pytest.approx(r2, abs=1e-3)


@pytest.mark.parametrize(
    ("parts", "hyperparameters", "reason"),
    [
        (HALVES, {"tree_method": "exact"}, "tree_method: exact trains on one instance; hist and approx"),
        (HALVES, {"booster": "gblinear"}, "gblinear trains on one instance"),
        (
            {"a.csv": HALVES["a.csv"], "b.csv": "1,2,3,4\nmany,2,3,4\n"},
            {},
            "algo-2: train/b.csv, line 2: the label is 'many', which is no number",
        ),
        ({"a.csv": HALVES["a.csv"], "b.csv": "1,2,3\n"}, {}, "its files have [2, 3] feature columns"),
    ],
    ids=["exact", "gblinear", "row", "columns"],
)
@pytest.mark.usefixtures("trained")
def test_what_is_wrong_on_one_host_fails_the_job(
    jobs: Jobs, parts: dict[str, str], hyperparameters: dict[str, str], reason: str
) -> None:
    found = jobs.trained(train_on_two(jobs, parts, hyperparameters=hyperparameters), 60)
    assert found["TrainingJobStatus"] == "Failed"
    assert reason in found["FailureReason"], found["FailureReason"]


@pytest.mark.usefixtures("trained")
def test_two_hosts_stop_early_and_resume_together_though_one_has_no_rows(jobs: Jobs) -> None:
    place = {"S3Uri": f"s3://{BUCKET}/xgb-two-checkpoints", "LocalPath": "/opt/ml/checkpoints"}
    all_rows = {"a.csv": as_csv(ROWS, LABELS)}
    first = train_on_two(jobs, all_rows, CheckpointConfig=place, hyperparameters={"num_round": "3"})
    found = jobs.trained(first, 60)
    assert found["TrainingJobStatus"] == "Completed", found["FailureReason"]
    given = {"num_round": "400", "early_stopping_rounds": "3", "eta": "1"}
    name = train_on_two(jobs, all_rows, CheckpointConfig=place, hyperparameters=given)
    found = jobs.trained(name, 60)
    assert found["TrainingJobStatus"] == "Completed", found["FailureReason"]
    said = logged_by_host(jobs, name)
    assert "train: 160 rows, 3 features" in said["algo-1"] and "train: 0 rows, 3 features" in said["algo-2"]
    rounds = [line for line in said["algo-1"] if "#011" in line]
    assert rounds[0].startswith("[3]#011") and len(rounds) < 390
    assert not [line for line in said["algo-2"] if "#011" in line]


@pytest.mark.usefixtures("trained")
def test_two_hosts_stop_at_one_round_and_leave_the_model(jobs: Jobs) -> None:
    given = {"num_round": "100000", "save_model_on_termination": "true"}
    name = train_on_two(jobs, HALVES, hyperparameters=given)
    jobs.wait_for(name, "train: 80 rows, 3 features")
    deadline = time.monotonic() + 20
    while not any("[5]#011" in line for line in logged_by_host(jobs, name).get("algo-1", [])):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    jobs.client("sagemaker").stop_training_job(TrainingJobName=name)
    found = jobs.trained(name, 60)
    assert (found["TrainingJobStatus"], found["SecondaryStatus"]) == ("Stopped", "Stopped")
    assert list(jobs.unpacked(f"out/{name}/output/model.tar.gz")) == ["xgboost-model"]
    ends = {line for lines in logged_by_host(jobs, name).values() for line in lines if "stopped:" in line}
    assert len(ends) == 1, ends


def logged_by_host(jobs: Jobs, name: str) -> dict[str, list[str]]:
    logs, group = jobs.client("logs"), "/aws/sagemaker/TrainingJobs"
    found = {}
    for stream in logs.describe_log_streams(logGroupName=group, logStreamNamePrefix=f"{name}/")["logStreams"]:
        at = {"logGroupName": group, "logStreamName": stream["logStreamName"], "startFromHead": True}
        host = stream["logStreamName"].split("/")[1].rpartition("-")[0]
        found[host] = [event["message"] for event in logs.get_log_events(**at)["events"]]
    return found
