"""Glue runs on real Spark: what breaks says why, leaves nothing half, and the next run makes it whole."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from typing import Any

import psutil
import pytest

from .conftest import BUCKET, SECRET, Runs

# One partition is written at once, the other takes a row each PAUSE seconds.
WRITE = """
import time
args = getResolvedOptions(sys.argv, ["OUTPUT", "PAUSE"])
pause = float(args["PAUSE"])
def slowly(number, rows):
    for row in rows:
        if number:
            time.sleep(pause)
        yield row
rows = spark.sparkContext.parallelize([(n,) for n in range(600)], 2).mapPartitionsWithIndex(slowly)
spark.createDataFrame(rows, "id long").write.mode("overwrite").parquet(args["OUTPUT"])
print("written:", spark.read.parquet(args["OUTPUT"]).count())
"""
SCRIPTS = {
    "write": WRITE,
    "absent": f'spark.read.parquet("s3://{BUCKET}/nothing/here").count()',
    "denied": f'spark.read.text("s3://{SECRET}/text").count()',
    "oom": 'spark.range(60_000_000).selectExpr("id", "cast(id as string) s").collect()',
}
PLAIN = {
    "raises": 'def load():\n    raise ValueError("no such column: price")\nload()',
    "leaves": "import sys\nsys.exit(3)",
    "sleeps": "import time\nprint('asleep', flush=True)\ntime.sleep(600)",
    "loose": "import subprocess, time\nsubprocess.Popen(['sleep', '601'], start_new_session=True)\n"
    "print('asleep', flush=True)\ntime.sleep(600)",
}


@pytest.fixture(scope="module")
def glue(runs: Runs) -> Iterator[Runs]:
    for name, text in SCRIPTS.items():
        runs.script(name, text)
    for name, text in PLAIN.items():
        runs.script(name, text, spark=False)
    runs.client("s3").put_object(Bucket=SECRET, Key="text", Body=b"secret")
    yield runs


@pytest.fixture(scope="module")
def over_its_time(glue: Runs) -> str:
    """A run of one minute that would take five, started before all else, and waited for after all else."""
    return glue.start("write", timeout=1, OUTPUT=f"s3://{BUCKET}/late/", PAUSE="1")


def whole(glue: Runs, prefix: str) -> bool:
    return f"{prefix}_SUCCESS" in glue.keys(prefix)


def nothing(glue: Runs, prefix: str) -> None:
    """No reader would take what is there for a dataset."""
    assert [key for key in glue.keys(prefix) if "_temporary" not in key] == []


def begun(glue: Runs, prefix: str) -> Any:
    """Wait until one partition is written, and the other is not."""
    return glue.until(lambda: any("_temporary" in key and "part-" in key for key in glue.keys(prefix)), 120)


def test_what_a_script_raises_is_the_run_s_error(glue: Runs, over_its_time: str) -> None:
    raised, left = glue.start("raises"), glue.start("leaves")
    ended = glue.ended(raised)
    assert (ended["JobRunState"], ended["ErrorMessage"]) == (
        "FAILED", "ValueError: no such column: price"
    )  # fmt: skip
    assert "Traceback (most recent call last):" in glue.lines(raised, "error")
    ended = glue.ended(left)
    assert ended["JobRunState"] == "FAILED" and "3" in ended["ErrorMessage"]
    assert glue.state(over_its_time)["JobRunState"] == "RUNNING"


def test_a_run_in_a_state_machine(glue: Runs) -> None:
    prefix = "made/"
    machine = _machine(
        glue,
        "writes",
        {
            "--scriptLocation": f"s3://{BUCKET}/code/write.py",
            "--OUTPUT": f"s3://{BUCKET}/{prefix}",
            "--PAUSE": "0",
        },
    )
    execution = _execute(glue, machine)
    output = json.loads(_over(glue, execution)["output"])
    assert output["JobRunState"] == "SUCCEEDED" and output["JobName"] == "job"
    assert output["MaxCapacity"] == 2.0 and output["ExecutionTime"] >= 1
    assert whole(glue, prefix) and not [key for key in glue.keys(prefix) if "_temporary" in key]
    assert "written: 600" in glue.lines(output["Id"])
    assert any("here: " in line and "700 MiB" in line for line in glue.lines(output["Id"], "error"))


def test_missing_data_and_data_that_the_role_may_not_see(glue: Runs) -> None:
    absent, denied = glue.start("absent"), glue.start("denied")
    ended = glue.ended(absent)
    assert ended["JobRunState"] == "FAILED"
    assert "PATH_NOT_FOUND" in ended["ErrorMessage"] and "nothing/here" in ended["ErrorMessage"]
    ended = glue.ended(denied)
    assert ended["JobRunState"] == "FAILED"
    assert "AccessDenied" in ended["ErrorMessage"].replace(" ", "") or "403" in ended["ErrorMessage"]


def test_too_little_memory_and_a_killed_jvm(glue: Runs) -> None:
    killed = glue.start("write", OUTPUT=f"s3://{BUCKET}/killed/", PAUSE="1")
    poor = glue.start("oom")
    begun(glue, "killed/")
    (jvm,) = [process for process in glue.processes(killed) if process.name() == "java"]
    jvm.kill()
    ended = glue.ended(killed)
    assert ended["JobRunState"] == "FAILED" and ended["ErrorMessage"]
    nothing(glue, "killed/")
    ended = glue.ended(poor)
    assert ended["JobRunState"] == "FAILED"
    assert "OutOfMemoryError" in ended["ErrorMessage"], ended["ErrorMessage"]
    assert not glue.processes(killed) and not glue.processes(poor)


def test_a_stop_in_mid_job(glue: Runs) -> None:
    run = glue.start("write", OUTPUT=f"s3://{BUCKET}/stopped/", PAUSE="1")
    begun(glue, "stopped/")
    answer = glue.client("glue").batch_stop_job_run(JobName="job", JobRunIds=[run])
    assert answer["SuccessfulSubmissions"] == [{"JobName": "job", "JobRunId": run}]
    assert glue.ended(run)["JobRunState"] == "STOPPED"
    assert not glue.processes(run)
    nothing(glue, "stopped/")


def test_an_aborted_execution_stops_its_run_and_all_that_it_started(glue: Runs) -> None:
    machine = _machine(glue, "sleeps", {"--scriptLocation": f"s3://{BUCKET}/code/loose.py"})
    execution = _execute(glue, machine)
    newest = {"JobName": "job", "MaxResults": 1}
    run = glue.until(
        lambda: [
            each["Id"]
            for each in glue.client("glue").get_job_runs(**newest)["JobRuns"]
            if each["JobRunState"] == "RUNNING" and each["Arguments"]["--scriptLocation"].endswith("loose.py")
        ]
    )[0]
    glue.until(lambda: glue.processes(run))
    glue.until(lambda: _logged(glue, run, "asleep"))
    below = [each.pid for process in glue.processes(run) for each in process.children(recursive=True)]
    assert below
    glue.client("stepfunctions").stop_execution(executionArn=execution)
    assert glue.ended(run)["JobRunState"] == "STOPPED"
    assert not glue.processes(run) and not [pid for pid in below if psutil.pid_exists(pid)]


def test_a_run_over_its_timeout_and_the_next_one(glue: Runs, over_its_time: str) -> None:
    ended = glue.ended(over_its_time, 120)
    assert ended["JobRunState"] == "TIMEOUT"
    assert ended["ErrorMessage"] == "Job run timed out: it ran longer than 1 minute."
    assert 60 <= ended["ExecutionTime"] < 120
    assert not glue.processes(over_its_time)
    nothing(glue, "late/")
    again = glue.ended(glue.start("write", OUTPUT=f"s3://{BUCKET}/late/", PAUSE="0"))
    assert again["JobRunState"] == "SUCCEEDED", again
    assert whole(glue, "late/") and len([key for key in glue.keys("late/") if "part-" in key]) == 2
    assert not [key for key in glue.keys("late/") if "_temporary" in key]


def test_a_killed_server_s_run_has_failed(glue: Runs) -> None:
    run = glue.start("write", OUTPUT=f"s3://{BUCKET}/lost/", PAUSE="1")
    begun(glue, "lost/")
    mine = [process for process in glue.processes(run) if process.name() == "java"]
    assert mine
    os.kill(glue.up.pid, signal.SIGKILL)
    psutil.wait_procs(mine, timeout=10)
    glue.again()
    # It answers before it has looked at all that the old one left.
    glue.until(lambda: glue.state(run)["JobRunState"] != "RUNNING")
    ended = glue.state(run)
    assert ended["JobRunState"] == "FAILED"
    assert "the local target was stopped while the job ran" in ended["ErrorMessage"]
    assert not glue.processes(run)
    nothing(glue, "lost/")


def test_stopping_the_target_leaves_no_process(glue: Runs) -> None:
    from pipeline.local import down

    run = glue.start("loose")
    glue.until(lambda: _logged(glue, run, "asleep"))
    below = [each.pid for process in glue.processes(run) for each in process.children(recursive=True)]
    assert below
    down(glue.root)
    assert not glue.processes(run) and not [pid for pid in below if psutil.pid_exists(pid)]
    glue.again()
    glue.until(lambda: glue.state(run)["JobRunState"] == "FAILED")


def _logged(glue: Runs, run: str, line: str) -> bool:
    try:
        return line in glue.lines(run)
    except glue.client("logs").exceptions.ResourceNotFoundException:
        return False


def _machine(glue: Runs, name: str, arguments: dict[str, str]) -> str:
    actions = ["StartJobRun", "GetJobRun", "GetJobRuns", "BatchStopJobRun"]
    allowed = {"Effect": "Allow", "Action": [f"glue:{action}" for action in actions]}
    role = glue.role(f"machine-{name}", "states", {**allowed, "Resource": "arn:aws:glue:*:*:job/job"})
    state = {
        "Type": "Task",
        "Resource": "arn:aws:states:::glue:startJobRun.sync",
        "Parameters": {"JobName": "job", "Arguments": arguments},
        "End": True,
    }
    made = glue.client("stepfunctions").create_state_machine(
        name=name, roleArn=role, definition=json.dumps({"StartAt": "S", "States": {"S": state}})
    )
    return str(made["stateMachineArn"])


def _execute(glue: Runs, machine: str) -> str:
    return str(glue.client("stepfunctions").start_execution(stateMachineArn=machine)["executionArn"])


def _over(glue: Runs, execution: str) -> dict[str, Any]:
    def ended() -> dict[str, Any] | None:
        found: dict[str, Any] = glue.client("stepfunctions").describe_execution(executionArn=execution)
        return found if found["status"] != "RUNNING" else None

    found: dict[str, Any] = glue.until(ended, 150)
    assert found["status"] == "SUCCEEDED", found
    return found
