"""Wait for a human where the environment asks for one; go straight on where it does not."""

from __future__ import annotations

from pipeline.steps.block import Block, FailWithCaught, invoke
from pipeline.steps.intrinsics import fmt
from pipeline.steps.notify import tell
from pipeline.steps.register import PACKAGE_ARN, set_approval
from pipeline.steps.sdk import Catch, Chain, LambdaStep
from pipeline.steps.view import Settings

SECONDS_AN_HOUR = 3600


class _Asking(LambdaStep):
    """`lambda:invoke.waitForTaskToken`: the function keeps the token, the state waits for its use."""

    def __init__(self, state_id: str, **fields: object) -> None:
        super().__init__(state_id, wait_for_callback=True, **fields)


class Approve(Block):
    """Asks for approval by `pipeline approve`, and expires.

    Approved: the registered version becomes Approved. Rejected or expired: it becomes Rejected and the run
    fails with `ApprovalRejected` or `States.Timeout`; what is deployed stays.
    """

    def __init__(self, settings: Settings) -> None:
        approval = settings.environment.approval
        super().__init__(settings, [] if approval.mode == "automatic" else _asking(settings))


def _asking(settings: Settings) -> list[object]:
    hours = settings.environment.approval.expires_hours
    told = tell(
        settings,
        "NotifyApproval",
        "approval",
        {
            "model_package.$": PACKAGE_ARN,
            "metrics.$": "$.gate.metrics",
            "gate.$": "$.gate.reason",
            "date.$": "$.run.date",
            "expires_hours": hours,
        },
    )
    ask = invoke(
        settings,
        "RequestApproval",
        "request_approval",
        {
            "task_token.$": "$$.Task.Token",
            "execution_arn.$": "$$.Execution.Id",
            "execution_name.$": "$$.Execution.Name",
            "model_package_arn.$": PACKAGE_ARN,
            "metrics.$": "$.gate.metrics",
            "gate.$": "$.gate.reason",
            "data_date.$": "$.run.date",
            "expires_hours": hours,
        },
        cls=_Asking,
        comment="Waits until somebody decides or the time is up.",
        timeout_seconds=hours * SECONDS_AN_HOUR,
        result_path="$.approval",
    )
    declined = set_approval(
        "DeclineModel",
        "Rejected",
        fmt("Not approved: {} in execution {}", "$.declined.Error", "$$.Execution.Name"),
    )
    Chain([declined, FailWithCaught("ModelDeclined", "$.declined")])
    ask.add_catch(
        Catch(
            error_equals=["ApprovalRejected", "States.Timeout"], next_step=declined, result_path="$.declined"
        )
    )
    approve = set_approval("ApproveModel", "Approved", fmt("Approved in execution {}", "$$.Execution.Name"))
    return [told, ask, approve]
