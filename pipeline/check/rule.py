"""What a rule is, and what it says: id, one-line reason, source, severity, and hits with place and fix."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from pipeline.check.subject import Subject

Severity = Literal["error", "warning"]
Path = tuple[str | int, ...]


@dataclass(frozen=True)
class Hit:
    """One thing a rule found.

    `part` says in what: the state machine's definition ("asl"), the template ("template"), the settings or
    a file (then `path` is `(file, line)`).
    """

    part: Literal["asl", "template", "settings", "file"]
    path: Path
    message: str
    fix: str
    severity: Severity | None = None  # the rule's own, if not given

    def __post_init__(self) -> None:
        object.__setattr__(self, "path", tuple(self.path))


Check = Callable[["Subject"], Iterator[Hit]]


@dataclass(frozen=True)
class Rule:
    """One check of ours, with its good and bad fixtures in tests/fixtures/check/<id>/."""

    id: str
    reason: str
    source: str
    severity: Severity
    check: Check = field(repr=False)


REGISTERED: dict[str, Rule] = {}


def rule(id: str, reason: str, source: str, severity: Severity = "error") -> Callable[[Check], Check]:
    """Register the decorated generator as the rule `id`."""

    def register(check: Check) -> Check:
        if id in REGISTERED:
            raise ValueError(f"two rules have the id {id}")
        REGISTERED[id] = Rule(id, reason, source, severity, check)
        return check

    return register


@dataclass(frozen=True)
class Finding:
    """A hit as told to a user: `file` and `line` are the user's own source where it is known."""

    rule: str
    severity: Severity
    place: str
    message: str
    fix: str
    file: str
    line: int | None
    pipeline: str
    environment: str

    def as_dict(self) -> dict[str, Any]:
        """Plain data, for JSON and the cache."""
        return dict(vars(self))


def show(path: Path) -> str:
    """A path as text: `States.Train.Parameters`, `Branches[0].States.A`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else ("." if text else "") + part
    return text
