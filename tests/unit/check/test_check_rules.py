"""Every rule fires on its bad fixtures, at the right place, and is silent on its good ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pipeline.check.registry import rules
from pipeline.check.rule import Rule, show
from pipeline.check.subject import Subject

FIXTURES = Path(__file__).resolve().parents[2] / "fixtures" / "check"
BROKEN = Path(__file__).resolve().parents[2] / "fixtures" / "check_broken"
RULES = {rule.id: rule for rule in rules()}
GOOD = sorted(FIXTURES.glob("*/good_*.json"))
BAD = sorted(FIXTURES.glob("*/bad_*.json"))


def name(path: Path) -> str:
    return f"{path.parent.name}-{path.stem}"


def read(path: Path) -> tuple[Rule, Subject, list[dict[str, str]]]:
    data: dict[str, Any] = json.loads(path.read_text())
    return RULES[path.parent.name], Subject(**data["subject"]), data.get("expect", [])


@pytest.mark.parametrize("rule", RULES.values(), ids=str)
def test_a_rule_says_why_and_has_fixtures(rule: Rule) -> None:
    assert rule.reason and rule.source.startswith("https://")
    for kind in ("good", "bad"):
        assert list((FIXTURES / rule.id).glob(f"{kind}_*.json")), f"{rule.id} has no {kind} fixture"


def test_no_fixture_is_left_of_a_rule_that_is_gone() -> None:
    assert {path.name for path in FIXTURES.iterdir()} == set(RULES)


@pytest.mark.parametrize("path", GOOD, ids=name)
def test_silent_on_the_good(path: Path) -> None:
    rule, subject, _ = read(path)
    assert [(show(hit.path), hit.message) for hit in rule.check(subject)] == []


@pytest.mark.parametrize("path", BAD, ids=name)
def test_fires_on_the_bad_at_its_place(path: Path) -> None:
    rule, subject, expected = read(path)
    found = [
        (show(hit.path) if hit.part != "file" else str(hit.path[0]), hit.message, hit)
        for hit in rule.check(subject)
    ]
    assert expected, "a bad fixture says what is expected"
    for each in expected:
        fitting = [
            hit
            for place, message, hit in found
            if place.startswith(each["place"]) and each["says"] in message
        ]
        assert fitting, f"{each} is not among {[(place, message) for place, message, _ in found]}"
        assert all(hit.fix for hit in fitting), "a finding says how to mend it"


@pytest.mark.parametrize("path", sorted(BROKEN.glob("*.json")), ids=lambda p: p.stem)
def test_a_broken_definition_is_caught(path: Path) -> None:
    """What AWS refuses, or accepts and then fails on, some rule finds; the sound one is left alone."""
    subject = Subject(asl=json.loads(path.read_text()))
    found = {rule.id: [hit.message for hit in rule.check(subject)] for rule in RULES.values()}
    found = {id: messages for id, messages in found.items() if messages}
    if path.stem == "sound":
        assert found == {}
    else:
        # Not by one of the resilience rules alone, if the fault is another one.
        assert set(found) - {"ML202", "ML203", "ML204"}, found


def test_a_secret_is_never_repeated() -> None:
    for path in sorted((FIXTURES / "ML501").glob("bad_*.json")):
        rule, subject, _ = read(path)
        secrets = [
            line.split("=", 1)[1].strip(" '\"")
            for t in subject.files.values()
            for line in t.splitlines()
            if "=" in line
        ]
        for hit in rule.check(subject):
            assert not any(secret in hit.message + hit.fix for secret in secrets)


def test_there_are_enough_broken_definitions() -> None:
    assert len(list(BROKEN.glob("*.json"))) >= 38
