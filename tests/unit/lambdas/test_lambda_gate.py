"""gate: what passes, and everything that must not."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from pipeline.lambdas.gate import evaluation
from pipeline.lambdas.gate import handler as gate
from pipeline.lambdas.gate import report as reports

START = datetime(2026, 3, 2, 3, 0, 0, 900_000, tzinfo=UTC)
LATER = START + timedelta(minutes=5)
ACCURACY = [{"metric": "accuracy", "minimum": 0.88}]


def report(value: Any, name: str = "accuracy") -> bytes:
    return json.dumps({"multiclass_classification_metrics": {name: {"value": value}}}).encode()


def decide(text: bytes, rules: Any = None, written: datetime = LATER) -> dict[str, Any]:
    challenger = evaluation.read("s3://b/runs/e.json", START, lambda _uri, _limit: (text, written))
    verdict = gate.decide(ACCURACY if rules is None else rules, challenger, None)
    # The verdict goes through Lambda and Step Functions, where NaN is no JSON.
    return json.loads(json.dumps(verdict, allow_nan=False))


def test_a_metric_within_its_bound_passes_and_is_returned_by_name() -> None:
    verdict = decide(report(0.93))
    assert verdict["approved"] is True
    assert verdict["metrics"] == {"accuracy": 0.93}
    assert verdict["reason"] == "accuracy 0.93 meets minimum 0.88"


def test_a_bound_itself_passes() -> None:
    assert decide(report(0.88))["approved"] is True
    assert decide(report(0.4), [{"metric": "accuracy", "maximum": 0.4}])["approved"] is True


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (report(0.71), "accuracy 0.71 < minimum 0.88"),
        (report(float("nan")), "accuracy is nan"),
        (report(float("inf")), "accuracy is inf"),
        (report(float("-inf")), "accuracy is -inf"),
        (report("NaN"), 'accuracy is "NaN", not a number'),
        (report("0.97"), 'accuracy is "0.97", not a number'),
        (report(None), "accuracy is null, not a number"),
        (report(True), "accuracy is true, not a number"),
        (report([0.97]), "not a number"),
        (report(0.97, "val_accuracy"), "accuracy is missing"),
        (
            b'{"multiclass_classification_metrics": {"accuracy": {"standard_deviation": 0.97}}}',
            "has no value",
        ),
        (b'{"multiclass_classification_metrics": {}}', "accuracy is missing"),
        # Outside a group of metrics it is no metric.
        (b'{"accuracy": {"value": 0.97}}', "accuracy is missing"),
        (b'{"notes": {"accuracy": {"value": 0.97}}}', "accuracy is missing"),
        (b'{"multiclass_classification_metrics": 0.97}', "accuracy is missing"),
        (b"", "not JSON"),
        (b"accuracy=0.97", "not JSON"),
        (b'{"multiclass_classification_metrics": {"accuracy": ', "not JSON"),
        (b"\xff\xfe\x00", "not JSON"),
        (b"[0.97]", "not a JSON object"),
    ],
)
def test_what_is_missing_not_finite_or_garbage_never_passes(text: bytes, reason: str) -> None:
    verdict = decide(text)
    assert verdict["approved"] is False
    assert reason in verdict["reason"]


def test_a_stale_report_never_passes() -> None:
    verdict = decide(report(0.99), written=START - timedelta(seconds=2))
    assert verdict["approved"] is False
    assert "stale" in verdict["reason"]


def test_the_second_of_the_start_is_not_stale() -> None:
    # S3 cuts LastModified to seconds, so a report of this second may look 900 ms older than the run.
    assert decide(report(0.99), written=START.replace(microsecond=0))["approved"] is True


def test_every_failing_rule_is_told() -> None:
    text = json.dumps(
        {"a_metrics": {"accuracy": {"value": 0.5}}, "probability_metrics": {"log_loss": {"value": 2.0}}}
    )
    rules = [*ACCURACY, {"metric": "log_loss", "maximum": 0.5}, {"metric": "f1", "minimum": 0.1}]
    verdict = decide(text.encode(), rules)
    assert verdict["reason"] == (
        "accuracy 0.5 < minimum 0.88; log_loss 2 > maximum 0.5; f1 is missing from the evaluation"
    )
    assert verdict["metrics"] == {"accuracy": 0.5, "log_loss": 2.0, "f1": None}


def test_a_nested_metric_is_found_by_its_dotted_name_and_a_repeated_name_is_ambiguous() -> None:
    text = json.dumps(
        {"per_class_metrics": {name: {"recall": {"value": 0.9}} for name in ("setosa", "virginica")}}
    )
    assert decide(text.encode(), [{"metric": "virginica.recall", "minimum": 0.8}])["approved"] is True
    verdict = decide(text.encode(), [{"metric": "recall", "minimum": 0.8}])
    assert verdict["approved"] is False
    assert "ambiguous" in verdict["reason"]


def test_a_plain_number_is_a_metric_too() -> None:
    assert decide(b'{"regression_metrics": {"r2": 0.7}}', [{"metric": "r2", "minimum": 0.62}])["approved"]


@pytest.mark.parametrize(
    "rules",
    [[], [{"metric": "accuracy"}], [{"minimum": 0.1}], [{"metric": "accuracy", "minimum": float("nan")}],
     [{"metric": "accuracy", "minimum": "0.1"}], [{"metric": "accuracy", "minimum": None, "maximum": None}]],
)  # fmt: skip
def test_a_rule_that_bounds_nothing_lets_nothing_pass(rules: Any) -> None:
    assert decide(report(0.99), rules)["approved"] is False


def test_a_report_too_large_to_be_judged_is_refused_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reports, "LARGEST_REPORT_BYTES", 10)
    verdict = decide(report(0.99))
    assert (verdict["approved"], verdict["reason"]) == (False, "the evaluation is larger than 10 bytes")


EVENT = {"evaluation_uri": "s3://b/runs/e.json", "rules": ACCURACY, "not_before": "2026-03-02T03:00:00.900Z"}


def stubbed(monkeypatch: pytest.MonkeyPatch) -> Stubber:
    s3 = boto3.client("s3", region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x")
    monkeypatch.setattr(gate, "client", lambda _service: s3)
    return Stubber(s3)


def test_the_handler_reads_the_report_from_s3(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with stubbed(monkeypatch) as stub:
        stub.add_response(
            "get_object",
            {"Body": io.BytesIO(report(0.95)), "LastModified": LATER},
            {"Bucket": "b", "Key": "runs/e.json"},
        )
        assert gate.handler(EVENT, None)["approved"] is True
    (line,) = capsys.readouterr().out.splitlines()
    assert json.loads(line)["event"] == "decided"


def test_trouble_with_s3_raises_and_names_the_object(monkeypatch: pytest.MonkeyPatch) -> None:
    with stubbed(monkeypatch) as stub:
        stub.add_client_error("get_object", "NoSuchKey")
        with pytest.raises(gate.EvaluationUnreadable, match=r"s3://b/runs/e\.json: NoSuchKey"):
            gate.handler(EVENT, None)


@pytest.mark.parametrize("uri", ["", "https://b/k", "s3://b", "s3:///k"])
def test_an_address_that_is_none_raises(uri: str) -> None:
    with pytest.raises(gate.EvaluationUnreadable):
        gate.fetch(uri, 100)
