"""The local target ends in the midst of a run: everything is there again, and a repeat succeeds."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from typing import Any

import psutil
import pytest

from pipeline.local import status
from tests.e2e.conftest import Iris


def until(ready: Callable[[], Any], seconds: float = 60) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := ready()):
        assert time.monotonic() < deadline, "it did not come true"
        time.sleep(0.01)
    return found


def machine_of(iris: Iris) -> str:
    return next(
        m["stateMachineArn"]
        for m in iris.client("stepfunctions").list_state_machines()["stateMachines"]
        if m["name"] == "iris-dev"
    )


def begun(iris: Iris, date: str, state: str) -> tuple[subprocess.Popen[str], str]:
    """A run that has just entered a state: its follower, and its ARN."""
    machines = iris.client("stepfunctions")
    machine = machine_of(iris)
    follower = iris.cli.start("run", "iris", "--date", date, "--follow")

    def running() -> list[dict[str, Any]]:
        return machines.list_executions(stateMachineArn=machine, statusFilter="RUNNING")["executions"]

    arn = until(running)[0]["executionArn"]

    def entered() -> bool:
        events = machines.get_execution_history(executionArn=arn, reverseOrder=True)["events"]
        return any(e.get("stateEnteredEventDetails", {}).get("name") == state for e in events)

    until(entered)
    return follower, arn


def owned(iris: Iris) -> list[list[str]]:
    """What runs for this copy, but for its server."""
    server = status(iris.root).pid
    return [p.cmdline() for p in iris.processes() if p.pid != server and p.status() != "zombie"]


@pytest.mark.parametrize(
    ("number", "state", "how"),
    [(12, "Train", signal.SIGTERM), (13, "WatchEndpoint", signal.SIGKILL)],
)
def test_a_server_that_ends_in_the_midst_of_a_run(
    iris: Iris, number: int, state: str, how: signal.Signals
) -> None:
    date = iris.day(number)
    before = iris.endpoint()["EndpointConfigName"]
    follower, arn = begun(iris, date, state)
    server = psutil.Process(status(iris.root).pid)
    os.kill(server.pid, how)
    server.wait(30)
    out, err = follower.communicate(timeout=60)
    assert follower.returncode == 3, out + err
    assert "does not answer" in err
    iris.cli("local", "up")

    found = iris.client("stepfunctions").describe_execution(executionArn=arn)
    assert found["status"] == "FAILED"
    assert "local target was stopped or killed" in found["cause"]
    jobs = iris.client("sagemaker").list_training_jobs(MaxResults=100)["TrainingJobSummaries"]
    assert {job["TrainingJobStatus"] for job in jobs} <= {"Completed", "Failed", "Stopped"}
    stacks = iris.client("cloudformation").describe_stacks()["Stacks"]
    assert sorted(stack["StackName"] for stack in stacks) == ["iris-dev", "ml-account"]
    # Requests wait for the endpoint; what was being updated goes on being updated.
    assert "setosa" in str(iris.answers())
    until(lambda: iris.endpoint()["EndpointStatus"] == "InService")
    assert (iris.endpoint()["EndpointConfigName"] == before) == (state != "WatchEndpoint")

    assert "SUCCEEDED" in iris.run(date)
    assert iris.endpoint()["EndpointConfigName"] != before


# The way of a run that trains and deploys, and of those that take it up.
STEPS = (
    *("CheckData", "NotifyStarted", "FindReusable", "Train", "NotifyTrained", "Evaluate", "FindChampion"),
    *("Gate", "Register", "CreateModel", "CreateEndpointConfig", "DescribeEndpoint", "UpdateEndpoint"),
    *("WatchEndpoint", "SmokeTest", "CommitWatermark"),
)


def test_a_run_that_is_stopped_at_every_step_is_taken_up_where_it_was(iris: Iris) -> None:
    """Sixteen runs for one day, each stopped a step later than the one before: made is everything once."""
    date = iris.day(16)
    stopped = [state for state in STEPS if stopped_at(iris, date, state)]
    assert len(stopped) >= len(STEPS) - 4, f"too fast to be stopped: {set(STEPS) - set(stopped)}"
    out = iris.run(date)
    assert "SUCCEEDED" in out
    sagemaker = iris.client("sagemaker")
    named = {"NameContains": "iris-dev-20260316-", "StatusEquals": "Completed"}
    trained = sagemaker.list_training_jobs(**named)["TrainingJobSummaries"]
    evaluated = sagemaker.list_processing_jobs(**named)["ProcessingJobSummaries"]
    own = [job for job in evaluated if "-c-" not in job["ProcessingJobName"]]
    assert (len(trained), len(own)) == (1, 1)
    registered = [
        found
        for summary in sagemaker.list_model_packages(ModelPackageGroupName="iris-dev")[
            "ModelPackageSummaryList"
        ]
        if (found := sagemaker.describe_model_package(ModelPackageName=summary["ModelPackageArn"]))[
            "CustomerMetadataProperties"
        ]["data_date"]
        == "2026-03-16"
    ]
    assert [found["ModelApprovalStatus"] for found in registered] == ["Approved"]
    assert iris.endpoint()["EndpointStatus"] == "InService"
    assert package_of(iris, iris.endpoint()["EndpointConfigName"]) == registered[0]["ModelPackageArn"]
    assert "setosa" in str(iris.answers())

    # A run that was stopped between its deployment and the end left its leftovers to the next one.
    iris.run(iris.day(17))
    configs = {
        c["EndpointConfigName"] for c in sagemaker.list_endpoint_configs(MaxResults=100)["EndpointConfigs"]
    }
    models = {m["ModelName"] for m in sagemaker.list_models(MaxResults=100)["Models"]}
    served = {
        variant["ModelName"]
        for name in configs
        for variant in sagemaker.describe_endpoint_config(EndpointConfigName=name)["ProductionVariants"]
    }
    assert models == served, "a model that no config names is an orphan"
    assert len(configs) == 1 + 2, "what serves, and those kept for a rollback"


def package_of(iris: Iris, config: str) -> str:
    """The registered version that an endpoint config serves."""
    sagemaker = iris.client("sagemaker")
    found = sagemaker.describe_endpoint_config(EndpointConfigName=config)
    model = sagemaker.describe_model(ModelName=found["ProductionVariants"][0]["ModelName"])
    return str(model["PrimaryContainer"]["ModelPackageName"])


def stopped_at(iris: Iris, date: str, state: str) -> bool:
    """Start a run and stop it as soon as it has entered a state; whether it was stopped there."""
    machines = iris.client("stepfunctions")
    arn = machines.start_execution(stateMachineArn=machine_of(iris), input=json.dumps({"DATE": date}))[
        "executionArn"
    ]

    def entered() -> bool:
        events = machines.get_execution_history(executionArn=arn, reverseOrder=True)["events"]
        return any(e.get("stateEnteredEventDetails", {}).get("name") == state for e in events)

    until(lambda: entered() or status_of(machines, arn) != "RUNNING")
    machines.stop_execution(executionArn=arn)
    until(lambda: status_of(machines, arn) != "RUNNING")
    if state == "Register":
        # The call that was under way when the run was stopped still makes its version; the next run must
        # come late enough to see it, as every run does that is not started in the same instant.
        time.sleep(2)
    return entered() and status_of(machines, arn) == "ABORTED"


def status_of(machines: Any, arn: str) -> str:
    return str(machines.describe_execution(executionArn=arn)["status"])


def test_nothing_is_left_when_it_is_stopped(iris: Iris) -> None:
    follower, _ = begun(iris, iris.day(14), "Train")
    iris.cli("local", "down")
    follower.communicate(timeout=60)
    assert owned(iris) == []
    iris.cli("local", "up")
