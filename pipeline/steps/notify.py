"""Tell people what a run does. A message that cannot be sent never changes the run's way."""

from __future__ import annotations

from typing import Any

from pipeline.steps.block import Unheeded, invoke
from pipeline.steps.view import Settings


def tell(settings: Settings, state_id: str, kind: str, details: dict[str, Any] | None = None) -> Any:
    """A step that sends one message.

    Args:
        kind: started, trained, rejected, data_rejected, data_notes, approval, deployed, failed or
            nothing_new.
        details: what the message says besides; keys ending in `.$` are paths into the run's data.
    """
    payload = {
        "kind": kind,
        "pipeline": settings.name,
        "environment": settings.environment_name,
        "execution_arn.$": "$$.Execution.Id",
        "execution_name.$": "$$.Execution.Name",
        "details": details or {},
    }
    return invoke(settings, state_id, "notify", payload, cls=Unheeded, result_path=None)
