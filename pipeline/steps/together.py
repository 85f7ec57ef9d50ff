"""Run transforms at the same time; what each of them made is found where it would be after one by one.

    Together(settings, [Transform(settings, "features")], [Transform(settings, "item2vec"), publish])

A failure of one branch stops the others, their jobs included, and fails the run by its own name: Step
Functions cancels `.sync` tasks when another branch fails
(https://docs.aws.amazon.com/step-functions/latest/dg/connect-to-resource.html#connect-sync). No state may
lead out of a branch, so blocks that jump (Entrance, Reuse, Gate, Approve, Deploy) stand outside.
"""

from __future__ import annotations

from typing import Any

from pipeline.errors import DefinitionError
from pipeline.steps.block import Block
from pipeline.steps.sdk import Chain, Parallel, Pass
from pipeline.steps.transform import RESULTS, Transform
from pipeline.steps.view import Settings

MERGED = "$.together"


class Together(Block):
    """Each list of steps is a branch; `$.transforms` holds the transforms of all of them afterwards.

    Of what else a branch leaves in its data, nothing is kept. The whole takes as long as its longest branch.

    Args:
        branches: two or more, each with blocks and raw steps in their order.
        name: of the Parallel state, where a definition has more than one.
    """

    def __init__(self, settings: Settings, *branches: list[Any], name: str = "Together") -> None:
        if len(branches) < 2 or not all(branches):
            raise DefinitionError("Together needs two branches or more, each with a step")
        self.name = name
        self.branches = [list(branch) for branch in branches]
        self.transforms = [step for branch in branches for step in branch if isinstance(step, Transform)]
        for step in self._blocks():
            if not isinstance(step, Transform):
                raise DefinitionError(
                    f"{type(step).__name__} cannot stand inside Together: no state may lead out of a branch",
                    hint="put it after Together",
                )
        makers = [
            f"$[{place}].{RESULTS.removeprefix('$.')}"
            for place, branch in enumerate(branches)
            if any(isinstance(step, Transform) for step in branch)
        ]
        self._state = Parallel(
            name,
            comment="A failure of one ends the others.",
            result_path=MERGED,
        ).select({"transforms.$": _merged(makers)} if makers else {})
        merge = Pass(f"Merge{name}", input_path=f"{MERGED}.transforms", result_path=RESULTS)
        super().__init__(settings, [self._state, *([merge] if makers else [])])

    def _blocks(self) -> list[Block]:
        return [step for branch in self.branches for step in branch if isinstance(step, Block)]

    def close(self, woven: list[list[Any]]) -> None:
        """Put the branches in, as `Pipeline` wove them."""
        self._state.branches = [Chain(branch) for branch in woven]

    def end(self, place: int) -> Pass:
        """The state that ends a branch: where a branch goes whose last block is skipped."""
        return Pass(f"{self.name}{place + 1}Done")


def _merged(paths: list[str]) -> str:
    """All of these objects in one; each branch began with what there was before."""
    text = paths[0]
    for path in paths[1:]:
        text = f"States.JsonMerge({text}, {path}, false)"
    return text
