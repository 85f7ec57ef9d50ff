"""Look for new data and fix what the run reads; end well where there is none."""

from __future__ import annotations

from pipeline.steps.block import APPLIED, Block, invoke
from pipeline.steps.notify import tell
from pipeline.steps.sdk import Chain, ChoiceRule, Gateway, Succeed
from pipeline.steps.view import Settings


class CheckData(Block):
    """From here on `$.run` holds the run's id, date, data version, channels and fingerprints.

    `$.input.given` is what whoever started the run said of it: GIT_SHA, PULL_REQUEST, RUN_URL, REASON.
    """

    def __init__(self, settings: Settings) -> None:
        check = invoke(
            settings,
            "CheckData",
            "check_data",
            {
                "input.$": "$$.Execution.Input",
                "defaults": APPLIED,
                "start_time.$": "$$.Execution.StartTime",
                "execution_arn.$": "$$.Execution.Id",
            },
            comment="Which day's data is it, and was it trained on already?",
        ).select({"run.$": "$.Payload.run", "input.$": "$.Payload.input"})
        nothing = Chain(
            [
                tell(
                    settings,
                    "NotifyNothingNew",
                    "nothing_new",
                    {"date.$": "$.run.date", "reason.$": "$.run.reason"},
                ),
                Succeed("NothingNew", comment="No new data: nothing to do, which is well."),
            ]
        )
        is_new = ChoiceRule.BooleanEquals(variable="$.run.new", value=True)
        started = tell(
            settings,
            "NotifyStarted",
            "started",
            {"date.$": "$.run.date", "data_version.$": "$.run.data_version", "reason.$": "$.run.reason"},
        )
        gateway = Gateway("IsThereNewData", is_new, otherwise=nothing)
        super().__init__(settings, [check, gateway, started])
