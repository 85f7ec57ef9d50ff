"""Choice rules, Retry and Catch matching, names and sizes: the pure rules of the interpreter."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import botocore.session
import pytest

from pipeline.local.states import choice, clock, jsontext, retry, sdknames
from pipeline.local.states.errors import Fault, StateFailure, matches
from pipeline.local.states.paths import Env

MOMENT = "2026-11-22T10:00:00Z"


@pytest.mark.parametrize(
    ("rule", "met"),
    [
        ({"StringEquals": "abc"}, True),
        ({"StringLessThan": "abd"}, True),
        ({"StringMatches": "a*c"}, True),
        ({"StringMatches": "a\\*c"}, False),
        ({"NumericEquals": 1}, False),
        ({"IsString": True}, True),
        ({"IsNull": True}, False),
        ({"IsPresent": True}, True),
        ({"StringEqualsPath": "$.same"}, True),
    ],
)
def test_rules_over_a_string(rule: dict[str, Any], met: bool) -> None:
    assert choice.holds({"Variable": "$.v", **rule}, Env({"v": "abc", "same": "abc"}, {})) is met


@pytest.mark.parametrize(
    ("value", "rule", "met"),
    [
        (True, {"NumericEquals": 1}, False),
        (1, {"BooleanEquals": True}, False),
        (1.0, {"NumericEquals": 1}, True),
        (None, {"IsPresent": True}, True),
        (None, {"IsNull": True}, True),
        (3, {"NumericGreaterThanEqualsPath": "$.three"}, True),
        (MOMENT, {"TimestampEquals": "2026-11-22T12:00:00+02:00"}, True),
        (MOMENT, {"IsTimestamp": True}, True),
        ("2026-11-22 10:00:00", {"IsTimestamp": True}, False),
        ("x*y", {"StringMatches": "x\\*?"}, False),
        ("x*y", {"StringMatches": "x\\*y"}, True),
    ],
)
def test_types_are_strict(value: Any, rule: dict[str, Any], met: bool) -> None:
    assert choice.holds({"Variable": "$.v", **rule}, Env({"v": value, "three": 3}, {})) is met


def test_composite_rules_and_missing_variables() -> None:
    env = Env({"v": 1}, {})
    one, absent = {"Variable": "$.v", "NumericEquals": 1}, {"Variable": "$.no", "NumericEquals": 1}
    assert choice.holds({"And": [one, {"Not": {"Variable": "$.no", "IsPresent": True}}]}, env)
    assert choice.holds({"Or": [one, absent]}, env)
    with pytest.raises(Fault) as found:
        choice.holds(absent, env)
    assert found.value.message == (
        "Invalid path '$.no': The choice state's condition path references an invalid value."
    )


@pytest.mark.parametrize(
    ("names", "error", "covered"),
    [
        (["States.ALL"], "ValueError", True),
        (["States.ALL"], "States.Runtime", False),
        (["States.Runtime"], "States.Runtime", False),
        (["States.ALL"], "States.DataLimitExceeded", True),
        (["States.TaskFailed"], "SageMaker.SageMakerException", True),
        (["States.TaskFailed"], "States.Timeout", False),
        (["States.Timeout"], "States.Timeout", True),
        (["Ssm.ParameterNotFoundException"], "Ssm.ParameterNotFound", False),
        ([], "ValueError", False),
    ],
)
def test_error_names(names: list[str], error: str, covered: bool) -> None:
    assert matches(names, StateFailure(error)) is covered


def test_a_missed_heartbeat_answers_to_both_names() -> None:
    failure = StateFailure("States.Timeout", heartbeat=True)
    assert matches(["States.HeartbeatTimeout"], failure)
    assert matches(["States.Timeout"], failure)
    assert not matches(["States.HeartbeatTimeout"], StateFailure("States.Timeout"))


def test_retry_waits_grow_and_are_capped() -> None:
    rule = {
        "ErrorEquals": ["X"],
        "IntervalSeconds": 2,
        "BackoffRate": 3,
        "MaxDelaySeconds": 100,
        "MaxAttempts": 6,
    }
    retrier = retry.Retrier([rule])
    assert [retrier.delay(StateFailure("X")) for _ in range(7)] == [2, 6, 18, 54, 100, 100, None]
    assert retrier.total == 6


def test_there_is_no_cap_without_max_delay_and_jitter_takes_a_share() -> None:
    assert retry.interval({"IntervalSeconds": 60, "BackoffRate": 10}, 3) == 60_000
    drawn: list[tuple[float, float]] = []

    def draw(low: float, high: float) -> float:
        drawn.append((low, high))
        return high / 2

    assert retry.interval({"IntervalSeconds": 8, "JitterStrategy": "FULL"}, 1, draw) == 8
    assert drawn == [(0.0, 16.0)]


def test_the_first_matching_retrier_decides() -> None:
    retrier = retry.Retrier(
        [{"ErrorEquals": ["X"], "MaxAttempts": 0}, {"ErrorEquals": ["States.ALL"], "MaxAttempts": 5}]
    )
    assert retrier.delay(StateFailure("X")) is None
    assert retrier.delay(StateFailure("Y")) == 1


def test_catch_takes_the_first_rule_that_matches() -> None:
    rules = [{"ErrorEquals": ["A"], "Next": "a"}, {"ErrorEquals": ["States.ALL"], "Next": "all"}]
    assert retry.catcher(rules, StateFailure("A")) == rules[0]
    assert retry.catcher(rules, StateFailure("B")) == rules[1]
    assert retry.catcher(rules, StateFailure("States.Runtime")) is None


@pytest.mark.parametrize(
    ("name", "pascal"),
    [
        ("SSM", "Ssm"),
        ("DynamoDB", "DynamoDb"),
        ("Secrets Manager", "SecretsManager"),
        ("S3", "S3"),
        ("SageMaker", "SageMaker"),
    ],
)
def test_service_names(name: str, pascal: str) -> None:
    assert sdknames.pascal(name) == pascal


@pytest.mark.parametrize(
    ("service", "code", "name"),
    [
        ("ssm", "ParameterNotFound", "ParameterNotFoundException"),
        ("s3", "NoSuchBucket", "NoSuchBucketException"),
        ("sagemaker", "ResourceLimitExceeded", "ResourceLimitExceededException"),
        ("sagemaker", "ValidationException", None),
        ("rds", "DBClusterNotFoundFault", "DbClusterNotFoundException"),
        ("sns", "NotFound", "NotFoundException"),
        ("stepfunctions", "StateMachineDoesNotExist", "StateMachineDoesNotExistException"),
    ],
)
def test_error_names_follow_the_models(service: str, code: str, name: str | None) -> None:
    model = botocore.session.get_session().get_service_model(service)
    assert sdknames.modelled_error(model, code) == name


def test_responses_keep_map_keys_and_write_dates_as_the_integration_does() -> None:
    model = botocore.session.get_session().get_service_model("sagemaker")
    shape = model.operation_model("DescribeTrainingJob").output_shape
    moment = datetime(2026, 11, 22, 10, 0, 0, 500_000, UTC)
    response = {
        "CreationTime": moment,
        "HyperParameters": {"num_class": "3"},
        "ResponseMetadata": {},
        "RoleArn": None,
    }
    assert sdknames.response_value(response, shape, epoch_millis=True) == {
        "CreationTime": 1795341600500,
        "HyperParameters": {"num_class": "3"},
    }
    assert (
        sdknames.response_value(response, shape, epoch_millis=False)["CreationTime"]
        == "2026-11-22T10:00:00.500Z"
    )


def test_parameters_find_their_members_whatever_their_case() -> None:
    model = botocore.session.get_session().get_service_model("stepfunctions")
    shape = model.operation_model("StartExecution").input_shape
    given = {"StateMachineArn": "arn", "Input": {"a": 1}, "Name": None, "Odd": 1}
    assert sdknames.request_parameters(given, shape) == {
        "stateMachineArn": "arn",
        "input": '{"a":1}',
        "Odd": 1,
    }


def test_sizes_count_bytes_not_characters() -> None:
    assert not jsontext.exceeds_limit("x" * 262_144)
    assert jsontext.exceeds_limit("x" * 262_145)
    assert jsontext.exceeds_limit("ä" * 131_073)


@pytest.mark.parametrize(
    ("value", "scale"), [("1", 1.0), ("0", 0.0), ("fast", 0.05), ("-1", 0.05), ("nan", 0.05)]
)
def test_the_wait_scale(value: str, scale: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(clock.WAIT_SCALE_VARIABLE, value)
    assert clock.wait_scale() == scale
