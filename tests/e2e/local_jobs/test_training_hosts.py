"""Training jobs of several instances: hosts that know, hear and end with one another, and share data."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.local.runner import mount
from tests.e2e.local_jobs.conftest import BUCKET, Jobs

pytestmark = pytest.mark.skipif(
    mount.isolation() == mount.MAPPED, reason="this kernel gives no mount namespaces"
)
TWO = {"InstanceType": "ml.m5.large", "InstanceCount": 2, "VolumeSizeInGB": 1}
# The first host listens under its own name; the second, which may come first, asks until it is heard.
TALK = """
import socket
me = json.loads((ML/"input/config/resourceconfig.json").read_text())
assert me["hosts"] == ["algo-1", "algo-2"] == json.loads(os.environ["SM_HOSTS"])
assert me["current_host"] == os.environ["SM_CURRENT_HOST"]
port = 20917
if me["current_host"] == "algo-1":
    with socket.create_server(("algo-1", port)) as server:
        with server.accept()[0] as heard:
            said = heard.recv(100).decode()
    print("algo-1 heard", said)
    (ML/"model/heard").write_text(said)
else:
    for _ in range(200):
        try:
            with socket.create_connection(("algo-1", port), timeout=5) as asked:
                asked.sendall(b"hello from algo-2")
            break
        except OSError:
            time.sleep(0.05)
    else:
        sys.exit("nobody answered")
    (ML/"model/second").write_text("2")
    (ML/"output/data/second").write_text("2")
"""


def lines(jobs: Jobs, name: str) -> dict[str, list[str]]:
    """What each host logged, by its name."""
    logs, group = jobs.client("logs"), "/aws/sagemaker/TrainingJobs"
    found = {}
    for stream in logs.describe_log_streams(logGroupName=group, logStreamNamePrefix=f"{name}/")["logStreams"]:
        events = logs.get_log_events(
            logGroupName=group, logStreamName=stream["logStreamName"], startFromHead=True
        )
        host = stream["logStreamName"].split("/")[1].rpartition("-")[0]
        found[host] = [event["message"] for event in events["events"]]
    return found


@pytest.mark.parametrize("isolated", [False, True])
def test_two_hosts_talk_by_name_and_leave_one_model(jobs: Jobs, isolated: bool) -> None:
    """Isolated ones, too: AWS cuts a training cluster off from all but itself."""
    name = jobs.train(TALK, ResourceConfig=TWO, EnableNetworkIsolation=isolated)
    done = jobs.trained(name)
    assert done["TrainingJobStatus"] == "Completed", (done.get("FailureReason"), lines(jobs, name))
    assert jobs.unpacked(f"out/{name}/output/model.tar.gz") == {"heard": b"hello from algo-2", "second": b"2"}
    assert jobs.unpacked(f"out/{name}/output/output.tar.gz") == {"second": b"2"}
    assert lines(jobs, name)["algo-1"][-1] == "algo-1 heard hello from algo-2"
    assert done["ResourceConfig"]["InstanceCount"] == 2


def test_isolated_hosts_reach_nobody_else(jobs: Jobs) -> None:
    port = int(jobs.up.endpoint_url.rpartition(":")[2])
    do = f"""
import socket
try:
    socket.create_connection(("127.0.0.1", {port}), timeout=2)
except OSError as error:
    print("unreached")
"""
    name = jobs.train(do, ResourceConfig=TWO, EnableNetworkIsolation=True)
    assert jobs.trained(name)["TrainingJobStatus"] == "Completed"
    assert {host: said[-1] for host, said in lines(jobs, name).items()} == {
        "algo-1": "unreached",
        "algo-2": "unreached",
    }


def test_one_host_that_fails_fails_the_job_with_its_reason_and_ends_the_other(jobs: Jobs) -> None:
    do = """
if os.environ["SM_CURRENT_HOST"] == "algo-2":
    (ML/"output/failure").write_text("no disk on algo-2")
    sys.exit(3)
time.sleep(60)
"""
    done = jobs.trained(jobs.train(do, ResourceConfig=TWO))
    assert done["TrainingJobStatus"] == "Failed"
    assert done["FailureReason"] == "AlgorithmError: no disk on algo-2, exit code: 3"
    assert not [line for line in jobs.children() if "/opt/program/train" in line or "time.sleep(60)" in line]


def test_a_stop_reaches_every_host(jobs: Jobs) -> None:
    do = """
def save(*_):
    (ML/"model"/os.environ["SM_CURRENT_HOST"]).write_text("saved")
    sys.exit(0)
signal.signal(signal.SIGTERM, save)
print("ready")
time.sleep(60)
"""
    name = jobs.train(do, ResourceConfig=TWO)
    jobs.wait_for(name, "ready")
    jobs.client("sagemaker").stop_training_job(TrainingJobName=name)
    done = jobs.trained(name)
    assert (done["TrainingJobStatus"], done["SecondaryStatus"]) == ("Stopped", "Stopped")
    saved = jobs.unpacked(f"out/{name}/output/model.tar.gz")
    assert "algo-1" in saved
    assert set(saved) <= {"algo-1", "algo-2"}


@pytest.mark.parametrize(
    ("distribution", "seen"),
    [
        ("FullyReplicated", {"algo-1": "['a', 'b', 'c']", "algo-2": "['a', 'b', 'c']"}),
        ("ShardedByS3Key", {"algo-1": "['a', 'c']", "algo-2": "['b']"}),
    ],
)
def test_data_is_given_to_all_hosts_or_shared_among_them(
    jobs: Jobs, distribution: str, seen: dict[str, str]
) -> None:
    for key in "abc":
        jobs.put(f"data/shards/{key}", key)
    source: dict[str, Any] = {"S3DataDistributionType": distribution}
    name = jobs.train(
        "print(sorted(path.name for path in (ML/'input/data/train').iterdir()))",
        ResourceConfig=TWO,
        InputDataConfig=[jobs.channel("train", f"s3://{BUCKET}/data/shards/", source=source)],
    )
    assert jobs.trained(name)["TrainingJobStatus"] == "Completed"
    assert {host: said[-1] for host, said in lines(jobs, name).items()} == seen


def test_checkpoints_of_one_host_are_there_for_all_hosts_of_the_next_job(jobs: Jobs) -> None:
    config = {"LocalPath": "/opt/ml/checkpoints", "S3Uri": f"s3://{BUCKET}/shared-checkpoints"}
    first = """
if os.environ["SM_CURRENT_HOST"] == "algo-1":
    (ML/"checkpoints/state").write_text("epoch 3")
"""
    name = jobs.train(first, ResourceConfig=TWO, CheckpointConfig=config)
    assert jobs.trained(name)["TrainingJobStatus"] == "Completed"
    then = 'print((ML/"checkpoints/state").read_text())'
    name = jobs.train(then, ResourceConfig=TWO, CheckpointConfig=config)
    assert jobs.trained(name)["TrainingJobStatus"] == "Completed"
    assert {host: said[-1] for host, said in lines(jobs, name).items()} == {
        "algo-1": "epoch 3",
        "algo-2": "epoch 3",
    }
