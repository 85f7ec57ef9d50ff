"""The right of a state machine's role to the EventBridge rules that Step Functions manages for .sync tasks.

AWS checks it when a state machine is created or its definition or role changes.
"""

from __future__ import annotations

import json
from typing import Any

from pipeline.local.states import integrations
from pipeline.local.states.taskcall import parse_resource
from pipeline.local.states.validate import resources

ACTIONS = ("events:PutTargets", "events:PutRule", "events:DescribeRule")


def rules(definition: str) -> list[str]:
    """The names of the managed rules a (valid) definition needs."""
    parsed = (parse_resource(arn) for arn in resources(json.loads(definition)))
    return sorted({rule for resource in parsed if (rule := integrations.managed_rule(resource))})


def denied(definition: str, role_arn: str, region: str) -> str | None:
    """AWS's refusal when the role, which exists, lacks a right; else None."""
    for rule in rules(definition):
        if not _may(role_arn, region, rule):
            return f"'{role_arn}' is not authorized to create managed-rule."
    return None


def _may(role_arn: str, region: str, rule: str) -> bool:
    from ministack.core import iam_evaluator as evaluator

    account, name = role_arn.split(":")[4], role_arn.rsplit("/", 1)[-1]
    policies: Any = evaluator._gather_role_policies(name, account)
    for action in ACTIONS:
        context = evaluator.EvalContext(
            principal_arn=role_arn,
            principal_type="AssumedRole",
            principal_account=account,
            action=action,
            resource_arn=f"arn:aws:events:{region}:{account}:rule/{rule}",
            region=region,
        )
        if evaluator.evaluate(context, policies).decision != "Allow":
            return False
    return True
