"""One thing a role must, or may, be allowed to do."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.check.rule import Path


@dataclass(frozen=True)
class Need:
    """One action on one resource (glob; * when only known at run time), why, and the place that causes it.

    An optional need may be granted and need not be.
    """

    action: str
    resource: str
    why: str
    path: Path = ()
    optional: bool = False
