"""What a plan says of a workflow that is not the definition's, before it and after it. Pure."""

from __future__ import annotations

import json
from typing import Any

from pipeline.plan.model import Plan
from pipeline.render.machine import GIVEN


def words(plan: Plan) -> list[str]:
    """Sentences; none where neither what is deployed nor what is wanted comes from a file."""
    stack = plan.pipeline_stack
    before, after = _mark(stack.before), _mark(stack.template)
    definition = f"pipeline/definitions/{plan.name}/definition.py"
    if after:
        return [
            f"the workflow is from {_said(after)}, not from {definition}",
            f"the next `pipeline apply {plan.name}` without --asl, by hand or by a merge, puts that back",
        ]
    if before:
        return [
            f"what is deployed was put by hand from {_said(before)}; this puts back {definition}",
            "to keep it, bring the change into the definition",
        ]
    return []


def deployed(plan: Plan) -> str:
    """The file that the workflow which is deployed was put from; empty if it is the definition's."""
    mark = _mark(plan.pipeline_stack.before)
    return _said(mark) if mark else ""


def _mark(template: str) -> dict[str, str]:
    """The mark that rendering leaves in the template (JSON); empty without one."""
    resources: dict[str, Any] = json.loads(template)["Resources"] if template else {}
    machine = resources.get("StateMachine") or {}
    found = (machine.get("Metadata") or {}).get(GIVEN)
    return found if isinstance(found, dict) else {}


def _said(mark: dict[str, str]) -> str:
    return f"the file {mark.get('File', '?')} (sha256 {mark.get('Sha256', '?')[:12]})"
