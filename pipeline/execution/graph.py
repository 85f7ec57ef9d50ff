"""An execution as a picture: the definition it runs with, its states coloured by how they went."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from pipeline.graph import draw, nodes

if TYPE_CHECKING:
    from pipeline.aws import Clients
    from pipeline.settings.model import Settings

__all__ = ["draw", "nodes", "of_execution"]


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
