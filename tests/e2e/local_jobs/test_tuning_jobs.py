"""Tuning jobs on a real local target, through boto3: what they find, what they stop, and how they fail."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
from typing import Any

import boto3
import psutil
import pytest
from botocore.exceptions import ClientError

from pipeline.local.sagemaker import validation
from tests.e2e.local_jobs.conftest import BUCKET, REGION, Jobs

METRIC = {"Name": "valid:score", "Regex": r"valid_score=([0-9.eE+-]+);"}
# Best at a rate of 0.03, by orders of magnitude; five epochs.
LEARN = """
import math
given = json.loads(config.read_text())
rate = float(given["rate"])
for epoch in range(5):
    print(f"valid_score={(epoch + 1) / 5 - abs(math.log10(rate) - math.log10(0.03)):.6f};", flush=True)
(ML/"model/rate").write_text(str(rate))
"""
RATE = {"Name": "rate", "MinValue": "0.0001", "MaxValue": "1.0", "ScalingType": "Logarithmic"}


def request(jobs: Jobs, name: str, do: str = LEARN, **changes: Any) -> dict[str, Any]:
    config = {
        "Strategy": changes.pop("strategy", "Random"),
        "HyperParameterTuningJobObjective": {"Type": "Maximize", "MetricName": "valid:score"},
        "ResourceLimits": {
            "MaxNumberOfTrainingJobs": changes.pop("most", 4),
            "MaxParallelTrainingJobs": changes.pop("parallel", 2),
        },
        "ParameterRanges": changes.pop("ranges", {"ContinuousParameterRanges": [RATE]}),
        "RandomSeed": 7,
    } | changes.pop("config", {})
    definition = {
        "StaticHyperParameters": {"do": do.strip().replace("\n", "␤")} | changes.pop("static", {}),
        "AlgorithmSpecification": {
            "TrainingImage": jobs.image,
            "TrainingInputMode": "File",
            "MetricDefinitions": [METRIC],
        },
        "RoleArn": changes.pop("role", jobs.role),
        "OutputDataConfig": {"S3OutputPath": f"s3://{BUCKET}/tuned"},
        "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
        "StoppingCondition": {"MaxRuntimeInSeconds": 60},
    }
    return {
        "HyperParameterTuningJobName": name,
        "HyperParameterTuningJobConfig": config,
        "TrainingJobDefinition": definition,
    } | changes


def tune(jobs: Jobs, name: str, do: str = LEARN, **changes: Any) -> None:
    jobs.client("sagemaker").create_hyper_parameter_tuning_job(**request(jobs, name, do, **changes))


def described(jobs: Jobs, name: str) -> dict[str, Any]:
    found: dict[str, Any] = jobs.client("sagemaker").describe_hyper_parameter_tuning_job(
        HyperParameterTuningJobName=name
    )
    return found


def tuned(jobs: Jobs, name: str, seconds: float = 40) -> dict[str, Any]:
    return jobs._over(lambda: described(jobs, name), "HyperParameterTuningJobStatus", seconds)


def launched(jobs: Jobs, name: str, **given: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = jobs.client("sagemaker").list_training_jobs_for_hyper_parameter_tuning_job(
        HyperParameterTuningJobName=name, MaxResults=100, **given
    )["TrainingJobSummaries"]
    return found


def test_a_tuning_job_runs_training_jobs_and_tells_the_best(jobs: Jobs) -> None:
    tune(jobs, "finds", most=4, Tags=[{"Key": "pipeline", "Value": "iris"}])
    done = tuned(jobs, "finds")
    assert done["HyperParameterTuningJobStatus"] == "Completed", done.get("FailureReason")
    assert done["TrainingJobStatusCounters"] == {
        "Completed": 4,
        "InProgress": 0,
        "RetryableError": 0,
        "NonRetryableError": 0,
        "Stopped": 0,
    }
    assert done["ObjectiveStatusCounters"] == {"Succeeded": 4, "Pending": 0, "Failed": 0}
    by_objective = launched(jobs, "finds", SortBy="FinalObjectiveMetricValue", SortOrder="Descending")
    best = done["BestTrainingJob"]
    assert best["TrainingJobName"] == by_objective[0]["TrainingJobName"]
    metric = best["FinalHyperParameterTuningJobObjectiveMetric"]
    assert metric["MetricName"] == "valid:score"
    assert not validation.faults("DescribeHyperParameterTuningJob", without_metadata(done))

    names = [each["TrainingJobName"] for each in launched(jobs, "finds", SortBy="CreationTime")]
    assert [name[:10] for name in names] == ["finds-001-", "finds-002-", "finds-003-", "finds-004-"]
    one = jobs.trained(best["TrainingJobName"])
    assert one["TuningJobArn"] == done["HyperParameterTuningJobArn"]
    assert one["HyperParameters"]["_tuning_objective_metric"] == "valid:score"
    assert one["HyperParameters"]["rate"] == best["TunedHyperParameters"]["rate"]
    assert jobs.unpacked(one["ModelArtifacts"]["S3ModelArtifacts"].split("/", 3)[3])["rate"].decode() == str(
        float(best["TunedHyperParameters"]["rate"])
    )
    tags = jobs.client("sagemaker").list_tags(ResourceArn=one["TrainingJobArn"])["Tags"]
    assert {"Key": "pipeline", "Value": "iris"} in tags
    listed = jobs.client("sagemaker").list_hyper_parameter_tuning_jobs(NameContains="finds")
    assert [each["Strategy"] for each in listed["HyperParameterTuningJobSummaries"]] == ["Random"]


def without_metadata(found: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in found.items() if key != "ResponseMetadata"}


def test_its_jobs_run_at_the_same_time_within_the_limit(jobs: Jobs) -> None:
    tune(jobs, "parallel", 'print("valid_score=1;", flush=True); time.sleep(1)', most=4, parallel=50)
    done = tuned(jobs, "parallel")
    assert done["HyperParameterTuningJobStatus"] == "Completed", done.get("FailureReason")
    spans = [
        (each["TrainingStartTime"].timestamp(), each["TrainingEndTime"].timestamp())
        for each in launched(jobs, "parallel")
    ]
    cores = len(os.sched_getaffinity(0))
    most = max(sum(a <= start < b for a, b in spans) for start, _ in spans)
    assert most == min(4, cores)
    said = jobs.trained(launched(jobs, "parallel")[0]["TrainingJobName"])["SecondaryStatusTransitions"][0]
    assert f"{cores} of MaxParallelTrainingJobs 50 run at once" in said["StatusMessage"]


def test_stopping_it_stops_its_jobs_and_keeps_what_they_made(jobs: Jobs) -> None:
    program = """
(ML/"model/half").write_text("half")
print("valid_score=1;", flush=True)
print("begun", flush=True)
time.sleep(60)
"""
    tune(jobs, "stopped", program, most=6)
    running = first_two(jobs, "stopped")
    for name in running:
        jobs.wait_for(name, "begun")
    jobs.client("sagemaker").stop_hyper_parameter_tuning_job(HyperParameterTuningJobName="stopped")
    done = tuned(jobs, "stopped", 15)
    assert done["HyperParameterTuningJobStatus"] == "Stopped"
    assert done["TrainingJobStatusCounters"]["Stopped"] == 2
    assert len(launched(jobs, "stopped")) == 2
    for name in running:
        assert jobs.trained(name)["TrainingJobStatus"] == "Stopped"
        assert jobs.unpacked(f"tuned/{name}/output/model.tar.gz")["half"] == b"half"
    assert not [line for line in jobs.children() if "/train" in line]
    with pytest.raises(ClientError, match="is in status Stopped"):
        jobs.client("sagemaker").stop_hyper_parameter_tuning_job(HyperParameterTuningJobName="stopped")


def first_two(jobs: Jobs, name: str) -> list[str]:
    wanted = min(2, len(os.sched_getaffinity(0)))
    deadline = time.monotonic() + 10
    found: list[dict[str, Any]] = []
    while len(found) < wanted:
        assert time.monotonic() < deadline
        time.sleep(0.05)
        # A state machine may not have made it yet.
        with contextlib.suppress(jobs.client("sagemaker").exceptions.ResourceNotFound):
            found = launched(jobs, name)
    return [each["TrainingJobName"] for each in found]


def test_early_stopping_ends_jobs_that_are_worse_than_the_median(jobs: Jobs) -> None:
    program = """
good = json.loads(config.read_text())["kind"] == "good"
for epoch in range(4):
    print(f"valid_score={epoch if good else -5};", flush=True)
    time.sleep(0 if good else 0.7)
"""
    tune(
        jobs,
        "early",
        program,
        strategy="Grid",
        most=2,
        parallel=1,
        ranges={"CategoricalParameterRanges": [{"Name": "kind", "Values": ["good", "bad"]}]},
        config={"TrainingJobEarlyStoppingType": "Auto"},
    )
    done = tuned(jobs, "early")
    assert done["HyperParameterTuningJobStatus"] == "Completed", done.get("FailureReason")
    assert done["BestTrainingJob"]["TunedHyperParameters"] == {"kind": "good"}
    assert done["TrainingJobStatusCounters"]["Stopped"] == 1
    bad = next(each for each in launched(jobs, "early") if each["TunedHyperParameters"]["kind"] == "bad")
    assert bad["TrainingJobStatus"] == "Stopped"
    assert bad["ObjectiveStatus"] == "Succeeded"


def test_hyperband_stops_weak_jobs_and_lets_good_ones_finish(jobs: Jobs) -> None:
    program = """
import math
off = abs(math.log10(float(json.loads(config.read_text())["rate"])) + 1.5)
for epoch in range(9):
    print(f"valid_score={epoch - 10 * off:.4f};", flush=True)
    time.sleep(0.12)
"""
    tune(jobs, "bands", program, strategy="Hyperband", most=8, static={"epochs": "9"})
    done = tuned(jobs, "bands", 60)
    assert done["HyperParameterTuningJobStatus"] == "Completed", done.get("FailureReason")
    counters = done["TrainingJobStatusCounters"]
    assert counters["Stopped"] >= 1 and counters["Completed"] >= 1
    best = done["BestTrainingJob"]["FinalHyperParameterTuningJobObjectiveMetric"]["Value"]
    stopped = launched(jobs, "bands", StatusEquals="Stopped")
    values = [each["FinalHyperParameterTuningJobObjectiveMetric"]["Value"] for each in stopped]
    assert max(values) < best


def test_warm_start_compares_with_its_parents(jobs: Jobs) -> None:
    tune(jobs, "parent")
    tuned(jobs, "parent")
    parent = {"HyperParameterTuningJobName": "parent"}
    bad = {"Name": "rate", "MinValue": "0.8", "MaxValue": "1.0"}
    tune(
        jobs,
        "warm",
        strategy="Bayesian",
        most=2,
        ranges={"ContinuousParameterRanges": [bad]},
        WarmStartConfig={
            "ParentHyperParameterTuningJobs": [parent],
            "WarmStartType": "IdenticalDataAndAlgorithm",
        },
    )
    done = tuned(jobs, "warm")
    assert done["HyperParameterTuningJobStatus"] == "Completed", done.get("FailureReason")
    assert done["BestTrainingJob"]["TrainingJobName"].startswith("warm-")
    overall = done["OverallBestTrainingJob"]
    assert overall["TuningJobName"] == "parent"
    assert overall["TrainingJobName"] == described(jobs, "parent")["BestTrainingJob"]["TrainingJobName"]


@pytest.mark.parametrize(
    ("name", "program", "reason"),
    [
        ("raises", 'raise SystemExit("no")', "No training job succeeded after 2 attempts."),
        ("silent", 'print("nothing to see")', "No objective metrics found after running 2 training jobs."),
    ],
)
def test_a_search_without_any_success_fails(jobs: Jobs, name: str, program: str, reason: str) -> None:
    tune(jobs, name, program, most=2)
    done = tuned(jobs, name)
    assert done["HyperParameterTuningJobStatus"] == "Failed"
    assert done["FailureReason"].startswith(reason)
    assert done["ObjectiveStatusCounters"]["Failed"] == 2
    assert "BestTrainingJob" not in done


def test_one_failing_job_does_not_fail_the_search(jobs: Jobs) -> None:
    program = (
        'given = json.loads(config.read_text()); print("valid_score=1;"); sys.exit(given["bad"] == "yes")'
    )
    ranges = {"CategoricalParameterRanges": [{"Name": "bad", "Values": ["yes", "no"]}]}
    tune(jobs, "half", program, strategy="Grid", most=2, ranges=ranges)
    done = tuned(jobs, "half")
    assert done["HyperParameterTuningJobStatus"] == "Completed", done.get("FailureReason")
    assert done["TrainingJobStatusCounters"]["NonRetryableError"] == 1
    assert done["BestTrainingJob"]["TunedHyperParameters"] == {"bad": "no"}
    failed = launched(jobs, "half", StatusEquals="Failed")[0]
    assert failed["ObjectiveStatus"] == "Failed"
    assert failed["FailureReason"].startswith("AlgorithmError")


def test_a_target_that_is_met_ends_the_search(jobs: Jobs) -> None:
    criteria = {"TargetObjectiveMetricValue": -10.0}
    tune(jobs, "target", most=50, config={"TuningJobCompletionCriteria": criteria})
    done = tuned(jobs, "target")
    assert done["HyperParameterTuningJobStatus"] == "Completed"
    assert len(launched(jobs, "target")) < 10


def test_the_caller_must_be_allowed_to_pass_the_role_of_its_jobs(jobs: Jobs) -> None:
    allowed = [
        {"Effect": "Allow", "Action": "sagemaker:*HyperParameterTuningJob*", "Resource": "*"},
        {"Effect": "Allow", "Action": "sagemaker:AddTags", "Resource": "*"},
    ]
    role = jobs.make_role("tuner", *allowed, service="lambda")
    passes = {"Effect": "Allow", "Action": "iam:PassRole", "Resource": jobs.role}
    other = jobs.make_role("tuner-that-passes", *allowed, passes, service="lambda")

    def acting(arn: str) -> Any:
        given = jobs.client("sts").assume_role(RoleArn=arn, RoleSessionName="tuner")["Credentials"]
        return boto3.client(
            "sagemaker",
            endpoint_url=jobs.up.endpoint_url,
            region_name=REGION,
            aws_access_key_id=given["AccessKeyId"],
            aws_secret_access_key=given["SecretAccessKey"],
            aws_session_token=given["SessionToken"],
        )

    with pytest.raises(ClientError, match=r"iam:PassRole"):
        acting(role).create_hyper_parameter_tuning_job(**request(jobs, "not-mine"))
    acting(other).create_hyper_parameter_tuning_job(**request(jobs, "mine", most=1))
    assert tuned(jobs, "mine")["HyperParameterTuningJobStatus"] == "Completed"


def test_a_killed_server_leaves_it_failed_and_no_process(jobs: Jobs) -> None:
    tune(jobs, "killed", 'print("begun", flush=True); time.sleep(120)', most=4)
    running = first_two(jobs, "killed")
    for name in running:
        jobs.wait_for(name, "begun")
    programs = [
        process
        for process in psutil.Process(jobs.up.pid).children(recursive=True)
        if any("/train" in part for part in process.cmdline())
    ]
    assert programs
    os.kill(jobs.up.pid, signal.SIGKILL)
    _, alive = psutil.wait_procs(programs, timeout=10)
    assert not alive
    jobs.again()
    done = described(jobs, "killed")
    assert done["HyperParameterTuningJobStatus"] == "Failed"
    assert "the local target was stopped" in done["FailureReason"]
    for name in running:
        assert jobs.trained(name)["TrainingJobStatus"] == "Failed"
    assert done["TrainingJobStatusCounters"]["RetryableError"] == len(running)
    jobs.client("sagemaker").delete_hyper_parameter_tuning_job(HyperParameterTuningJobName="killed")
    with pytest.raises(ClientError, match="can't find a tuning job with the name killed"):
        described(jobs, "killed")
    assert jobs.trained(running[0])["TrainingJobStatus"] == "Failed"


def test_a_state_machine_waits_for_it_and_stopping_the_run_stops_it(jobs: Jobs) -> None:
    own = [{"Effect": "Allow", "Action": ["sagemaker:*", "events:*", "iam:PassRole"], "Resource": "*"}]
    role = jobs.make_role("machine", *own, service="states")
    states = jobs.client("stepfunctions")

    def machine(name: str, parameters: dict[str, Any]) -> str:
        task = {
            "Type": "Task",
            "Resource": "arn:aws:states:::sagemaker:createHyperParameterTuningJob.sync",
            "Parameters": parameters,
            "End": True,
        }
        made = states.create_state_machine(
            name=name, roleArn=role, definition=json.dumps({"StartAt": "Tune", "States": {"Tune": task}})
        )
        arn: str = states.start_execution(stateMachineArn=made["stateMachineArn"])["executionArn"]
        return arn

    def over(arn: str) -> dict[str, Any]:
        deadline = time.monotonic() + 30
        while (found := states.describe_execution(executionArn=arn))["status"] == "RUNNING":
            assert time.monotonic() < deadline
            time.sleep(0.05)
        return dict(found)

    ended = over(machine("tunes", request(jobs, "by-machine", most=2)))
    assert ended["status"] == "SUCCEEDED", ended.get("cause")
    output = json.loads(ended["output"])
    assert output["BestTrainingJob"]["TrainingJobName"].startswith("by-machine-")
    assert output["TrainingJobStatusCounters"]["Completed"] == 2

    arn = machine("tunes-long", request(jobs, "by-long", 'print("valid_score=1;"); time.sleep(60)', most=2))
    first_two(jobs, "by-long")
    states.stop_execution(executionArn=arn)
    assert tuned(jobs, "by-long", 15)["HyperParameterTuningJobStatus"] == "Stopped"
