"""Let a model pass only if its metrics on held-out data are within their bounds, and beside the champion's.

[FindChampion -> EvaluateChampion] -> Gate -- passed --> the next block
                                        |-- rejected --> registered as Rejected, told, ModelRejected
"""

from __future__ import annotations

from typing import Any

from pipeline.steps import capacity, champion
from pipeline.steps.block import Block, invoke
from pipeline.steps.bundle import Bundle
from pipeline.steps.evaluate import Evaluate
from pipeline.steps.register import rejected
from pipeline.steps.sdk import ChoiceRule, Gateway
from pipeline.steps.train import Train
from pipeline.steps.view import Settings

# What the function answers; see pipeline/lambdas/gate/handler.py.
VERDICT = ("approved", "reason", "metrics", "results", "champion", "summary", "explanation")
TERMS = ("margin", "doubt")


class Gate(Block):
    """`$.gate` holds approved, reason and metrics, and the arithmetic. Missing, NaN or stale never passes.

    Where a rule compares with the champion, it is found (and evaluated, if need be) before. A rejected model
    is registered as Rejected, told, and ends the run as ModelRejected.
    """

    def __init__(self, settings: Settings, model: Train | Bundle, report: Evaluate) -> None:
        rules = [_rule(settings, rule) for rule in settings.pipeline.gate]
        compares = any("champion" in rule for rule in rules)
        payload: dict[str, Any] = {
            "evaluation_uri.$": report.report,
            "rules": rules,
            "not_before.$": report.not_before,
        }
        if compares:
            payload["champion.$"] = champion.RESULT
        judge = invoke(
            settings,
            "Gate",
            "gate",
            payload,
            comment="Only the report of this very evaluation counts.",
            result_path="$.gate",
        ).select({f"{name}.$": f"$.Payload.{name}" for name in VERDICT})
        approved = ChoiceRule.BooleanEquals(variable="$.gate.approved", value=True)
        passed = Gateway("GatePassed", approved, otherwise=rejected(settings, model, report))
        before = champion.finding(settings, model, report, judge) if compares else []
        self.wait_seconds = capacity.wait_seconds() if compares else 0
        super().__init__(settings, [*before, judge, passed])


def _rule(settings: Settings, rule: Any) -> dict[str, Any]:
    """One rule as the function wants it; all of it decides whether a model passes."""
    bounds = {key: rule[key] for key in ("metric", "minimum", "maximum") if rule.get(key) is not None}
    better = _better(rule)
    terms = settings.pipeline.champion
    if not (terms.compare and rule.compare and better):
        return bounds
    own = {key: rule[key] for key in TERMS}
    common = {key: terms[key] for key in ("confidence", "resamples", "when_unknown")}
    return {**bounds, "champion": {"better": better, **own, **common}}


def _better(rule: Any) -> str:
    """`higher` or `lower`; "" where both bounds are given and nothing says which end is the better one."""
    if rule.better:
        return str(rule.better)
    if rule.minimum is not None and rule.maximum is not None:
        return ""
    return "higher" if rule.minimum is not None else "lower"
