"""A plan as data: what would be applied, what that changes, and a digest over it.

Nothing here does anything; `pipeline.plan.planner` fills it in, `pipeline.apply` carries it out.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

# The pipeline template's parameter that takes the image's URI by digest.
IMAGE_PARAMETER = "ImageUri"
# The one that takes the commit: it says where the rest came from, and is none of it.
COMMIT_PARAMETER = "GitSha"
# What a plan is held against, unless it was made offline.
DEPLOYED = "what is deployed"
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
        before: the template it was compared with, as canonical JSON; empty without one.
        before_parameters: that one's values.
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
    before: str = field(default="", repr=False)
    before_parameters: tuple[tuple[str, str], ...] = ()


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
        how: reuse what the registry has, build and push it, workflow: the next run has it built, missing:
            no engine to build it with, or later: its repository is not made yet, so nobody can ask it.
        why: the reason for that, for people.
        scan: what the registry's scanner says of it, for people.
    """

    repository: str
    tag: str
    digest: str = ""
    uri: str = ""
    how: Literal["", "reuse", "build", "workflow", "missing", "later"] = ""
    why: str = ""
    scan: str = ""


@dataclass(frozen=True)
class Plan:
    """All that `apply` would do for one pipeline in one environment, in this order.

    Args:
        against: what the changes were computed against: the deployed state, or a commit.
    """

    name: str
    environment: str
    account: str
    region: str
    account_stack: StackAction
    uploads: tuple[UploadAction, ...]
    image: ImageAction
    pipeline_stack: StackAction
    against: str = DEPLOYED

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
            # The image is counted by its tag: its digest may only be known while applying. The commit is
            # another after a squash or a merge, with the same content.
            left_out = (IMAGE_PARAMETER, COMMIT_PARAMETER)
            known = [[k, v] for k, v in stack.parameters if k not in left_out]
            parts[f"{stack.kind} stack"] = sha256([stack.stack_name, stack.template, known, stack.tags])
        return parts

    @property
    def digest(self) -> str:
        """SHA-256 over all that would be applied, and nothing else: not the commit, the deployed state, the
        place or the time. Two commits with the same content have the same."""
        return sha256(self.desired())

    def as_dict(self) -> dict[str, Any]:
        """As JSON data, with the digest; the templates are in it, so that it stands alone."""
        return {"digest": self.digest, "changes": self.changes, **asdict(self)}
