"""The realistic template of the tests: iris in staging, frozen, and the made-up change that the docs show."""

from __future__ import annotations

import copy
import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

_FILE = Path(__file__).resolve().parents[3] / "scripts" / "plan_example.py"
_SPEC = importlib.util.spec_from_file_location("plan_example", _FILE)
assert _SPEC is not None
assert _SPEC.loader is not None
plan_example: Any = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(plan_example)


def asl(template: dict[str, Any]) -> dict[str, Any]:
    """The state machine of a template."""
    found: dict[str, Any] = json.loads(
        template["Resources"]["StateMachine"]["Properties"]["DefinitionString"]
    )
    return found


def changing(change: Callable[[dict[str, Any]], None]) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """A function that gives a copy of the template with `change` done to its resources."""

    def changed(before: dict[str, Any]) -> dict[str, Any]:
        after = copy.deepcopy(before)
        change(after["Resources"])
        return after

    return changed


def in_states(change: Callable[[dict[str, Any]], None]) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """As `changing`, done to the states."""

    def inside(resources: dict[str, Any]) -> None:
        properties = resources["StateMachine"]["Properties"]
        machine = json.loads(properties["DefinitionString"])
        change(machine["States"])
        properties["DefinitionString"] = json.dumps(machine, sort_keys=True, separators=(",", ":"))

    return changing(inside)
