"""A plan as data: what would be applied, what that changes, and a digest over it.

Nothing here does anything; `pipeline.plan.planner` fills it in, `pipeline.apply` carries it out.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from pipeline.errors import ApplyError

FORMAT = 1
# The pipeline template's parameter that takes the image's URI by digest.
IMAGE_PARAMETER = "ImageUri"
Operation = Literal["none", "create", "update", "recreate"]
Replaces = Literal["never", "conditionally", "always"]


def canonical(data: Any) -> str:
    """`data` as JSON, the same bytes for the same content."""
    return json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def sha256(data: Any) -> str:
    """64 hex digits over canonical JSON (or over the text itself)."""
    return hashlib.sha256((data if isinstance(data, str) else canonical(data)).encode()).hexdigest()


@dataclass(frozen=True)
class PropertyChange:
    """One value that changes.

    Args:
        path: dotted, from the resource's properties, such as `DefinitionString.States.Train.TimeoutSeconds`.
        before, after: JSON values; None where it is absent.
        replaces: whether AWS makes a new resource for it (the type's createOnlyProperties).
        why: only where it is not the value's own difference, such as `follows the replacement of TrainRole`.
    """

    path: str
    before: Any
    after: Any
    replaces: Replaces = "never"
    why: str = ""


@dataclass(frozen=True)
class ResourceChange:
    """What happens to one resource of a stack."""

    action: Literal["Add", "Modify", "Replace", "Remove"]
    logical_id: str
    type: str
    physical_id: str = ""
    properties: tuple[PropertyChange, ...] = ()
    why: str = ""


@dataclass(frozen=True)
class StackAction:
    """One stack, and what the template wants of it.

    Args:
        template: canonical JSON, exactly what would be sent.
        parameters: names and values; those in `unresolved` stand for a value that only apply can know.
        base: digest of the deployed state that `changes` were computed from; empty without a stack.
        status: the stack's status then; empty without a stack.
        other: changes beside resources: outputs, tags.
    """

    kind: Literal["account", "pipeline"]
    stack_name: str
    operation: Operation
    template: str = field(repr=False)
    parameters: tuple[tuple[str, str], ...] = ()
    unresolved: tuple[str, ...] = ()
    tags: tuple[tuple[str, str], ...] = ()
    changes: tuple[ResourceChange, ...] = ()
    other: tuple[PropertyChange, ...] = ()
    base: str = ""
    status: str = ""


@dataclass(frozen=True)
class UploadAction:
    """One object whose key is its content's hash.

    Args:
        present: it is there already.
        template: a stack's template that is too large for the request, not a function's code.
    """

    bucket: str
    key: str
    sha256: str
    bytes: int
    what: str
    present: bool
    template: bool = False


@dataclass(frozen=True)
class ImageAction:
    """The container image of this source; `digest` and `uri` are empty while the registry has none.

    Args:
        how: reuse what the registry has, build and push it, or missing: no engine to build it with.
        why: the reason for that, for people.
        scan: what the registry's scanner says of it, for people.
    """

    repository: str
    tag: str
    digest: str = ""
    uri: str = ""
    how: Literal["", "reuse", "build", "missing"] = ""
    why: str = ""
    scan: str = ""


@dataclass(frozen=True)
class Plan:
    """All that `apply` would do for one pipeline in one environment, in this order."""

    name: str
    environment: str
    account: str
    region: str
    account_stack: StackAction
    uploads: tuple[UploadAction, ...]
    image: ImageAction
    pipeline_stack: StackAction

    @property
    def stacks(self) -> tuple[StackAction, StackAction]:
        return self.account_stack, self.pipeline_stack

    @property
    def changes(self) -> bool:
        """Whether applying it would change anything."""
        return any(s.operation != "none" for s in self.stacks) or any(not u.present for u in self.uploads)

    def desired(self) -> dict[str, str]:
        """What would stand after it, part by part, as digests; the deployed state plays no role."""
        parts = {
            "environment": sha256([self.name, self.environment, self.account, self.region]),
            "code": sha256(sorted([u.bucket, u.key, u.sha256] for u in self.uploads if not u.template)),
            "image": sha256([self.image.repository, self.image.tag]),
        }
        for stack in self.stacks:
            # The image is counted by its tag: its digest may only be known while applying.
            known = [[k, v] for k, v in stack.parameters if k != IMAGE_PARAMETER]
            parts[f"{stack.kind} stack"] = sha256([stack.stack_name, stack.template, known, stack.tags])
        return parts

    @property
    def digest(self) -> str:
        """SHA-256 over all that would be applied."""
        return sha256(self.desired())

    def as_dict(self) -> dict[str, Any]:
        """As JSON data, with the digest; the templates are in it, so that it stands alone."""
        return {"format": FORMAT, "digest": self.digest, "changes": self.changes, **asdict(self)}


def dump(plan: Plan) -> str:
    """The plan's file: JSON with a seal over every byte of its content."""
    body = plan.as_dict()
    return json.dumps({**body, "seal": sha256(body)}, indent=2, ensure_ascii=False) + "\n"


def parse(text: str, where: str) -> Plan:
    """The plan in a file that `dump` wrote.

    Raises:
        ApplyError: not a plan, of another format, or changed since it was written.
    """
    again = "make a new one: pipeline plan NAME --out FILE"
    try:
        data = json.loads(text)
        seal, kind = data.pop("seal"), data["format"]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ApplyError("this is not a plan file", where=where, hint=again) from error
    if kind != FORMAT:
        raise ApplyError(f"plan format {kind} is not known here (only {FORMAT})", where=where, hint=again)
    if sha256(data) != seal:
        raise ApplyError("the plan was changed after it was written", where=where, hint=again)
    return _plan(data)


def _plan(data: Mapping[str, Any]) -> Plan:
    return Plan(
        name=data["name"],
        environment=data["environment"],
        account=data["account"],
        region=data["region"],
        account_stack=_stack(data["account_stack"]),
        uploads=tuple(UploadAction(**u) for u in data["uploads"]),
        image=ImageAction(**data["image"]),
        pipeline_stack=_stack(data["pipeline_stack"]),
    )


def _stack(data: Mapping[str, Any]) -> StackAction:
    return StackAction(
        **{
            **data,
            "parameters": _pairs(data["parameters"]),
            "unresolved": tuple(data["unresolved"]),
            "tags": _pairs(data["tags"]),
            "changes": tuple(
                ResourceChange(**{**c, "properties": tuple(PropertyChange(**p) for p in c["properties"])})
                for c in data["changes"]
            ),
            "other": tuple(PropertyChange(**p) for p in data["other"]),
        }
    )


def _pairs(values: list[list[str]]) -> tuple[tuple[str, str], ...]:
    return tuple((key, value) for key, value in values)
