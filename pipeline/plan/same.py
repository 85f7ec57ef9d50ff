"""Whether a reviewed plan still is what would happen."""

from __future__ import annotations

from pipeline.errors import ApplyError
from pipeline.plan.model import Plan, StackAction


def require_same(reviewed: Plan, fresh: Plan, where: str) -> None:
    """Let `fresh` pass only if it leads where `reviewed` leads, by no change that was not reviewed.

    A part of the reviewed changes may be done already (an interrupted apply): what remains is allowed.

    Raises:
        ApplyError: another pipeline or environment; other templates, code or image; a deployed state that
            makes other changes necessary.
    """
    hint = f"review a new plan: pipeline plan {fresh.name} -e {fresh.environment} --out FILE"
    wanted, now = reviewed.desired(), fresh.desired()
    differing = [part for part in wanted if wanted[part] != now[part]]
    if differing:
        raise ApplyError(
            f"the plan does not match the working tree: {', '.join(differing)} differ",
            where=where,
            hint=hint,
        )
    if reviewed.image.digest and fresh.image.digest != reviewed.image.digest:
        raise ApplyError(
            f"tag {fresh.image.tag} is another image now ({fresh.image.digest or 'gone'}, "
            f"reviewed was {reviewed.image.digest})",
            where=where,
            hint=hint,
        )
    for old, new in zip(reviewed.stacks, fresh.stacks, strict=True):
        more = sorted(_done(new) - _done(old))
        if new.operation != "none" and old.base != new.base and more:
            raise ApplyError(
                f"stack {new.stack_name} has changed since; it would also need: {'; '.join(more)}",
                where=where,
                hint=hint,
            )


def _done(stack: StackAction) -> set[str]:
    """Each change as one line, to be compared."""
    lines = {f"change {change.path}" for change in stack.other}
    for change in stack.changes:
        verb = "modify" if change.action == "Modify" else change.action.lower()
        if change.action == "Modify":
            lines |= {f"{verb} {change.logical_id} {p.path}" for p in change.properties}
        else:
            lines.add(f"{verb} {change.logical_id}")
    return lines
