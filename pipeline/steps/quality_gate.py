"""Let only data be trained on that keeps the rules of [transforms.X.quality].

QualityGate -- passed --> the next block
            |-- rejected --> told, DataRejected (the run fails with every rule that was broken)

Stands after the transforms. A transform whose data is over a limit ends well and leaves no dataset, so that
reuse finds it again; here is where the run ends.
"""

from __future__ import annotations

from typing import Any

from pipeline.steps.block import Block, invoke
from pipeline.steps.notify import tell
from pipeline.steps.register import Register
from pipeline.steps.route import Route
from pipeline.steps.sdk import Chain, Choice, ChoiceRule, Fail, Gateway
from pipeline.steps.transform import Transform
from pipeline.steps.view import Settings

RESULT = "$.quality"
# What the function answers; see pipeline/lambdas/gate_data/handler.py.
VERDICT = ("passed", "reason", "failed", "notes", "summary", "checks", "baseline", "report", "profile")


class QualityGate(Block):
    """`$.quality` holds passed, reason, failed (sentences), notes, report and profile (S3 URIs).

    Args:
        transforms: whose reports are read, all of which run or were skipped before.
    """

    def __init__(self, settings: Settings, *transforms: Transform) -> None:
        if not transforms:
            raise ValueError("QualityGate judges what transforms left: name one or more")
        if programs := [t.name for t in transforms if t.program]:
            raise ValueError(
                f"QualityGate reads the reports of Glue jobs; {', '.join(programs)} is run by the container, "
                "whose program refuses bad data itself"
            )
        rules = {t.name: found for t in transforms if (found := drift_rules(settings, t.name))}
        payload: dict[str, Any] = {
            "outputs": {f"{t.name}.$": t.output for t in transforms},
            "fingerprints": {f"{t.name}.$": f"$.run.fingerprints.{t.name}" for t in transforms},
            "rules": rules,
            "model_package_group_name": settings.stack_name,
            "to.$": "$.run.output_prefix",
        }
        judge = invoke(
            settings,
            "QualityGate",
            "gate_data",
            payload,
            comment="Only data that keeps its rules is trained on.",
            result_path=RESULT,
        ).select({f"{name}.$": f"$.Payload.{name}" for name in VERDICT})
        passed = ChoiceRule.BooleanEquals(variable=f"{RESULT}.passed", value=True)
        steps: list[Any] = [judge, Gateway("DataPassed", passed, otherwise=_rejected(settings))]
        if any(limits["action"] == "tell" for frames in rules.values() for limits in frames.values()):
            steps.append(_NotesTold(settings))
        super().__init__(settings, steps)

    def connect(self, route: Route) -> None:
        """Let the registry say what data the model was made of."""
        for block in route.all(Register):
            block.record(
                {
                    "data_profile.$": f"{RESULT}.profile",
                    "data_quality_uri.$": f"{RESULT}.report",
                    "data_quality.$": f"{RESULT}.summary",
                }
            )


def drift_rules(settings: Settings, transform: str) -> dict[str, Any]:
    """The limits of drift of a transform's frames."""
    frames = settings.pipeline.transforms[transform].quality
    return {
        frame: {key: value for key, value in rules["drift"].items() if value is not None}
        for frame, rules in sorted(frames.items())
        if rules.get("drift")
    }


class _NotesTold(Choice):
    """Drift that is only told, and only where there is some."""

    def __init__(self, settings: Settings) -> None:
        super().__init__("AreNotesToTell")
        self._told = tell(
            settings, "NotifyDataNotes", "data_notes", {"notes.$": f"{RESULT}.notes", "date.$": "$.run.date"}
        )
        self.add_choice(ChoiceRule.StringGreaterThan(variable=f"{RESULT}.notes", value=""), self._told)

    def next(self, next_step: Any) -> Any:
        self._told.next(next_step)
        self.default_choice(next_step)
        return next_step


def _rejected(settings: Settings) -> Chain:
    """Tell, and fail the run by the name DataRejected."""
    told = tell(
        settings,
        "NotifyDataRejected",
        "data_rejected",
        {"reason.$": f"{RESULT}.reason", "report.$": f"{RESULT}.report", "date.$": "$.run.date"},
    )
    return Chain([told, Fail("DataRejected", error="DataRejected", cause=f"{RESULT}.reason")])
