"""Look for new data and fix what the run reads; end well where there is none."""

from __future__ import annotations

from pipeline.steps.block import APPLIED_SHA, Block, invoke
from pipeline.steps.notify import tell
from pipeline.steps.sdk import Chain, ChoiceRule, Gateway, Pass, Succeed
from pipeline.steps.view import Settings


class CheckData(Block):
    """The first block: from here on `$.run` holds the run's id, date, data version and channels."""

    def __init__(self, settings: Settings) -> None:
        check = invoke(
            settings,
            "CheckData",
            "check_data",
            {
                "input.$": "$$.Execution.Input",
                "start_time.$": "$$.Execution.StartTime",
                "execution_arn.$": "$$.Execution.Id",
            },
            comment="Which day's data is it, and was it trained on already?",
        ).select({"run.$": "$.Payload", "defaults": {"GIT_SHA": APPLIED_SHA}})
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
        keep = Pass(
            "KeepInput",
            comment="Who starts a run may say of which commit; else it is the one that was applied.",
            parameters={"given.$": "States.JsonMerge($.defaults, $$.Execution.Input, false)"},
            result_path="$.input",
        )
        gateway = Gateway("IsThereNewData", is_new, otherwise=nothing)
        super().__init__(settings, [check, gateway, keep, started])
