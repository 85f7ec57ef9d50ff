"""Look a training job's own metrics up by name; where they have rules, go on only if these are kept.

TrainingMetrics -- passed, or no rules --> the next block
                |-- broken --> TrainingMetricsRejected (the run fails with the rules that were broken)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.steps.block import Block, Failure, invoke
from pipeline.steps.sdk import ChoiceRule, Gateway
from pipeline.steps.train import Train
from pipeline.steps.view import Settings

RESULT = "$.training_metrics"
# What the function answers; see pipeline/lambdas/query_training_metrics/handler.py.
ANSWER = ("metrics", "passed", "reason")


class TrainingMetrics(Block):
    """`$.training_metrics` holds metrics (by name), passed and reason.

    A metric that the job does not have, or that is no finite number, fails the run, and the error names those
    there are. This is no substitute for `Gate`, which judges by data that training has never seen: it stops a
    training that came to nothing before its evaluation costs anything.

    Args:
        metrics: names to look up; default: all of the settings' `[[metrics]]`.
        rules: `{"metric": name, "minimum": number, "maximum": number}`, either bound or both.
    """

    def __init__(
        self,
        settings: Settings,
        model: Train,
        *,
        metrics: Sequence[str] | None = None,
        rules: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        known = [metric.name for metric in settings.pipeline.metrics]
        names = known if metrics is None else list(metrics)
        unknown = sorted({*names, *(rule["metric"] for rule in rules)} - set(known))
        if unknown or not names:
            raise ValueError(
                f"[[metrics]] of settings.toml define {', '.join(known) or 'nothing'}; "
                f"asked for: {', '.join(unknown) or 'nothing'}"
            )
        query = invoke(
            settings,
            "TrainingMetrics",
            "query_training_metrics",
            {
                "training_job_name.$": model.job_name,
                "metrics": names,
                "rules": [dict(rule) for rule in rules],
            },
            comment="By name: the list of a job's metrics has no order.",
            result_path=RESULT,
        ).select({f"{name}.$": f"$.Payload.{name}" for name in ANSWER})
        steps: list[Any] = [query]
        if rules:
            kept = ChoiceRule.BooleanEquals(variable=f"{RESULT}.passed", value=True)
            broken = Failure("TrainingMetricsRejected", f"{RESULT}.reason")
            steps.append(Gateway("TrainingMetricsPassed", kept, otherwise=broken))
        super().__init__(settings, steps)
