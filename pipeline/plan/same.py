"""Whether a reviewed plan still is what would happen, and if not, which part of the world moved."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from pipeline.errors import ApplyError
from pipeline.plan.diff import diff, values
from pipeline.plan.model import (
    COMMIT_PARAMETER,
    IMAGE_PARAMETER,
    Plan,
    PropertyChange,
    StackAction,
    canonical,
)

Part = Literal["the working tree", "the image tag", "the deployed stack"]
FEW = 8


@dataclass(frozen=True)
class Move:
    """One difference between the reviewed plan and the one of now: in which part, and what."""

    part: Part
    what: str


def require_same(reviewed: Plan, fresh: Plan, where: str) -> None:
    """Let `fresh` pass only if it leads where `reviewed` leads, by no change that was not reviewed.

    A part of the reviewed changes may be done already (an interrupted apply): what remains is allowed.

    Raises:
        ApplyError: another pipeline or environment; other templates, code or image; a deployed state that
            makes other changes necessary. The text says which part moved, and by what.
    """
    found = moves(reviewed, fresh)
    if not found:
        return
    lines = ["the plan is not what would happen now"]
    for part in dict.fromkeys(move.part for move in found):
        said = [move.what for move in found if move.part == part]
        lines.append(f"  {part} moved:")
        lines += [f"    {what}" for what in said[:FEW]]
        if len(said) > FEW:
            lines.append(f"    ... and {len(said) - FEW} more")
    raise ApplyError(
        "\n".join(lines),
        where=where,
        hint=f"review a new plan: pipeline plan {fresh.name} -e {fresh.environment} --out FILE",
    )


def moves(reviewed: Plan, fresh: Plan) -> list[Move]:
    """Everything in which the two differ as to what would be done; empty if `fresh` may be applied."""
    found = [Move("the working tree", what) for what in _desired(reviewed, fresh)]
    if not found and reviewed.digest != fresh.digest:
        found = [Move("the working tree", f"digest {reviewed.digest[:16]} -> {fresh.digest[:16]}")]
    if reviewed.image.tag == fresh.image.tag and reviewed.image.digest not in ("", fresh.image.digest):
        found.append(
            Move(
                "the image tag",
                f"{fresh.image.repository}:{fresh.image.tag} is another image now: "
                f"{fresh.image.digest or 'gone'}, reviewed was {reviewed.image.digest}",
            )
        )
    if not found:
        for old, new in zip(reviewed.stacks, fresh.stacks, strict=True):
            found += [Move("the deployed stack", what) for what in _more(old, new)]
    return found


def _desired(reviewed: Plan, fresh: Plan) -> Iterator[str]:
    """In what the two lead to different ends."""
    wanted, now = reviewed.desired(), fresh.desired()
    if wanted == now:
        return
    if wanted["environment"] != now["environment"]:
        yield f"planned for {_place(reviewed)}, this is {_place(fresh)}"
        return
    for old, new in zip(reviewed.stacks, fresh.stacks, strict=True):
        yield from _stack(old, new)
    if wanted["image"] != now["image"]:
        yield (
            f"the container folder is another: image {reviewed.image.repository}:{reviewed.image.tag} -> "
            f"{fresh.image.repository}:{fresh.image.tag}"
        )
    yield from _code(reviewed, fresh)


def _stack(old: StackAction, new: StackAction) -> Iterator[str]:
    if old.stack_name != new.stack_name:
        yield f"{old.kind} stack: {old.stack_name} -> {new.stack_name}"
    if old.template != new.template:
        # With the same parameters on both sides only the templates themselves differ.
        before, after = json.loads(old.template), json.loads(new.template)
        given = dict(new.parameters)
        for change in diff(before, after, given, given, lambda *_: "never"):
            for item in change.properties:
                yield f"{change.logical_id} {_said(item)}"
            if not change.properties:
                yield f"{change.logical_id} ({change.type}): {change.action.lower()}"
        rest = {key: value for key, value in before.items() if key != "Resources"}
        for item in values(rest, {key: value for key, value in after.items() if key != "Resources"}):
            yield f"{old.kind} template: {_said(item)}"
    left_out = (IMAGE_PARAMETER, COMMIT_PARAMETER)
    for kind in ("parameters", "tags"):
        then = {k: v for k, v in getattr(old, kind) if k not in left_out}
        now = {k: v for k, v in getattr(new, kind) if k not in left_out}
        for item in values(then, now):
            yield f"{old.kind} stack's {kind}: {_said(item)}"


def _code(reviewed: Plan, fresh: Plan) -> Iterator[str]:
    then = {u.what: u for u in reviewed.uploads if not u.template}
    now = {u.what: u for u in fresh.uploads if not u.template}
    for what in sorted({*then, *now}):
        old, new = then.get(what), now.get(what)
        if old and new and old.sha256 != new.sha256:
            yield f"code of {what}: {old.sha256[:12]} -> {new.sha256[:12]}"
        elif old and new and old.bucket != new.bucket:
            yield f"code of {what}: goes to {new.bucket}, not {old.bucket}"
        elif not (old and new):
            yield f"code of {what}: {'no longer there' if old else 'new'}"


def _more(old: StackAction, new: StackAction) -> list[str]:
    """Changes that the deployed state of now makes necessary and nobody reviewed."""
    if new.operation == "none" or old.base == new.base:
        return []
    more = sorted(_done(new) - _done(old))
    return [f"{new.stack_name} would also need: {line}" for line in more]


def _done(stack: StackAction) -> set[str]:
    """Each change as one line, to be compared; what only follows from the commit is none."""
    lines = {f"change {change.path}" for change in stack.other}
    for change in stack.changes:
        verb = "modify" if change.action == "Modify" else change.action.lower()
        if change.action == "Modify":
            lines |= {f"{verb} {change.logical_id} {p.path}" for p in change.properties if not _commit(p)}
        else:
            lines.add(f"{verb} {change.logical_id}")
    return lines


def _commit(change: PropertyChange) -> bool:
    return change.path.rpartition(".")[2] == COMMIT_PARAMETER


def _place(plan: Plan) -> str:
    return f"{plan.name} in {plan.environment} ({plan.account}, {plan.region})"


def _said(change: PropertyChange) -> str:
    return f"{change.path}: {_short(change.before)} -> {_short(change.after)}"


def _short(value: object) -> str:
    text = canonical(value) if value is not None else "nothing"
    return text if len(text) <= 60 else f"{text[:40]}...{text[-17:]}"
