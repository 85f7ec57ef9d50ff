"""The way in for a model that exists: `PACKAGE` in the execution's input goes straight to its deployment.

    {"PACKAGE": {"ModelPackageArn": "arn:...", "Why": "promotion v1.2.3", "Approval": "as-settings",
                 "Watermark": false}}

That is how promotion and rollback deploy. The version must be in this pipeline's own group, not rejected, and
its artifact and image must be there; anything else fails the run as `BadPackage`, with the reason.
"""

from __future__ import annotations

from typing import Any

from pipeline.steps.approval import Approve
from pipeline.steps.block import APPLIED, Block, invoke
from pipeline.steps.deploy import Deploy
from pipeline.steps.register import set_approval
from pipeline.steps.reuse import ROUTE, asks, settings_of
from pipeline.steps.route import Route
from pipeline.steps.sdk import Choice, ChoiceRule, Gateway
from pipeline.steps.view import Settings


class Entrance(Block):
    """Goes on to the next block, or with `PACKAGE` to `Approve` or `Deploy`.

    Both find the same: `$.package.ModelPackageArn`, `$.gate.metrics`, `$.run` and `$.input.given`.
    """

    def __init__(self, settings: Settings) -> None:
        self._given = Choice("IsPackageGiven", comment="Promotion and rollback deploy a model that exists.")
        self._read: Any = invoke(
            settings,
            "ReadPackage",
            "find_reusable",
            {
                "input.$": "$$.Execution.Input",
                "defaults": APPLIED,
                "start_time.$": "$$.Execution.StartTime",
                "execution_arn.$": "$$.Execution.Id",
                **settings_of(settings),
            },
            comment="In this group, not rejected, its artifact and image there?",
        ).select(
            {
                "run.$": "$.Payload.run",
                "input.$": "$.Payload.input",
                "package.$": "$.Payload.package",
                "gate.$": "$.Payload.gate",
                "reuse.$": "$.Payload.reuse",
            }
        )
        super().__init__(settings, [self._given])

    def connect(self, route: Route) -> None:
        deploy = route.entry(Deploy, wanted_by="Entrance")
        approve = set_approval("ApproveGiven", "Approved", "$.package.why")
        approve.next(deploy)
        ready = ChoiceRule.StringEquals(variable=ROUTE, value="deploy")
        waits = Gateway("GivenPackageIsApproved", ready, otherwise=approve)
        if asks(self.settings, route, "Entrance"):
            undecided = ChoiceRule.StringEquals(variable=ROUTE, value="approve")
            waits.add_choice(undecided, route.entry(Approve, wanted_by="Entrance"))
        waits.next(deploy)
        self._read.next(waits)
        self._given.add_choice(ChoiceRule.IsPresent(variable="$.PACKAGE", value=True), self._read)
