"""Rules of data quality in the plan: all of them in words, and which change."""

from __future__ import annotations

import json
from typing import Any

from pipeline.plan.quality import Rule, compare

RULES = {
    "ratings": {
        "bad_rows": 100,
        "minimum_rows": 1000,
        "key": ["user", "movie"],
        "duplicates": {"bad_share": 0.0},
        "columns": {
            "rating": {"type": "double", "required": True, "minimum": 0.5, "maximum": 5.0, "nulls": 0.05},
            "kind": {"allowed": ["a", "b", "c", "d", "e", "f"], "bad_share": 0.001},
        },
    },
    "train": {"label": "liked", "leakage": {"correlation": 0.98, "purity": 0.99, "ignore": ["user"]}},
    "validation": {"apart_from": ["train"]},
}


def asl(rules: dict[str, Any], drift: dict[str, Any] | None = None) -> dict[str, Any]:
    job = {
        "Type": "Task",
        "Parameters": {
            "Arguments": {"--QUALITY": json.dumps(rules), "--FINGERPRINT.$": "$.run.fingerprints.features"}
        },
    }
    gate = {
        "Type": "Task",
        "Parameters": {"FunctionName": "arn:x:demo-dev-gate-data", "Payload": {"rules": drift or {}}},
    }
    branches = [{"StartAt": "Features", "States": {"Features": job}}]
    return {"States": {"Together": {"Type": "Parallel", "Branches": branches}, "QualityGate": gate}}


def words(found: tuple[Rule, ...]) -> list[str]:
    return [f"{rule.frame}: {rule.words}" for rule in found]


def test_every_rule_is_told_in_words() -> None:
    drift = {"features": {"train": {"psi": 0.25, "nulls": 0.05, "action": "stop", "ignore": []}}}
    assert words(compare(None, asl(RULES, drift))) == [
        "features/ratings: bad rows: 100 rows at most",
        "features/ratings: rows: 1,000 or more",
        "features/ratings: kind: one of a, b, c, d, e and 1 more (0.1 % at most)",
        "features/ratings: rating: double, required, 0.5 or more, 5 at most, 5 % null at most",
        "features/ratings: no two rows share user, movie (0 % at most)",
        "features/train: bad rows: 1 % at most",
        "features/train: no feature gives liked away: correlation 0.98 at most, purity 0.99 at most",
        "features/validation: bad rows: 1 % at most",
        "features/validation: no key shared with train",
        "features/train: drift from the accepted data over nulls 0.05, psi 0.25 stops the run",
    ]


def test_what_a_change_loosens_is_seen() -> None:
    looser = json.loads(json.dumps(RULES))
    looser["ratings"]["bad_rows"] = 5000
    del looser["validation"]
    found = {(rule.words, rule.change) for rule in compare(asl(RULES), asl(looser)) if rule.change}
    assert found == {
        ("bad rows: 100 rows at most", "removed"),
        ("bad rows: 5,000 rows at most", "added"),
        ("bad rows: 1 % at most", "removed"),
        ("no key shared with train", "removed"),
    }


def test_nothing_changes_where_nothing_did_and_pipelines_without_rules_have_none() -> None:
    assert not any(rule.change for rule in compare(asl(RULES), asl(RULES)))
    assert compare(None, {"States": {"Train": {"Type": "Task", "Parameters": {}}}}) == ()


def test_what_is_read_without_rules_of_its_own_is_held_to_the_default() -> None:
    found = asl({"ratings": {"bad_rows": 5}})
    job = found["States"]["Together"]["Branches"][0]["States"]["Features"]
    job["Parameters"]["Arguments"] |= {
        "--OUTPUT_PATH.$": "$.o",
        "--RATINGS_PATH.$": "$.r",
        "--MOVIES_PATH.$": "$.m",
    }
    assert words(compare(found, found)) == [
        "features/movies: bad rows: 1 % at most",
        "features/ratings: bad rows: 5 rows at most",
    ]


def test_drift_that_is_only_told_says_so() -> None:
    drift = {"features": {"train": {"ks": 0.2, "action": "tell"}}}
    assert words(compare(None, asl({}, drift))) == [
        "features/train: drift from the accepted data over ks 0.2 is told"
    ]
