"""Batch transform jobs on a real local target, through boto3, with a model that does well and badly."""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import os
import re
import signal
import tarfile
import time
from collections.abc import Iterator
from typing import Any

import psutil
import pytest
from botocore.exceptions import ClientError

from pipeline.local.sagemaker import validation
from tests.e2e.local_jobs.conftest import BUCKET, Jobs

# Doubles numbers. Its words: `bad` is 400, `fail` is 500, `once` is 500 the first time, `die` ends it.
SERVE = '''#!/usr/bin/env python3
"""A model: doubles the first column of each line; JSON: doubles `x`."""
import http.server, json, os, pathlib, sys, time

FACTOR = float(pathlib.Path(os.environ.get("SAGEMAKER_BASE_DIR", "/opt/ml"), "model/factor").read_text())
seen = set()
if os.environ.get("BREAK") == "start":
    sys.exit("cannot load the model")

class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def log_message(self, *_): pass
    def reply(self, status, body, kind="text/csv"):
        self.send_response(status); self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Type", kind); self.end_headers(); self.wfile.write(body)
    def do_GET(self):
        if self.path == "/execution-parameters" and os.environ.get("TELLS"):
            return self.reply(200, os.environ["TELLS"].encode(), "application/json")
        self.reply(200 if self.path == "/ping" else 404, b"")
    def do_POST(self):
        if self.headers.get("Transfer-Encoding") == "chunked":
            text = b""
            while size := int(self.rfile.readline(), 16):
                text += self.rfile.read(size); self.rfile.readline()
            self.rfile.readline()
        else:
            text = self.rfile.read(int(self.headers["Content-Length"]))
        kind = self.headers.get("Content-Type", "")
        lines = len(text.splitlines())
        os.write(1, f"request {lines} lines {os.environ.get('SAGEMAKER_BATCH')} {kind}\\n".encode())
        if b"slow" in text: time.sleep(60)
        if b"die" in text: os._exit(3)
        if b"bad" in text: return self.reply(400, b"I do not understand bad")
        if b"fail" in text or (b"once" in text and text not in seen):
            seen.add(text); return self.reply(500, b"it broke")
        if "json" in kind:
            made = [json.dumps({"y": json.loads(line)["x"] * FACTOR}) for line in text.splitlines()]
            return self.reply(200, "\\n".join(made).encode(), kind)
        made = []
        for line in text.decode().splitlines():
            first = line.split(",")[0]
            made.append(str(float(first) * FACTOR) if first.replace(".", "").isdigit() else first)
        self.reply(200, "\\n".join(made).encode())

host, port = os.environ.get("HOST", "127.0.0.1"), int(os.environ["SAGEMAKER_BIND_TO_PORT"])
http.server.ThreadingHTTPServer((host, port), Handler).serve_forever()
'''


@pytest.fixture(scope="module")
def model(jobs: Jobs) -> Iterator[str]:
    folder = jobs.root / "container" / "doubler"
    folder.mkdir()
    (folder / "serve").write_text(SERVE)
    (folder / "serve").chmod(0o755)
    (folder / "train").write_text("#!/bin/sh\n")
    (folder / "train").chmod(0o755)
    image = jobs.push("doubler")
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz") as tar:
        info = tarfile.TarInfo("factor")
        info.size = 1
        tar.addfile(info, io.BytesIO(b"2"))
    artefact = jobs.put("models/doubler.tar.gz", archive.getvalue())
    jobs.client("sagemaker").create_model(
        ModelName="doubler",
        ExecutionRoleArn=jobs.role,
        PrimaryContainer={"Image": image, "ModelDataUrl": artefact},
    )
    yield "doubler"


def transform(jobs: Jobs, name: str, uri: str, **changes: Any) -> None:
    given = {
        "DataSource": {"S3DataSource": {"S3DataType": changes.pop("kind", "S3Prefix"), "S3Uri": uri}},
        "ContentType": "text/csv",
        "SplitType": "Line",
    } | changes.pop("input", {})
    output = {
        "S3OutputPath": f"s3://{BUCKET}/answers/{name}",
        "Accept": given["ContentType"],
        "AssembleWith": "Line",
    } | changes.pop("output", {})
    request = {
        "TransformJobName": name,
        "ModelName": changes.pop("model", "doubler"),
        "TransformInput": given,
        "TransformOutput": output,
        "TransformResources": {"InstanceType": "ml.m5.large", "InstanceCount": 1},
    }
    jobs.client("sagemaker").create_transform_job(**(request | changes))


def transformed(jobs: Jobs, name: str, seconds: float = 30) -> dict[str, Any]:
    return jobs._over(
        lambda: jobs.client("sagemaker").describe_transform_job(TransformJobName=name),
        "TransformJobStatus",
        seconds,
    )


def lines_of(jobs: Jobs, name: str, data: bool = False) -> list[str]:
    logs, group = jobs.client("logs"), "/aws/sagemaker/TransformJobs"
    streams = logs.describe_log_streams(logGroupName=group, logStreamNamePrefix=f"{name}/")["logStreams"]
    named = [each["logStreamName"] for each in streams if each["logStreamName"].endswith("/data-log") == data]
    found = logs.get_log_events(logGroupName=group, logStreamName=named[0], startFromHead=True)
    return [event["message"] for event in found["events"]]


@pytest.mark.usefixtures("model")
def test_every_object_is_answered_in_order_below_the_output_path(jobs: Jobs) -> None:
    jobs.put("in/all/a.csv", "1,x\n2,x\n3,x\n")
    jobs.put("in/all/deep/b.csv", "10\n\n20")  # an empty line is no record
    transform(jobs, "all", f"s3://{BUCKET}/in/all/", MaxConcurrentTransforms=4, BatchStrategy="SingleRecord")
    done = transformed(jobs, "all")
    assert done["TransformJobStatus"] == "Completed", done.get("FailureReason")
    assert jobs.keys("answers/all") == ["answers/all/a.csv.out", "answers/all/deep/b.csv.out"]
    assert jobs.get("answers/all/a.csv.out") == b"2.0\n4.0\n6.0\n"
    assert jobs.get("answers/all/deep/b.csv.out") == b"20.0\n40.0\n"
    assert done["TransformStartTime"] <= done["TransformEndTime"]
    faults = {key: value for key, value in done.items() if key != "ResponseMetadata"}
    assert not validation.faults("DescribeTransformJob", faults)
    assert lines_of(jobs, "all").count("request 1 lines true text/csv") == 5
    assert lines_of(jobs, "all", data=True)[0].endswith(
        "MaxConcurrentTransforms=4, MaxPayloadInMB=6, BatchStrategy=SingleRecord"
    )
    assert not [line for line in jobs.children() if "/serve" in line]
    listed = jobs.client("sagemaker").list_transform_jobs(NameContains="all", StatusEquals="Completed")
    assert [each["TransformJobName"] for each in listed["TransformJobSummaries"]] == ["all"]


@pytest.mark.usefixtures("model")
def test_a_manifest_gzip_and_whole_objects(jobs: Jobs) -> None:
    jobs.put("in/packed/one.csv.gz", gzip.compress(b"1\n2\n"))
    jobs.put("in/packed/not-mine.csv.gz", b"rubbish")
    manifest = jobs.put("in/m.json", json.dumps([{"prefix": f"s3://{BUCKET}/in/packed/"}, "one.csv.gz"]))
    transform(
        jobs,
        "packed",
        manifest,
        kind="ManifestFile",
        input={"CompressionType": "Gzip", "SplitType": "None"},
        output={"AssembleWith": "None"},
        MaxPayloadInMB=0,
    )
    done = transformed(jobs, "packed")
    assert done["TransformJobStatus"] == "Completed", done.get("FailureReason")
    assert jobs.keys("answers/packed") == ["answers/packed/one.csv.gz.out"]
    assert jobs.get("answers/packed/one.csv.gz.out") == b"2.0\n4.0"
    assert lines_of(jobs, "packed") == ["request 2 lines true text/csv"]


@pytest.mark.usefixtures("model")
def test_the_model_says_how_it_wants_its_requests(jobs: Jobs) -> None:
    jobs.put("in/tells/a.csv", "1\n2\n")
    tells = json.dumps({"MaxConcurrentTransforms": 3, "BatchStrategy": "SINGLE_RECORD", "MaxPayloadInMB": 2})
    transform(jobs, "tells", f"s3://{BUCKET}/in/tells/a.csv", Environment={"TELLS": tells})
    assert transformed(jobs, "tells")["TransformJobStatus"] == "Completed"
    assert lines_of(jobs, "tells").count("request 1 lines true text/csv") == 2
    assert "MaxConcurrentTransforms=3, MaxPayloadInMB=2" in lines_of(jobs, "tells", data=True)[0]
    transform(
        jobs,
        "told",
        f"s3://{BUCKET}/in/tells/a.csv",
        Environment={"TELLS": tells},
        BatchStrategy="MultiRecord",
    )
    assert transformed(jobs, "told")["TransformJobStatus"] == "Completed"
    assert "request 2 lines true text/csv" in lines_of(jobs, "told")


@pytest.mark.usefixtures("model")
def test_answers_are_joined_with_their_records(jobs: Jobs) -> None:
    jobs.put("in/joined/a.csv", 'id-1,1,"x, y"\nid-2,2,z\n')
    filters = {"InputFilter": "$[1:]", "JoinSource": "Input", "OutputFilter": "$[0,-1]"}
    transform(jobs, "joined", f"s3://{BUCKET}/in/joined", DataProcessing=filters)
    done = transformed(jobs, "joined")
    assert done["TransformJobStatus"] == "Completed", done.get("FailureReason")
    assert jobs.get("answers/joined/a.csv.out") == b"id-1,2.0\nid-2,4.0\n"

    jobs.put("in/objects/a.jsonl", '{"id": 7, "features": {"x": 4}}\n{"id": 8, "features": {"x": 5}}\n')
    transform(
        jobs,
        "objects",
        f"s3://{BUCKET}/in/objects",
        input={"ContentType": "application/jsonlines"},
        DataProcessing={
            "InputFilter": "$.features",
            "JoinSource": "Input",
            "OutputFilter": "$['id','SageMakerOutput']",
        },
    )
    done = transformed(jobs, "objects")
    assert done["TransformJobStatus"] == "Completed", done.get("FailureReason")
    made = [json.loads(line) for line in jobs.get("answers/objects/a.jsonl.out").splitlines()]
    assert made == [{"id": 7, "SageMakerOutput": {"y": 8.0}}, {"id": 8, "SageMakerOutput": {"y": 10.0}}]


@pytest.mark.usefixtures("model")
def test_an_object_that_fails_has_no_output_and_the_others_have_theirs(jobs: Jobs) -> None:
    jobs.put("in/mixed/a.csv", "1\n")
    jobs.put("in/mixed/b.csv", "1\nbad\n3\n")
    jobs.put("in/mixed/c.csv", "once\n")
    transform(jobs, "mixed", f"s3://{BUCKET}/in/mixed/", BatchStrategy="SingleRecord")
    done = transformed(jobs, "mixed")
    assert done["TransformJobStatus"] == "Failed"
    assert done["FailureReason"] == (
        f"ClientError: See job logs for more information. s3://{BUCKET}/in/mixed/b.csv: 400: "
        "I do not understand bad"
    )
    assert jobs.keys("answers/mixed") == ["answers/mixed/a.csv.out", "answers/mixed/c.csv.out"]
    told = lines_of(jobs, "mixed", data=True)
    assert told[1].endswith(
        f"[sagemaker logs]: {BUCKET}/in/mixed/b.csv: ClientError: 400: I do not understand bad"
    )


def client_config(seconds: int, retries: int) -> dict[str, Any]:
    given = {"InvocationsTimeoutInSeconds": seconds, "InvocationsMaxRetries": retries}
    return {"ModelClientConfig": given}


@pytest.mark.parametrize(
    ("name", "content", "changes", "reason"),
    [
        ("breaks", "fail\n", client_config(60, 1), r"AlgorithmError: .* 500: it broke"),
        ("dies", "die\n", {}, r"AlgorithmError: .* the container ended \(exit code 3\)"),
        ("late", "slow\n", client_config(1, 0), r"AlgorithmError: .* no answer in 1 seconds"),
        ("large", "x" * 2**20 + "1\n", {"MaxPayloadInMB": 1}, r"ClientError: .* than MaxPayloadInMB \(1\)"),
        (
            "unloaded",
            "1\n",
            {"Environment": {"BREAK": "start"}},
            "AlgorithmError: .* before it passed the ping",
        ),
        ("not-gzip", "1\n", {"input": {"CompressionType": "Gzip"}}, "ClientError: .* be read as Gzip"),
    ],
)
@pytest.mark.usefixtures("model")
def test_failures_say_whose_they_are(jobs: Jobs, name: str, content: str, changes: Any, reason: str) -> None:
    jobs.put(f"in/{name}/a.csv", content)
    transform(jobs, name, f"s3://{BUCKET}/in/{name}/", **changes)
    done = transformed(jobs, name)
    assert done["TransformJobStatus"] == "Failed"
    assert re.match(reason, done["FailureReason"]), done["FailureReason"]
    assert not jobs.keys(f"answers/{name}")
    assert not [line for line in jobs.children() if "/serve" in line]


@pytest.mark.usefixtures("model")
def test_missing_input_and_a_role_that_may_not_write(jobs: Jobs) -> None:
    transform(jobs, "nothing", f"s3://{BUCKET}/in/nowhere/")
    done = transformed(jobs, "nothing")
    assert done["TransformJobStatus"] == "Failed"
    assert f'No S3 objects found under S3 URL "s3://{BUCKET}/in/nowhere/"' in done["FailureReason"]

    jobs.put("in/denied/a.csv", "1\n")
    elsewhere = {"S3OutputPath": "s3://not-ours/answers"}
    transform(jobs, "denied", f"s3://{BUCKET}/in/denied/", output=elsewhere)
    done = transformed(jobs, "denied")
    assert done["TransformJobStatus"] == "Failed"
    assert done["FailureReason"].startswith("ClientError: Artifact upload failed")


@pytest.mark.usefixtures("model")
def test_a_stopped_job_stores_nothing(jobs: Jobs) -> None:
    jobs.put("in/stopped/a.csv", "1\n")
    jobs.put("in/stopped/b.csv", "slow\n")
    transform(jobs, "stopped", f"s3://{BUCKET}/in/stopped/")
    deadline = time.monotonic() + 10
    found: list[str] = []
    while len(found) < 2:
        assert time.monotonic() < deadline
        with contextlib.suppress(ClientError, IndexError):
            found = lines_of(jobs, "stopped")
    jobs.client("sagemaker").stop_transform_job(TransformJobName="stopped")
    done = transformed(jobs, "stopped", 10)
    assert done["TransformJobStatus"] == "Stopped"
    assert not jobs.keys("answers/stopped")
    assert not [line for line in jobs.children() if "/serve" in line]
    with pytest.raises(ClientError, match="is in status Stopped"):
        jobs.client("sagemaker").stop_transform_job(TransformJobName="stopped")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": "nobody"}, 'Could not find model "arn:aws:sagemaker:eu-west-1:111122223333:model/nobody"'),
        ({"MaxPayloadInMB": 60, "MaxConcurrentTransforms": 2}, "cannot exceed 100"),
        ({"input": {"SplitType": "RecordIO"}}, "SplitType RecordIO is not supported by the local target"),
        ({"DataProcessing": {"OutputFilter": "$.id"}}, "rows of CSV have indexes, not names"),
        (
            {"DataProcessing": {"JoinSource": "Input"}, "output": {"AssembleWith": "None"}},
            "must both be Line",
        ),
        (
            {"DataProcessing": {"JoinSource": "Input"}, "output": {"Accept": "application/json"}},
            "needs one format",
        ),
        ({"DataProcessing": {"InputFilter": "features"}}, "Invalid JSONPath"),
    ],
)
@pytest.mark.usefixtures("model")
def test_refused_requests(jobs: Jobs, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ClientError, match=message.replace("(", r"\(")):
        transform(jobs, "refused", f"s3://{BUCKET}/in", **changes)


@pytest.mark.usefixtures("model")
def test_a_killed_server_leaves_it_failed_without_output_or_process(jobs: Jobs) -> None:
    jobs.put("in/killed/a.csv", "1\n")
    jobs.put("in/killed/b.csv", "slow\n")
    transform(jobs, "killed", f"s3://{BUCKET}/in/killed/")
    deadline = time.monotonic() + 10
    while not [line for line in jobs.children() if "/serve" in line]:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    served = [
        process
        for process in psutil.Process(jobs.up.pid).children(recursive=True)
        if any("/serve" in part for part in process.cmdline())
    ]
    os.kill(jobs.up.pid, signal.SIGKILL)
    _, alive = psutil.wait_procs(served, timeout=10)
    assert served and not alive
    jobs.again()
    done = transformed(jobs, "killed")
    assert done["TransformJobStatus"] == "Failed"
    assert "the local target was stopped" in done["FailureReason"]
    assert not jobs.keys("answers/killed")
