"""Blocks render the whole request, and a Pipeline cannot fail without saying so."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from pipeline.errors import DefinitionError
from pipeline.steps import view
from pipeline.steps.child import to_asl

Make = Callable[..., view.Settings]


def whole(settings: view.Settings, extra: list[Any] | None = None) -> dict[str, Any]:
    """The state machine of all our blocks, with `extra` raw steps after Train."""
    from pipeline import steps

    train = steps.Train(settings)
    evaluate = steps.Evaluate(settings, train)
    blocks = [
        steps.CheckData(settings),
        train,
        *(extra or []),
        evaluate,
        steps.Gate(settings, train, evaluate),
        steps.Register(settings, train, evaluate),
        steps.Approve(settings),
        steps.Deploy(settings),
    ]
    return to_asl(steps.Pipeline(settings, blocks))


def training(settings: view.Settings) -> dict[str, Any]:
    request: dict[str, Any] = whole(settings)["States"]["Train"]["Parameters"]
    return request


def test_training_request_holds_what_the_sdk_drops(settings_with: Make) -> None:
    request = training(settings_with())
    assert request["HyperParameters"] == {
        "objective": "multiclass",
        "rate": "0.5",
        "rounds": "10",
        "verbose": "true",
    }
    assert request["AlgorithmSpecification"]["MetricDefinitions"] == [
        {"Name": "accuracy", "Regex": "acc=(.*)"}
    ]
    assert request["EnableNetworkIsolation"] is True
    assert {"Key": "team", "Value": "flowers"} in request["Tags"]
    assert {"Key": "pipeline", "Value": "demo"} in request["Tags"]
    assert "TrainingJobName" not in request, "a fixed name would collide on retry"
    assert "$$.State.RetryCount" in request["TrainingJobName.$"]
    assert [channel["ChannelName"] for channel in request["InputDataConfig"]] == ["train"]
    assert request["OutputDataConfig"] == {
        "S3OutputPath.$": "States.Format("
        "'s3://ml-123456789012-eu-west-1/output-model/{}/multiclass', $.run.date)"
    }


def test_spot_training_waits_and_resumes(settings_with: Make) -> None:
    plain = training(settings_with())
    assert not plain.get("EnableManagedSpotTraining") and "CheckpointConfig" not in plain
    spot = settings_with({"environment.training.spot": True, "environment.training.max_wait_seconds": 900})
    request = training(spot)
    assert request["EnableManagedSpotTraining"] is True
    assert request["StoppingCondition"] == {"MaxRuntimeInSeconds": 600, "MaxWaitTimeInSeconds": 900}
    # Of the training, not of the run: the run after an interrupted one goes on from them.
    assert "$.run.checkpoints" in request["CheckpointConfig"]["S3Uri.$"]
    assert whole(spot)["States"]["Train"]["TimeoutSeconds"] > 900


def test_vpc_and_environment_reach_the_request(settings_with: Make) -> None:
    from pipeline.steps import Train

    settings = settings_with()
    vpc = {"Subnets": ["subnet-1"], "SecurityGroupIds": ["sg-1"]}
    train = Train(settings, vpc_config=vpc, environment={"DEBUG": "1"}, network_isolation=False)
    request = train.steps[1].to_dict()["Parameters"]
    assert (request["VpcConfig"], request["Environment"]) == (vpc, {"DEBUG": "1"})
    assert request["EnableNetworkIsolation"] is False


def test_a_channel_name_with_a_hyphen_is_a_valid_path(settings_with: Make) -> None:
    request = whole(settings_with())["States"]["Evaluate"]["Parameters"]
    held_out = next(i for i in request["ProcessingInputs"] if i["InputName"] == "held-out")
    assert held_out["S3Input"]["S3Uri.$"] == "$.run.channels['held-out'].uri"
    assert held_out["S3Input"]["LocalPath"] == "/opt/ml/processing/held-out"


def test_a_sharded_channel_is_shared_among_the_hosts(settings_with: Make) -> None:
    settings = settings_with()
    name, channel = next((n, c) for n, c in settings.pipeline.data.channels.items() if c.use == "train")

    def told() -> str:
        channels = whole(settings)["States"]["Train"]["Parameters"]["InputDataConfig"]
        found: str = next(c for c in channels if c["ChannelName"] == name)["DataSource"]["S3DataSource"][
            "S3DataDistributionType"
        ]
        return found

    assert told() == "FullyReplicated"
    dict.__setitem__(channel, "sharded", True)
    assert told() == "ShardedByS3Key"


def test_nothing_held_out_is_refused(settings_with: Make) -> None:
    settings = settings_with()
    dict.pop(settings.pipeline.data.channels, "held-out")
    with pytest.raises(ValueError, match="nothing held out"):
        whole(settings)


def test_no_placeholder_of_ours_is_left(settings_with: Make) -> None:
    for mode in ("automatic", "manual"):
        text = str(whole(settings_with({"environment.approval.mode": mode})))
        assert "unused" not in text


def test_only_true_opens_a_gate(settings_with: Make) -> None:
    states = whole(settings_with())["States"]
    for name, path, onward, otherwise in (
        ("GatePassed", "$.gate.approved", "Register", "RegisterRejected"),
        ("IsThereNewData", "$.run.new", "NotifyStarted", "NotifyNothingNew"),
    ):
        rule = {"Variable": path, "BooleanEquals": True, "Next": onward}
        assert states[name]["Choices"] == [rule], name
        assert states[name]["Default"] == otherwise


def test_approval_waits_for_a_token_only_where_it_is_manual(settings_with: Make) -> None:
    automatic = whole(settings_with())["States"]
    assert "RequestApproval" not in automatic
    assert automatic["Register"]["Parameters"]["ModelApprovalStatus"] == "Approved"
    manual = whole(settings_with({"environment.approval": {"mode": "manual", "expires_hours": 5}}))["States"]
    ask = manual["RequestApproval"]
    assert ask["Resource"].endswith("lambda:invoke.waitForTaskToken")
    assert ask["TimeoutSeconds"] == 5 * 3600
    assert ask["Catch"][0]["ErrorEquals"] == ["ApprovalRejected", "States.Timeout"]
    assert manual["Register"]["Parameters"]["ModelApprovalStatus"] == "PendingManualApproval"
    assert manual[ask["Next"]]["Parameters"]["ModelApprovalStatus"] == "Approved"
    assert manual["DeclineModel"]["Parameters"]["ModelApprovalStatus"] == "Rejected"


def test_every_task_ends_in_time_is_retried_and_caught(settings_with: Make) -> None:
    asl = whole(settings_with({"environment.approval.mode": "manual"}))
    tasks = {name: state for name, state in asl["States"].items() if state["Type"] == "Task"}
    for name, state in tasks.items():
        assert state["TimeoutSeconds"] > 0, name
        assert state["Retry"], name
        assert state["Catch"][-1]["ErrorEquals"] == ["States.ALL"], name
        assert sum("States.ALL" in catch["ErrorEquals"] for catch in state["Catch"]) == 1, name
    assert asl["TimeoutSeconds"] >= sum(state["TimeoutSeconds"] for state in tasks.values())


def test_every_failure_is_told_and_keeps_its_name(settings_with: Make) -> None:
    states = whole(settings_with())["States"]
    assert states["PipelineFailed"] == {
        "Type": "Fail",
        "ErrorPath": "$.error.Error",
        "CausePath": "$.error.Cause",
    }
    assert states["NotifyFailed"]["Next"] == "PipelineFailed"
    assert states["NotifyFailed"]["Catch"][0]["Next"] == "PipelineFailed"
    assert states["HasCause"]["Default"] == "NameNoCause", "a timeout has no cause, and Fail needs one"
    assert states["ModelRejected"]["CausePath"] == "$.gate.reason"
    ends = [name for name, state in states.items() if state.get("End")]
    assert ends == [], "nothing but Succeed and Fail ends a run"


def test_a_failed_smoke_test_puts_the_earlier_config_back_only_after_an_update(settings_with: Make) -> None:
    states = whole(settings_with())["States"]
    assert states["SmokeTest"]["Catch"][0]["Next"] == "IsThereAnEarlierConfig"
    (rule,) = states["IsThereAnEarlierConfig"]["Choices"]
    assert (rule["StringEquals"], rule["Next"]) == ("update", "RestoreEarlierConfig")
    restore = states["RestoreEarlierConfig"]
    assert restore["Parameters"]["EndpointConfigName.$"] == "$.before.EndpointConfigName"
    assert restore["Next"] == restore["Catch"][0]["Next"] == "SmokeTestSaysWhy"
    assert states["IsThereAnEarlierConfig"]["Default"] == "SmokeTestSaysWhy"


def test_a_model_that_fails_its_smoke_test_is_rejected_and_its_data_not_done_with(
    settings_with: Make,
) -> None:
    states = whole(settings_with())["States"]
    assert states["SmokeTestSaysWhy"]["Default"] == "RejectModel"
    for name in ("RejectModelBecause", "RejectModel"):
        state = states[name]
        assert state["Parameters"]["ModelApprovalStatus"] == "Rejected"
        assert state["Parameters"]["ModelPackageArn.$"] == "$.package.ModelPackageArn"
        # the registry being unreachable must not hide why the run failed
        assert state["Next"] == state["Catch"][-1]["Next"] == "SmokeTestFailed"
    onward = reachable(states, "IsThereAnEarlierConfig")
    assert "PipelineFailed" in onward and not {"CommitWatermark", "Succeeded"} & onward


def reachable(states: dict[str, Any], start: str) -> set[str]:
    """All states that a run in `start` may still enter."""
    found, todo = set(), [start]
    while todo:
        name = todo.pop()
        if name not in found:
            found.add(name)
            state = states[name]
            edges = [state, *state.get("Catch", []), *state.get("Choices", [])]
            todo += [e[key] for e in edges for key in ("Next", "Default") if key in e]
    return found


@pytest.mark.parametrize("job", ["Train", "Evaluate"])
def test_a_job_without_instances_starts_again_by_another_name(settings_with: Make, job: str) -> None:
    states = whole(settings_with())["States"]
    assert states[job]["Catch"][0] == {
        "ErrorEquals": ["States.TaskFailed"],
        "Next": f"Lacks{job}Capacity",
        "ResultPath": "$.error",
    }
    (rule,) = states[f"Lacks{job}Capacity"]["Choices"]
    assert rule["Next"] == f"Count{job}Wait"
    assert states[f"Lacks{job}Capacity"]["Default"] == f"{job}Failed"
    assert {"Variable": f"$.{job.lower()}_attempts.waits", "NumericLessThan": 3} in rule["And"]
    assert states[states[f"Count{job}Wait"]["Next"]]["Next"] == job
    assert states[f"Begin{job}"]["Next"] == job
    (name,) = (v for k, v in states[job]["Parameters"].items() if k.endswith("JobName.$"))
    # each of these starts the others anew, so all three are needed
    for counter in (f"{job.lower()}_attempts.waits", "$$.State.RetryCount", "$$.Execution.RedriveCount"):
        assert counter in name


def test_only_the_lack_of_instances_counts_as_such() -> None:
    from fnmatch import fnmatchcase

    from pipeline.steps.capacity import _NO_CAPACITY

    def lacks(reason: str, separators: tuple[str, str]) -> bool:
        cause = json.dumps({"TrainingJobName": "j", "FailureReason": reason, "X": 1}, separators=separators)
        return any(fnmatchcase(cause, pattern) for pattern in _NO_CAPACITY)

    for separators in ((",", ":"), (", ", ": ")):
        aws = "CapacityError: Unable to provision requested ML compute capacity."
        assert lacks(aws, separators)
        assert not lacks("AlgorithmError: , exit code: 1", separators)
        forged = f'AlgorithmError: "FailureReason":"{aws}", "FailureReason": "{aws}'
        assert not lacks(forged, separators)


def test_update_endpoint_sends_no_tags(settings_with: Make) -> None:
    states = whole(settings_with())["States"]
    assert "Tags" not in states["UpdateEndpoint"]["Parameters"]
    assert states["CreateEndpoint"]["Parameters"]["Tags"]


def test_a_raw_step_of_the_sdk_is_protected(settings_with: Make) -> None:
    from stepfunctions.steps import Catch, Fail, Task

    resource = "arn:aws:states:::aws-sdk:dynamodb:putItem"
    raw = Task("Note", resource=resource, timeout_seconds=5, result_path=None)
    own = Task("Own", resource=resource, timeout_seconds=5, result_path=None)
    own.add_catch(Catch(error_equals=["States.ALL"], next_step=Fail("OwnEnd", error="E", cause="c")))
    states = whole(settings_with(), [raw, own])["States"]
    assert states["Note"]["Catch"] == [
        {"ErrorEquals": ["States.ALL"], "Next": "HasCause", "ResultPath": "$.error"}
    ]
    assert "DynamoDb.DynamoDbException" in states["Note"]["Retry"][0]["ErrorEquals"]
    assert [catch["Next"] for catch in states["Own"]["Catch"]] == ["OwnEnd"]
    assert states["NotifyTrained"]["Next"] == "Note" and states["Own"]["Next"] == "BeginEvaluate"


def test_blocks_without_a_pipeline_are_refused(settings_with: Make) -> None:
    from pipeline.steps import Deploy, Train
    from pipeline.steps.sdk import Chain

    settings = settings_with()
    train = Train(settings)
    with pytest.raises(DefinitionError, match="no failure path"):
        to_asl(Chain([train, Deploy(settings)]))


def test_settings_are_read_only_and_name_what_there_is(settings_with: Make) -> None:
    settings = settings_with()
    with pytest.raises(TypeError, match="read-only"):
        settings.name = "other"
    with pytest.raises(AttributeError, match="instance_type"):
        _ = settings.environment.training.instance_typ


def test_format_escapes_quotes_and_counts_places() -> None:
    from pipeline.steps.intrinsics import fmt

    assert fmt("it's {}", "$.a") == r"States.Format('it\'s {}', $.a)"
    with pytest.raises(ValueError, match="1 places for 2 paths"):
        fmt("{}", "$.a", "$.b")
