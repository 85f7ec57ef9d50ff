"""Real requests beside the training data: too few, enough, and shifted ones, which start one run."""

from __future__ import annotations

import json
import random
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import Iris

SETTINGS = "pipeline/definitions/iris/settings.toml"
# Requests are drawn from the rows that were trained on, so chance alone is what the table of
# docs/explanation/monitoring.md says for 300 records: KS over 0.2 in none of 1,000 comparisons, PSI neither.
MONITOR = """
[monitor]
minimum_requests = 300

[monitor.limits]
psi = 0.25
ks = 0.2

[monitor.features.sepal_length]
request = "try_cast(columns[0] as double)"
training = "_c1"

[monitor.features.petal_length]
request = "try_cast(columns[2] as double)"
training = "_c3"

[monitor.features.species]
request = "from_json(answer, 'predictions array<struct<label:string>>').predictions.label"
"""
RECORDS = 300


@pytest.fixture(scope="module")
def watched(shared_repository: Path, request: pytest.FixtureRequest) -> Iris:
    """iris with [monitor], deployed and trained."""
    file = shared_repository / SETTINGS
    file.write_text(file.read_text() + MONITOR)
    found: Iris = request.getfixturevalue("iris")
    return found


def send(iris: Iris, shift: float, seed: int) -> str:
    """As many requests as a comparison takes; the time before the first of them, for --since."""
    # A second on: what was captured before is of an earlier second.
    time.sleep(1.1)
    since = datetime.now(UTC).replace(microsecond=0).isoformat()
    sample = sorted((iris.root / "pipeline/definitions/iris/sample").rglob("*train*/*.csv"))
    rows = [line.split(",")[1:] for file in sample for line in file.read_text().splitlines()]
    source, runtime = random.Random(seed), iris.client("sagemaker-runtime")
    for _ in range(RECORDS // 3):
        # Three flowers a request: each line is a record.
        flowers = [[float(value) for value in source.choice(rows)] for _ in range(3)]
        body = "\n".join(
            ",".join(f"{value + shift * (i == 0):.2f}" for i, value in enumerate(row)) for row in flowers
        )
        runtime.invoke_endpoint(EndpointName="iris-dev", ContentType="text/csv", Body=body)
    time.sleep(3)  # the local target writes what it captured every two seconds
    return since


def compare(iris: Iris, *options: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(iris.cli("monitor", "iris", *options, "--json", timeout=500).stdout)
    return found


def test_too_few_requests_conclude_nothing_and_end_well(watched: Iris) -> None:
    capture = watched.endpoint()["DataCaptureConfig"]
    assert (capture["CaptureStatus"], capture["CurrentSamplingPercentage"]) == ("Started", 100)
    time.sleep(3)
    found = compare(watched, "--now")
    assert found["status"] == "SUCCEEDED"
    # The smoke test of the deployment is the one request so far.
    assert found["said"] == "too few requests to tell: 1 records, of 300"
    assert (found["drift"], found["run"]) == (False, "")


def test_unshifted_requests_are_no_drift(watched: Iris) -> None:
    since = send(watched, 0.0, seed=1)
    found = compare(watched, "--now", "--since", since)
    report = found["report"]
    assert (report["requests"], report["records"], report["unreadable"]) == (RECORDS // 3, RECORDS, 0)
    assert found["said"] == f"no drift in {RECORDS} records"
    assert (found["drift"], found["run"]) == (False, "")
    judged = {name: feature["judged"] for name, feature in report["features"].items()}
    # What training data does not know has its first requests as its baseline.
    assert judged == {"petal_length": True, "sepal_length": True, "species": False}
    assert "no drift" in watched.cli("status", "iris").stdout
    assert alarm(watched) == "OK"
    out = watched.root / "page.html"
    watched.cli("monitor", "iris", "--page", str(out))
    assert "No drift" in out.read_text()


def test_shifted_requests_raise_the_alarm_and_start_one_run(watched: Iris) -> None:
    watched.cli("data", "iris", "put")
    before = watched.endpoint()["EndpointConfigName"]
    since = send(watched, 1.5, seed=2)
    found = compare(watched, "--now", "--since", since)
    assert (found["drift"], found["verdict"]["features"]) == (True, "sepal_length")
    assert found["report"]["features"]["petal_length"]["drifted"] is False
    assert watched.slack.told("Requests differ", "sepal_length")

    # The same report again: by then the run is under way, or over; it is not started again.
    again = judge(watched, found)
    assert again["drift"] is True
    assert again["retrain"] is False

    name = found["run"].rpartition(":")[2]
    assert name == found["verdict"]["name"]
    watched.cli("run", "iris", "--execution", name)
    serving = watched.endpoint()
    assert serving["EndpointConfigName"] != before
    sagemaker = watched.client("sagemaker")
    newest = sagemaker.list_model_packages(
        ModelPackageGroupName="iris-dev", SortBy="CreationTime", SortOrder="Descending", MaxResults=1
    )["ModelPackageSummaryList"][0]
    metadata = sagemaker.describe_model_package(ModelPackageName=newest["ModelPackageArn"])
    reason = metadata["CustomerMetadataProperties"]["reason"]
    assert reason.startswith("drift: sepal_length psi ")
    assert metadata["CustomerMetadataProperties"]["execution"].endswith(f":{name}")

    again = judge(watched, found)
    assert again["retrain"] is False
    assert f"{name} ended well" in again["why"]
    until = time.monotonic() + 60
    while alarm(watched) != "ALARM" and time.monotonic() < until:
        time.sleep(1)
    assert alarm(watched) == "ALARM"


def test_what_another_model_answered_does_not_count(watched: Iris) -> None:
    time.sleep(3)
    found = compare(watched, "--now")
    assert found["said"] == "too few requests to tell: 1 records, of 300"
    # Nothing is known that was not known before.
    assert alarm(watched) == "ALARM"


def judge(iris: Iris, found: dict[str, Any]) -> dict[str, Any]:
    """JudgeDrift once more, as if another comparison had come to the same."""
    arn = found["arn"].replace(":execution:", ":stateMachine:").rpartition(":")[0]
    event = {
        "report": found["comparison"]["output"] + "/report.json",
        "endpoint_name": "iris-dev",
        "state_machine_arn": arn.removesuffix("-monitor"),
        "retrain": True,
        "again_after_days": 7,
        "namespace": "ml/Drift",
        "now": datetime.now(UTC).isoformat(),
    }
    answer = iris.client("lambda").invoke(
        FunctionName="iris-dev-judge-drift", Payload=json.dumps(event).encode()
    )
    result: dict[str, Any] = json.loads(answer["Payload"].read())
    assert "errorMessage" not in result, result
    return result


def alarm(iris: Iris) -> str:
    found = iris.client("cloudwatch").describe_alarms(AlarmNames=["iris-dev-Drift"])["MetricAlarms"]
    return str(found[0]["StateValue"])
