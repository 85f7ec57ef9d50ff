"""What every integration has: which resources it serves, what the history shows, and the work itself."""

from __future__ import annotations

from typing import Any

from pipeline.local.states.taskcall import Resource, TaskCall


class Integration:
    """One service's Task resources."""

    def supports(self, resource: Resource) -> bool:
        """Whether the service has this API and pattern."""
        raise NotImplementedError

    def run(self, call: TaskCall) -> Any:
        """Do the work and return the task's result.

        Raises StateFailure when it fails, TimedOut or Stopped when it must end before; what it has started is
        then stopped.
        """
        raise NotImplementedError

    def shown(self, call: TaskCall) -> Any:
        """The parameters as TaskScheduled shows them."""
        return call.parameters

    def managed_rule(self, resource: Resource) -> str:  # noqa: ARG002 - the default has none
        """The name of the EventBridge rule that AWS manages for the resource."""
        return ""
