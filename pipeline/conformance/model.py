"""What a clause is (id, statement, severity, page, a check that says what it saw), and what became of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from pipeline.conformance.session import Session

Severity = Literal["must", "should"]
Status = Literal["passed", "failed", "skipped"]


class Broken(Exception):
    """The clause does not hold; the text is what was seen. `fix` replaces the clause's own."""

    def __init__(self, seen: str, fix: str = "") -> None:
        super().__init__(seen)
        self.seen = seen
        self.fix = fix


class Skip(Exception):
    """The clause cannot be looked at; the text says why."""


Check = Callable[["Session"], str]


@dataclass(frozen=True)
class Clause:
    """One sentence of SageMaker's container contract.

    Args:
        id: CT and a number; 0xx start, 1xx train, 2xx serve, 3xx isolation, 4xx stop.
        statement: what holds when it passes.
        severity: `must` where SageMaker fails without it, `should` where it only gets worse.
        page: the documentation that says so.
        fix: what to do when it does not hold.
        check: returns what was seen; raises Broken or Skip.
    """

    id: str
    statement: str
    severity: Severity
    page: str
    fix: str
    check: Check = field(repr=False)


REGISTERED: dict[str, Clause] = {}


def clause(id: str, statement: str, severity: Severity, page: str, fix: str) -> Callable[[Check], Check]:
    """Register the decorated function as the check of clause `id`."""

    def register(check: Check) -> Check:
        if id in REGISTERED:
            raise ValueError(f"two clauses have the id {id}")
        REGISTERED[id] = Clause(id, statement, severity, page, fix, check)
        return check

    return register


@dataclass(frozen=True)
class Result:
    """What became of a clause. `seen` is the reason when it was skipped."""

    clause: Clause
    status: Status
    seen: str
    fix: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Plain data, for JSON."""
        about = {name: getattr(self.clause, name) for name in ("id", "statement", "severity", "page")}
        return {**about, "status": self.status, "seen": self.seen, "fix": self.fix}
