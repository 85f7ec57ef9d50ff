"""Spark on the local target's S3: one script does all that scripts do, over an S3 that is busy at times."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from pipeline.local.glue.spark import Ended
from tests.e2e.spark.conftest import BUCKET, Lab, Unsteady

pytestmark = pytest.mark.timeout(600)  # Java starts slowly where others are at work

SCRIPT = Path(__file__).with_name("file_system.py")
SUM = sum(range(20000))


@pytest.fixture(scope="module")
def run(lab: Lab, unsteady: Unsteady) -> tuple[Ended, list[tuple[str, str]], dict[str, Any]]:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("lab_library.py", "WORD = 'from the zip'\n")
    for number in range(1100):  # more than a page of a listing, and than one DeleteObjects
        lab.s3.put_object(Bucket=BUCKET, Key=f"mine/out/many/{number}", Body=b"")
    lab.s3.put_object(Bucket=BUCKET, Key="other/secret.csv", Body=b"1,2\n")
    lab.endpoint = unsteady.url
    ended, lines = lab.run(
        SCRIPT.read_text(),
        arguments={
            "--OUT": f"s3://{BUCKET}/mine/out",
            "--DENIED": f"s3://{BUCKET}/other/secret.csv",
            "--conf": "spark.hadoop.fs.s3.copy.limit=6000000",
        },
        extra={"library.zip": archive.getvalue()},
    )
    lab.endpoint = ""
    told = [line for stream, line in lines if stream == "output" and line.startswith("FOUND ")]
    assert told, lines[-40:]
    return ended, lines, json.loads(told[0].removeprefix("FOUND "))


Run = tuple[Ended, list[tuple[str, str]], dict[str, Any]]


def test_every_format_reads_what_it_wrote(run: Run) -> None:
    found = run[2]
    assert found["parquet"] == found["csv"] == SUM
    assert found["json.gz"] == found["text"] == found["s3a"] == 20000
    assert found["glob"] == 10002  # two of four files, with their header lines


def test_partitions_are_appended_to_and_overwritten_one_by_one(run: Run) -> None:
    assert run[2]["appended"] == {"0": 6667, "1": 13334, "2": 6666}
    assert run[2]["overwritten"] == {"0": 6667, "1": 13334, "2": 5}


def test_an_object_appears_when_it_is_closed_and_reads_at_any_place(run: Run) -> None:
    found = run[2]
    assert found["before close"] is False
    assert found["large"] == 20 << 20
    assert found["renamed"] is True
    assert found["end"] == [254, 255, -1]
    assert found["middle"] == 3


def test_folders_are_what_keys_lie_below_or_this_run_made(run: Run, lab: Lab) -> None:
    assert run[2]["folders"] == [False, True, True, True, True]
    assert not [key for key in lab.keys("mine/") if key.endswith("/") or "_temporary" in key]


def test_listings_and_deletions_go_on_after_a_page(run: Run, lab: Lab) -> None:
    found = run[2]
    assert found["listed"] == 1100
    assert "the folder is not empty" in found["not empty"]
    assert found["deleted"] is True
    assert lab.keys("mine/out/many/") == []


def test_what_was_never_closed_leaves_nothing(run: Run, lab: Lab) -> None:
    assert run[0].exit_code == 1
    assert lab.keys("mine/out/abandoned") == []
    assert not lab.s3.list_multipart_uploads(Bucket=BUCKET).get("Uploads")


def test_what_exists_or_is_missing_is_said(run: Run) -> None:
    assert "already exists" in run[2]["exists"]
    assert f"Path does not exist: s3://{BUCKET}/mine/out/nothing" in run[2]["missing"]


def test_the_role_s_denial_names_the_action_and_the_object(run: Run) -> None:
    assert f"s3://{BUCKET}/other/secret.csv: AccessDenied: s3:GetObject" in run[2]["denied read"]
    assert f"s3://{BUCKET}/other/x: AccessDenied: s3:PutObject" in run[2]["denied write"]


def test_a_busy_s3_is_asked_again(run: Run, unsteady: Unsteady) -> None:
    assert run[2]["parquet"] == SUM
    assert unsteady.refused > 5


def test_the_script_sees_what_it_sees_on_glue(run: Run) -> None:
    found = run[2]
    assert found["library"] == "from the zip"
    assert found["zipped"] is True
    assert found["name"] == "lab"
    assert found["zone"] == "UTC"
    assert "create_dynamic_frame" in found["dynamic frame"]
    assert "spark.read.parquet" in found["dynamic frame"]


def test_a_script_that_raises_has_its_error_as_the_one_line_cause(run: Run) -> None:
    ended, lines, _ = run
    assert ended.error_message == "ValueError: told at the end"
    assert ended.oom is False
    assert ended.peak_mb > 100
    errors = [line for stream, line in lines if stream == "error"]
    assert "ValueError: told" in errors
    assert not any("bootstrap.py" in line for line in errors)


def test_progress_is_told(run: Run) -> None:
    lines = [line for stream, line in run[1] if stream == "output"]
    assert any(line.startswith("Spark ") and "done:" in line and "written" in line for line in lines)
