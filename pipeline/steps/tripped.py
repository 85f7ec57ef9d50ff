"""Which alarm took a new model back: asked after a rollback, told as the run's error, kept in the registry.

SageMaker reports a rollback only by serving the earlier configuration again; its FailureReason names no alarm
that could be relied on. The alarms belong to the configuration that was taken back, so those of them in ALARM
are the reason.
"""

from __future__ import annotations

from typing import Any

from pipeline.steps.block import Failure, call, go_on
from pipeline.steps.intrinsics import fmt
from pipeline.steps.register import set_approval
from pipeline.steps.sdk import Catch, Choice, ChoiceRule, State

NAMES = "States.JsonToString($.tripped.names)"


def tripped(name: str, otherwise: State) -> State:
    """The state to enter after a rollback; `otherwise` is where no alarm had a part in it."""
    ask = call(
        "AskAlarms",
        "cloudwatch",
        "describeAlarms",
        {
            "AlarmNamePrefix.$": fmt(f"{name}-{{}}-", "$.run.run_id"),
            "AlarmTypes": ["MetricAlarm"],
            "StateValue": "ALARM",
        },
        result_path="$.tripped",
    ).select({"names.$": "$.MetricAlarms[*].AlarmName"})
    ask.add_catch(Catch(error_equals=["States.ALL"], next_step=otherwise, result_path=None))
    failure = Failure(
        "EndpointRolledBackByAlarm",
        fmt(
            f"Endpoint {name} is InService with {{}} instead of the requested {{}}: the update was rolled "
            "back by alarm {}",
            "$.endpoint.EndpointConfigName",
            "$.requested.EndpointConfigName",
            NAMES,
        ),
        error="EndpointRolledBack",
    )
    # It passed the gate and failed its users: no later run may deploy it again as if nothing had been.
    reject = set_approval(
        "RejectRolledBack",
        "Rejected",
        fmt("Taken back in execution {} by alarm {}", "$$.Execution.Name", NAMES),
    )
    go_on(reject, failure)
    any_at_all = Choice("DidAnAlarmTrip")
    any_at_all.add_choice(ChoiceRule.IsPresent(variable="$.tripped.names[0]", value=True), reject)
    any_at_all.default_choice(otherwise)
    ask.next(any_at_all)
    entry: Any = ask
    return entry
