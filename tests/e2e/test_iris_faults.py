"""Faults of AWS, injected: each run ends as docs/how-to/survive-faults.md says, and resumes as it says."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Cli
from tests.e2e.conftest import Iris

# Slow, in steps that it remembers where SageMaker keeps checkpoints; then it trains.
STEPS = """
kept = base / "checkpoints/step"
kept.parent.mkdir(parents=True, exist_ok=True)
done = int(kept.read_text()) if kept.exists() else 0
print(f"begins at step {done}", flush=True)
for step in range(done, 20):
    time.sleep(0.5)
    kept.write_text(str(step + 1))
subprocess.run([pathlib.Path(__file__).with_name("train_real"), *sys.argv[1:]], check=True)
"""


@pytest.fixture(scope="module")
def cli(shared_repository: Path) -> Cli:
    """On a target where the quarter of an hour that is waited for capacity takes two seconds."""
    return Cli(shared_repository, {"PIPELINE_LOCAL_WAIT_SCALE": "0.002"})


@pytest.fixture(autouse=True)
def nothing_waits(iris: Iris) -> Iterator[None]:
    """After each test every fault has struck, the endpoint serves, and answers."""
    yield
    left = json.loads(iris.cli("local", "fault", "--json").stdout)
    iris.cli("local", "fault", "--clear")
    assert left == []
    assert iris.endpoint()["EndpointStatus"] == "InService"
    assert "setosa" in str(iris.answers())


def fault(iris: Iris, kind: str, *options: str) -> None:
    iris.cli("local", "fault", kind, "--prefix", "iris-dev", *options)


def jobs(iris: Iris, since: float) -> list[dict[str, Any]]:
    """Training jobs created since, oldest first, as DescribeTrainingJob has them."""
    sagemaker = iris.client("sagemaker")
    order = {"SortBy": "CreationTime", "SortOrder": "Descending", "MaxResults": 20}
    found = sagemaker.list_training_jobs(**order)["TrainingJobSummaries"]
    described = [sagemaker.describe_training_job(TrainingJobName=j["TrainingJobName"]) for j in found]
    return [job for job in described[::-1] if job["CreationTime"].timestamp() >= since]


def statuses(job: dict[str, Any]) -> list[str]:
    return [each["Status"] for each in job["SecondaryStatusTransitions"]]


@contextmanager
def settings(iris: Iris, **changes: int) -> Iterator[None]:
    """Numbers of pipeline.toml, deployed while the block lasts."""
    file = iris.root / "pipeline.toml"
    original = file.read_text()
    for name, value in changes.items():
        iris.edit("pipeline.toml", rf"^{name} = \d+", f"{name} = {value}")
    iris.cli("apply", "iris", "--yes")
    try:
        yield
    finally:
        file.write_text(original)
        iris.cli("apply", "iris", "--yes")


def newest(iris: Iris) -> int:
    """The number of the version that was registered last."""
    return int(json.loads(iris.cli("status", "iris", "--json").stdout)["model"]["version"])


def test_the_page_s_first_recipe_takes_instances_away_and_a_fault_that_missed_waits(iris: Iris) -> None:
    page = (Path(__file__).parents[2] / "docs/how-to/survive-faults.md").read_text()
    recipe = page.split("```console\n")[1].split("```")[0].splitlines()
    lose, again, waits, forget = (shlex.split(line, comments=True)[2:] for line in recipe)
    assert (lose[:3], again) == (["local", "fault", "spot-loss"], ["run", "iris", "--force"])
    iris.cli("data", "iris", "put")
    since = time.time()
    iris.cli(*lose)
    iris.cli(*again)
    (job,) = jobs(iris, since)
    assert "Interrupted" in statuses(job)
    assert "no fault waits" in iris.cli(*waits).stdout

    since = time.time()
    iris.cli(*lose[: lose.index("--after")], "--after", "60", "--times", "2")
    iris.cli(*again)
    (job,) = jobs(iris, since)
    assert "Interrupted" not in statuses(job)
    (left,) = json.loads(iris.cli(*waits, "--json").stdout)
    assert left["times"] == 2
    said = iris.cli(*waits).stdout
    assert re.search(rf"spot-loss missed {job['TrainingJobName']}: it ended after \d+\.\d s", said), said
    assert "no fault waits" in iris.cli(*forget).stdout


def test_a_forced_run_that_failed_is_forced_again_or_what_it_registered_is_deployed(iris: Iris) -> None:
    iris.cli("data", "iris", "put")
    iris.cli("run", "iris")
    fault(iris, "image-pull")
    iris.cli("run", "iris", "--force", code=1)
    # As the page says: the watermark says that this data is done, and it is.
    done = iris.cli("run", "iris")
    assert "NothingNew" in done.stdout + done.stderr
    since = time.time()
    iris.cli("run", "iris", "--force")
    assert len(jobs(iris, since)) == 1

    served, before = iris.endpoint()["EndpointConfigName"], newest(iris)
    fault(iris, "endpoint-memory")
    iris.cli("run", "iris", "--force", code=1)
    since, made = time.time(), newest(iris)
    assert made == before + 1, "it was registered before it was deployed"
    assert iris.endpoint()["EndpointConfigName"] == served
    iris.cli("rollback", "iris", "--to", str(made), "--reason", "deploy what a failed run made")
    assert jobs(iris, since) == []
    serves = json.loads(iris.cli("status", "iris", "--json").stdout)["serves"]
    assert serves["version"] == made


def test_apply_puts_an_image_that_is_gone_back(iris: Iris) -> None:
    ecr = iris.client("ecr")
    gone = ecr.list_images(repositoryName="ml/iris")["imageIds"]
    assert ecr.batch_delete_image(repositoryName="ml/iris", imageIds=gone)["failures"] == []
    iris.cli("apply", "iris", "--yes")
    (back,) = ecr.list_images(repositoryName="ml/iris")["imageIds"]
    assert back["imageDigest"] in {each["imageDigest"] for each in gone}


def test_spot_loss_resumes_from_the_checkpoint_in_the_job_and_in_the_next_run(iris: Iris) -> None:
    real = iris.root / "container/iris/train"
    shutil.copy2(real, real.with_name("train_real"))
    with iris.program("train", STEPS):
        since = time.time()
        fault(iris, "spot-loss", "--checkpointed", "--gone", "3")
        iris.run(iris.day(2))
        (job,) = jobs(iris, since)
        assert job["BillableTimeInSeconds"] <= job["TrainingTimeInSeconds"] - 3, "the wait is not billed"
        once = ["Starting", "Downloading", "Training"]
        assert statuses(job) == [*once, "Interrupted", *once, "Uploading", "Completed"]
        begun = [
            int(n) for n in re.findall(r"begins at step (\d+)", iris.cli("logs", "iris", "Train").stdout)
        ]
        assert begun[0] == 0
        assert 0 < begun[1] < 20, "the second instance has what the first had uploaded"

        # None come back: the job is over when its wait is; the next run goes on where it was.
        since = time.time()
        date = iris.day(3)
        with settings(iris, max_runtime_seconds=15, max_wait_seconds=15):
            fault(iris, "spot-loss", "--checkpointed", "--gone", "-1")
            out = iris.run(date, code=1)
        assert "MaxWaitTimeExceeded" in out
        (job,) = jobs(iris, since)
        assert statuses(job) == [*once, "Interrupted", "Stopping", "MaxWaitTimeExceeded"]
        assert job["TrainingJobStatus"] == "Stopped"
        iris.run(date)
        begun = [
            int(n) for n in re.findall(r"begins at step (\d+)", iris.cli("logs", "iris", "Train").stdout)
        ]
        assert 0 < begun[-1] < 20, "another run, the same training, its checkpoint"


def test_no_spot_instances_at_all_end_the_run_and_the_next_trains(iris: Iris) -> None:
    date, since = iris.day(4), time.time()
    with settings(iris, max_runtime_seconds=2, max_wait_seconds=3):
        fault(iris, "no-spot")
        out = iris.run(date, code=1)
    assert "MaxWaitTimeExceeded" in out
    (job,) = jobs(iris, since)
    assert statuses(job) == ["Starting", "Stopping", "MaxWaitTimeExceeded"]
    assert "TrainingStartTime" not in job
    iris.run(date)


def test_want_of_capacity_is_waited_for_and_then_given_up(iris: Iris) -> None:
    date, since = iris.day(5), time.time()
    fault(iris, "capacity")
    iris.run(date)
    first, second = jobs(iris, since)
    assert first["FailureReason"].startswith("CapacityError: Unable to provision requested ML compute")
    assert second["TrainingJobStatus"] == "Completed"

    date, since = iris.day(6), time.time()
    fault(iris, "capacity", "--times", "4")
    out = iris.run(date, code=1)
    assert "CapacityError: Unable to provision" in out
    assert len(jobs(iris, since)) == 4, "once, and after each of three waits"
    iris.run(date)


def test_a_quota_is_asked_again(iris: Iris) -> None:
    date, since = iris.day(7), time.time()
    fault(iris, "quota", "--times", "2")
    out = iris.run(date)
    assert "2 retries" in out
    assert len(jobs(iris, since)) == 1


def test_an_image_that_cannot_be_pulled_ends_the_run_and_the_next_goes_on(iris: Iris) -> None:
    date = iris.day(8)
    fault(iris, "image-pull")
    out = iris.run(date, code=1)
    assert "ClientError: Cannot pull algorithm container" in out
    iris.run(date)


@pytest.mark.parametrize(
    ("number", "kind", "said"),
    [
        (9, "endpoint-capacity", "due to InsufficientInstanceCapacity error"),
        (10, "endpoint-memory", "did not pass the ping health check"),
    ],
)
def test_a_deployment_that_fails_leaves_the_old_model_and_the_next_run_only_deploys(
    iris: Iris, number: int, kind: str, said: str
) -> None:
    date, before = iris.day(number), iris.endpoint()["EndpointConfigName"]
    fault(iris, kind)
    out = iris.run(date, code=1)
    assert said in out
    assert iris.endpoint()["EndpointConfigName"] == before
    since = time.time()
    out = iris.run(date)
    assert re.search(r"Train.* skipped: |an existing model", out), out
    assert jobs(iris, since) == []
    assert iris.endpoint()["EndpointConfigName"] != before


def test_a_container_killed_for_its_memory_while_it_serves_is_replaced(iris: Iris) -> None:
    def serving() -> set[int]:
        there = json.loads(iris.cli("local", "status", "--json").stdout)["processes"]
        return {each["pid"] for each in there if each["what"].startswith("endpoint iris-dev")}

    before = serving()
    assert before
    iris.cli("local", "fault", "endpoint-memory-serving", "--prefix", "iris-dev")
    deadline = time.monotonic() + 40
    while serving() & before or not serving():
        assert time.monotonic() < deadline, "the container still runs, or none came in its place"
        time.sleep(0.3)
    while "setosa" not in iris.cli("invoke", "iris", "--body", "5.1,3.5,1.4,0.2", code=None).stdout:
        assert time.monotonic() < deadline
    group = "/aws/sagemaker/Endpoints/iris-dev"
    events = iris.client("logs").filter_log_events(logGroupName=group, filterPattern='"for its memory"')
    assert events["events"], "the log says why"
