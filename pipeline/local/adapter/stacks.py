"""Seam: which of MiniStack's stacks are being changed. What a stack's change touches is saved as a whole."""

from __future__ import annotations

import sys
import time
from typing import Any

_MODULE = "ministack.services.cloudformation"
_read = False


def changing() -> bool:
    """Whether a stack is being created, updated or deleted right now."""
    return any(_in_progress(stack) for stack in _stacks())


def version() -> Any:
    """Another value after every change of a stack; None while one is under way."""
    stacks = _stacks()
    if any(_in_progress(stack) for stack in stacks):
        return None
    events = list(sys.modules[_MODULE]._stack_events._data.values()) if stacks else []
    return [(stack["StackId"], stack["StackStatus"]) for stack in stacks], sum(map(len, events))


def settled(seconds: float) -> bool:
    """Wait until no stack is being changed, at most so long; whether none is."""
    deadline = time.monotonic() + seconds
    while changing() and time.monotonic() < deadline:
        time.sleep(0.02)
    return not changing()


def ready() -> bool:
    """Whether the stacks on disk have been read: before that, those in memory are not what there is."""
    return _read


def read(module: Any, state: Any) -> None:
    """Give MiniStack's module what was on disk. Its import takes long: this is after the server's start."""
    global _read
    module.load_persisted_state(state)
    _read = True


def _stacks() -> list[dict[str, Any]]:
    return list(sys.modules[_MODULE]._stacks._data.values()) if _read else []


def _in_progress(stack: dict[str, Any]) -> bool:
    status = str(stack.get("StackStatus", ""))
    # A stack in review is one whose first change set nobody has executed yet.
    return status.endswith("_IN_PROGRESS") and status != "REVIEW_IN_PROGRESS"
