"""The gate beside the model that serves, through the command line: equal, worse, better, other rows, lost."""

from __future__ import annotations

import json
from typing import Any

from tests.e2e.conftest import Iris

BUCKET = "ml-111111111111-eu-west-1"
SETTINGS = "pipeline/definitions/iris/settings.toml"
ROUNDS = r"^num_boost_round = \d+"


def verdict(iris: Iris, *options: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(iris.cli("gate", "iris", "--json", *options).stdout)
    return found


def train_with(iris: Iris, pattern: str, line: str) -> None:
    iris.edit(SETTINGS, pattern, line)
    iris.cli("apply", "iris", "--yes")


def fewer_rows(iris: Iris, day: str, rows: int) -> None:
    """The held-out file of a day, cut."""
    s3, key = iris.client("s3"), f"input-data-test/{day}/multiclass/iris.csv"
    lines = s3.get_object(Bucket=BUCKET, Key=key)["Body"].read().decode().splitlines()
    s3.put_object(Bucket=BUCKET, Key=key, Body="\n".join(lines[:rows]).encode())


def test_the_first_model_has_none_to_compare_with(iris: Iris) -> None:
    found = verdict(iris)
    assert found["approved"] is True
    assert all("no champion" in result["comparison"]["why"] for result in found["results"])
    assert "there was no endpoint" in iris.cli("gate", "iris").stdout


def test_an_equal_retraining_passes(iris: Iris) -> None:
    out = iris.run(iris.day(2))
    assert "FindChampion" in out
    assert "EvaluateChampion" not in out, "the rows are the same: nothing need be evaluated anew"
    for result in verdict(iris)["results"]:
        told = result["comparison"]
        assert (told["improvement"], told["rows"], told["passed"]) == (0, 60, True)


def test_a_worse_model_within_its_bounds_is_rejected_with_the_arithmetic(iris: Iris) -> None:
    before = iris.endpoint()["EndpointConfigName"]
    train_with(iris, ROUNDS, "num_boost_round = 10")
    try:
        out = iris.run(iris.day(3), code=1)
    finally:
        train_with(iris, ROUNDS, "num_boost_round = 100")
    assert "ModelRejected" in out
    assert "upper bound" in out
    assert "shown to be worse than the margin allows" in out
    found = verdict(iris)
    accuracy, loss = found["results"]
    assert found["approved"] is False
    assert accuracy["passed"] is True
    assert loss["threshold"]["passed"] is True, "its bound alone would have let it through"
    assert loss["comparison"]["high"] < -0.1
    assert iris.endpoint()["EndpointConfigName"] == before
    said = iris.cli("gate", "iris", "--explain").stdout
    assert "60 held-out rows" in said
    assert f"{loss['value']:.6g}" in said
    assert iris.slack.told("rejected", "upper bound")
    sagemaker = iris.client("sagemaker")
    newest = sagemaker.list_model_packages(ModelPackageGroupName="iris-dev", SortBy="CreationTime",
                                           SortOrder="Descending")["ModelPackageSummaryList"][0]  # fmt: skip
    package = sagemaker.describe_model_package(ModelPackageName=newest["ModelPackageArn"])
    assert package["ModelApprovalStatus"] == "Rejected"
    assert "log_loss=0.56" in package["CustomerMetadataProperties"]["gate"]
    assert package["CustomerMetadataProperties"]["champion"].endswith("model-package/iris-dev/2")


def test_a_better_model_passes(iris: Iris) -> None:
    train_with(iris, r"^learning_rate = 0\.1$", "learning_rate = 0.2")
    iris.run(iris.day(4))
    loss = verdict(iris)["results"][1]
    assert loss["comparison"]["improvement"] > 0


def test_on_other_rows_the_champion_is_evaluated_anew_by_its_own_image(iris: Iris) -> None:
    date = iris.day(5)
    fewer_rows(iris, "2026-03-05", 52)
    # Another image makes the challenger; the champion's own still evaluates the champion.
    with iris.program("evaluate", "print('another image', flush=True)", after_the_real_one=True):
        out = iris.run(date)
    assert "EvaluateChampion" in out
    found = verdict(iris)
    assert "evaluated anew" in found["champion"]["why"]
    assert found["champion"]["report"].endswith("/champion/evaluation.json")
    for result in found["results"]:
        assert (result["comparison"]["rows"], result["comparison"]["improvement"]) == (52, 0)
    jobs = iris.client("sagemaker").list_processing_jobs(SortBy="CreationTime", SortOrder="Descending")
    champion, challenger = jobs["ProcessingJobSummaries"][:2]
    if "-c0-" not in champion["ProcessingJobName"]:
        champion, challenger = challenger, champion
    images = [
        iris.client("sagemaker").describe_processing_job(ProcessingJobName=job["ProcessingJobName"])[
            "AppSpecification"
        ]["ImageUri"]
        for job in (champion, challenger)
    ]
    assert images[0] != images[1]


def test_a_champion_that_is_lost_lets_nothing_pass_unless_the_settings_say_so(iris: Iris) -> None:
    sagemaker, s3 = iris.client("sagemaker"), iris.client("s3")
    config = sagemaker.describe_endpoint_config(EndpointConfigName=iris.endpoint()["EndpointConfigName"])
    model = sagemaker.describe_model(ModelName=config["ProductionVariants"][0]["ModelName"])
    package = sagemaker.describe_model_package(ModelPackageName=model["PrimaryContainer"]["ModelPackageName"])
    artifact = package["InferenceSpecification"]["Containers"][0]["ModelDataUrl"].removeprefix(
        f"s3://{BUCKET}/"
    )
    s3.delete_object(Bucket=BUCKET, Key=artifact)
    date = iris.day(6)
    out = iris.run(date, code=1)
    assert "cannot be compared with the champion" in out
    assert "its evaluation on this run's rows failed" in out
    iris.edit(SETTINGS, r"^compare = true", 'compare = true\nwhen_unknown = "thresholds"')
    iris.cli("apply", "iris", "--yes")
    out = iris.run(date)
    assert "Train runs" not in out, "only what is asked of the model changed"
    assert "the thresholds alone decide" in iris.cli("gate", "iris", "--explain").stdout


def test_a_run_without_a_verdict_says_so(iris: Iris) -> None:
    name = iris.cli("run", "iris", "--date", "2020-01-02", "--no-follow", "--json").stdout
    execution = json.loads(name)["name"]
    iris.cli("run", "iris", "--execution", execution)
    done = iris.cli("gate", "iris", "--execution", execution, code=1)
    assert "no gate decided in this run" in done.stderr
