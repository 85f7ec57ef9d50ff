"""gate beside a champion: what is compared, what is never believed, and what it says of it."""

from __future__ import annotations

import hashlib
import json
import random
import re
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pipeline.lambdas.gate import handler as gate
from pipeline.lambdas.gate import words
from pipeline.lambdas.gate.evaluation import EvaluationUnreadable

START = datetime(2026, 3, 2, 3, tzinfo=UTC)
LATER = START + timedelta(minutes=5)
EARLIER = START - timedelta(days=9)
ROWS = hashlib.sha256(b"the rows").hexdigest()
OURS, RECORDED, ANEW = "s3://b/runs/2/evaluation/", "s3://b/runs/1/evaluation/", "s3://b/runs/2/champion/"
TERMS = {"better": "higher", "margin": 0.0, "doubt": "challenger", "confidence": 0.95, "resamples": 300,
         "when_unknown": "reject"}  # fmt: skip
SERVES = {"exists": True, "why": "version 1", "package": "arn:aws:sagemaker:::model-package/iris/1",
          "report": f"{RECORDED}evaluation.json", "evaluate": False}  # fmt: skip
MADE_ANEW = {**SERVES, "report": "", "evaluate": True,
             "evaluation": {"report": f"{ANEW}evaluation.json", "not_before": START.isoformat()}}  # fmt: skip


def rule(metric: str = "accuracy", **terms: Any) -> dict[str, Any]:
    bound = {"maximum": 9} if terms.get("better") == "lower" else {"minimum": 0.5}
    return {"metric": metric, **bound, "champion": {**TERMS, **terms}}


class Bucket:
    """S3 with evaluations in it, as the programs write them."""

    def __init__(self) -> None:
        self.objects: dict[str, tuple[bytes, datetime]] = {}

    def fetch(self, uri: str, limit: int) -> tuple[bytes, datetime]:
        if uri not in self.objects:
            raise EvaluationUnreadable(f"{uri}: NoSuchKey")
        text, written = self.objects[uri]
        return text[: limit + 1], written

    def put(
        self,
        folder: str,
        columns: dict[str, list[float]],
        *,
        rows: str = ROWS,
        examples: bool = True,
        deviation: float | None = None,
        written: datetime = LATER,
        **changes: Any,
    ) -> None:
        """An evaluation of so many rows; `changes` to its report win."""
        count = len(next(iter(columns.values())))
        cells = zip(*columns.values(), strict=True)
        lines = [",".join(columns), *(",".join(f"{value:.9g}" for value in row) for row in cells)]
        text = ("\n".join(lines) + "\n").encode()
        metrics = {
            name: {"value": sum(column) / count}
            | ({} if deviation is None else {"standard_deviation": deviation})
            for name, column in columns.items()
        }
        held_out: dict[str, Any] = {"rows": count, "sha256": rows}
        if examples:
            held_out |= {"examples": "examples.csv", "examples_sha256": hashlib.sha256(text).hexdigest()}
            self.objects[f"{folder}examples.csv"] = (text, written)
        report = {"multiclass_classification_metrics": metrics, "held_out": held_out, **changes}
        self.objects[f"{folder}evaluation.json"] = (json.dumps(report).encode(), written)


@pytest.fixture(autouse=True)
def bucket(monkeypatch: pytest.MonkeyPatch) -> Bucket:
    """A challenger with 55 of 60 right, a champion with 57."""
    made = Bucket()
    made.put(OURS, {"accuracy": right(55)})
    made.put(RECORDED, {"accuracy": right(57)}, written=EARLIER)
    monkeypatch.setattr(gate, "fetch", made.fetch)
    return made


def right(count: int, rows: int = 60) -> list[float]:
    return [1.0] * count + [0.0] * (rows - count)


def judge(champion: Any = SERVES, *rules: dict[str, Any]) -> dict[str, Any]:
    event = {
        "evaluation_uri": f"{OURS}evaluation.json",
        "not_before": START.isoformat(),
        "rules": list(rules or [rule()]),
        "champion": champion,
    }
    verdict = gate.handler(event, None)
    # It goes through Lambda and Step Functions, where NaN is no JSON, and no more than 256 KiB.
    text = json.dumps(verdict, allow_nan=False)
    assert len(text) < 20_000
    return json.loads(text)


def compared(verdict: dict[str, Any]) -> dict[str, Any]:
    return verdict["results"][0]["comparison"]


# --- the comparison


def test_two_rows_worse_of_sixty_is_within_the_doubt() -> None:
    verdict = judge()
    assert verdict["approved"] is True
    found = compared(verdict)
    assert (found["rows"], found["wins"], found["losses"]) == (60, 0, 2)
    assert found["champion"] == pytest.approx(0.95)
    assert found["difference"] == found["improvement"] == pytest.approx(-2 / 60)
    assert found["method"] == "score"
    assert found["low"] < -2 / 60 < 0 < found["high"]
    assert "not shown to be worse" in verdict["reason"]


def test_five_rows_worse_and_none_better_is_shown_to_be_worse(bucket: Bucket) -> None:
    bucket.put(RECORDED, {"accuracy": right(60)}, written=EARLIER)
    verdict = judge()
    assert verdict["approved"] is False
    assert compared(verdict)["high"] < 0
    assert "shown to be worse" in verdict["reason"]
    assert verdict["results"][0]["threshold"]["passed"] is True


def test_five_rows_worse_and_five_better_are_paired_row_by_row(bucket: Bucket) -> None:
    bucket.put(RECORDED, {"accuracy": right(55)[::-1]}, written=EARLIER)
    found = compared(judge())
    assert (found["wins"], found["losses"], found["improvement"]) == (5, 5, 0)


def test_with_the_champions_doubt_only_what_is_shown_to_be_better_passes(bucket: Bucket) -> None:
    strict = rule(doubt="champion", margin=0.01)
    assert judge(SERVES, strict)["approved"] is False
    bucket.put(RECORDED, {"accuracy": right(54)}, written=EARLIER)
    verdict = judge(SERVES, strict)
    assert verdict["approved"] is False, "one row better shows nothing"
    assert "not shown to be an improvement above +0.01" in verdict["reason"]
    bucket.put(RECORDED, {"accuracy": right(40)}, written=EARLIER)
    verdict = judge(SERVES, strict)
    assert verdict["approved"] is True
    assert compared(verdict)["low"] > 0.01


def test_the_same_predictions_are_no_better_and_no_worse(bucket: Bucket) -> None:
    bucket.put(RECORDED, {"accuracy": right(55)}, written=EARLIER)
    assert judge(SERVES, rule())["approved"] is True
    assert judge(SERVES, rule(doubt="champion"))["approved"] is False
    tolerant = rule(doubt="champion", margin=-0.08)
    assert judge(SERVES, tolerant)["approved"] is True, "sixty rows alike show that 0.08 are not lost"
    assert judge(SERVES, rule(doubt="champion", margin=-0.05))["approved"] is False, "but not 0.05"


def test_where_lower_is_better_an_improvement_is_a_lower_value(bucket: Bucket) -> None:
    ours = [0.1 + 0.001 * (n % 7) for n in range(60)]
    bucket.put(OURS, {"log_loss": ours})
    bucket.put(RECORDED, {"log_loss": [loss + 0.05 + 0.001 * (n % 3) for n, loss in enumerate(ours)]})
    loss = rule("log_loss", better="lower", doubt="champion", margin=0.04)
    verdict = judge(SERVES, loss)
    found = compared(verdict)
    assert verdict["approved"] is True
    assert (found["wins"], found["losses"], found["method"]) == (60, 0, "bootstrap")
    assert found["difference"] < 0 < found["improvement"]
    worse = judge({**SERVES}, rule("log_loss", better="higher", doubt="challenger"))
    assert worse["approved"] is False


def test_every_rule_must_pass_and_the_reason_names_those_that_do_not(bucket: Bucket) -> None:
    columns = {"accuracy": right(55), "log_loss": [0.3 + 0.001 * n for n in range(60)]}
    bucket.put(OURS, columns)
    bucket.put(RECORDED, {**columns, "log_loss": [0.1 + 0.001 * n for n in range(60)]})
    verdict = judge(SERVES, rule(), rule("log_loss", better="lower"))
    assert [result["passed"] for result in verdict["results"]] == [True, False]
    assert verdict["reason"].startswith("log_loss: ")
    assert "accuracy" not in verdict["reason"]


def test_few_rows_of_numbers_and_reports_without_rows_go_by_their_deviations(bucket: Bucket) -> None:
    bucket.put(OURS, {"log_loss": [0.2] * 9}, deviation=0.02)
    bucket.put(RECORDED, {"log_loss": [0.1] * 9}, deviation=0.02)
    assert compared(judge(SERVES, rule("log_loss", better="lower")))["method"] == "deviations"
    bucket.put(OURS, {"accuracy": right(55)}, examples=False, deviation=0.03)
    bucket.put(RECORDED, {"accuracy": right(58)}, examples=False, deviation=0.02)
    found = compared(judge())
    assert (found["method"], found["rows"]) == ("deviations", None)
    assert found["high"] == pytest.approx(-0.05 + 1.6449 * (0.03**2 + 0.02**2) ** 0.5, abs=1e-4)


def test_with_neither_rows_nor_deviations_the_difference_itself_decides(bucket: Bucket) -> None:
    bucket.put(OURS, {"accuracy": right(55)}, examples=False)
    bucket.put(RECORDED, {"accuracy": right(56)}, examples=False)
    verdict = judge()
    assert (verdict["approved"], compared(verdict)["method"]) == (False, "plain")
    bucket.put(RECORDED, {"accuracy": right(55)}, examples=False)
    assert judge()["approved"] is True
    assert judge(SERVES, rule(doubt="champion"))["approved"] is False


# --- what there is no comparison with


def test_without_a_champion_the_bounds_decide_and_it_is_said() -> None:
    verdict = judge({"exists": False, "why": "there was no endpoint iris-dev then", "package": "none"})
    assert verdict["approved"] is True
    assert "no champion to compare with: there was no endpoint iris-dev then" in verdict["reason"]
    assert verdict["champion"]["package"] == "none"


def test_a_rule_without_terms_is_not_compared(bucket: Bucket) -> None:
    del bucket.objects[f"{RECORDED}evaluation.json"]
    verdict = judge(SERVES, {"metric": "accuracy", "minimum": 0.5})
    assert verdict["approved"] is True
    assert "comparison" not in verdict["results"][0]


NAN = {"multiclass_classification_metrics": {"accuracy": {"value": float("nan")}}}
LACKING = {"multiclass_classification_metrics": {}}
FAILED = {
    "Error": "States.TaskFailed",
    "Cause": json.dumps({"ProcessingJobName": "x", "FailureReason": "AlgorithmError: no\nmodel"}),
}


def lost(bucket: Bucket) -> None:
    del bucket.objects[f"{RECORDED}evaluation.json"]


@pytest.mark.parametrize(
    ("champion", "change", "says"),
    [
        ({**SERVES, "report": "", "why": "model m cannot be read: gone"}, None, "m cannot be read: gone"),
        ({**SERVES, "failed": FAILED}, None, "AlgorithmError: no model"),
        ({**SERVES, "failed": {"Error": "States.Timeout"}}, None, "States.Timeout"),
        ({**SERVES, "failed": None}, None, "for an unknown reason"),
        (SERVES, lost, "NoSuchKey"),
        (SERVES, lambda b: b.put(RECORDED, {"accuracy": right(50)}, **NAN), "accuracy is nan"),
        (SERVES, lambda b: b.put(RECORDED, {"accuracy": right(50)}, **LACKING), "accuracy is missing"),
        (SERVES, lambda b: b.put(RECORDED, {"accuracy": right(50)}, rows="0" * 64), "is of other rows"),
        (SERVES, lambda b: b.put(RECORDED, {"accuracy": right(50)}, held_out=None), "of which rows"),
        (SERVES, lambda b: b.put(RECORDED, {"accuracy": right(50, 59)}), "on 59 rows, the challenger on 60"),
        (MADE_ANEW, lambda b: b.put(ANEW, {"accuracy": right(50)}, written=EARLIER), "is stale"),
        (MADE_ANEW, None, "NoSuchKey"),
        ({}, None, "nothing is known"),
        (None, None, "nobody looked for one"),
    ],
)  # fmt: skip
def test_a_champion_whose_value_is_not_known_lets_nothing_pass(
    bucket: Bucket, champion: Any, change: Any, says: str
) -> None:
    if change:
        change(bucket)
    verdict = judge(champion)
    assert verdict["approved"] is False
    assert "cannot be compared with the champion" in verdict["reason"]
    assert says in verdict["reason"]
    # Unless the settings leave it to the bounds; then it says so.
    verdict = judge(champion, rule(when_unknown="thresholds"))
    assert verdict["approved"] is True
    assert "the thresholds alone decide" in verdict["reason"]


def test_thresholds_stand_however_the_comparison_ends(bucket: Bucket) -> None:
    bucket.put(OURS, {"accuracy": right(20)})
    bucket.put(RECORDED, {"accuracy": right(20)})
    verdict = judge()
    assert verdict["approved"] is False
    assert "0.333333 < minimum 0.5" in verdict["reason"]


def test_a_champion_evaluated_anew_on_rows_that_an_older_program_does_not_name(bucket: Bucket) -> None:
    bucket.put(OURS, {"accuracy": right(55)}, deviation=0.03)
    bucket.put(ANEW, {"accuracy": right(56)}, held_out=None, deviation=0.03)
    verdict = judge(MADE_ANEW)
    assert verdict["approved"] is True
    assert compared(verdict)["method"] == "deviations"
    bucket.put(ANEW, {"accuracy": right(56)})
    assert compared(judge(MADE_ANEW))["method"] == "score"


# --- outcomes of rows that are not what the report says


def broken(old: bytes, new: bytes) -> Any:
    def change(bucket: Bucket, folder: str) -> None:
        """The file and its hash changed alike, so that only its content can tell."""
        text, written = bucket.objects[f"{folder}examples.csv"]
        text = text.replace(old, new, 1)
        bucket.objects[f"{folder}examples.csv"] = (text, written)
        report = json.loads(bucket.objects[f"{folder}evaluation.json"][0])
        report["held_out"]["examples_sha256"] = hashlib.sha256(text).hexdigest()
        bucket.objects[f"{folder}evaluation.json"] = (json.dumps(report).encode(), written)

    return change


def other_file(bucket: Bucket, folder: str) -> None:
    bucket.objects[f"{folder}examples.csv"] = (b"accuracy\n1\n", LATER)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (other_file, "its SHA-256 differs"),
        (broken(b"accuracy\n1\n", b"accuracy\n"), "59 lines for 60 rows"),
        (broken(b"accuracy\n1\n", b"accuracy\nnan\n"), "row 1: accuracy is 'nan', not a number"),
        (broken(b"accuracy\n1\n", b"accuracy\n1,1\n"), "row 1 has 2 values for 1 columns"),
        (broken(b"accuracy", b"accuracy,accuracy"), "names a column twice"),
        (broken(b"accuracy", b"accurac\xc3\xbf"), "is not a table"),
        (broken(b"accuracy\n1\n", b"accuracy\n0\n"), "its 60 rows say"),
    ],
)
@pytest.mark.parametrize("folder", [OURS, RECORDED])
def test_rows_that_contradict_their_report_let_nothing_pass(
    bucket: Bucket, folder: str, change: Any, says: str
) -> None:
    change(bucket, folder)
    verdict = judge()
    assert verdict["approved"] is False
    assert says in verdict["reason"]


def test_a_promoted_champion_comes_without_its_rows_and_goes_by_its_report(bucket: Bucket) -> None:
    bucket.put(OURS, {"accuracy": right(55)}, deviation=0.03)
    bucket.put(RECORDED, {"accuracy": right(57)}, deviation=0.03)
    del bucket.objects[f"{RECORDED}examples.csv"]
    found = compared(judge())
    assert (found["method"], found["rows"]) == ("deviations", None)


def test_rows_of_the_challenger_that_cannot_be_read_fail_the_run_as_its_report_does(bucket: Bucket) -> None:
    del bucket.objects[f"{OURS}examples.csv"]
    with pytest.raises(EvaluationUnreadable, match=r"examples\.csv: NoSuchKey"):
        judge()


def test_a_column_that_one_side_lacks_is_not_paired(bucket: Bucket) -> None:
    bucket.put(RECORDED, {"other": right(57)}, multiclass_classification_metrics={"accuracy": {"value": 0.9}})
    found = compared(judge())
    assert (found["method"], found["rows"]) == ("plain", None)


@pytest.mark.parametrize("name", ["../examples.csv", "a/b.csv", "", 3])
def test_a_file_elsewhere_is_not_read(bucket: Bucket, name: Any) -> None:
    held_out = {"rows": 60, "sha256": ROWS, "examples": name, "examples_sha256": "0" * 64}
    bucket.put(OURS, {"accuracy": right(55)}, held_out=held_out)
    assert compared(judge())["rows"] is None


# --- terms, words


@pytest.mark.parametrize(
    "terms",
    [{}, {"better": "up"}, {**TERMS, "margin": "0"}, {**TERMS, "doubt": "nobody"},
     {**TERMS, "confidence": 95}, {**TERMS, "confidence": 0.5}, {**TERMS, "resamples": 3},
     {**TERMS, "when_unknown": "pass"}, {**TERMS, "marign": 1}, 7],
)  # fmt: skip
def test_terms_that_make_no_sense_let_nothing_pass(terms: Any) -> None:
    verdict = judge(SERVES, {"metric": "accuracy", "minimum": 0.5, "champion": terms})
    assert verdict["approved"] is False


def test_what_goes_into_the_registry_is_what_the_registry_takes(bucket: Bucket) -> None:
    """Characters and lengths of CustomerMetadataProperties and EntityDescription, by the API's patterns."""
    bucket.put(OURS, {"a, (b); 100%": right(55), "x" * 300: right(55)})
    bucket.put(RECORDED, {"a, (b); 100%": right(60)})
    rules = [rule("a, (b); 100%"), rule("x" * 300), *(rule(f"missing {n}" * 20) for n in range(30))]
    verdict = judge(SERVES, *rules)
    assert 1 <= len(verdict["summary"]) <= 256
    assert re.fullmatch(r"[\w .:/=+\-@]*", verdict["summary"])
    assert len(verdict["reason"]) <= 1024
    assert verdict["reason"].isprintable()
    refused = words.summary([])
    assert refused == "none"


def test_ten_thousand_rows_of_two_metrics_take_less_than_a_second(bucket: Bucket) -> None:
    generator = random.Random(1)

    def columns() -> dict[str, list[float]]:
        return {
            "accuracy": [float(generator.random() < 0.9) for _ in range(10_000)],
            "log_loss": [generator.expovariate(3) for _ in range(10_000)],
        }

    bucket.put(OURS, columns())
    bucket.put(RECORDED, columns())
    begun = time.process_time()
    verdict = judge(SERVES, rule(resamples=1000), rule("log_loss", better="lower", resamples=1000))
    assert time.process_time() - begun < 1
    assert [result["comparison"]["rows"] for result in verdict["results"]] == [10_000, 10_000]


def test_the_explanation_holds_every_number_that_decided() -> None:
    verdict = judge()
    said = verdict["explanation"]
    numbers = (
        "0.916667",
        "minimum 0.5",
        "0.95",
        "-0.0333333",
        "60 held-out rows",
        "worse on 2",
        "alike on 58",
    )
    for part in ("gate: passed", "version 1", *numbers, "score test", "margin 0", "the challenger's"):
        assert part in said, part
    assert max(map(len, said.splitlines())) <= 110
