"""A plan as text for a person."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from pipeline.cli import _output
from pipeline.plan import given, told
from pipeline.plan.model import DEPLOYED

if TYPE_CHECKING:
    from pipeline.plan.model import Plan, PropertyChange, ResourceChange, StackAction

MARKS = {"Add": ("+", "green"), "Modify": ("~", "yellow"), "Replace": ("!", "red"), "Remove": ("-", "red")}
SHORT = 60
FEW = 8


def describe(plan: Plan, full: bool = False) -> str:
    """The whole plan, stack by stack, with a count at the end."""
    head = f"{plan.name} -> {plan.environment} ({plan.account}, {plan.region})"
    if plan.against != DEPLOYED:
        head += f", offline, against {plan.against}"
    lines = [_output.paint(head, "bold")]
    for stack in plan.stacks:
        if stack.kind == "pipeline":
            lines += _uploads(plan) + _image(plan)
        lines += stack_lines(stack, full)
    lines += [_output.paint(f"  {said}", "yellow") for said in given.words(plan)]
    lines.append("")
    lines.append(_summary(plan))
    return "\n".join(lines)


def stack_lines(stack: StackAction, full: bool) -> list[str]:
    """What happens to one stack."""
    title = f"{stack.kind} stack {stack.stack_name}"
    if stack.operation == "none":
        return [f"  {title}: no changes"]
    note = {
        "create": "new",
        "update": "update",
        "recreate": f"is {stack.status}: deleted and made anew",
    }[stack.operation]
    if stack.status.endswith("_IN_PROGRESS") and stack.status != "REVIEW_IN_PROGRESS":
        note += f"; another change is under way ({stack.status}), so this may differ when it ends"
    lines = [f"  {title}: {note}"]
    for change in stack.changes:
        lines += _change(change, full)
    lines += [f"    {_property(change, full)}" for change in stack.other]
    return lines


def _change(change: ResourceChange, full: bool) -> list[str]:
    mark, style = MARKS[change.action]
    named = (
        f" ({change.physical_id})" if change.physical_id and change.physical_id != change.logical_id else ""
    )
    note = " will be REPLACED" if change.action == "Replace" else ""
    note += f": {change.why}" if change.why else ""
    lines = [_output.paint(f"    {mark} {change.logical_id}", style) + f"  {change.type}{named}{note}"]
    shown = change.properties if full else change.properties[:FEW]
    lines += [f"        {_property(item, full)}" for item in shown]
    if len(shown) < len(change.properties):
        lines.append(f"        ... and {len(change.properties) - len(shown)} more (--full shows all)")
    return lines


def _property(change: PropertyChange, full: bool) -> str:
    note = {"always": "  [replaces]", "conditionally": "  [may replace]", "never": ""}[change.replaces]
    if change.why:
        return f"{change.path}: {change.why}{note}"
    if change.before is None:
        return f"{change.path}: {_value(change.after, full)} (new){note}"
    if change.after is None:
        return f"{change.path}: {_value(change.before, full)} (gone){note}"
    return f"{change.path}: {_value(change.before, full)} -> {_value(change.after, full)}{note}"


def _value(value: Any, full: bool) -> str:
    text = json.dumps(value, ensure_ascii=False)
    if full or len(text) <= SHORT:
        return text
    # The end of a digest or an ARN tells more than its middle.
    return f"{text[: SHORT - 20]}...{text[-17:]}"


def _uploads(plan: Plan) -> list[str]:
    new = [upload for upload in plan.uploads if not upload.present]
    if not new:
        return (
            [f"  code: {len(plan.uploads)} objects in s3://{plan.uploads[0].bucket}"] if plan.uploads else []
        )
    rows = [("    +", u.what, _output.size(u.bytes), u.key) for u in new]
    return [f"  code: {len(new)} to upload to s3://{new[0].bucket}", _output.table(rows)]


def _image(plan: Plan) -> list[str]:
    image = plan.image
    name = f"  image {image.repository}:{image.tag}"
    if image.digest:
        return [
            f"{name} = {image.digest[:19]}... ({image.why})",
            *([f"    {image.scan}"] if image.scan else []),
        ]
    if plan.against != DEPLOYED:
        return [f"{name}: {image.why}"]
    if image.how == "build":
        return [f"{name}: to be built and pushed ({image.why})"]
    if image.how == "later":
        return [f"{name}: not known yet ({image.why})"]
    return [_output.paint(f"{name} is not in the registry, and {image.why}; apply needs it", "yellow")]


def _summary(plan: Plan) -> str:
    if not plan.changes:
        return f"No changes. Digest {plan.digest[:16]}."
    return f"{told.summary(plan)}. Digest {plan.digest[:16]}."
