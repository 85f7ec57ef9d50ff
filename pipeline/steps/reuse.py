"""Make nothing twice: what was made of the same data, code and parameters is used instead.

    Reuse(settings, train, evaluate)

stands before the blocks that it may skip. FindReusable looks for the fingerprints that CheckData computed:
a registered model goes straight to `Deploy` (or to `Approve`, if nobody has decided yet); a finished job
stands for its block. `$.reuse` keeps what was decided, and why, in words. Whatever is in doubt is made anew.

A block can be skipped if it has a `job`: its SageMaker job carries the tag `fingerprint`, its Glue run the
argument `--FINGERPRINT`, and the block's result is read from the job alone.
"""

from __future__ import annotations

from typing import Any

from pipeline.steps.approval import Approve
from pipeline.steps.block import Block, Job, invoke
from pipeline.steps.deploy import Deploy
from pipeline.steps.route import Route
from pipeline.steps.sdk import Choice, ChoiceRule
from pipeline.steps.view import Settings

# Where a model that exists goes: "deploy", "approve", or "" for none.
ROUTE = "$.reuse.model.route"


class Reuse(Block):
    """Looks for what may be used instead of making it, and lets the run skip that.

    Args:
        blocks: the blocks that may be skipped, in their order. Each of them needs a `job`.
    """

    def __init__(self, settings: Settings, *blocks: Block) -> None:
        self.blocks = blocks
        find: Any = invoke(
            settings,
            "FindReusable",
            "find_reusable",
            {
                "state.$": "$",
                "execution_input.$": "$$.Execution.Input",
                "jobs": [_job(block).as_payload() for block in blocks],
                **settings_of(settings),
            },
            comment="Was this made already, of the same data, code and parameters?",
            output_path="$.Payload",
        )
        self._known = Choice("IsModelReusable", comment="A model that was approved needs no approval again.")
        super().__init__(settings, [find, self._known])

    def connect(self, route: Route) -> None:
        deploy = route.entry(Deploy, wanted_by="Reuse")
        self._known.add_choice(ChoiceRule.StringEquals(variable=ROUTE, value="deploy"), deploy)
        if asks(self.settings, route, "Reuse"):
            approve = route.entry(Approve, wanted_by="Reuse")
            self._known.add_choice(ChoiceRule.StringEquals(variable=ROUTE, value="approve"), approve)

    def gateway(self, block: Block) -> Choice:
        """The state to stand before a block; `connect_gateway` says where it leads if that is skipped."""
        name = "".join(part.title() for part in _job(block).result.split("_"))
        return Choice(f"Is{name}Reusable")

    @staticmethod
    def connect_gateway(gateway: Choice, block: Block, after: Any) -> None:
        skipped = ChoiceRule.BooleanEquals(variable=f"$.reuse.{_job(block).result}.reuse", value=True)
        gateway.add_choice(skipped, after)


def settings_of(settings: Settings) -> dict[str, Any]:
    """What the function must know of the settings besides names."""
    return {
        "manual": settings.environment.approval.mode == "manual",
        "metrics": [rule.metric for rule in settings.pipeline.gate],
    }


def asks(settings: Settings, route: Route, wanted_by: str) -> bool:
    """Whether a human decides here; then `Approve` must be among the steps."""
    if settings.environment.approval.mode != "manual":
        return False
    route.entry(Approve, wanted_by=f"{wanted_by} with manual approval")
    return True


def _job(block: Block) -> Job:
    if block.job is None:
        raise ValueError(
            f"{type(block).__name__} has no job that could be found again: leave it out of Reuse"
        )
    return block.job
