"""The local target ends in the midst of a run: everything is there again, and a repeat succeeds."""

from __future__ import annotations

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


def begun(iris: Iris, date: str, state: str) -> tuple[subprocess.Popen[str], str]:
    """A run that has just entered a state: its follower, and its ARN."""
    machines = iris.client("stepfunctions")
    machine = next(
        m["stateMachineArn"]
        for m in machines.list_state_machines()["stateMachines"]
        if m["name"] == "iris-dev"
    )
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


def test_nothing_is_left_when_it_is_stopped(iris: Iris) -> None:
    follower, _ = begun(iris, iris.day(14), "Train")
    iris.cli("local", "down")
    follower.communicate(timeout=60)
    assert owned(iris) == []
    iris.cli("local", "up")
