"""What a user of iris sees: trained and served, nothing new, a new date under load, a rejected model."""

from __future__ import annotations

import json
import re
import threading

import pytest

from tests.e2e.conftest import Iris


def test_the_first_run_serves_a_prediction(iris: Iris) -> None:
    endpoint = iris.endpoint()
    assert endpoint["EndpointStatus"] == "InService"
    assert "setosa" in str(iris.answers())
    packages = iris.client("sagemaker").list_model_packages(ModelPackageGroupName="iris-dev")
    newest = packages["ModelPackageSummaryList"][0]
    assert newest["ModelApprovalStatus"] == "Approved"
    package = iris.client("sagemaker").describe_model_package(ModelPackageName=newest["ModelPackageArn"])
    facts = package["CustomerMetadataProperties"]
    assert "@sha256:" in facts["image"]
    assert facts["data_version"]
    for kind in ("started", "deployed"):
        assert iris.slack.told("iris", kind), iris.slack.texts


def test_the_same_data_again_is_nothing_new_and_starts_no_job(iris: Iris) -> None:
    date = iris.day(1)
    before = len(iris.client("sagemaker").list_training_jobs(MaxResults=100)["TrainingJobSummaries"])
    out = iris.run(date)
    assert "NothingNew" in out
    assert len(iris.client("sagemaker").list_training_jobs(MaxResults=100)["TrainingJobSummaries"]) == before


def test_a_new_date_updates_the_endpoint_while_no_request_fails(iris: Iris) -> None:
    runtime = iris.client("sagemaker-runtime")
    before = iris.endpoint()["EndpointConfigName"]
    stop, answers, failures = threading.Event(), [], []

    def ask() -> None:
        while not stop.is_set():
            try:
                answer = runtime.invoke_endpoint(
                    EndpointName="iris-dev", ContentType="text/csv", Body=b"5.1,3.5,1.4,0.2"
                )
                answers.append(answer["Body"].read())
            except Exception as error:  # noqa: BLE001 - any failure at all is what is asserted on
                failures.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        # New data of the same quality: the same rows in another order.
        sample = iris.root / "pipeline/definitions/iris/sample/train/iris.csv"
        lines = sample.read_text().splitlines()
        sample.write_text("\n".join([*lines[:-1][::-1], lines[-1]]) + "\n")
        # Deleted by hand, the watermark is made again.
        iris.client("ssm").delete_parameter(Name="/ml/iris-dev/watermark")
        iris.run(iris.day(5))
    finally:
        stop.set()
        thread.join()
    assert not failures
    assert len(answers) > 20
    assert iris.endpoint()["EndpointConfigName"] != before
    mark = iris.client("ssm").get_parameter(Name="/ml/iris-dev/watermark")["Parameter"]["Value"]
    assert json.loads(mark)["date"] == "2026-03-05"


def test_a_window_of_days_is_trained_on_through_a_manifest(iris: Iris) -> None:
    settings = iris.root / "pipeline/definitions/iris/settings.toml"
    original = settings.read_text()
    iris.edit("pipeline/definitions/iris/settings.toml", "^window_days = 1", "window_days = 3")
    try:
        iris.cli("apply", "iris", "--yes")
        for day in (20, 21):
            iris.day(day)
        iris.run(iris.day(22))
        jobs = iris.client("sagemaker").list_training_jobs(SortBy="CreationTime", SortOrder="Descending")
        newest = jobs["TrainingJobSummaries"][0]["TrainingJobName"]
        job = iris.client("sagemaker").describe_training_job(TrainingJobName=newest)
        train = next(c for c in job["InputDataConfig"] if c["ChannelName"] == "train")
        assert train["DataSource"]["S3DataSource"]["S3DataType"] == "ManifestFile"
        assert "train 180 " in iris.cli("logs", "iris", "Train").stdout
    finally:
        settings.write_text(original)
        iris.cli("apply", "iris", "--yes")


def test_shuffled_labels_are_rejected_by_name_and_value(iris: Iris) -> None:
    before = iris.endpoint()
    out = iris.run(iris.day(7, shuffle=1), code=1)
    assert "ModelRejected" in out
    assert "accuracy" in out
    assert "0.88" in out
    newest = iris.client("sagemaker").list_model_packages(
        ModelPackageGroupName="iris-dev", SortBy="CreationTime", SortOrder="Descending"
    )["ModelPackageSummaryList"][0]
    assert newest["ModelApprovalStatus"] == "Rejected"
    after = iris.endpoint()
    assert after["EndpointConfigName"] == before["EndpointConfigName"]
    assert after["LastModifiedTime"] == before["LastModifiedTime"]
    assert iris.slack.told("rejected", "accuracy")
    told = iris.cli("status", "iris").stdout
    newest_number = newest["ModelPackageVersion"]
    assert re.search(rf"newest model +version {newest_number} +Rejected", told)
    (serves,) = re.findall(r"serves +version (\d+) +Approved, .*, data of \d{4}-", told)
    assert int(serves) < newest_number
    assert "last run: model rejected: accuracy" in told
    assert f"! the last run's model was rejected: version {serves} serves as before" in told


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("del report['multiclass_classification_metrics']['accuracy']", "missing"),
        ("report['multiclass_classification_metrics']['accuracy']['value'] = float('nan')", "NaN"),
    ],
)
def test_a_metric_that_is_missing_or_nan_never_passes(iris: Iris, line: str, says: str) -> None:
    with iris.program(
        "evaluate",
        f"""
        report = json.loads((base / "processing/evaluation/evaluation.json").read_text())
        {line}
        (base / "processing/evaluation/evaluation.json").write_text(json.dumps(report))
        """,
        after_the_real_one=True,
    ):
        out = iris.run(iris.day(9), code=1)
    assert "ModelRejected" in out
    assert "accuracy" in out
    assert says.lower() in out.lower()
