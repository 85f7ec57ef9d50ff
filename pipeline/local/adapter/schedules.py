"""Seam: EventBridge's and its Scheduler's targets. A target is called as its role, and not without.

Scheduler's context attributes in a target's input are filled in, as `<aws.scheduler.scheduled-time>`.
"""

from __future__ import annotations

import logging
import re
import uuid
from datetime import UTC, datetime
from typing import Any

from pipeline.local import roles

logger = logging.getLogger("pipeline.local")

# What calling a target of a service needs, by the service in the target's ARN.
_NEEDED = {"states": "states:StartExecution", "lambda": "lambda:InvokeFunction", "sqs": "sqs:SendMessage"}
_ATTRIBUTE = re.compile(r"<aws\.scheduler\.([a-z-]+)>")


def install(eventbridge: Any) -> None:
    """Weigh every call of a target that has a role, or needs one."""
    theirs = eventbridge._invoke_target

    def invoke(target: dict[str, Any], event: dict[str, Any], rule: dict[str, Any], view: Any = None) -> None:
        schedule = event.get("Source") == "aws.scheduler" and "ScheduleExpression" in rule
        refused = denied(target, rule, "scheduler" if schedule else "events")
        if refused:
            logger.error("%s is not called: %s", target.get("Arn"), refused)
            return
        if schedule and target.get("Input"):
            target = {**target, "Input": filled(target["Input"], rule, float(event["Time"]))}
        theirs(target, event, rule, view)

    eventbridge._invoke_target = invoke


def install_pace(scheduler: Any) -> None:
    """Look for due schedules every second; MiniStack's ten would let `at(...)` be late."""
    scheduler._SCHEDULE_TICK_INTERVAL = 1


def denied(target: dict[str, Any], rule: dict[str, Any], service: str) -> str | None:
    """Why the target may not be called, or None. Without a role, the target's own policy decides."""
    from ministack.core.iam_evaluator import enforce
    from ministack.core.responses import get_region

    arn, role = target.get("Arn", ""), target.get("RoleArn")
    of = arn.split(":")[2] if arn.count(":") >= 5 else ""
    action = _NEEDED.get(of)
    if action is None or (not role and of != "states" and service != "scheduler"):
        return None
    if not role:
        return "it has no RoleArn"
    try:
        given = roles.credentials_for(role, f"{service}-{rule.get('Name', '')}", service, rule.get("Arn"))
    except roles.RoleNotAssumable as error:
        return str(error)
    found = enforce(given["AccessKeyId"], action, of, get_region(), resource_arn=arn)
    return None if found is None else f"{role} does not allow {action} on {arn}"


def filled(text: str, rule: dict[str, Any], now: float) -> str:
    """A schedule's input with Scheduler's context attributes in place."""
    values = {
        "schedule-arn": rule.get("Arn", ""),
        "scheduled-time": datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "execution-id": str(uuid.uuid4()),
        "attempt-number": "1",
    }
    return _ATTRIBUTE.sub(lambda found: values.get(found[1], found[0]), text)
