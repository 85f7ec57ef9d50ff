"""The second state machine: compare requests with the training data, tell drift, and start a run for it.

    FindBaseline: what serves, what was captured, what was it trained on?   nothing -> NotCompared
    -> CompareRequests (Glue) -> JudgeDrift                  few -> TooFewRequests, none -> NoDrift
    -> NotifyDrift -> is a run wanted for it?                no -> DriftTold
    -> StartRun of the pipeline's own state machine, with REASON, through the same gate

JudgeDrift names the run after the model that serves, and Step Functions takes a name once: the same drift
starts no second run, however often and by however many this is carried out.
"""

from __future__ import annotations

import json
from typing import Any

from pipeline.names import Names
from pipeline.steps import retry
from pipeline.steps.block import CALL_SECONDS, invoke
from pipeline.steps.notify import tell
from pipeline.steps.pipeline import Pipeline
from pipeline.steps.sdk import Catch, ChoiceRule, Gateway, Succeed, Task, integration_arn
from pipeline.steps.transform import OVERHEAD_SECONDS, SECONDS_A_MINUTE
from pipeline.steps.view import Settings

# Name of its script in the settings' code, beside the transforms'.
SCRIPT = "monitor"
MEASURES = ("psi", "ks", "nulls", "new_categories", "missing_categories")
EXISTS = "StepFunctions.ExecutionAlreadyExistsException"


def machine(settings: Settings) -> Pipeline:
    """The whole state machine of [monitor]."""
    monitor = settings.pipeline.monitor
    comparable = _gateway("IsThereAnythingToCompare", "$.comparison.ready", "NotCompared")
    enough = _gateway("AreThereEnoughRequests", "$.verdict.enough", "TooFewRequests")
    drifted = _gateway("DidTheyDrift", "$.verdict.drift", "NoDrift")
    wanted = _gateway("IsARunWanted", "$.verdict.retrain", "DriftTold")
    told = tell(
        settings,
        "NotifyDrift",
        "drift",
        {
            "features.$": "$.verdict.features",
            "reasons.$": "$.verdict.reasons",
            "records.$": "$.verdict.records",
            "model_package.$": "$.comparison.package",
            "report.$": "$.comparison.output",
            "run.$": "$.verdict.why",
        },
    )
    steps = [_find(settings, monitor), comparable, _compare(settings, monitor), _judge(settings, monitor)]
    return Pipeline(settings, [*steps, enough, drifted, told, wanted, _start(settings)])


def _gateway(state_id: str, path: str, otherwise: str) -> Gateway:
    return Gateway(
        state_id, ChoiceRule.BooleanEquals(variable=path, value=True), otherwise=Succeed(otherwise)
    )


def _find(settings: Settings, monitor: Settings) -> Any:
    payload = {
        "input.$": "$$.Execution.Input",
        "start_time.$": "$$.Execution.StartTime",
        "execution_name.$": "$$.Execution.Name",
        "endpoint_name": settings.stack_name,
        "channel": monitor.channel,
        "window_hours": monitor.window_hours,
        "features": _expressions(monitor),
    }
    return invoke(
        settings,
        "FindBaseline",
        "find_baseline",
        payload,
        comment="What serves, what was captured of its requests, what was it trained on?",
    ).select({"comparison.$": "$.Payload"})


def _compare(settings: Settings, monitor: Settings) -> Task:
    arguments = {
        "--scriptLocation": settings.code.scripts[SCRIPT],
        "--extra-py-files": settings.code.library,
        "--CAPTURE_PATH.$": "$.comparison.capture",
        "--SINCE.$": "$.comparison.since",
        "--UNTIL.$": "$.comparison.until",
        "--TRAINING_PATH.$": "$.comparison.training.uri",
        "--TRAINING_TYPE.$": "$.comparison.training.type",
        "--PACKAGE.$": "$.comparison.package",
        "--BASELINE_PATH.$": "$.comparison.baseline",
        "--OUTPUT_PATH.$": "$.comparison.output",
        "--MINIMUM": str(monitor.minimum_requests),
        "--FEATURES": json.dumps(_expressions(monitor), sort_keys=True),
        "--LIMITS": json.dumps(limits(monitor), sort_keys=True),
    }
    step: Task = Task(
        "CompareRequests",
        resource=integration_arn("glue:startJobRun.sync"),
        parameters={"JobName": Names.of(settings).monitor, "Arguments": arguments},
        comment="Spark computes both profiles and how far they are from each other.",
        timeout_seconds=settings.environment.transform.timeout_minutes * SECONDS_A_MINUTE + OVERHEAD_SECONDS,
        retry=retry.for_glue(),
        result_path="$.job",
    ).select({"JobName.$": "$.JobName", "JobRunId.$": "$.Id"})
    return step


def _judge(settings: Settings, monitor: Settings) -> Any:
    names = Names.of(settings)
    payload = {
        # The run's own clock: the same execution judges the same, however often it is asked.
        "now.$": "$$.Execution.StartTime",
        "report.$": "States.Format('{}/report.json', $.comparison.output)",
        "endpoint_name": settings.stack_name,
        "state_machine_arn": names.state_machine_arn,
        "retrain": monitor.retrain,
        "again_after_days": monitor.again_after_days,
        "namespace": names.monitor_namespace,
    }
    return invoke(
        settings,
        "JudgeDrift",
        "judge_drift",
        payload,
        comment="Metrics for the alarm, and whether this drift starts a run.",
        result_path="$.verdict",
    ).select(
        {
            f"{name}.$": f"$.Payload.{name}"
            for name in (
                "enough",
                "drift",
                "features",
                "reasons",
                "records",
                "minimum",
                "retrain",
                "why",
                "name",
                "input",
            )
        }
    )


def _start(settings: Settings) -> Task:
    step = Task(
        "StartRun",
        resource=integration_arn("states:startExecution"),
        parameters={
            "StateMachineArn": Names.of(settings).state_machine_arn,
            "Name.$": "$.verdict.name",
            "Input.$": "$.verdict.input",
        },
        comment="Train anew, through the same gate.",
        timeout_seconds=CALL_SECONDS,
        retry=retry.standard("states"),
        result_path="$.run",
    ).select({"ExecutionArn.$": "$.ExecutionArn"})
    other = Succeed("RunStartedAlready", comment="Another comparison was faster.")
    step.add_catch(Catch(error_equals=[EXISTS], next_step=other, result_path="$.refused"))
    return step


def _expressions(monitor: Settings) -> dict[str, dict[str, str]]:
    """What decides the baseline, as the script gets it."""
    return {
        name: {"request": feature.request} | ({"training": feature.training} if feature.training else {})
        for name, feature in sorted(monitor.features.items())
    }


def limits(monitor: Settings) -> dict[str, dict[str, float]]:
    """The limits of each feature: its own over the general ones."""

    def given(table: Any) -> dict[str, float]:
        return {key: table[key] for key in MEASURES if table.get(key) is not None}

    return {
        name: {**given(monitor.limits), **given(feature)}
        for name, feature in sorted(monitor.features.items())
    }
