"""The state machine as a picture; an execution colours its states."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pipeline.execution.graph.mermaid import mermaid
from pipeline.execution.graph.model import machine
from pipeline.execution.graph.svg import svg

if TYPE_CHECKING:
    from pipeline.aws import Clients
    from pipeline.settings.model import Settings

__all__ = ["draw", "nodes", "of_execution"]


def draw(asl: Mapping[str, Any], form: str, statuses: Mapping[str, str], title: str) -> str:
    """The definition `asl` as `mermaid` text or `svg`."""
    return (svg if form == "svg" else mermaid)(machine(asl), statuses, title)


def nodes(asl: Mapping[str, Any], statuses: Mapping[str, str]) -> list[dict[str, Any]]:
    """The states with their type and status, for machines."""
    return [
        {"name": node.name, "type": node.type, "detail": node.detail, "status": statuses.get(node.name, "")}
        for node in machine(asl).walk()
    ]


def of_execution(
    settings: Settings, clients: Clients, which: str
) -> tuple[dict[str, Any], dict[str, str], str]:
    """Definition, state -> status, and a title, of an execution (ARN, name or `last`)."""
    from pipeline.aws.errors import told
    from pipeline.execution import start
    from pipeline.execution.follow import Watcher

    run = start.find(settings, clients, which)
    with told(clients.target.name):
        # The definition it runs with: the deployed one may have changed since.
        found = clients.stepfunctions.describe_state_machine_for_execution(executionArn=run.arn)
    step = Watcher(clients, run.arn).look()
    return json.loads(found["definition"]), step.timeline.statuses(), f"{run.name}: {step.status}"
