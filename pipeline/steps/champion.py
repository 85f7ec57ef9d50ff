"""Find the model that serves, and learn how good it is on the very rows that the new one was measured on.

    FindChampion -- nothing serves, or its evaluation is of the same rows --> the next state
        |
    EvaluateChampion: its own image and artifact, on this run's held-out data
        | fails
    ChampionNotEvaluated: the gate is told, and lets nothing pass for want of an answer

`$.champion` holds what was found: exists, why, package, report, image, artifacts, evaluate; then
`evaluation` (the job's report) or `failed` (its error).
"""

from __future__ import annotations

from typing import Any

from pipeline.steps import capacity
from pipeline.steps.block import invoke, tags
from pipeline.steps.bundle import Bundle
from pipeline.steps.evaluate import Evaluate, evaluating
from pipeline.steps.sdk import Catch, Choice, ChoiceRule, Pass
from pipeline.steps.train import Train
from pipeline.steps.view import Settings

RESULT = "$.champion"
# A second processing job of the run: see capacity.job_name.
KIND = "c"
# Not one of the run's own fingerprints: this job makes nothing that a model is made of.
TAG = {"Key": "fingerprint", "Value": "champion"}

FOUND = ("exists", "why", "package", "report", "image", "artifacts", "evaluate")


def finding(settings: Settings, model: Train | Bundle, report: Evaluate, onward: Any) -> list[Any]:
    """The states to stand before `onward`; each of them leads there in the end."""
    find = invoke(
        settings,
        "FindChampion",
        "find_champion",
        {
            "endpoint_name": settings.stack_name,
            "model_package_group_name": settings.stack_name,
            "challenger": {"report.$": report.report, "artifacts.$": model.artifacts},
        },
        comment="Which model serves, and was it evaluated on the same rows?",
        result_path=RESULT,
    ).select({f"{name}.$": f"$.Payload.{name}" for name in FOUND})
    unknown = Pass(
        "ChampionNotEvaluated",
        comment="The gate decides by settings; without a word of theirs it lets nothing pass.",
        input_path="$.error",
        result_path=f"{RESULT}.failed",
    )
    unknown.next(onward)
    evaluate = _evaluate(settings, report)
    begin = capacity.patient(evaluate, otherwise=unknown)
    evaluate.add_catch(Catch(error_equals=["States.ALL"], next_step=unknown, result_path="$.error"))
    evaluate.next(onward)
    must = Choice("IsChampionToBeEvaluated")
    must.add_choice(ChoiceRule.BooleanEquals(variable=f"{RESULT}.evaluate", value=True), begin)
    must.default_choice(onward)
    return [find, must]


def _evaluate(settings: Settings, report: Evaluate) -> Any:
    own = [tag for tag in tags(settings) if tag["Key"].lower() != TAG["Key"]]
    return evaluating(
        settings,
        "EvaluateChampion",
        {"ImageUri.$": f"{RESULT}.image"},
        f"{RESULT}.artifacts",
        "champion",
        network_isolation=report.network_isolation,
        environment=report.environment,
        comment="The serving model by its own image, on the rows that the new one was measured on.",
        result_path=f"{RESULT}.evaluation",
    ).amend(
        {
            "ProcessingJobName.$": capacity.job_name(settings, "EvaluateChampion", KIND),
            "Tags": [*own, TAG],
        }
    )
