"""run, status, logs, graph, invoke, approve and down through the command line, on a deployed iris."""

from __future__ import annotations

import json
import re
import signal
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.e2e.conftest import Iris


def status(iris: Iris) -> dict[str, Any]:
    return json.loads(iris.cli("status", "iris", "--json").stdout)


def started(iris: Iris, *options: str) -> dict[str, Any]:
    return json.loads(iris.cli("run", "iris", "--no-follow", "--json", *options).stdout)


@contextmanager
def manual_approval(iris: Iris) -> Iterator[None]:
    settings = iris.root / "pipeline.toml"
    original = settings.read_text()
    settings.write_text(original + '\n[environments.dev.approval]\nmode = "manual"\nexpires_hours = 1\n')
    iris.cli("apply", "iris", "--yes")
    try:
        yield
    finally:
        settings.write_text(original)
        iris.cli("apply", "iris", "--yes")


def test_the_report_tells_stack_run_model_and_endpoint(iris: Iris) -> None:
    report = status(iris)
    assert report["stack"]["status"].endswith("COMPLETE")
    assert report["drift"]["changes"] == 0
    assert report["executions"][0]["status"] == "SUCCEEDED"
    assert re.fullmatch(r"\d{8}-(nogit|[0-9a-f]{7})-[0-9a-f]{8}", report["executions"][0]["name"])
    assert report["endpoint"]["status"] == "InService"
    assert report["model"]["approval"] == "Approved"
    assert report["warnings"] == []
    text = iris.cli("status").stdout
    assert "iris-dev" in text
    assert "InService" in text


def test_data_put_over_what_was_trained_on_says_so(iris: Iris) -> None:
    told = iris.cli("data", "iris", "put", "--date", "2026-03-01").stderr
    assert "the same as before, and version 1 was trained on it: a run finds nothing new there" in told
    assert "version" not in iris.cli("data", "iris", "put", "--date", "2026-01-01").stderr


def test_logs_are_found_by_the_names_of_states(iris: Iris) -> None:
    assert "validation_accuracy=" in iris.cli("logs", "iris", "Train").stdout
    lines = [json.loads(line) for line in iris.cli("logs", "iris", "gate", "--json").stdout.splitlines()]
    assert {line["step"] for line in lines} == {"Gate"}
    assert any('"approved": true' in line["text"] for line in lines)
    assert len(iris.cli("logs", "iris", "Train", "--tail", "2").stdout.splitlines()) == 2
    unknown = iris.cli("logs", "iris", "Trian", code=1).stderr
    assert "states with a log:" in unknown
    assert "Train" in unknown
    # What `make demo` proposes: the last run found nothing new, and trained nothing.
    iris.run("2026-03-02")
    earlier = iris.cli("logs", "iris", "Train")
    assert "validation_accuracy=" in earlier.stdout
    assert "Train did not run in" in earlier.stderr
    assert iris.cli("logs", "iris", "Train", "--execution", "last", code=1).stderr.startswith(
        "error: Train ran"
    )


def test_a_run_colours_its_picture(iris: Iris) -> None:
    trained = status(iris)["executions"][-1]["name"]
    svg = iris.cli("graph", "iris", "--format", "svg", "--execution", trained).stdout
    titles = [t.text or "" for t in ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}title")]
    assert "Train (Task): succeeded" in titles
    assert "ModelRejected (Fail)" in titles
    states = json.loads(iris.cli("graph", "iris", "--execution", trained, "--json").stdout)["states"]
    assert {s["name"]: s["status"] for s in states}["Gate"] == "succeeded"
    assert "flowchart TD" in iris.cli("graph", "iris").stdout


def test_a_request_is_answered_or_refused_in_the_models_words(iris: Iris) -> None:
    answer = iris.answers()
    assert "setosa" in answer["body"]
    assert answer["content_type"] == "application/json"
    assert answer["latency_ms"] > 0
    csv = iris.cli("invoke", "iris", "--body", "6.3,3.3,6.0,2.5", "--accept", "text/csv").stdout
    assert "virginica" in csv
    refused = iris.cli("invoke", "iris", "--body", "not,a,flower,row", code=1).stderr
    assert "the model answered 400" in refused
    file = iris.root / "rows.csv"
    file.write_text("5.1,3.5,1.4,0.2\n6.3,3.3,6.0,2.5\n")
    assert "setosa" in iris.cli("invoke", "iris", "--file", str(file)).stdout


def test_the_same_start_is_attached_to_and_not_doubled(iris: Iris) -> None:
    date = iris.day(20)
    with iris.program("train", "time.sleep(600)"):
        first = started(iris, "--date", date)
        second = started(iris, "--date", date)
        assert (first["attached"], second["attached"]) == (False, True)
        assert first["arn"] == second["arn"]
        other = started(iris, "--date", date, "--force")
        assert other["arn"] != first["arn"]
        iris.cli("run", "iris", "--execution", other["name"], "--stop")
        # Ctrl-C stops looking, not the run; the words say how to go on.
        follower = iris.cli.start("run", "iris", "--execution", first["name"])
        assert follower.stderr is not None
        for line in follower.stderr:
            if "Train" in line:
                break
        follower.send_signal(signal.SIGINT)
        _, err = follower.communicate(timeout=30)
        assert follower.returncode == 130
        assert f"--execution {first['name']} --stop" in err
        assert status(iris)["executions"][1]["status"] == "RUNNING"
        iris.cli("run", "iris", "--execution", first["name"], "--stop")
    done = iris.cli("run", "iris", "--execution", first["name"], code=1)
    assert "ABORTED" in done.stderr
    jobs = iris.client("sagemaker").list_training_jobs(StatusEquals="InProgress")["TrainingJobSummaries"]
    assert jobs == []
    # Closed: the same start again is a new run with the next number.
    again = started(iris, "--date", date)
    assert again["name"] == f"{first['name']}-2" or not again["attached"]
    iris.cli("run", "iris", "--execution", again["name"])


@pytest.mark.parametrize(
    ("options", "code", "end"), [((), 0, "SUCCEEDED"), (("--reject", "--reason", "bias"), 1, "bias")]
)
def test_a_person_lets_a_model_through_or_not(
    iris: Iris, options: tuple[str, ...], code: int, end: str
) -> None:
    before = iris.endpoint()["EndpointConfigName"]
    with manual_approval(iris):
        run = started(iris, "--date", iris.day(22), "--force")
        deadline = time.monotonic() + 60
        while iris.cli("approve", "iris", *options, code=None).returncode:
            assert time.monotonic() < deadline, status(iris)
            time.sleep(0.5)
        followed = iris.cli("run", "iris", "--execution", run["name"], code=code)
        assert end in followed.stderr
        assert (
            "waits for no approval" in iris.cli("approve", "iris", "--execution", run["name"], code=1).stderr
        )
    assert (iris.endpoint()["EndpointConfigName"] != before) == (code == 0)


def test_down_removes_what_the_runs_made(iris: Iris) -> None:
    result = json.loads(iris.cli("down", "iris", "--yes", "--json").stdout)
    kinds = {line.split(" iris-dev")[0].split(" arn:")[0] for line in result["removed"]}
    assert {"endpoint", "endpoint config", "model", "model package", "stack"} <= kinds
    sagemaker = iris.client("sagemaker")
    assert sagemaker.list_endpoints()["Endpoints"] == []
    assert sagemaker.list_endpoint_configs()["EndpointConfigs"] == []
    assert sagemaker.list_models()["Models"] == []
    assert sagemaker.list_model_package_groups()["ModelPackageGroupSummaryList"] == []
    keys = [
        o["Key"] for o in iris.client("s3").list_objects_v2(Bucket="ml-111111111111-eu-west-1")["Contents"]
    ]
    assert not [key for key in keys if key.startswith(("iris-dev/", "output-model/"))]
    assert [key for key in keys if key.startswith("input-data-training/")]
    assert {line.split()[0] for line in result["left"]} <= {"stack"} | {
        line.split()[0] for line in result["left"] if "your data" in line
    }
    deadline = time.monotonic() + 10
    while left := [p.cmdline() for p in iris.processes() if any(w.endswith("/serve") for w in p.cmdline())]:
        assert time.monotonic() < deadline, left
        time.sleep(0.2)
