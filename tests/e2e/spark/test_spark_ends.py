"""How runs end: well, by their own fault, by somebody's hand; what is told and what is left of them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from pipeline.local.glue.spark import Ended
from tests.conftest import REPOSITORY
from tests.e2e.local_core.conftest import until
from tests.e2e.spark.conftest import BUCKET, Lab

pytestmark = pytest.mark.timeout(600)  # Java starts slowly where others are at work

SESSION = "from pyspark.sql import SparkSession\nspark = SparkSession.builder.getOrCreate()\n"
LONG = (
    SESSION + "print('ready', flush=True)\n"
    "spark.range(0, 10**8, 1, 1000).selectExpr('id', 'rand() r').write.parquet('s3://lab/mine/long')\n"
)


@pytest.mark.parametrize(
    ("script", "code", "cause"),
    [
        ("import sys; sys.exit(0)", 0, ""),
        ("import sys; sys.exit()", 0, ""),
        ("import sys; sys.exit(3)", 3, "SystemExit: exit code 3"),
        ("import sys; sys.exit('no good')", 1, "SystemExit: no good"),
        ("def f(:\n", 1, "SyntaxError: invalid syntax"),
        ("import nowhere", 1, "ModuleNotFoundError: No module named 'nowhere'"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", 137, "the driver was killed (signal 9)"),
        (None, 1, "Error downloading from S3: bucket lab, key code/"),
    ],
)
def test_a_script_without_spark(lab: Lab, script: str | None, code: int, cause: str) -> None:
    ended, _ = lab.run(script)
    assert ended.exit_code == code
    assert ended.error_message.startswith(cause)
    assert bool(ended.error_message) == (code != 0)


def test_output_and_errors_keep_apart(lab: Lab) -> None:
    script = "import sys\nprint('well')\nprint('not so', file=sys.stderr)\nprint(sys.argv[1:])"
    _, lines = lab.run(script, arguments={"--A": "a b"})
    assert ("output", "well") in lines
    assert ("error", "not so") in lines
    assert any(stream == "output" and line.endswith("'--A', 'a b']") for stream, line in lines)


def test_a_driver_out_of_memory_ends_and_says_so(lab: Lab) -> None:
    ended, _ = lab.run(
        SESSION
        + "spark.range(0, 10**7, 1, 1).selectExpr('collect_list(repeat(id, 99)) l').selectExpr('size(l)')"
        ".collect()"
    )
    assert ended.oom
    assert ended.exit_code != 0
    assert ended.error_message == "OutOfMemoryError: Java heap space (the driver has 512 MB)"


def processes(run: Any, name: str) -> list[psutil.Process]:
    """The run's processes of that name."""
    return [each for each in psutil.Process(run.pid).children(recursive=True) if name in each.name()]


def by_killing_java(run: Any) -> Ended | None:
    for process in processes(run, "java"):
        process.kill()
    ended: Ended | None = run.wait(30)
    return ended


def by_stopping(run: Any) -> Ended | None:
    ended: Ended | None = run.stop(15)
    return ended


@pytest.mark.parametrize(
    ("act", "code", "cause"),
    [
        (by_killing_java, 1, "the Spark driver was killed (signal 9)"),
        (by_stopping, 143, "the driver was killed (signal 15)"),
    ],
)
def test_a_run_ended_while_it_writes_leaves_nothing_to_read(
    lab: Lab, act: Callable[[Any], Ended | None], code: int, cause: str
) -> None:
    run, lines, folder = lab.start(LONG)
    # Until files of tasks are whole, which the job is not.
    until(lambda: [key for key in lab.keys("mine/long/") if key.endswith(".parquet")], 120)
    family = psutil.Process(run.pid).children(recursive=True)
    ended = act(run)
    assert ended is not None, lines
    assert (ended.exit_code, ended.error_message, ended.oom) == (code, cause, False)
    assert not [each for each in family if each.is_running() and each.status() != psutil.STATUS_ZOMBIE]
    assert not [key for key in lab.keys("mine/long/") if "/_temporary/" not in key]
    assert list(folder.iterdir()) == []
    assert run.stop() == ended
    lab.target.client("s3")  # the next test begins with an empty place
    for key in lab.keys("mine/long/"):
        lab.s3.delete_object(Bucket=BUCKET, Key=key)


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's parent-death signal")
def test_a_run_dies_with_its_server(lab: Lab, tmp_path: Path) -> None:
    lab.s3.put_object(Bucket=BUCKET, Key="code/sleeps.py", Body=b"import time\nprint('up')\ntime.sleep(300)")
    server = (
        "import json, sys, time\n"
        "from pathlib import Path\n"
        "from pipeline.local.glue.spark import SparkJob, launch\n"
        "job = SparkJob(**{**json.load(sys.stdin), 'folder': Path(sys.argv[1])})\n"
        "run = launch(job, lambda stream, line: print(run.pid if line == 'up' else line, flush=True))\n"
        "time.sleep(300)\n"
    )
    job = {
        "run_id": "jr_x",
        "job_name": "lab",
        "script_uri": f"s3://{BUCKET}/code/sleeps.py",
        "extra_py_files": [],
        "arguments": {},
        "glue_version": "5.1",
        "cores": 1,
        "memory_mb": 512,
        "environment": {
            "AWS_ENDPOINT_URL": lab.target.up.endpoint_url,
            "AWS_REGION": "eu-west-1",
            "AWS_ACCESS_KEY_ID": lab.credentials["AccessKeyId"],
            "AWS_SECRET_ACCESS_KEY": lab.credentials["SecretAccessKey"],
            "AWS_SESSION_TOKEN": lab.credentials["SessionToken"],
        },
    }
    process = subprocess.Popen(
        [sys.executable, "-c", server, str(tmp_path / "run")],
        cwd=REPOSITORY,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin and process.stdout
    process.stdin.write(json.dumps(job))
    process.stdin.close()
    pid = int(process.stdout.readline())
    family = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    assert len(family) == 2
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    deadline = time.monotonic() + 10
    while any(each.is_running() and each.status() != psutil.STATUS_ZOMBIE for each in family):
        assert time.monotonic() < deadline, family
        time.sleep(0.05)
