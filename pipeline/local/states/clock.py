"""Time in executions: timestamps as the API gives them, and how much of a Wait is really waited (pace.py)."""

from __future__ import annotations

from datetime import UTC, datetime

from pipeline.local.pace import DEFAULT_WAIT_SCALE, WAIT_SCALE_VARIABLE, wait_scale

__all__ = ["DEFAULT_WAIT_SCALE", "WAIT_SCALE_VARIABLE", "now_iso", "wait_scale"]


def now_iso() -> str:
    """The moment, in milliseconds, e.g. 2026-11-22T14:01:02.345Z."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")[:-6] + "Z"
