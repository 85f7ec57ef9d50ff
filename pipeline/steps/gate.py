"""Let a model pass only if its metrics on held-out data, looked up by name, are within their bounds."""

from __future__ import annotations

from typing import Any

from pipeline.steps.block import Block, invoke
from pipeline.steps.evaluate import Evaluate
from pipeline.steps.register import rejected
from pipeline.steps.sdk import ChoiceRule, Gateway
from pipeline.steps.train import Train
from pipeline.steps.view import Settings


class Gate(Block):
    """`$.gate` holds approved, reason and metrics. Missing, NaN or stale never passes.

    A rejected model is registered as Rejected, told, and ends the run as ModelRejected.
    """

    def __init__(self, settings: Settings, model: Train, report: Evaluate) -> None:
        judge = invoke(
            settings,
            "Gate",
            "gate",
            {
                "evaluation_uri.$": report.report,
                "rules": [_rule(rule) for rule in settings.pipeline.gate],
                "not_before.$": report.not_before,
            },
            comment="Only the report of this very evaluation counts.",
            result_path="$.gate",
        ).select(
            {
                "approved.$": "$.Payload.approved",
                "reason.$": "$.Payload.reason",
                "metrics.$": "$.Payload.metrics",
            }
        )
        approved = ChoiceRule.BooleanEquals(variable="$.gate.approved", value=True)
        passed = Gateway("GatePassed", approved, otherwise=rejected(settings, model, report))
        super().__init__(settings, [judge, passed])


def _rule(rule: Any) -> dict[str, Any]:
    return {key: rule[key] for key in ("metric", "minimum", "maximum") if rule.get(key) is not None}
