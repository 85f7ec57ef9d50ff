"""Ask a fresh deployment for one prediction; take back a model that does not give it."""

from __future__ import annotations

from typing import Any

from pipeline.steps.block import FailWithCaught, go_on, invoke
from pipeline.steps.endpoint import endpoint_step
from pipeline.steps.intrinsics import fmt
from pipeline.steps.register import set_approval
from pipeline.steps.rollout import is_scaled
from pipeline.steps.sdk import Catch, Chain, Choice, ChoiceRule, Pass
from pipeline.steps.view import Settings

CAUGHT = "$.smoke_error"


def test(settings: Settings, name: str) -> Any:
    """The Task, and the way of a failure: earlier config back, model Rejected with the reason, run failed."""
    smoke = settings.pipeline.smoke
    step = invoke(
        settings,
        "SmokeTest",
        "smoke_test",
        {
            "endpoint_name": name,
            "content_type": smoke.content_type,
            "accept": smoke.accept,
            "body": smoke.body,
            **({"encoding": smoke.encoding} if smoke.encoding != "text" else {}),
        },
        comment="One real request; an endpoint that does not answer it is taken back.",
        result_path="$.smoke",
    ).select({"status.$": "$.Payload.status", "latency_ms.$": "$.Payload.latency_ms"})
    rejecting = _rejecting()
    # Its own number of instances is the least there may be; those that the load called for stay.
    options = {"RetainAllVariantProperties": True} if is_scaled(settings) else {}
    restore = endpoint_step("RestoreEarlierConfig", name, "$.before.EndpointConfigName", options, update=True)
    go_on(restore, rejecting)
    updated = ChoiceRule.StringEquals(variable="$.deployment.change", value="update")
    earlier = Choice("IsThereAnEarlierConfig")
    earlier.add_choice(updated, restore)
    earlier.default_choice(rejecting)
    step.add_catch(Catch(error_equals=["States.ALL"], next_step=earlier, result_path=CAUGHT))
    return step


def _rejecting() -> Choice:
    """Reject the registered version, then fail the run with what the smoke test found."""
    failed = FailWithCaught("SmokeTestFailed", CAUGHT)
    # Only what our function raised is sure to be JSON with a message; on anything else StringToJson would end
    # the run.
    reason = Pass(
        "ReadSmokeTestError",
        parameters={"said.$": f"States.StringToJson({CAUGHT}.Cause)"},
        result_path="$.smoke",
    )
    why = fmt("Smoke test failed in execution {}: {}", "$$.Execution.Name", "$.smoke.said.errorMessage")
    what = fmt("Smoke test failed in execution {}: {}", "$$.Execution.Name", f"{CAUGHT}.Error")
    told = set_approval("RejectModelBecause", "Rejected", why)
    untold = set_approval("RejectModel", "Rejected", what)
    for step in (told, untold):
        go_on(step, failed)
    answered = ChoiceRule.And(
        [
            ChoiceRule.StringEquals(variable=f"{CAUGHT}.Error", value="SmokeTestFailed"),
            ChoiceRule.StringMatches(variable=f"{CAUGHT}.Cause", value='{*"errorMessage":*}'),
        ]
    )
    choice = Choice("SmokeTestSaysWhy")
    choice.add_choice(answered, Chain([reason, told]))
    choice.default_choice(untold)
    return choice
