"""What a run and a month cost: read from templates, counted in ranges, unknown where nobody knows."""

from __future__ import annotations

import copy
import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from pipeline import cost
from pipeline.cost import Duration
from pipeline.cost.prices import TABLE, of
from pipeline.cost.schedule import runs_a_month
from pipeline.cost.usage import longest_way
from tests.unit.plan import example

TEMPLATE = example.plan_example.template()
EUROPE = of("eu-west-1")


def lines(
    template: dict[str, Any], durations: dict[str, Duration] | None = None, region: str = "eu-west-1"
) -> Any:
    return {
        line.what: line for line in cost.estimate(cost.usage(template), of(region), durations or {}).lines
    }


def in_states(change: Any) -> dict[str, Any]:
    found: dict[str, Any] = example.in_states(change)(TEMPLATE)
    return found


def variant(**more: Any) -> dict[str, Any]:
    def change(states: dict[str, Any]) -> None:
        first = states["CreateEndpointConfig"]["Parameters"]["ProductionVariants"][0]
        for key, value in more.items():
            if value is None:
                first.pop(key, None)
            else:
                first[key] = value

    return in_states(change)


def test_the_template_tells_jobs_endpoint_and_way() -> None:
    used = cost.usage(TEMPLATE)
    jobs = {job.state: job for job in used.jobs}
    assert (jobs["Train"].kind, jobs["Train"].instance_type, jobs["Train"].spot) == (
        "training",
        "ml.m5.large",
        True,
    )
    assert (jobs["Evaluate"].kind, jobs["Evaluate"].limit_seconds) == ("processing", 1800)
    (endpoint,) = used.endpoints
    assert (endpoint.instance_type, endpoint.minimum, endpoint.maximum) == ("ml.m5.large", 1, 1)
    assert used.schedule == "", "it is disabled in staging"
    assert 20 < used.transitions < 60
    assert len(used.functions) > 4


def test_a_job_is_counted_by_its_last_time_else_up_to_its_limit() -> None:
    unmeasured = lines(TEMPLATE)["Evaluate"]
    assert unmeasured.low == 0
    assert unmeasured.high == pytest.approx(0.128 / 2)
    assert "limit" in unmeasured.note
    measured = lines(TEMPLATE, {"Evaluate": Duration(90, "as job-1 took")})["Evaluate"]
    assert measured.low == measured.high == pytest.approx(0.128 * 90 / 3600)
    assert measured.note == "as job-1 took"


def test_spot_is_a_range_down_to_what_aws_promises() -> None:
    train = lines(TEMPLATE, {"Train": Duration(3600, "x")})["Train"]
    assert train.high == pytest.approx(0.128)
    assert train.low == pytest.approx(0.0128)

    def on_demand(states: dict[str, Any]) -> None:
        states["Train"]["Parameters"]["EnableManagedSpotTraining"] = False

    plain = lines(in_states(on_demand), {"Train": Duration(3600, "x")})["Train"]
    assert plain.low == plain.high == pytest.approx(0.128)


def test_a_search_costs_at_most_all_of_its_jobs() -> None:
    def search(states: dict[str, Any]) -> None:
        definition = {**states["Train"]["Parameters"], "EnableManagedSpotTraining": False}
        limits = {"MaxNumberOfTrainingJobs": 6, "MaxParallelTrainingJobs": 2}
        states["Train"]["Resource"] = "arn:aws:states:::sagemaker:createHyperParameterTuningJob.sync"
        states["Train"]["Parameters"] = {
            "HyperParameterTuningJobConfig": {"ResourceLimits": limits},
            "TrainingJobDefinition": definition,
        }

    found = lines(in_states(search), {"Train": Duration(3600, "x")})["Train"]
    assert found.low == 0 and found.high == pytest.approx(6 * 0.128)
    assert found.quantity.startswith("at most 6 jobs of 1 x ml.m5.large")


def test_what_has_no_price_is_unknown_and_not_nothing() -> None:
    def huge(states: dict[str, Any]) -> None:
        states["Train"]["Parameters"]["ResourceConfig"]["InstanceType"] = "ml.p99.48xlarge"

    estimate = cost.estimate(cost.usage(in_states(huge)), EUROPE, {})
    line = next(line for line in estimate.lines if line.what == "Train")
    assert line.low is line.high is None
    assert "Train" in estimate.per_run.unknown
    nowhere = cost.estimate(cost.usage(TEMPLATE), of("xx-nowhere-1"), {})
    assert all(line.high is None for line in nowhere.lines)
    assert nowhere.per_month.high == 0
    assert "Endpoint" in nowhere.per_month.unknown


def test_the_endpoint_is_paid_all_month_and_between_its_bounds() -> None:
    assert lines(TEMPLATE)["Endpoint"].high == pytest.approx(0.128 * 730)
    assert lines(variant(InitialInstanceCount=3))["Endpoint"].high == pytest.approx(3 * 0.128 * 730)
    scaled = copy.deepcopy(TEMPLATE)
    scaled["Resources"]["Scaling"] = {
        "Type": "AWS::ApplicationAutoScaling::ScalableTarget",
        "Properties": {"MinCapacity": 1, "MaxCapacity": 4},
    }
    endpoint = lines(scaled)["Endpoint"]
    assert (endpoint.low, endpoint.high) == (pytest.approx(0.128 * 730), pytest.approx(4 * 0.128 * 730))
    assert endpoint.quantity.startswith("1 to 4 x")


def test_bounds_that_the_state_machine_registers_count_too() -> None:
    def register(states: dict[str, Any]) -> None:
        states["Scale"] = {
            "Type": "Task",
            "Resource": "arn:aws:states:::aws-sdk:applicationautoscaling:registerScalableTarget",
            "Parameters": {"MinCapacity": 2, "MaxCapacity": 6},
            "End": True,
        }

    assert lines(in_states(register))["Endpoint"].quantity.startswith("2 to 6 x")


def test_serverless_is_paid_by_use_and_says_by_how_much() -> None:
    template = variant(
        InstanceType=None,
        InitialInstanceCount=None,
        ServerlessConfig={"MemorySizeInMB": 2048, "MaxConcurrency": 5},
    )
    known = lines(template, region="us-east-1")["Endpoint"]
    assert known.high is None, "nobody knows the traffic"
    assert "0.04 USD for 1,000 s" in known.note
    assert "no price" in lines(template)["Endpoint"].note


def test_a_schedule_puts_its_runs_into_the_month() -> None:
    def clock(resources: dict[str, Any]) -> None:
        resources["Schedule"]["Properties"] |= {"State": "ENABLED", "ScheduleExpression": "rate(1 day)"}

    daily = cost.estimate(cost.usage(example.changing(clock)(TEMPLATE)), EUROPE, {})
    never = cost.estimate(cost.usage(TEMPLATE), EUROPE, {})
    assert daily.runs == pytest.approx(30.4375)
    assert never.runs is None
    assert daily.per_month.high == pytest.approx(never.per_month.high + 30.4375 * never.per_run.high)


def monitored(schedule: dict[str, Any]) -> dict[str, Any]:
    """The template with a monitor: a comparison in Glue, by a clock of its own."""
    job = {
        "Type": "Task",
        "Resource": "arn:aws:states:::glue:startJobRun.sync",
        "Parameters": {"JobName": "iris-staging-monitor"},
        "End": True,
    }
    machine = {"StartAt": "CompareRequests", "States": {"CompareRequests": job}}
    size = {"Name": "iris-staging-monitor", "WorkerType": "G.1X", "NumberOfWorkers": 2, "Timeout": 60}
    more = {
        "MonitorJob": {"Type": "AWS::Glue::Job", "Properties": size},
        "MonitorSchedule": {"Type": "AWS::Scheduler::Schedule", "Properties": schedule},
        "MonitorStateMachine": {
            "Type": "AWS::StepFunctions::StateMachine",
            "Properties": {"DefinitionString": json.dumps(machine)},
        },
    }
    # As in a rendered template: by name, the monitor's before the pipeline's.
    return {"Resources": dict(sorted({**TEMPLATE["Resources"], **more}.items()))}


def test_comparisons_of_requests_are_counted_by_their_own_schedule() -> None:
    hourly = monitored({"State": "ENABLED", "ScheduleExpression": "rate(1 hour)"})
    used = cost.usage(hourly)
    assert used.schedule == "", "the pipeline's own is off"
    prices = of("us-east-1")
    found = cost.estimate(used, prices, {"CompareRequests": Duration(90.0, "as the last one")})
    line = next(line for line in found.lines if line.what == "CompareRequests")
    dpu_hour = prices.find("dpu_hour")
    assert dpu_hour is not None
    assert (line.per, line.quantity) == ("month", "730.5 x 2 x G.1X, 90 s")
    assert line.high == pytest.approx(730.5 * 2 * 90 / 3600 * dpu_hour.usd)
    assert not [line for line in found.lines if line.per == "run" and line.what == "CompareRequests"]
    assert found.per_month.high > line.high
    off = cost.estimate(
        cost.usage(monitored({"State": "DISABLED", "ScheduleExpression": "rate(1 hour)"})), prices, {}
    )
    line = next(line for line in off.lines if line.what == "CompareRequests")
    assert (line.low, line.high) == (0.0, 0.0)
    assert "each; [monitor.schedule] is off" in line.note


@pytest.mark.parametrize(
    ("expression", "runs"),
    [
        ("rate(1 day)", 30.4375),
        ("rate(12 hours)", 60.875),
        ("rate(5 minutes)", 8766.0),
        ("cron(0 3 * * ? *)", 30.4375),
        ("cron(0 3,15 * * ? *)", 60.875),
        ("cron(0/15 8-17 ? * MON-FRI *)", 4 * 10 * 5 * 30.4375 / 7),
        ("cron(0 0 1 * ? *)", 1.0),
        ("cron(0 0 L * ? *)", 1.0),
        ("cron(0 0 1,15 1-6 ? *)", 1.0),
        ("cron(0 0 ? * 2#1 *)", 1.0),
        ("cron(0 3 * * ? 2027)", None),
        ("at(2026-11-22T00:00:00)", None),
        ("rate(0 days)", None),
        ("cron(99 3 * * ? *)", None),
        ("nonsense", None),
    ],
)
def test_runs_a_month(expression: str, runs: float | None) -> None:
    assert runs_a_month(expression) == (pytest.approx(runs) if runs is not None else None)


def test_the_longest_way_takes_no_state_twice_and_no_failure() -> None:
    asl = {
        "StartAt": "A",
        "States": {
            "A": {"Type": "Task", "Next": "B", "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "F"}]},
            "B": {"Type": "Choice", "Choices": [{"Next": "W"}, {"Next": "Z"}], "Default": "F"},
            "W": {"Type": "Wait", "Next": "A"},
            "Z": {
                "Type": "Parallel",
                "Branches": [{"StartAt": "P", "States": {"P": {"Type": "Pass", "End": True}}}],
                "Next": "E",
            },
            "E": {"Type": "Succeed"},
            "F": {"Type": "Fail"},
        },
    }
    assert longest_way(asl) == ["A", "B", "Z", "P", "E"]
    assert longest_way({"StartAt": "F", "States": {"F": {"Type": "Fail"}}}) == []


def test_every_price_says_who_says_so_and_since_when(tmp_path: Path) -> None:
    import tomllib

    for each in tomllib.loads(TABLE.read_text())["list"]:
        assert len(each["source"]) > 20
        if each["date"] != "undated":
            assert date.fromisoformat(each["date"]) <= date(2100, 1, 1)
        assert each.get("region") or each.get("regions")
    own = tmp_path / "prices.toml"
    own.write_text(
        '[[list]]\nregion = "eu-west-1"\ndate = "2026-01-01"\nsource = "our contract"\ntransitions = 0.5\n'
    )
    price = of("eu-west-1", own).find("transitions")
    assert price is not None
    assert (price.usd, price.source) == (0.5, "our contract")
    assert of("eu-west-1", own).find("hosting", "ml.m5.large") is None


def test_a_run_is_the_pipelines_own_not_its_monitors() -> None:
    other = {"StartAt": "Compare", "States": {"Compare": {"Type": "Pass", "End": True}}}
    monitor = {
        "Type": "AWS::StepFunctions::StateMachine",
        "Properties": {"DefinitionString": json.dumps(other)},
    }
    both = {"Resources": {"MonitorMachine": monitor, **TEMPLATE["Resources"]}}
    found = cost.state_machine(both)
    assert found and "Train" in found["States"]
