"""Which IAM actions each role of a template needs, from what uses it; the sources stand beside each table."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pipeline.check.cloudformation import as_list, logical_role, of_type
from pipeline.check.needs.functions import of_function
from pipeline.check.needs.jobs import of_jobs
from pipeline.check.needs.need import Need
from pipeline.check.needs.reference import arn_forms
from pipeline.check.needs.tasks import LOG_DELIVERY, of_machine
from pipeline.check.subject import Subject

__all__ = ["LOG_DELIVERY", "Need", "arn_forms", "of_jobs", "of_roles"]


def of_roles(subject: Subject) -> dict[str, list[Need]]:
    """Logical id of every role that something known uses -> what it needs."""
    found: dict[str, list[Need]] = {}
    _, machine = subject.machine
    role = logical_role(machine.get("RoleArn"), subject.template)
    if role:
        found.setdefault(role, []).extend(of_machine(subject, machine))
    for role, need in of_jobs(subject):
        found.setdefault(role, []).append(need)
    for name, properties in of_type(subject.template, "AWS::Lambda::Function"):
        role = logical_role(properties.get("Role"), subject.template)
        needs = list(of_function(subject, name, properties))
        if role and needs:
            found.setdefault(role, []).extend(needs)
    for role, need in _of_triggers(subject):
        found.setdefault(role, []).append(need)
    return found


def _of_triggers(subject: Subject) -> Iterator[tuple[str, Need]]:
    """Roles with which a schedule or a rule starts its target."""
    targets: list[tuple[str, dict[str, Any]]] = []
    for name, properties in of_type(subject.template, "AWS::Scheduler::Schedule"):
        targets.append((name, properties.get("Target") or {}))
    for name, properties in of_type(subject.template, "AWS::Events::Rule"):
        targets += [
            (name, target) for target in as_list(properties.get("Targets")) if isinstance(target, dict)
        ]
    for name, target in targets:
        role = logical_role(target.get("RoleArn"), subject.template)
        arn = subject.resolver.text(target.get("Arn", ""))
        action = "states:StartExecution" if ":stateMachine:" in arn else "lambda:InvokeFunction"
        if role:
            yield role, Need(action, arn, f"{name} starts it", ("Resources", name))
            if target.get("DeadLetterConfig"):
                queue = subject.resolver.text((target["DeadLetterConfig"] or {}).get("Arn", "*"))
                yield (
                    role,
                    Need("sqs:SendMessage", queue, f"{name} has a dead-letter queue", ("Resources", name)),
                )
