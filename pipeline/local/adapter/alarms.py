"""Seam: CloudWatch's alarm evaluation. By the alarm's own dimensions and periods, missing data as it says.

MiniStack looks at the metric's name only, so that another machine's failure raises this machine's alarm, and
never takes an alarm back when time passes.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any

logger = logging.getLogger("pipeline.local")

TICK_SECONDS = 10.0

_COMPARE: dict[str, Callable[[float, float], bool]] = {
    "GreaterThanOrEqualToThreshold": lambda value, threshold: value >= threshold,
    "GreaterThanThreshold": lambda value, threshold: value > threshold,
    "LessThanThreshold": lambda value, threshold: value < threshold,
    "LessThanOrEqualToThreshold": lambda value, threshold: value <= threshold,
}


def install(cloudwatch: Any) -> None:
    """Judge metric alarms here; alarms on metric math and anomaly bands stay MiniStack's."""
    theirs = cloudwatch._evaluate_alarm

    def evaluate(alarm: dict[str, Any]) -> None:
        if alarm.get("Metrics") or alarm.get("ComparisonOperator") not in _COMPARE:
            theirs(alarm)
            return
        points = _points(cloudwatch, alarm)
        judged_without = alarm.get("TreatMissingData") in ("breaching", "notBreaching")
        if not points and not (judged_without and alarm["StateValue"] == "INSUFFICIENT_DATA"):
            return  # nobody ever reported: as it was made, or as SetAlarmState set it
        values = _values(cloudwatch, alarm, points, time.time())
        state = judge(alarm, values)
        if state != alarm["StateValue"]:
            _change(cloudwatch, alarm, state, values)

    cloudwatch._evaluate_alarm = evaluate


def judge(alarm: dict[str, Any], values: list[float | None]) -> str:
    """The state that follows from the last periods' values, newest first; None: no data in that period."""
    missing = alarm.get("TreatMissingData") or "missing"
    if all(value is None for value in values) and missing in ("missing", "ignore"):
        return str(alarm["StateValue"]) if missing == "ignore" else "INSUFFICIENT_DATA"
    breaches = _COMPARE[alarm["ComparisonOperator"]]
    threshold = float(alarm.get("Threshold") or 0)
    bad = sum(missing == "breaching" if value is None else breaches(value, threshold) for value in values)
    return "ALARM" if bad >= (alarm.get("DatapointsToAlarm") or len(values)) else "OK"


def watch(stopped: threading.Event, changed: Callable[[], None]) -> None:
    """Judge again as time passes, until `stopped`; `changed` is called after a state changed."""
    import sys

    from ministack.core.responses import request_scope

    while not stopped.wait(TICK_SECONDS):
        cloudwatch = sys.modules.get("ministack.services.cloudwatch")
        if cloudwatch is None:
            continue
        for (account, region, name), alarm in list(cloudwatch._alarms._data.items()):
            before = alarm.get("StateValue")
            try:
                with request_scope(account, region):
                    cloudwatch._evaluate_alarm(alarm)
            except Exception:
                logger.exception("evaluating the alarm %s failed", name)
            if alarm.get("StateValue") != before:
                changed()


def _points(cloudwatch: Any, alarm: dict[str, Any]) -> list[dict[str, Any]]:
    dimensions = {each["Name"]: each["Value"] for each in alarm.get("Dimensions") or []}
    key = (alarm.get("Namespace"), alarm.get("MetricName"), cloudwatch._dims_key(dimensions))
    return list(cloudwatch._metrics.get(key) or ())


def _values(
    cloudwatch: Any, alarm: dict[str, Any], points: list[dict[str, Any]], now: float
) -> list[float | None]:
    period = alarm.get("Period") or 60
    statistic = alarm.get("ExtendedStatistic") or alarm.get("Statistic") or "Average"
    values: list[float | None] = []
    for index in range(alarm.get("EvaluationPeriods") or 1):
        end = now - index * period
        inside = [point for point in points if end - period < point["Timestamp"] <= end]
        stats = cloudwatch._calc_stats(inside) if inside else None
        values.append(cloudwatch._stat_value(stats, statistic, inside) if inside else None)
    return values


def _change(cloudwatch: Any, alarm: dict[str, Any], state: str, values: list[float | None]) -> None:
    before = alarm["StateValue"]
    found = ", ".join("no data" if value is None else f"{value:g}" for value in values)
    reason = f"Threshold Crossed: [{found}] against {alarm['ComparisonOperator']} {alarm.get('Threshold')}"
    alarm["StateValue"] = state
    alarm["StateReason"] = reason
    alarm["StateUpdatedTimestamp"] = int(time.time())
    cloudwatch._record_history(alarm["AlarmName"], before, state, reason)
    cloudwatch._dispatch_alarm_actions(alarm, before, state, reason)
    cloudwatch._evaluate_parent_alarms(alarm)
