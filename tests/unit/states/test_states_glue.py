"""glue:startJobRun: what goes in and comes out, what its errors are called, who stops a run."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.exceptions import ClientError
from states_machines import details, kinds, single

from pipeline.local.states import integrations, managed_rules
from pipeline.local.states.cancel import ABORTED
from pipeline.local.states.taskcall import parse_resource

Run = Callable[..., Any]
RESOURCE = "arn:aws:states:::glue:startJobRun"
PARAMETERS = {"JobName": "j", "Arguments": {"--a": "b"}, "Timeout": 7}


def task(pattern: str = "", **more: Any) -> dict[str, Any]:
    return single({"Type": "Task", "Resource": RESOURCE + pattern, "Parameters": PARAMETERS, **more})


def glue(aws: Any, *states: str, **more: Any) -> None:
    """A Glue whose run goes through the states and stays at the last; a stop ends it."""
    left = list(states)

    def get(parameters: dict[str, Any]) -> dict[str, Any]:
        state = left.pop(0) if len(left) > 1 else left[0]
        run = {"Id": parameters["RunId"], "JobName": parameters["JobName"], "JobRunState": state}
        return {"JobRun": {**run, "StartedOn": datetime(2026, 11, 22, tzinfo=UTC), **more}}

    def stop(_: dict[str, Any]) -> dict[str, Any]:
        left[:] = ["STOPPED"]
        return {"SuccessfulSubmissions": [], "Errors": []}

    aws.answers["StartJobRun"] = lambda _: {
        "JobRunId": "jr_1",
        "ResponseMetadata": {"HTTPStatusCode": 200, "RequestId": "r", "HTTPHeaders": {}},
    }
    aws.answers["GetJobRun"] = get
    aws.answers["BatchStopJobRun"] = stop


def test_request_response_has_the_job_s_name_beside_the_run_s_id(output: Run, aws: Any) -> None:
    glue(aws, "RUNNING")
    found = output(task())
    assert (found["JobName"], found["JobRunId"]) == ("j", "jr_1")
    assert found["SdkHttpMetadata"]["HttpStatusCode"] == 200
    assert aws.calls == [("StartJobRun", PARAMETERS)]


def test_a_run_to_its_end_gives_the_job_run(run: Run, aws: Any) -> None:
    glue(aws, "STARTING", "RUNNING", "SUCCEEDED", ExecutionTime=3)
    record = run(task(".sync"))
    found = json.loads(record["output"])
    assert found == {
        "Id": "jr_1", "JobName": "j", "JobRunState": "SUCCEEDED", "ExecutionTime": 3,
        "StartedOn": 1795305600000,
    }  # fmt: skip
    assert aws.names() == ["StartJobRun", "GetJobRun", "GetJobRun", "GetJobRun"]
    submitted = next(event for event in record["events"] if event["type"] == "TaskSubmitted")
    assert json.loads(details(submitted)["output"])["JobName"] == "j"
    assert details(submitted)["resource"] == "startJobRun.sync"


@pytest.mark.parametrize("state", ["FAILED", "STOPPED", "TIMEOUT", "ERROR"])
def test_every_other_end_has_failed_with_the_job_run_as_cause(run: Run, aws: Any, state: str) -> None:
    glue(aws, "RUNNING", state, ErrorMessage="no such column")
    record = run(task(".sync"))
    cause = json.loads(record["cause"])
    assert record["error"] == "States.TaskFailed"
    assert (cause["JobRunState"], cause["ErrorMessage"], cause["Id"]) == (state, "no such column", "jr_1")


@pytest.mark.parametrize(
    "resource", [RESOURCE, RESOURCE + ".sync", "arn:aws:states:::aws-sdk:glue:startJobRun"]
)
@pytest.mark.parametrize("code", ["ConcurrentRunsExceededException", "EntityNotFoundException"])
def test_errors_are_glue_s_by_name(run: Run, aws: Any, resource: str, code: str) -> None:
    def refuse(_: dict[str, Any]) -> dict[str, Any]:
        answer = {
            "Error": {"Code": code, "Message": "Concurrent runs exceeded for j"},
            "ResponseMetadata": {"HTTPStatusCode": 400, "RequestId": "r-1"},
        }
        raise ClientError(answer, "StartJobRun")  # type: ignore[arg-type]

    aws.answers["StartJobRun"] = refuse
    record = run(single({"Type": "Task", "Resource": resource, "Parameters": PARAMETERS}))
    assert record["error"] == f"Glue.{code}"
    assert record["cause"].startswith("Concurrent runs exceeded for j (Service: ")


def test_an_aborted_execution_and_a_timeout_stop_the_run(
    start: Callable[..., Any], run: Run, aws: Any
) -> None:
    glue(aws, "RUNNING")
    one = start(task(".sync"))
    thread = threading.Thread(target=one.run)
    thread.start()
    while "GetJobRun" not in aws.names():
        thread.join(0.01)
    one.scope.cancel(ABORTED)
    thread.join(5)
    assert aws.calls[-1] == ("BatchStopJobRun", {"JobName": "j", "JobRunIds": ["jr_1"]})

    glue(aws, "RUNNING")
    aws.calls.clear()
    record = run(task(".sync", TimeoutSeconds=1))
    assert record["status"] == "FAILED" and "TaskTimedOut" in kinds(record)
    assert aws.calls[-1][0] == "BatchStopJobRun"


def test_what_is_offered_and_that_it_needs_no_managed_rule() -> None:
    for pattern in ("", ".sync", ".waitForTaskToken"):
        assert integrations.known(parse_resource(RESOURCE + pattern))
    for other in (
        "arn:aws:states:::glue:startCrawler",
        RESOURCE + ".sync:2",
        "arn:aws:states:::glue:createJob",
    ):
        assert not integrations.known(parse_resource(other))
    assert managed_rules.rules(json.dumps(task(".sync"))) == []
