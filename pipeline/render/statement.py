"""One IAM statement, as the template has it."""

from __future__ import annotations

from typing import Any

Statement = dict[str, Any]


def allow(actions: str | list[str], resources: Any, condition: dict[str, Any] | None = None) -> Statement:
    """One statement; single values become lists."""
    statement: Statement = {
        "Effect": "Allow",
        "Action": [actions] if isinstance(actions, str) else actions,
        "Resource": resources if isinstance(resources, list) else [resources],
    }
    if condition:
        statement["Condition"] = condition
    return statement
