"""Where blocks begin and what comes after them, for the blocks that jump over others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pipeline.errors import DefinitionError
from pipeline.steps.sdk import Chain


class Route:
    """The steps of a pipeline in their order, the last of them one that ends it.

    A block may be empty (no approval is asked for); what comes after it stands for it.
    """

    def __init__(self, steps: Sequence[Any]) -> None:
        self._steps = list(steps)

    def has(self, kind: type) -> bool:
        """Whether a block of this kind is among the steps."""
        return any(isinstance(step, kind) for step in self._steps)

    def all(self, kind: type) -> list[Any]:
        """The blocks of this kind, in their order."""
        return [step for step in self._steps if isinstance(step, kind)]

    def entry(self, kind: type, *, wanted_by: str) -> Any:
        """The first state of the first block of this kind.

        Raises:
            DefinitionError: there is none, named with who needs it.
        """
        for place, step in enumerate(self._steps):
            if isinstance(step, kind):
                return self._first(place)
        raise DefinitionError(
            f"{wanted_by} leads to {kind.__name__}, which is not among the steps",
            hint=f"put {kind.__name__}(settings) into the list, or leave {wanted_by} out",
        )

    def after(self, block: Any) -> Any:
        """The first state after a block."""
        place = next(place for place, step in enumerate(self._steps) if step is block)
        return self._first(place + 1)

    def _first(self, place: int) -> Any:
        for step in self._steps[place:]:
            # Not getattr: the SDK's states have every attribute, most of them None.
            states = step.steps if isinstance(step, Chain) else [step]
            if states:
                return states[0]
        raise AssertionError("the last step is a state")
