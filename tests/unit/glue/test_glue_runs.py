"""A run's states: what ends it, and that nothing but a script that ended well is a success."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from glue_stubs import SCOPE, WELL, Glue, Session

from pipeline.local.api import validation
from pipeline.local.glue import job_run, job_run_status, job_run_work, spark
from pipeline.local.glue.errors import (
    ConcurrentRunsExceededException,
    EntityNotFoundException,
    InvalidInputException,
    NotSupported,
)
from pipeline.local.glue.spark.model import Ended, SparkUnavailable
from pipeline.local.glue.store import RUN, Store, store
from pipeline.local.roles import RoleNotAssumable
from pipeline.local.sagemaker.errors import InternalFailure
from pipeline.local.sagemaker.jobs import worker


def test_a_run_that_ends_well(glue: Glue) -> None:
    glue.job(DefaultArguments={"--a": "job", "--b": "job"}, NonOverridableArguments={"--c": "fixed"})
    run = glue.start(
        Arguments={
            "--b": "run", "--c": "run", "--scriptLocation": "s3://b/pinned.py",
            "--extra-py-files": "s3://b/one.zip, s3://b/two.zip",
        },
    )  # fmt: skip
    given = glue.spark.started().job
    assert glue.until(run, "RUNNING")["Attempt"] == 0
    assert given.script_uri == "s3://b/pinned.py"
    assert list(given.extra_py_files) == ["s3://b/one.zip", "s3://b/two.zip"]
    wanted = {"--a": "job", "--b": "run", "--c": "fixed", "--JOB_NAME": "j", "--JOB_RUN_ID": run}
    assert wanted.items() <= given.arguments.items()
    assert given.environment == {"AWS_ACCESS_KEY_ID": "of-the-role"}
    glue.spark.lines("output", "hello")
    glue.spark.lines("error", "INFO hello")
    glue.spark.runs[0].end()
    ended = glue.until(run, "SUCCEEDED")
    assert "ErrorMessage" not in ended and ended["CompletedOn"] >= ended["StartedOn"]
    assert ended["ExecutionTime"] == 1 and "DPUSeconds" not in ended
    assert ended["LogGroupName"] == "/aws-glue/jobs" and ended["MaxCapacity"] == 2
    assert ended["Arguments"]["--b"] == "run" and "--a" not in ended["Arguments"]
    assert Session.logs["/aws-glue/jobs/output", run] == ["hello"]
    told, line = Session.logs["/aws-glue/jobs/error", run]
    assert told.startswith("local target: 2 x G.1X are 8 vCPUs and 32 GB on AWS; here: ")
    assert line == "INFO hello"


@pytest.mark.parametrize(
    ("how", "message"),
    [
        (Ended(1, "ValueError: no such column", 1, 1, False), "ValueError: no such column"),
        (Ended(137, "", 1, 1, False), "Command failed with exit code 137"),
        (Ended(0, "Exception in User Class: boom", 1, 1, False), "Exception in User Class: boom"),
        (Ended(0, "", 1, 1, True), "Command failed with exit code 0"),
    ],
)
def test_what_did_not_end_well_has_failed(glue: Glue, how: Ended, message: str) -> None:
    glue.job()
    glue.spark.at_start = lambda run: run.end(how)
    assert glue.until(glue.start(), "FAILED")["ErrorMessage"] == message


def test_a_script_that_its_role_cannot_read_is_not_started(glue: Glue) -> None:
    glue.job()
    run = glue.start(Arguments={"--scriptLocation": "s3://b/absent.py"})
    said = glue.until(run, "FAILED")["ErrorMessage"]
    assert said.startswith("LAUNCH ERROR | Error downloading from S3 for bucket: b, key: absent.py.")
    assert "The specified key does not exist." in said and not glue.spark.runs
    module = glue.start(Arguments={"--extra-py-files": "s3://b/absent.zip"})
    assert "key: absent.zip" in glue.until(module, "FAILED")["ErrorMessage"]
    assert (
        "is not an s3:// location"
        in (glue.until(glue.start(Arguments={"--scriptLocation": "code.py"}), "FAILED")["ErrorMessage"])
    )
    assert glue.state(run)["ExecutionTime"] == 0  # its time had not begun


def test_a_role_that_glue_cannot_assume(glue: Glue, monkeypatch: pytest.MonkeyPatch) -> None:
    glue.job()
    arn = "arn:aws:iam::111122223333:role/role"
    monkeypatch.setattr(Session, "refuses", RoleNotAssumable(arn, "glue", "no such role"))
    said = glue.until(glue.start(), "FAILED")["ErrorMessage"]
    assert f"Role {arn} should be given assume role permissions for Glue Service." in said


def test_a_machine_without_spark(glue: Glue, monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(version: str) -> None:
        raise SparkUnavailable(f"Glue {version} needs Java: apt-get install ...")

    glue.job()
    monkeypatch.setattr(spark, "prepare", absent)
    assert "needs Java: apt-get install" in glue.until(glue.start(), "FAILED")["ErrorMessage"]


def test_what_takes_long_is_told(glue: Glue, monkeypatch: pytest.MonkeyPatch) -> None:
    glue.job()
    monkeypatch.setattr(job_run_work, "_TOLD_AFTER", 0.01)
    monkeypatch.setattr(spark, "prepare", lambda _: time.sleep(0.1))
    glue.spark.at_start = lambda run: run.end()
    run = glue.start()
    glue.until(run, "SUCCEEDED")
    assert "making the environment of Glue 5.1" in Session.logs["/aws-glue/jobs/error", run][1]


def test_a_fault_of_ours_is_no_success(glue: Glue, monkeypatch: pytest.MonkeyPatch) -> None:
    def breaks(*_: Any) -> None:
        raise ZeroDivisionError("ours")

    glue.job()
    monkeypatch.setattr(spark, "launch", breaks)
    assert "ZeroDivisionError: ours" in glue.until(glue.start(), "FAILED")["ErrorMessage"]


def test_a_stop_ends_it_as_stopped_whatever_the_script_says(glue: Glue) -> None:
    glue.job()
    run = glue.start()
    running = glue.spark.started()
    answer = glue("BatchStopJobRun", JobName="j", JobRunIds=[run, "jr_none"])
    assert answer["SuccessfulSubmissions"] == [{"JobName": "j", "JobRunId": run}]
    assert answer["Errors"][0]["ErrorDetail"]["ErrorCode"] == "EntityNotFoundException"
    ended = glue.until(run, "STOPPED")
    assert running.stopped == 1 and "ErrorMessage" not in ended
    again = glue("BatchStopJobRun", JobName="j", JobRunIds=[run])
    assert again["Errors"][0]["ErrorDetail"]["ErrorCode"] == "JobRunInTerminalStateException"


def test_a_stop_before_spark_begins(glue: Glue, monkeypatch: pytest.MonkeyPatch) -> None:
    def stops(version: str) -> None:  # noqa: ARG001
        run = glue("GetJobRuns", JobName="j")["JobRuns"][0]["Id"]
        glue("BatchStopJobRun", JobName="j", JobRunIds=[run])

    glue.job()
    monkeypatch.setattr(spark, "prepare", stops)
    assert glue.until(glue.start(), "STOPPED")["ExecutionTime"] == 0
    assert not glue.spark.runs


def test_a_stop_between_the_script_s_end_and_ours(glue: Glue, monkeypatch: pytest.MonkeyPatch) -> None:
    """The script has ended well, and a stop is asked for before that is written down."""
    conclude = job_run_work.JobRunWork._conclude

    def late(self: job_run_work.JobRunWork, ended: Ended) -> None:
        with store.edit(SCOPE, RUN, self.record["Id"]) as record:
            job_run_status.stopping(record)
        conclude(self, ended)

    glue.job()
    monkeypatch.setattr(job_run_work.JobRunWork, "_conclude", late)
    glue.spark.at_start = lambda run: run.end()
    assert glue.until(glue.start(), "STOPPED", "SUCCEEDED")["JobRunState"] == "STOPPED"


def test_a_timeout(glue: Glue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_run_work, "_MINUTE", 0.03)
    glue.job(Timeout=60)
    run = glue.start(Timeout=1)
    ended = glue.until(run, "TIMEOUT")
    assert ended["ErrorMessage"] == "Job run timed out: it ran longer than 1 minute."
    assert glue.spark.runs[0].stopped == 1 and ended["Timeout"] == 1


def test_no_more_runs_at_once_than_allowed(glue: Glue) -> None:
    glue.job(ExecutionProperty={"MaxConcurrentRuns": 2})
    first, _ = glue.start(), glue.start()
    with pytest.raises(ConcurrentRunsExceededException, match="Concurrent runs exceeded for j"):
        glue.start()
    glue.spark.started(2)
    glue("BatchStopJobRun", JobName="j", JobRunIds=[first])
    glue.until(first, "STOPPED")
    glue.start()


def test_a_queued_run_waits_for_its_turn(glue: Glue) -> None:
    glue.job(JobRunQueuingEnabled=True)
    first, second, third = glue.start(), glue.start(), glue.start()
    glue.spark.started()
    assert glue.state(second)["JobRunState"] == "WAITING"
    glue("BatchStopJobRun", JobName="j", JobRunIds=[third])
    assert glue.until(third, "STOPPED") and len(glue.spark.runs) == 1
    glue.spark.runs[0].end()
    glue.until(first, "SUCCEEDED")
    glue.until(second, "RUNNING")


def test_a_failed_run_is_tried_again_as_often_as_the_job_says(glue: Glue) -> None:
    glue.job(MaxRetries=1)
    glue.spark.at_start = lambda run: run.end(Ended(1, "no", 1, 1, False))
    run = glue.start(Arguments={"--a": "b"})
    glue.until(run, "FAILED")
    glue.spark.started(2)
    again = glue.until(f"{run}_attempt_1", "FAILED")
    assert (again["Attempt"], again["PreviousRunId"]) == (1, run) and again["Arguments"] == {"--a": "b"}
    assert [each["Attempt"] for each in glue("GetJobRuns", JobName="j")["JobRuns"]] == [1, 0]


def test_a_run_names_the_run_it_retries(glue: Glue) -> None:
    glue.job()
    first = glue.start(Arguments={"--a": "b"})
    with pytest.raises(InvalidInputException, match="has not ended"):
        glue.start(JobRunId=first)
    glue.spark.started().end(Ended(1, "no", 1, 1, False))
    glue.until(first, "FAILED")
    second = glue.state(glue.start(JobRunId=first))
    assert (second["PreviousRunId"], second["Attempt"], second["Arguments"]) == (first, 1, {"--a": "b"})
    with pytest.raises(EntityNotFoundException):
        glue.start(JobRunId="jr_none")


def test_runs_are_listed_by_pages_newest_first(glue: Glue) -> None:
    glue.job(ExecutionProperty={"MaxConcurrentRuns": 9})
    started = [glue.start() for _ in range(5)]
    glue.job("other")
    glue.start("other")
    found: list[str] = []
    token = None
    while True:
        page = glue("GetJobRuns", JobName="j", MaxResults=2, NextToken=token)
        found += [run["Id"] for run in page["JobRuns"]]
        token = page.get("NextToken")
        if not token:
            break
    assert found == started[::-1]
    with pytest.raises(InvalidInputException):
        glue("GetJobRuns", JobName="j", NextToken="none")
    with pytest.raises(EntityNotFoundException, match="Job with name: none not found"):
        glue("GetJobRuns", JobName="none")


def test_what_a_killed_server_left_has_failed_and_is_not_tried_again(glue: Glue) -> None:
    glue.job(MaxRetries=3)
    run = glue.start()
    glue.spark.started()
    glue.until(run, "RUNNING")
    kept = store.root() / SCOPE.account / SCOPE.region / RUN / f"{run}.json"
    left: dict[str, Any] = json.loads(kept.read_text())
    glue.spark.runs[0].end()
    glue.until(run, "SUCCEEDED")
    # As it was on disk when the server was killed, long before this one began.
    left |= {"StartedOn": 1.0, "_Began": 1.0}
    kept.write_text(json.dumps(left))
    again = Store(store.root())
    worker.mark_interrupted(RUN, job_run_status.STATE, job_run_status.fail, again, "StartedOn")
    (record,) = again.list(SCOPE, RUN)
    assert record["JobRunState"] == "FAILED" and "the local target was stopped" in record["ErrorMessage"]


def test_the_server_s_stop_ends_runs(glue: Glue) -> None:
    glue.job(MaxRetries=3)
    run = glue.start()
    running = glue.spark.started()
    glue.until(run, "RUNNING")
    job_run.on_stop()
    ended = glue.state(run)
    assert running.stopped == 1 and ended["JobRunState"] == "FAILED"
    assert ended["ErrorMessage"] == worker.INTERRUPTED
    assert [each["Id"] for each in glue("GetJobRuns", JobName="j")["JobRuns"]] == [run]


def test_a_deleted_job_s_runs_end(glue: Glue) -> None:
    glue.job()
    run = glue.start()
    running = glue.spark.started()
    glue("DeleteJob", JobName="j")
    with pytest.raises(EntityNotFoundException):
        glue.state(run)
    assert running.wait(5) == WELL and running.stopped == 1
    assert not store.list(SCOPE, RUN)


def test_eventbridge_is_told_of_every_end(glue: Glue) -> None:
    glue.job()
    glue.spark.at_start = lambda run: run.end(Ended(1, "no such column", 1, 1, False))
    run = glue.start()
    glue.until(run, "FAILED")
    worker.stop_all(RUN)
    (told,) = glue.spark.told
    assert (told["Source"], told["DetailType"]) == ("aws.glue", "Glue Job State Change")
    assert json.loads(told["Detail"]) == {
        "jobName": "j", "severity": "ERROR", "state": "FAILED", "jobRunId": run, "message": "no such column"
    }  # fmt: skip


def test_states_go_only_where_they_may() -> None:
    for state in ("SUCCEEDED", "STOPPED", "TIMEOUT", "FAILED", "ERROR"):
        assert job_run_status.ended({"JobRunState": state})
        with pytest.raises(InternalFailure):
            job_run_status.end({"JobRunState": state}, "SUCCEEDED")
    for state in ("WAITING", "STARTING", "STOPPING"):
        with pytest.raises(InternalFailure):
            job_run_status.end({"JobRunState": state}, "SUCCEEDED")
    enum = validation.model("glue").shape_for("JobRunState").enum
    assert set(job_run_status.MACHINE) == set(enum) - {"EXPIRED"}  # streaming jobs only


def test_a_missing_job_and_a_run_of_another(glue: Glue) -> None:
    with pytest.raises(EntityNotFoundException, match="Failed to start job run due to missing metadata"):
        glue.start("none")
    glue.job()
    glue.job("other")
    run = glue.start()
    with pytest.raises(EntityNotFoundException):
        glue.state(run, "other")


def test_flex_runs_tell_their_dpu_seconds(glue: Glue) -> None:
    glue.job(ExecutionClass="FLEX")
    glue.spark.at_start = lambda run: run.end()
    assert glue.until(glue.start(NumberOfWorkers=3), "SUCCEEDED")["DPUSeconds"] == 3.0


@pytest.mark.parametrize(
    ("more", "error"),
    [
        ({"Arguments": {"--job-bookmark-option": "job-bookmark-enable"}}, NotSupported),
        ({"Arguments": {"--additional-python-modules": "x"}}, NotSupported),
        ({"ExecutionRoleSessionPolicy": "{}"}, NotSupported),
        ({"Timeout": 10080}, InvalidInputException),
        ({"MaxCapacity": 2.0, "AllocatedCapacity": 2}, InvalidInputException),
        ({"MaxCapacity": 2.0, "WorkerType": "G.1X", "NumberOfWorkers": 2}, InvalidInputException),
        ({"NumberOfWorkers": 1}, InvalidInputException),
        ({"WorkerType": "Z.2X"}, NotSupported),
    ],
)
def test_what_cannot_be_done_is_refused_before_anything_runs(
    glue: Glue, more: dict[str, Any], error: type[Exception]
) -> None:
    glue.job()
    with pytest.raises(error):
        glue.start(**more)
    assert not glue("GetJobRuns", JobName="j")["JobRuns"]


def test_a_full_disk_says_so(glue: Glue, tmp_path: Path) -> None:
    glue.job()
    (tmp_path / "work").write_text("in the way")
    assert "InternalServerError" in glue.until(glue.start(), "FAILED")["ErrorMessage"]
