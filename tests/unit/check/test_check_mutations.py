"""Take one permission away, or give one too many: the check notices each single one."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.check.cloudformation import as_list
from pipeline.check.registry import rules
from pipeline.check.subject import Subject

WHOLE = Path(__file__).resolve().parents[2] / "fixtures/check/ML401/good_whole.json"
DATA: dict[str, Any] = json.loads(WHOLE.read_text())["subject"]
RULES = {rule.id: rule for rule in rules()}


def statements(template: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, resource in template["Resources"].items():
        for policy in resource["Properties"].get("Policies", ()):
            for statement in policy["PolicyDocument"]["Statement"]:
                yield name, statement


GRANTS = [
    (number, role, action)
    for number, (role, statement) in enumerate(statements(DATA["template"]))
    for action in as_list(statement["Action"])
]


def messages(id: str, template: dict[str, Any]) -> list[str]:
    return [hit.message for hit in RULES[id].check(Subject(**{**DATA, "template": template}))]


@pytest.mark.parametrize(("number", "role", "action"), GRANTS)
def test_each_permission_that_is_taken_away_is_missed(number: int, role: str, action: str) -> None:
    template = copy.deepcopy(DATA["template"])
    statement = list(statements(template))[number][1]
    statement["Action"] = [each for each in as_list(statement["Action"]) if each != action]
    assert any(text.startswith(f"{role} lacks {action}") for text in messages("ML401", template))


@pytest.mark.parametrize(
    "action", ["sagemaker:DeleteModel", "s3:DeleteBucket", "iam:CreateRole", "kms:Decrypt"]
)
def test_each_permission_too_many_is_told(action: str) -> None:
    template = copy.deepcopy(DATA["template"])
    role = "StateMachineRole"
    policy = template["Resources"][role]["Properties"]["Policies"][0]["PolicyDocument"]
    policy["Statement"].append({"Effect": "Allow", "Action": action, "Resource": "arn:aws:s3:::b"})
    assert f"{role} may {action}, which nothing that uses it needs" in messages("ML402", template)


def test_a_denied_action_is_no_grant() -> None:
    template = copy.deepcopy(DATA["template"])
    for _, statement in statements(template):
        statement["Effect"] = "Deny"
    assert len(messages("ML401", template)) >= len(GRANTS)
