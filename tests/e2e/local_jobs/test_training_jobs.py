"""Training jobs on a real local target, through boto3, with programs that do well and badly."""

from __future__ import annotations

import gzip
import json
import os
import signal
import time
from typing import Any

import psutil
import pytest
from botocore.exceptions import ClientError

from pipeline.local.runner import mount
from pipeline.local.sagemaker import validation
from tests.e2e.local_jobs.conftest import ALLOWED, BUCKET, Jobs


def test_a_job_trains_logs_measures_and_stores(jobs: Jobs) -> None:
    jobs.put("data/train/a.csv", "1,2\n")
    jobs.put("data/train/deep/b.csv", "3,4\n")
    name = jobs.train(
        """
data = sorted(p.relative_to(ML/"input/data").as_posix() for p in (ML/"input/data").rglob("*.csv"))
print(data)
print("Train_error=0.5; Valid_error=0.6;")
print("Train_error=0.25; Valid_error=0.3;")
(ML/"model/sub").mkdir()
(ML/"model/sub/weights").write_text("w")
(ML/"output/data/report.txt").write_text("fine")
print(os.environ["TRAINING_JOB_NAME"])
""",
        algorithm={
            "MetricDefinitions": [
                {"Name": "train:error", "Regex": "Train_error=(.*?);"},
                {"Name": "valid:error", "Regex": "Valid_error=(.*?);"},
                {"Name": "never", "Regex": "never=(.*?);"},
            ]
        },
        InputDataConfig=[jobs.channel("train", f"s3://{BUCKET}/data/train")],
        Environment={"MINE": "1"},
        Tags=[{"Key": "pipeline", "Value": "iris"}],
    )
    done = jobs.trained(name)
    assert done["TrainingJobStatus"] == "Completed", done.get("FailureReason")
    assert done["SecondaryStatus"] == "Completed"
    assert "FailureReason" not in done
    history = done["SecondaryStatusTransitions"]
    assert [each["Status"] for each in history] == [
        "Starting",
        "Downloading",
        "Training",
        "Uploading",
        "Completed",
    ]
    assert all(each["EndTime"] >= each["StartTime"] for each in history)
    assert done["TrainingStartTime"] <= done["TrainingEndTime"]
    assert done["BillableTimeInSeconds"] == done["TrainingTimeInSeconds"] >= 1
    model = f"out/{name}/output/model.tar.gz"
    assert done["ModelArtifacts"] == {"S3ModelArtifacts": f"s3://{BUCKET}/{model}"}
    assert jobs.unpacked(model) == {"sub/weights": b"w"}
    assert jobs.unpacked(f"out/{name}/output/output.tar.gz") == {"report.txt": b"fine"}
    assert {each["MetricName"]: each["Value"] for each in done["FinalMetricDataList"]} == {
        "train:error": 0.25,
        "valid:error": pytest.approx(0.3),
    }
    assert jobs.logged(name)[-4:] == [
        "['train/a.csv', 'train/deep/b.csv']",
        "Train_error=0.5; Valid_error=0.6;",
        "Train_error=0.25; Valid_error=0.3;",
        name,
    ]
    cloudwatch = jobs.client("cloudwatch").list_metrics(
        Namespace="/aws/sagemaker/TrainingJobs", Dimensions=[{"Name": "TrainingJobName", "Value": name}]
    )
    assert {each["MetricName"] for each in cloudwatch["Metrics"]} == {"train:error", "valid:error"}
    tags = jobs.client("sagemaker").list_tags(ResourceArn=done["TrainingJobArn"])["Tags"]
    assert tags == [{"Key": "pipeline", "Value": "iris"}]
    answer = {key: value for key, value in done.items() if key != "ResponseMetadata"}
    assert validation.faults("DescribeTrainingJob", answer) == []


@pytest.mark.parametrize(
    ("do", "reason"),
    [
        ("raise SystemExit(1)", "AlgorithmError: , exit code: 1"),
        (
            "(ML/'output/failure').write_text('the labels are gone'); raise SystemExit(3)",
            "AlgorithmError: the labels are gone, exit code: 3",
        ),
        ("os.kill(os.getpid(), 9)", "AlgorithmError: , exit code: 137"),
        ("(ML/'output/failure').write_bytes(b'\\xff'*9000); sys.exit(2)", None),
    ],
)
def test_a_program_that_ends_badly_fails_its_job_with_its_reason(
    jobs: Jobs, do: str, reason: str | None
) -> None:
    done = jobs.trained(jobs.train("(ML/'output/data/trace').write_text('kept'); " + do))
    assert (done["TrainingJobStatus"], done["SecondaryStatus"]) == ("Failed", "Failed")
    if reason is None:
        assert len(done["FailureReason"]) <= 1024
        assert done["FailureReason"].endswith(", exit code: 2")
    else:
        assert done["FailureReason"] == reason
    # what it left for its author to look at is kept
    assert jobs.unpacked(f"out/{done['TrainingJobName']}/output/output.tar.gz") == {"trace": b"kept"}


def test_a_job_past_its_limit_is_stopped_and_keeps_its_model(jobs: Jobs) -> None:
    name = jobs.train(
        "signal.signal(15, lambda *_: None); (ML/'model/half').write_text('x'); time.sleep(64.5); "
        "time.sleep(64.5)",
        seconds=1,
    )
    done = jobs.trained(name)
    assert (done["TrainingJobStatus"], done["SecondaryStatus"]) == ("Stopped", "MaxRuntimeExceeded")
    assert jobs.unpacked(f"out/{name}/output/model.tar.gz") == {"half": b"x"}
    assert jobs.children() == []


def test_stopping_lets_a_program_save(jobs: Jobs) -> None:
    name = jobs.train(
        "signal.signal(15, lambda *_: ((ML/'model/saved').write_text('x'), sys.exit(0))); "
        "print('ready'); time.sleep(65)"
    )
    jobs.wait_for(name, "ready")
    sagemaker = jobs.client("sagemaker")
    sagemaker.stop_training_job(TrainingJobName=name)
    done = jobs.trained(name)
    assert (done["TrainingJobStatus"], done["SecondaryStatus"]) == ("Stopped", "Stopped")
    assert [each["Status"] for each in done["SecondaryStatusTransitions"]][-3:] == [
        "Stopping",
        "Uploading",
        "Stopped",
    ]
    assert jobs.unpacked(f"out/{name}/output/model.tar.gz") == {"saved": b"x"}
    with pytest.raises(ClientError, match="is in status Stopped") as caught:
        sagemaker.stop_training_job(TrainingJobName=name)
    assert caught.value.response["Error"]["Code"] == "ValidationException"


def test_a_program_that_ignores_sigterm_is_killed_with_its_children(jobs: Jobs) -> None:
    name = jobs.train(
        "signal.signal(15, signal.SIG_IGN); subprocess.Popen(['sleep', '66']); print('ready'); time.sleep(66)"
    )
    jobs.wait_for(name, "ready")
    jobs.client("sagemaker").stop_training_job(TrainingJobName=name)
    assert jobs.trained(name)["TrainingJobStatus"] == "Stopped"
    assert jobs.children() == []


def test_channels_by_manifest_and_fast_file(jobs: Jobs) -> None:
    jobs.put("m/one.csv", "1")
    jobs.put("m/deep/two.csv", "2")
    jobs.put("m/not-listed.csv", "3")
    manifest = jobs.put(
        "m.manifest", json.dumps([{"prefix": f"s3://{BUCKET}/m/"}, "one.csv", "deep/two.csv"])
    )
    name = jobs.train(
        """
for name in ("listed", "fast"):
    folder = ML/"input/data"/name
    print(name, sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*.csv")))
try:
    (ML/"input/data/fast/new").write_text("x"); print("writable")
except OSError as error:
    print(error.strerror)
""",
        InputDataConfig=[
            jobs.channel("listed", manifest, "ManifestFile"),
            jobs.channel("fast", f"s3://{BUCKET}/m/", InputMode="FastFile"),
        ],
    )
    done = jobs.trained(name)
    assert done["TrainingJobStatus"] == "Completed", jobs.logged(name)
    assert jobs.logged(name)[-3:-1] == [
        "listed ['deep/two.csv', 'one.csv']",
        "fast ['deep/two.csv', 'not-listed.csv', 'one.csv']",
    ]
    assert jobs.logged(name)[-1] in ("Read-only file system", "writable")


def test_pipe_mode_streams_every_epoch(jobs: Jobs) -> None:
    jobs.put("p/a.gz", gzip.compress(b"first;"))
    jobs.put("p/b.gz", gzip.compress(b"second;") + gzip.compress(b"third;"))
    jobs.put("i/1.txt", "one")
    jobs.put("i/2.txt", "two")
    lines = [{"x-ref": f"s3://{BUCKET}/i/{n}.txt", "label": n, "extra": "no"} for n in (1, 2)]
    augmented = jobs.put("i.manifest", "\n".join(map(json.dumps, lines)))
    name = jobs.train(
        """
def read(channel, epoch):
    path = ML/"input/data"/f"{channel}_{epoch}"
    while not path.exists():
        time.sleep(0.01)
    return path.read_text()
print([read("plain", epoch) for epoch in range(3)])
with open(ML/"input/data/plain_3") as early:
    print(early.read(3))
print(read("plain", 4))
print(read("labelled", 0))
print(json.loads((ML/"input/config/inputdataconfig.json").read_text())["plain"]["TrainingInputMode"])
""",
        algorithm={"TrainingInputMode": "Pipe"},
        InputDataConfig=[
            jobs.channel("plain", f"s3://{BUCKET}/p/", CompressionType="Gzip"),
            jobs.channel(
                "labelled", augmented, "AugmentedManifestFile", source={"AttributeNames": ["x-ref", "label"]}
            ),
        ],
    )
    done = jobs.trained(name)
    assert done["TrainingJobStatus"] == "Completed", done.get("FailureReason")
    assert jobs.logged(name)[-5:] == [
        "['first;second;third;', 'first;second;third;', 'first;second;third;']",
        "fir",
        "first;second;third;",
        "one1two2",
        "Pipe",
    ]


def test_a_pipe_that_breaks_fails_the_job(jobs: Jobs) -> None:
    augmented = jobs.put("bad.manifest", json.dumps({"x-ref": f"s3://{BUCKET}/no/such"}))
    name = jobs.train(
        "print((ML/'input/data/c_0').read_text()); time.sleep(67)",
        InputDataConfig=[
            jobs.channel(
                "c",
                augmented,
                "AugmentedManifestFile",
                InputMode="Pipe",
                source={"AttributeNames": ["x-ref"]},
            )
        ],
    )
    done = jobs.trained(name)
    assert done["TrainingJobStatus"] == "Failed"
    assert done["FailureReason"].startswith(
        f"ClientError: Data download failed:Unable to download object s3://{BUCKET}/no/such (NoSuchKey"
    )


def test_checkpoints_are_restored_and_stored(jobs: Jobs) -> None:
    jobs.put("checkpoints/epoch-1", "one")
    name = jobs.train(
        "print((ML/'checkpoints/epoch-1').read_text()); (ML/'checkpoints/epoch-2').write_text('two'); "
        "sys.exit(1)",
        CheckpointConfig={"S3Uri": f"s3://{BUCKET}/checkpoints"},
    )
    assert jobs.trained(name)["TrainingJobStatus"] == "Failed"
    assert jobs.logged(name)[-1] == "one"
    assert jobs.get("checkpoints/epoch-2") == b"two"
    # while it runs, too: that is what a checkpoint is for
    name = jobs.train(
        "(ML/'checkpoints/epoch-3').write_text('three'); time.sleep(68)",
        CheckpointConfig={"S3Uri": f"s3://{BUCKET}/checkpoints"},
    )
    deadline = time.monotonic() + 15
    while "checkpoints/epoch-3" not in jobs.keys("checkpoints/"):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    jobs.client("sagemaker").stop_training_job(TrainingJobName=name)
    assert jobs.trained(name)["TrainingJobStatus"] == "Stopped"


def test_the_role_decides_what_a_job_may_do(jobs: Jobs) -> None:
    jobs.put("data/train/a.csv", "1,2\n")
    channel = jobs.channel("train", f"s3://{BUCKET}/data/train/")
    listing, logging = ALLOWED[1], ALLOWED[2]
    objects = f"arn:aws:s3:::{BUCKET}/*"

    blind = jobs.make_role(
        "no-read", listing, logging, {"Effect": "Allow", "Action": "s3:PutObject", "Resource": objects}
    )
    done = jobs.trained(jobs.train("pass", RoleArn=blind, InputDataConfig=[channel]))
    assert done["FailureReason"].startswith(
        f"ClientError: Data download failed:Unable to download object s3://{BUCKET}/data/train/a.csv "
        "(AccessDenied: "
    )
    mute = jobs.make_role(
        "no-write", listing, logging, {"Effect": "Allow", "Action": "s3:GetObject", "Resource": objects}
    )
    done = jobs.trained(jobs.train("(ML/'model/m').write_text('x')", RoleArn=mute))
    assert done["FailureReason"].startswith("ClientError: Artifact upload failed:Error 7: AccessDenied (403)")
    quiet = jobs.make_role("no-logs", *ALLOWED[:2], {"Effect": "Allow", "Action": "ecr:*", "Resource": "*"})
    name = jobs.train("print('unheard')", RoleArn=quiet)
    assert jobs.trained(name)["TrainingJobStatus"] == "Completed"
    jobs.trained(jobs.train("print('heard')"))  # now there is a group
    streams = jobs.client("logs").describe_log_streams(
        logGroupName="/aws/sagemaker/TrainingJobs", logStreamNamePrefix=name
    )
    assert streams["logStreams"] == []


def test_a_role_without_a_wildcard_is_enough(jobs: Jobs) -> None:
    """Least privilege as the service authorization reference has it: streams, and metrics by namespace."""
    account, group = jobs.role.split(":")[4], "/aws/sagemaker/TrainingJobs"
    logs = f"arn:aws:logs:eu-west-1:{account}:log-group:{group}"

    def allow(action: Any, resource: str, condition: Any = None) -> dict[str, Any]:
        statement = {"Effect": "Allow", "Action": action, "Resource": resource}
        return statement | ({"Condition": condition} if condition else {})

    listing = {"StringLike": {"s3:prefix": ["least/train/*"]}}
    pull = ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
    role = jobs.make_role(
        "least",
        allow("s3:GetObject", f"arn:aws:s3:::{BUCKET}/least/train/*"),
        allow("s3:PutObject", f"arn:aws:s3:::{BUCKET}/out/*"),
        allow("s3:ListBucket", f"arn:aws:s3:::{BUCKET}", listing),
        allow(pull, f"arn:aws:ecr:eu-west-1:{account}:repository/ml/tiny"),
        allow("ecr:GetAuthorizationToken", "*"),
        allow(["logs:CreateLogGroup", "logs:DescribeLogStreams"], f"{logs}:*"),
        allow(["logs:CreateLogStream", "logs:PutLogEvents"], f"{logs}:log-stream:*"),
        allow("cloudwatch:PutMetricData", "*", {"StringEquals": {"cloudwatch:namespace": group}}),
    )
    jobs.put("least/train/a.csv", "1")
    name = jobs.train(
        "print('acc=0.5;'); (ML/'model/m').write_text('x')",
        RoleArn=role,
        algorithm={"MetricDefinitions": [{"Name": "acc", "Regex": "acc=(.*?);"}]},
        InputDataConfig=[jobs.channel("train", f"s3://{BUCKET}/least/train/")],
    )
    done = jobs.trained(name)
    assert done["TrainingJobStatus"] == "Completed", done.get("FailureReason")
    assert jobs.logged(name) == ["acc=0.5;"]
    metrics = jobs.client("cloudwatch").list_metrics(Dimensions=[{"Name": "TrainingJobName", "Value": name}])
    assert [each["MetricName"] for each in metrics["Metrics"]] == ["acc"]


def test_the_program_acts_as_the_role(jobs: Jobs) -> None:
    name = jobs.train(
        "print(os.environ['AWS_ENDPOINT_URL'], os.environ['AWS_ACCESS_KEY_ID'][:4], os.environ['AWS_REGION'])"
    )
    jobs.trained(name)
    assert jobs.logged(name)[-1] == f"{jobs.up.endpoint_url} ASIA eu-west-1"


@pytest.mark.skipif(
    not mount.cuts_networks(mount.isolation()), reason="this kernel gives no network namespaces"
)
def test_network_isolation_leaves_no_network_and_no_credentials(jobs: Jobs) -> None:
    name = jobs.train(
        """
import socket, urllib.parse
print('AWS_ACCESS_KEY_ID' in os.environ)
try:
    socket.create_connection(('127.0.0.1', PORT), 2); print('reached')
except OSError:
    print('cut off')
(ML/'model/m').write_text('x')
""".replace("PORT", jobs.up.endpoint_url.rpartition(":")[2]),
        EnableNetworkIsolation=True,
    )
    done = jobs.trained(name)
    assert done["TrainingJobStatus"] == "Completed", done.get("FailureReason")
    assert jobs.logged(name)[-2:] == ["False", "cut off"]
    assert jobs.keys(f"out/{name}/") == [f"out/{name}/output/model.tar.gz"]


def refused(jobs: Jobs, **changes: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as caught:
        jobs.train("pass", **changes)
    error = caught.value.response["Error"]
    return error["Code"], error["Message"]


def test_what_cannot_start_is_refused_at_once_in_awss_words(jobs: Jobs) -> None:
    code, message = refused(jobs, RoleArn="arn:aws:iam::111122223333:role/nobody")
    assert code == "ValidationException"
    assert message.startswith("Could not assume role arn:aws:iam::111122223333:role/nobody. Please ensure")
    foreign = jobs.make_role("for-lambda", *ALLOWED, service="lambda")
    assert refused(jobs, RoleArn=foreign)[1].startswith(f"Could not assume role {foreign}.")
    code, message = refused(jobs, InputDataConfig=[jobs.channel("t", f"s3://{BUCKET}/nothing/here")])
    assert (code, message) == (
        "ValidationException",
        f'No S3 objects found under S3 URL "s3://{BUCKET}/nothing/here" given in input data source. '
        "Please ensure "
        "that the bucket exists in the selected region (eu-west-1), that objects exist under that S3 "
        "prefix, and "
        f'that the role "{jobs.role}" has "s3:ListBucket" permissions on bucket "{BUCKET}".',
    )
    missing = jobs.image.rpartition("@")[0] + ":missing"
    code, message = refused(jobs, algorithm={"TrainingImage": missing})
    assert code == "ValidationException"
    assert message.startswith(
        "Access denied for repository: ml/tiny in registry ID: 111122223333. Please check"
    )
    pull = {"Effect": "Allow", "Action": "ecr:BatchGetImage", "Resource": "*"}
    half = jobs.make_role("half-a-pull", *ALLOWED[:2], pull)
    assert "not authorized to perform: ecr:BatchCheckLayerAvailability" in refused(jobs, RoleArn=half)[1]
    assert refused(jobs, algorithm={"TrainingImage": "python:3.11"})[1].startswith(
        "Invalid image URI python:3.11."
    )
    resources = {"InstanceType": "ml.m5.large", "InstanceCount": 9, "VolumeSizeInGB": 1}
    code, message = refused(jobs, ResourceConfig=resources)
    assert "one machine stands for all" in message
    name = jobs.train("pass")
    code, message = refused(jobs, TrainingJobName=name)
    assert (code, message[:31]) == ("ResourceInUse", "Training job names must be uniq")
    with pytest.raises(ClientError, match="Requested resource not found"):
        jobs.client("sagemaker").describe_training_job(TrainingJobName="nobody")


def test_an_object_that_vanishes_fails_the_job(jobs: Jobs) -> None:
    manifest = jobs.put("gone.manifest", json.dumps([{"prefix": f"s3://{BUCKET}/gone/"}, "a.csv"]))
    done = jobs.trained(jobs.train("pass", InputDataConfig=[jobs.channel("t", manifest, "ManifestFile")]))
    assert done["TrainingJobStatus"] == "Failed"
    assert done["FailureReason"].startswith(
        f"ClientError: Data download failed:Unable to download object s3://{BUCKET}/gone/a.csv (NoSuchKey: "
    )
    assert [each["Status"] for each in done["SecondaryStatusTransitions"]] == [
        "Starting",
        "Downloading",
        "Failed",
    ]


def test_list_filters_sorts_and_pages(jobs: Jobs) -> None:
    names = [
        jobs.train(do, TrainingJobName=f"listed-{n}") or "" for n, do in enumerate(("pass", "1/0", "pass"))
    ]
    assert len(names) == 3
    for number in range(3):
        jobs.trained(f"listed-{number}")
    sagemaker = jobs.client("sagemaker")

    def listed(**how: Any) -> list[str]:
        found = sagemaker.list_training_jobs(NameContains="listed-", **how)
        return [each["TrainingJobName"] for each in found["TrainingJobSummaries"]]

    assert listed() == ["listed-0", "listed-1", "listed-2"]
    assert listed(SortBy="Name", SortOrder="Descending") == ["listed-2", "listed-1", "listed-0"]
    assert listed(StatusEquals="Failed") == ["listed-1"]
    pages = sagemaker.get_paginator("list_training_jobs").paginate(
        NameContains="listed-", PaginationConfig={"PageSize": 2}
    )
    assert [len(page["TrainingJobSummaries"]) for page in pages] == [2, 1]
    sagemaker.delete_training_job(TrainingJobName="listed-1")
    assert listed() == ["listed-0", "listed-2"]


def test_a_hundred_objects_and_a_flood_of_lines(jobs: Jobs) -> None:
    for number in range(100):
        jobs.put(f"many/{number:03}.csv", str(number))
    begun = time.monotonic()
    name = jobs.train(
        "print(sum(int(p.read_text()) for p in (ML/'input/data/t').iterdir()))\n"
        "for n in range(25000): print(n)\n"
        "print('x'*300000, end='')",
        InputDataConfig=[jobs.channel("t", f"s3://{BUCKET}/many/")],
    )
    done = jobs.trained(name)
    assert done["TrainingJobStatus"] == "Completed", done.get("FailureReason")
    assert time.monotonic() - begun < 20
    logs = jobs.client("logs")
    stream = logs.describe_log_streams(logGroupName="/aws/sagemaker/TrainingJobs", logStreamNamePrefix=name)[
        "logStreams"
    ][0]["logStreamName"]
    token, count, last = None, 0, ""
    while True:
        more = {"nextToken": token} if token else {}
        page = logs.get_log_events(
            logGroupName="/aws/sagemaker/TrainingJobs", logStreamName=stream, startFromHead=True, **more
        )
        count += len(page["events"])
        last = page["events"][-1]["message"] if page["events"] else last
        if page["nextForwardToken"] == token or not page["events"]:
            break
        token = page["nextForwardToken"]
    assert count >= 25000 + 3
    assert set(last) == {"x"}


def test_jobs_of_a_killed_server_are_failed_by_the_next_and_leave_no_process(jobs: Jobs) -> None:
    name = jobs.train("print('ready'); time.sleep(69)")
    other = jobs.process("print('ready'); time.sleep(69)")
    jobs.wait_for(name, "ready")
    jobs.wait_for(other, "ready", "Processing")
    family = psutil.Process(jobs.up.pid).children(recursive=True)
    assert family
    os.kill(jobs.up.pid, signal.SIGKILL)
    _, alive = psutil.wait_procs(family, timeout=10)
    assert alive == []
    jobs.again()
    for done, status in (
        (jobs.trained(name), "TrainingJobStatus"),
        (jobs.processed(other), "ProcessingJobStatus"),
    ):
        assert done[status] == "Failed"
        assert done["FailureReason"].startswith(
            "InternalServerError: the local target was stopped while the job ran"
        )
    done = jobs.trained(jobs.train("pass"))
    assert done["TrainingJobStatus"] == "Completed"
    running = jobs.root / ".pipeline" / "local" / "running"
    deadline = time.monotonic() + 5
    while list(running.iterdir()):
        assert time.monotonic() < deadline, "workspaces are left"
        time.sleep(0.02)


def test_a_stopping_server_ends_its_jobs(jobs: Jobs) -> None:
    from pipeline.local import down

    name = jobs.train("signal.signal(15, signal.SIG_IGN); print('ready'); time.sleep(70)")
    jobs.wait_for(name, "ready")
    family = psutil.Process(jobs.up.pid).children(recursive=True)
    begun = time.monotonic()
    down(jobs.root)
    assert time.monotonic() - begun < 10
    psutil.wait_procs(family, timeout=5)
    assert [process for process in family if process.is_running()] == []
    jobs.again()
    assert jobs.trained(name)["FailureReason"].startswith("InternalServerError: the local target was stopped")
