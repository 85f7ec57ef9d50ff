"""Seam: a state machine's start and end. Its metrics, and its history in the log group it names.

MiniStack has neither, so that an alarm on failed executions would never go off.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from datetime import datetime
from typing import Any

logger = logging.getLogger("pipeline.local")

NAMESPACE = "AWS/States"
_METRIC = {
    "RUNNING": "ExecutionsStarted",
    "SUCCEEDED": "ExecutionsSucceeded",
    "FAILED": "ExecutionsFailed",
    "TIMED_OUT": "ExecutionsTimedOut",
    "ABORTED": "ExecutionsAborted",
}
_FATAL = frozenset({"ExecutionFailed", "ExecutionTimedOut", "ExecutionAborted"})
_ERROR = ("Failed", "TimedOut", "Aborted", "FailStateEntered")
_DATA = frozenset({"input", "inputDetails", "output", "outputDetails", "parameters"})
# PutLogEvents takes 1 MiB and 10,000 events; a message is at most 256 KiB.
_BATCH_BYTES = 900_000
_BATCH_EVENTS = 1_000


def install(stepfunctions: Any, changed: Callable[[], None]) -> None:
    """Report each status change. `changed` is called after something was written."""
    theirs = stepfunctions._emit_execution_status_event

    def emitted(execution: dict[str, Any]) -> None:
        theirs(execution)
        try:
            _measure(execution)
            if execution.get("status") != "RUNNING":
                machine = stepfunctions._state_machines.get(execution.get("stateMachineArn"))
                deliver(execution, (machine or {}).get("loggingConfiguration") or {})
        except Exception:
            # As on AWS: reporting is best effort and never harms the execution.
            logger.exception("reporting %s failed", execution.get("executionArn"))
        changed()

    stepfunctions._emit_execution_status_event = emitted


def _measure(execution: dict[str, Any]) -> None:
    from ministack.services import cloudwatch

    metric = _METRIC.get(execution.get("status", ""))
    if not metric:
        return
    dimensions = {"StateMachineArn": execution["stateMachineArn"]}
    cloudwatch.record_metric(NAMESPACE, metric, 1, "Count", dimensions)
    if metric != "ExecutionsStarted" and execution.get("stopDate"):
        took = _milliseconds(execution["stopDate"]) - _milliseconds(execution["startDate"])
        cloudwatch.record_metric(NAMESPACE, "ExecutionTime", took, "Milliseconds", dimensions)
    cloudwatch._evaluate_all_alarms()


def deliver(execution: dict[str, Any], configuration: dict[str, Any]) -> None:
    """Write an ended execution's history into its machine's log group, at the level it names."""
    from ministack.services import cloudwatch_logs

    level = configuration.get("level", "OFF")
    events = [event for event in execution.get("events") or [] if wanted(level, event["type"])]
    destinations = configuration.get("destinations") or []
    if not events or not destinations:
        return
    arn = destinations[0].get("cloudWatchLogsLogGroup", {}).get("logGroupArn", "")
    group = arn.removesuffix(":*").rpartition(":log-group:")[2]
    if group not in cloudwatch_logs._log_groups:
        logger.warning("the log group %s of %s is not there", group, execution["stateMachineArn"])
        return
    machine = execution["stateMachineArn"].rpartition(":")[2]
    started = execution["startDate"][:16].replace("T", "-").replace(":", "-")
    stream = f"states/{machine}/{started}/{execution['name'][-8:]}".replace(":", "-").replace("*", "-")
    cloudwatch_logs._create_log_stream({"logGroupName": group, "logStreamName": stream})
    data = bool(configuration.get("includeExecutionData"))
    batch: list[dict[str, Any]] = []
    size = 0
    for event in events:
        message = json.dumps(entry(event, execution["executionArn"], data))
        if batch and (size + len(message) > _BATCH_BYTES or len(batch) == _BATCH_EVENTS):
            cloudwatch_logs._put_log_events(
                {"logGroupName": group, "logStreamName": stream, "logEvents": batch}
            )
            batch, size = [], 0
        batch.append({"timestamp": _milliseconds(event["timestamp"]), "message": message})
        size += len(message)
    cloudwatch_logs._put_log_events({"logGroupName": group, "logStreamName": stream, "logEvents": batch})


def wanted(level: str, kind: str) -> bool:
    """Whether a log of that level (ALL, ERROR, FATAL, OFF) holds events of that type."""
    if level == "ALL":
        return True
    return kind in _FATAL or (level == "ERROR" and kind.endswith(_ERROR)) if level != "OFF" else False


def entry(event: dict[str, Any], execution_arn: str, data: bool) -> dict[str, Any]:
    """One event as Step Functions writes it into a log: numbers as text, times in milliseconds."""
    details: dict[str, Any] = next((v for key, v in event.items() if key.endswith("EventDetails")), {})
    return {
        "id": str(event["id"]),
        "type": event["type"],
        "details": {key: value for key, value in details.items() if data or key not in _DATA},
        "previous_event_id": str(event.get("previousEventId", 0)),
        "event_timestamp": str(_milliseconds(event["timestamp"])),
        "execution_arn": execution_arn,
    }


def _milliseconds(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp() * 1000)
